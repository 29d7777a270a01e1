"""What a task sees, and what is recorded of its end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.core.wire import ClaimKind, Ended, Found, StartOutcome

# Values that a shell, a quoting function or a careless encoding would change.
NASTY = [
    "",
    " ",
    "a b",
    "$(touch pwned)",
    "`id`",
    "${HOME}",
    "$@",
    "'",
    '"',
    "\\",
    "\\n",
    "\n",
    "a\nb",
    "\t",
    "\x01\x7f",
    "-rf",
    "--",
    "*",
    "?[a-z]",
    "~",
    "!!",
    "#",
    ";",
    "&&",
    "|",
    ">x",
    "é",
    "日本語",
    "🦀",
    "caf\udce9",
    "%s",
    "{}",
    "x" * 20000,
]

pytestmark = pytest.mark.schedulers


def output(found: Found, name: str) -> str:
    return (Path(found.directory) / "output" / name).read_text()


def stderr(found: Found) -> str:
    return (Path(found.directory) / "stderr.log").read_text()


def stdout(found: Found) -> str:
    return (Path(found.directory) / "stdout.log").read_text()


async def test_an_attempt_that_was_started_runs_and_its_end_is_told(site):
    visit = await site.open()
    spec = site.spec("true")

    assert await visit.start(spec) == {spec.eid: StartOutcome.ACCEPTED}

    found = await visit.ended(spec.eid)
    assert found.exit.exit_code == 0
    assert found.exit.ended_by is Ended.ITSELF
    assert found.exit.nonce == found.claim.nonce != ""
    assert found.claim.kind is ClaimKind.STARTED
    assert found.claim.home == visit.session.hello.identity
    assert found.exit.started_at <= found.exit.ended_at


async def test_a_start_is_told_before_the_end(site):
    visit = await site.open()
    spec = site.spec("sleep", "0.3")
    await visit.start(spec)

    running = await visit.running(spec.eid)

    assert running.exit is None
    await visit.ended(spec.eid)


@pytest.mark.parametrize("code", [0, 1, 2, 75, 97, 98, 127, 255])
async def test_the_exit_code_is_recorded(site, code):
    visit = await site.open()

    found = await visit.run("sh", "-c", f"exit {code}")

    assert (found.exit.exit_code, found.exit.signal, found.exit.launch_error) == (code, None, None)


@pytest.mark.parametrize("number", [1, 6, 9, 11, 15])
async def test_the_signal_that_ended_a_task_is_recorded(site, number):
    visit = await site.open()

    found = await visit.run("sh", "-c", f"kill -{number} $$")

    assert (found.exit.exit_code, found.exit.signal, found.exit.launch_error) == (None, number, None)


@pytest.mark.parametrize("setup", [(), ("export FROM_SETUP=1",)], ids=["direct", "under a shell"])
async def test_arguments_arrive_byte_for_byte(site, setup):
    visit = await site.open()
    code = "import os, sys, json; print(json.dumps([os.fsencode(word).hex() for word in sys.argv[1:]]))"
    spec = site.python(code, *NASTY, setup=setup)
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert json.loads(stdout(found)) == [word.encode("utf-8", "surrogateescape").hex() for word in NASTY]


async def test_parameters_arrive_as_they_were_typed(site):
    visit = await site.open()
    parameters = {"a": 1, "b": 1.0, "c": "1", "d": None, "e": [1, {"f": True}], "long": "x" * 200_000}

    found = await visit.run("sh", "-c", 'cp "$RECONCILER_PARAMETERS" "$RECONCILER_OUTPUT/seen"', parameters=parameters)

    assert json.loads(output(found, "seen")) == parameters


async def test_the_contract_with_a_task_is_in_its_environment(site):
    visit = await site.open()
    code = "import os, json; print(json.dumps({'cwd': os.getcwd(), **dict(os.environ)}))"
    environment = {"MINE": "yes", "TO": "\0output\0/x", "RECONCILER_TASK": "forged"}
    spec = site.python(code, environment=environment, attempt=3)
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    seen = json.loads(stdout(found))
    assert {
        "cwd": found.directory,
        "PWD": found.directory,
        "MINE": "yes",
        "TO": f"{found.directory}/output/x",
        "RECONCILER_SWEEP": "a-sweep",
        "RECONCILER_TASK": spec.task,
        "RECONCILER_ATTEMPT": "3",
        "RECONCILER_PARAMETERS": f"{found.directory}/params.json",
        "RECONCILER_OUTPUT": f"{found.directory}/output",
        "RECONCILER_CHECKPOINT": f"{site.root}/checkpoints/{spec.checkpoint}",
    }.items() <= seen.items()


async def test_output_and_checkpoint_are_filled_in_where_the_command_names_them(site):
    visit = await site.open()
    spec = site.spec("echo", "--out=\0output\0/a", "\0checkpoint\0")
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert stdout(found) == f"--out={found.directory}/output/a {site.root}/checkpoints/{spec.checkpoint}\n"


async def test_what_is_kept_as_a_checkpoint_is_there_for_the_next_attempt(site):
    visit = await site.open()
    await visit.run("sh", "-c", 'echo half > "$RECONCILER_CHECKPOINT/state"', checkpoint="same")

    found = await visit.run("sh", "-c", 'cat "$RECONCILER_CHECKPOINT/state"', checkpoint="same")

    assert stdout(found) == "half\n"


async def test_a_task_runs_where_its_project_lies(site):
    visit = await site.open()
    place = site.folder / "a place"
    place.mkdir()

    found = await visit.run("pwd", cwd=str(place))

    assert stdout(found) == f"{place}\n"


async def test_setup_lines_run_before_the_command_and_in_its_environment(site):
    visit = await site.open()

    found = await visit.run("sh", "-c", 'echo "$X"', setup=("X=from-setup", "export X"))

    assert stdout(found) == "from-setup\n"


async def test_a_failing_setup_line_ends_the_attempt_before_the_command(site):
    visit = await site.open()

    found = await visit.run("echo", "started", setup=("(exit 7)", "true"))

    assert (found.exit.exit_code, stdout(found)) == (7, "")


@pytest.mark.parametrize("name", ["no-such-command", "/no/such/command", "./no-such-command"])
async def test_a_missing_command_is_a_launch_error(site, name):
    visit = await site.open()

    found = await visit.run(name)

    assert (found.exit.exit_code, found.exit.signal) == (None, None)
    assert name in found.exit.launch_error


async def test_a_command_that_may_not_be_executed_is_a_launch_error(site):
    visit = await site.open()
    (site.folder / "data").write_text("no program\n")

    found = await visit.run("data", environment={"PATH": str(site.folder)})

    assert found.exit.launch_error == f"cannot execute {site.folder}/data: Permission denied"


async def test_a_missing_working_directory_is_a_launch_error(site):
    visit = await site.open()

    found = await visit.run("true", cwd="/no/such/place")

    assert found.exit.launch_error == "cannot enter /no/such/place: No such file or directory"


async def test_the_command_is_looked_up_on_the_path_of_the_task(site):
    visit = await site.open()
    program = site.folder / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)

    found = await visit.run("only-here", environment={"PATH": f"/nowhere:{site.folder}"})

    assert stdout(found) == "found\n"


async def test_a_task_inherits_no_descriptor_but_its_own_lock(site):
    visit = await site.open()
    code = (
        "import os\n"
        "for n in os.listdir('/proc/self/fd'):\n"
        "    try: print(os.readlink('/proc/self/fd/' + n))\n"
        "    except OSError: pass\n"
    )
    spec = site.python(code)
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    names = {path.removeprefix(found.directory + "/").split(".")[0] for path in stdout(found).split("\n")[:-1]}
    assert names == {"/dev/null", "stdout", "stderr", "lock"}


async def test_a_task_starts_with_every_signal_at_its_default(site):
    visit = await site.open()
    found = await visit.run("grep", "-E", "SigBlk|SigIgn", "/proc/self/status")

    of_the_c_library = 1 << 31 | 1 << 32  # 32 and 33: glibc ignores them itself in what it spawns
    masks = [int(mask, 16) & ~of_the_c_library for mask in stdout(found).split()[1::2]]
    assert masks == [0, 0]


@pytest.mark.own_queue
async def test_a_task_leads_a_process_group_of_its_own(site):
    visit = await site.open()
    spec = site.python("import os; print(os.getpid() == os.getpgrp(), os.getsid(0) == os.getppid())")
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert stdout(found) == "True True\n"


async def test_what_a_task_and_its_children_use_is_recorded(site):
    visit = await site.open()
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    while time.process_time() < 0.2: pass\n"
        "else: x = b'x' * 64000000; os.wait()\n"
    )
    spec = site.python(code)
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    assert found.exit.cpu_s >= 0.2
    assert found.exit.max_rss_mib >= 61


async def test_the_spec_lies_beside_the_claim(site):
    visit = await site.open()
    spec = site.spec("true")
    await visit.start(spec)

    found = await visit.ended(spec.eid)

    staged = json.loads((Path(found.directory) / "spec.json").read_text())
    assert (staged["eid"], staged["argv"]) == (spec.eid, ["true"])
    assert os.path.basename(found.directory) == spec.eid


@pytest.mark.own_queue
async def test_a_message_larger_than_any_pipe_is_taken_whole(site):
    visit = await site.open(slots=4)
    specs = [site.spec("true", environment={"LARGE": "x" * 20_000}) for _ in range(100)]

    assert set((await visit.start(*specs)).values()) == {StartOutcome.ACCEPTED}

    for spec in specs:
        assert (await visit.ended(spec.eid)).exit.exit_code == 0
