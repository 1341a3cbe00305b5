"""The commands of docs/online-ab.md do what the page says, one after the other, on a test whose second arm is better."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.domain.evidence import Completion, Evidence, Exposure
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import settle_revision
from headrace.store.opening import open_store
from tests.support.evidence import a_trial
from tests.support.reference_docs import DOCS, copy_project

PAGE = (DOCS / "online-ab.md").read_text(encoding="utf-8")
ANSWERED = "headrace ab promote triage few_shot", "headrace ab delete triage"
"""Commands that ask first."""

SKIPPED = {
    "headrace compare": "tests/conformance/test_documented_commands.py runs others",
    "headrace flow serve": "serves until it is stopped; tests/integration/test_traffic_processes.py serves",
    "headrace ab watch --all\n": "watches until it is stopped; --once is run here",
    "headrace ab watch triage --page": "likewise",
}


def commands() -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if not any(f"{line}\n".startswith(start) for start in SKIPPED):
                yield f"{line} --yes" if line in ANSWERED else line


def of_the_sample(record: Evidence, at: datetime) -> Evidence:
    """A record of the trial of a and b as one of the sample's test."""
    names = {"a": "zero_shot", "b": "few_shot"}
    changed = replace(record, test="triage", at_ns=int(at.timestamp()) * 10**9)
    if isinstance(changed, Exposure):
        return replace(changed, arm=names[changed.arm])
    return (
        replace(changed, answered_by=names[changed.answered_by])
        if isinstance(changed, Completion)
        else changed
    )


def test_the_commands_of_the_page_run_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_project(tmp_path)
    (tmp_path / ".headrace").mkdir(exist_ok=True)
    began = datetime.now(UTC) - timedelta(hours=3)
    with closing(open_store(str(tmp_path / ".headrace" / "headrace.sqlite"), tmp_path)) as store:
        settle_revision(store, read_traffic(tmp_path / "flows" / "triage" / "traffic.yaml"), began)
        trial = a_trial(300, is_liked=True)
        store.append_evidence([of_the_sample(record, began + timedelta(hours=1)) for record in trial])
    said = {}
    with chdir(tmp_path):
        for line in commands():
            code = run_command_line(
                line.split()[1:], Session(tmp_path, {"HOME": str(tmp_path), "USER": "ann"})
            )
            said[line] = "".join(capsys.readouterr())
            assert code == 0, f"{line}: {said[line]}"
    assert said["headrace ab decide triage"].startswith("Ship few_shot.")
    assert "triage" in said["headrace ab status"]
    assert "promoted: few_shot" in said["headrace ab promote triage few_shot --yes"]
    assert len(said) >= 10


def test_the_traffic_file_of_the_page_can_be_read(tmp_path: Path) -> None:
    copy_project(tmp_path)
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    file = tmp_path / "flows" / "triage" / "page.yaml"
    file.write_text(text, encoding="utf-8")
    traffic = read_traffic(file)

    assert [arm.name for arm in traffic.answering] == ["zero_shot", "few_shot"]
    assert traffic.webhook == "${env:AB_WEBHOOK}"
