"""All mutants."""

from __future__ import annotations

from tests.mutants import (
    bugs,
    in_the_code,
    in_the_core,
    in_the_daemon,
    in_the_store,
    of_code,
    of_results,
    of_servers,
    of_sessions,
    on_a_cluster,
    on_the_seats,
    on_the_source,
)

ALL = (
    *on_the_source.MUTANTS,
    *on_the_seats.MUTANTS,
    *on_a_cluster.MUTANTS,
    *in_the_store.MUTANTS,
    *in_the_core.MUTANTS,
    *in_the_daemon.MUTANTS,
    *of_code.MUTANTS,
    *of_results.MUTANTS,
    *of_servers.MUTANTS,
    *of_sessions.MUTANTS,
    *in_the_code.MUTANTS,
    *bugs.MUTANTS,
)
