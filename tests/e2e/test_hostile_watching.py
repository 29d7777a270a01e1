"""Who watches sees the truth while tasks run, and no secrets."""

from __future__ import annotations

import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "ghp_s3cr3tT0ken"


def answer(world: Any, path: str) -> tuple[int, str]:
    url = (world.state / "http").read_text().strip()
    with urllib.request.urlopen(url + path, timeout=10) as response:
        return response.status, response.read().decode()


def told(world: Any) -> dict[str, Counter[str]]:
    """Tasks per sweep and phase, by the metrics page."""
    found: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(answer(world, "/metrics")[1]):
        for sample in family.samples:
            if sample.name == "reconciler_sweep_tasks" and sample.value:
                phases = found.setdefault(sample.labels["sweep"], Counter())
                phases[sample.labels["state"]] += int(sample.value)
    return found


def known(world: Any) -> dict[str, Counter[str]]:
    """The same by the store."""
    return {
        sweep["name"]: Counter({phase: n for phase, n in sweep["tasks"].items() if n and phase != "desired"})
        for sweep in world.status()["sweeps"]
    }


def test_the_pages_answer_and_agree_with_the_store_while_tasks_run(world: Any) -> None:
    world.commit(
        runs=world.manifest("runs", "{x: [1, 2, 3]}", command="sleep 300"),
        fails=world.manifest("fails", "{x: [1, 2]}", command="false"),
        works=world.manifest("works", "{x: {range: {start: 0, stop: 20, step: 1}}}"),
        paused=world.manifest("paused", "{x: [1, 2]}", extra="  state: Paused\n"),
    )
    world.start()
    world.succeeded("works", 20)
    world.wait(lambda: (world.counts("runs")["running"], world.counts("fails")["failed"]) == (3, 2))

    assert 200 == answer(world, "/livez")[0]
    assert 200 == answer(world, "/readyz")[0]
    world.wait(lambda: told(world) == known(world))
    expected = {
        "runs": {"running": 3},
        "fails": {"failed": 2},
        "works": {"succeeded": 20},
        "paused": {"waiting": 2},
    }
    assert expected == told(world)


@pytest.mark.parametrize("url", [f"https://{TOKEN}@127.0.0.1:1/x.git", f"ssh://{TOKEN}@127.0.0.1:1/x.git"])
def test_user_information_of_a_url_is_never_told(world: Any, url: str) -> None:
    world.config.write_text(world.config.read_text().replace(f"url: {world.repository},", f'url: "{url}",'))
    world.start()
    world.wait(lambda: "pass failed" in (world.root / "daemon.log").read_text())
    world.wait((world.state / "http").exists)

    words = [world.run(*command) for command in (("status",), ("status", "-o", "json"), ("plan",), ("check",))]
    pages = [answer(world, path)[1] for path in ("/metrics", "/readyz")]
    world.stop()

    everything = [*(done.stdout + done.stderr for done in words), *pages, (world.root / "daemon.log").read_text()]
    assert not [text for text in everything if TOKEN in text]
    assert not [path for path in files(world.state) if TOKEN.encode() in path.read_bytes()]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_password_in_a_url_is_refused_without_being_told(world: Any) -> None:
    url = f"https://me:{TOKEN}@127.0.0.1:1/x.git"
    world.config.write_text(world.config.read_text().replace(f"url: {world.repository},", f'url: "{url}",'))

    done = world.run("run", "--once")

    assert (1, True, False) == (done.returncode, "[PasswordInUrl]" in done.stderr, TOKEN in done.stderr + done.stdout)
