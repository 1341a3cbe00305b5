"""Deployments in Azure as arms of an experiment: their targets say where they answer, and give the key."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.support.served_places import PLACES, served

from headrace.cli.main import run_command_line

EXPERIMENT = """\
flow: triage
data: lines.jsonl
column_mapping: {text: "${data.text}"}
factors:
  flow:
  - {name: blue, deployed: deployment.yaml, arm: blue, inputs: [text], outputs: {answer: answer}}
  - {name: green, deployed: deployment.yaml, arm: green, inputs: [text], outputs: {answer: answer}}
evaluators:
- builtin: exact_match
  name: right
  column_mapping: {prediction: "${run.outputs.answer}", reference: "${data.answer}"}
metrics: [right]
"""


@pytest.mark.parametrize("name", PLACES)
def test_two_versions_are_compared_where_they_are_deployed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with served(name, tmp_path, monkeypatch, capsys) as place:
        place.apply()
        place.write(2)
        place.apply()
        right = place.answer_of("green")
        lines = [{"text": f"line {number}", "answer": right} for number in range(8)]
        (place.folder / "lines.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), "utf-8")
        (place.folder / "experiment.yaml").write_text(EXPERIMENT, "utf-8")
        ended = run_command_line(["experiment", "run", "experiment.yaml"])
        out, err = capsys.readouterr()
        assert ended == 0, err
        assert re.search(r"green.*better", out), out
        for deployment in ("blue", "green"):
            asked = place.run("logs", "--deployment", deployment, "-n", "40")
            assert asked.count('"text": "line ') == 8, asked
        everything = b"".join(
            item.read_bytes() for item in (place.folder / ".headrace").rglob("*") if item.is_file()
        )
        assert place.key.encode() not in everything
        assert place.key not in out + err
