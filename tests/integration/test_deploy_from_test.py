"""The weights of a target follow an online test: its shares, its rollbacks, and nothing unsafe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.deploying import MEMORY, Place, deploying
from tests.support.evidence import a_trial

from headrace.domain.evidence import Evidence
from headrace.errors import ExitCode
from headrace.store.base import RunStore
from headrace.store.opening import open_store

DEPLOYMENT = """\
name: triage
target: local
traffic: traffic.yaml
"""
TRAFFIC = """\
name: checkout
flow: flows/triage
unit: {header: x-user}
arms:
- {name: a, weight: 0.6}
- {name: b, weight: 0.4, variant: "${classify.zero_shot}"}
metrics:
- {name: failures}
guardrails:
- {metric: failures, max_ratio: 1.0}
decision: {every: 1s}
"""
FOLLOW = "deploy traffic --from-test --follow --every 0.5"


@pytest.fixture
def place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    with deploying(tmp_path, capsys, monkeypatch) as made:
        made.write("deployment.yaml", DEPLOYMENT)
        made.write("traffic.yaml", TRAFFIC)
        made.write("one.jsonl", '{"text": "I was charged twice"}\n')
        assert made.run("run create --flow flows/triage --data one.jsonl").code == 0
        applied = made.run("deploy apply")
        assert applied.code == 0, applied.err
        yield made


@contextmanager
def store_of(place: Place) -> Iterator[RunStore]:
    with closing(open_store(str(place.folder / ".headrace" / "headrace.sqlite"), place.folder)) as store:
        yield store


def failing_b() -> list[Evidence]:
    now_ns = time.time_ns()
    return [replace(record, at_ns=now_ns) for record in a_trial(60, failing=3)]


def test_arms_get_the_shares_of_the_test_and_none_once_they_are_rolled_back(place: Place) -> None:
    place.write("traffic.yaml", TRAFFIC.replace("0.6", "0.995").replace("0.4", "0.005"))
    assert place.run("deploy traffic --from-test --allow shift").code == 0
    assert place.state().traffic == {"a": 100}

    place.write("traffic.yaml", TRAFFIC)
    planned = place.run("deploy traffic --from-test traffic.yaml --dry-run --format json")
    assert planned.data["traffic"]["after"] == {"a": 60, "b": 40}
    assert place.run("deploy traffic --from-test").code == 0
    assert place.state().traffic == {"a": 60, "b": 40}
    assert place.run("deploy traffic --from-test").out == "Nothing to do.\n"

    with store_of(place) as store:
        store.append_evidence(failing_b())
    assert place.run("ab watch checkout --once").code == 0
    assert place.run("deploy traffic --from-test").code == 0
    assert place.state().traffic == {"a": 100}


def test_the_limit_of_a_shift_stops_a_promotion_and_no_rollback(place: Place) -> None:
    place.write("deployment.yaml", f"{DEPLOYMENT}max_shift: 10\n")
    assert place.run("deploy traffic --from-test").code == 0
    assert place.run("ab stop checkout --arm b").code == 0
    assert place.run("deploy traffic --from-test").code == 0
    assert place.state().traffic == {"a": 100}

    assert place.run("ab resume checkout b").code == 0
    assert place.run("ab promote checkout b --yes").code == 0
    refused = place.run("deploy traffic --from-test")
    assert refused.code == ExitCode.STATE
    assert "X161" in refused.err
    assert place.state().traffic == {"a": 100}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("deploy traffic", "Shares are given, or taken from a test."),
        ("deploy traffic --from-test traffic.yaml a=50", "Shares are given, or taken from a test."),
        ("deploy traffic a=50 --follow", "Only the shares of a test can be followed."),
        ("deploy traffic --from-test --follow --dry-run", "--follow does not end"),
    ],
)
def test_a_wrong_call_is_told_what_to_do(place: Place, line: str, said: str) -> None:
    told = place.run(line)
    assert told.code == ExitCode.USAGE
    assert said in told.err


def test_without_a_test_nothing_is_guessed(place: Place) -> None:
    place.write("deployment.yaml", "name: triage\ntarget: local\nflow: flows/triage\n")
    told = place.run("deploy traffic --from-test")
    assert told.code == ExitCode.USAGE
    assert "--from-test traffic.yaml" in told.err


@contextmanager
def running(place: Place, line: str) -> Iterator[subprocess.Popen[str]]:
    code = f"""\
        import sys
        from headrace.cli.main import main
        from headrace.deploy import base
        base.TARGETS = {{"local": {MEMORY!r}}}
        sys.argv = ["headrace", *{line.split()!r}]
        sys.exit(main())
        """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=place.folder,
        env={**os.environ, "HOME": str(place.folder / "home")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    said = []
    for line in iter(process.stderr.readline, ""):
        said.append(line)
        if words in line:
            return
    raise AssertionError((words, said))


def test_a_rollback_of_the_watch_moves_the_weights_also_after_a_restart(place: Place) -> None:
    with running(place, FOLLOW) as following:
        read_until(following, "triage had a 60 %, b 40 %.")
        following.kill()
        following.wait(20)
    with running(place, FOLLOW) as following, running(place, "ab watch checkout --every 0.5") as watching:
        read_until(following, "triage had a 60 %, b 40 %.")
        with store_of(place) as store:
            store.append_evidence(failing_b())
        read_until(watching, "rolled back: b")
        read_until(following, "triage has a 100 %.")
        assert place.state().traffic == {"a": 100}
        following.send_signal(signal.SIGTERM)
        assert following.wait(20) == 0
