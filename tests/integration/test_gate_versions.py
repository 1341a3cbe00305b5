"""Gates against versions, tags and branches, from the command line and in a store that was used before."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.gated_project import write_flow, write_project
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    write_project(folder)
    return folder


@pytest.fixture
def headrace(project: Path) -> Callable[..., int]:
    def call(words: str, **environment: str) -> int:
        with chdir(project), serving_names(project):
            session = Session(project, {"HOME": str(project), **environment})
            return run_command_line(shlex.split(words), session)

    return call


@pytest.fixture
def tagged(headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The version 1, right about 6 of 10 lines, is in production and recorded; the files are at version 2."""
    assert headrace("compare experiment.yaml") == 0
    assert headrace("flow tag shop@1 prod") == 0
    write_flow(project, old=6, new=4)
    capsys.readouterr()


@pytest.mark.usefixtures("tagged")
def test_an_arm_is_compared_with_what_the_tagged_version_scored(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "gate experiment.yaml --arm new --against @prod --margin 0.1"
    assert headrace(words) == 1
    outputs = [capsys.readouterr().out]
    files = "-o github -o comment.md -o gate.xml -o gate.json"
    assert headrace(f"{words} {files}", GITHUB_STEP_SUMMARY=str(project / "summary.md")) == 1
    outputs += [capsys.readouterr().out]
    outputs += [
        (project / name).read_text("utf-8") for name in ("summary.md", "comment.md", "gate.xml", "gate.json")
    ]
    for output in outputs:
        assert "new is shown to be worse than new@shop@1 by 0.100 or more on exact_match" in output
        assert "@prod is shop@1" in output
        assert "data.jsonl@1" in output
    (result,) = json.loads((project / "gate.json").read_text("utf-8"))["gate"]["results"]
    assert (result["baseline"]["tag"], result["baseline"]["version"]) == ("@prod", "shop@1")
    assert result["numbers"]["n"] == 100.0
    arms = json.loads((project / "gate.json").read_text("utf-8"))["comparison"]["arms"]
    assert [arm["arm"] for arm in arms] == ["old", "new"]  # what is recorded is not run again


def test_a_version_without_recorded_scores_is_an_arm_of_its_own(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert headrace("run create --flow . --data data.jsonl --variant '${say.old}' --name seen") == 0
    assert headrace("flow tag seen prod") == 0
    write_flow(project, old=6, new=9)
    capsys.readouterr()
    assert headrace("gate experiment.yaml --arm new --against shop@prod --test superiority -o json -q") == 0
    found = json.loads(capsys.readouterr().out)
    assert [arm["arm"] for arm in found["comparison"]["arms"]] == ["old", "new", "new@shop@1"]
    (result,) = found["gate"]["results"]
    assert (result["outcome"], result["against"], result["baseline"]["tag"]) == (
        "passed",
        "new@shop@1",
        "shop@prod",
    )
    assert headrace("gate experiment.yaml --arm new --against shop@prod --test superiority -o json -q") == 0
    found = json.loads(capsys.readouterr().out)
    assert [arm["arm"] for arm in found["comparison"]["arms"]] == ["old", "new"]


def test_scores_against_the_answers_of_another_baseline_are_not_compared(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project / "experiment.yaml").read_text("utf-8")
    text = text.replace('"${data.n}"}\nmetrics', '"${baseline.outputs.answer}"}\nmetrics')
    (project / "experiment.yaml").write_text(text, encoding="utf-8")
    assert "baseline.outputs" in text
    assert headrace("compare experiment.yaml") == 0
    assert headrace("flow tag shop@1 prod") == 0
    write_flow(project, old=3, new=6)
    capsys.readouterr()
    assert headrace("gate experiment.yaml --arm new --against @prod --test equivalence -o json -q") == 0
    found = json.loads(capsys.readouterr().out)
    assert [arm["arm"] for arm in found["comparison"]["arms"]] == ["old", "new", "new@shop@1"]
    assert found["gate"]["results"][0]["numbers"]["difference"] == 0.0


def test_the_version_that_is_checked_out_is_not_compared_with_itself(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert headrace("compare experiment.yaml") == 0
    assert headrace("flow tag shop@1 prod") == 0
    capsys.readouterr()
    assert headrace("gate experiment.yaml --arm new --against @prod --test equivalence -o json -q") == 0
    (result,) = json.loads(capsys.readouterr().out)["gate"]["results"]
    mine = json.loads(_shown(headrace, capsys, "run list -o json"))
    newest = max(run["name"] for run in mine if run.get("arm") == "new")
    assert newest not in result["baseline"]["runs"]


def _shown(headrace: Callable[..., int], capsys: pytest.CaptureFixture[str], words: str) -> str:
    assert headrace(words) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("tagged")
def test_a_tag_that_moved_is_never_silent(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (project / "experiment.yaml").open("a", encoding="utf-8") as file:
        file.write("gates:\n- {metric: exact_match, arm: new, against: '@prod', margin: 0.25}\n")
    assert headrace("gate experiment.yaml -o json -q") == 6
    found = json.loads(capsys.readouterr().out)
    assert found["gate"]["results"][0]["baseline"]["version"] == "shop@1"
    again = next(word for item in found["context"]["commands"] for word in item.split() if "_20" in word)
    assert headrace("flow tag shop@2 prod --move") == 0
    capsys.readouterr()
    assert headrace(f"gate --again {again}") == 6
    shown = capsys.readouterr()
    assert "shop@1" in shown.out
    assert "S832" in shown.err
    assert "@prod was on shop@1 when this was run, and is on shop@2 now" in shown.err
    assert headrace(f"compare --again {again}") == 0
    assert "is on shop@2 now" in capsys.readouterr().err
    assert headrace(f"gate --again {again} --arm new --against @prod --margin 0.25") == 2
    shown = capsys.readouterr()
    assert "--against shop@1, or --against shop@2" in shown.err
    assert headrace(f"gate --again {again} --arm new --against shop@1 --margin 0.25") == 6


@pytest.mark.usefixtures("tagged")
def test_what_cannot_be_compared_with_is_said_with_what_to_do(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert headrace("gate experiment.yaml --arm new --against @prof") == 2
    assert 'Did you mean "@prod"?' in capsys.readouterr().err
    assert headrace("gate experiment.yaml --arm new --against '@prod#newer'") == 2
    assert "--against 'shop@1#new'" in capsys.readouterr().err
    with (project / "experiment.yaml").open("a", encoding="utf-8") as file:
        file.write("gates:\n- {metric: exact_match, arm: new, against: shop@9}\n")
    assert headrace("gate experiment.yaml") == 2
    shown = capsys.readouterr().err
    assert "experiment.yaml:10:44" in shown
    assert "S831" in shown
    assert "Completed" not in shown


@pytest.mark.usefixtures("tagged")
def test_one_run_is_gated_against_a_version_and_a_file(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variant = "--variant '${say.new}'"
    assert headrace(f"run create --flow . --data data.jsonl {variant} --name candidate") == 0
    evaluate = (
        "run evaluate {} --evaluator exact_match --column-mapping prediction='${{run.outputs.answer}}' "
        "reference='${{data.n}}'"
    )
    assert headrace(evaluate.format("candidate")) == 0
    capsys.readouterr()
    assert headrace("gate candidate") == 2
    assert "--against" in capsys.readouterr().err
    assert headrace("gate candidate --limit 0.2") == 0
    assert headrace("gate candidate --against @prod --margin 0.1") == 1
    assert "new is shown to be worse than new@shop@1" in capsys.readouterr().out
    (project / "data.jsonl").write_text("".join(f'{{"n": "{n}"}}\n' for n in range(50)), encoding="utf-8")
    assert headrace(f"run create --flow . --data data.jsonl {variant} --name fewer") == 0
    assert headrace(evaluate.format("fewer")) == 0
    capsys.readouterr()
    assert headrace("gate fewer --against @prod --margin 0.1") == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "G966" in shown
    assert "shop@1 has answered other data than data.jsonl@2: data.jsonl@1" in shown
    assert "headrace run create --flow shop@1 --data" in shown


def test_a_branch_is_what_was_recorded_on_it(
    headrace: Callable[..., int], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git = project.parent / ".git"
    (git / "refs" / "heads" / "feature").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert headrace("compare experiment.yaml") == 0
    (git / "HEAD").write_text("ref: refs/heads/feature/few\n")
    write_flow(project, old=6, new=9)
    capsys.readouterr()
    assert headrace("gate experiment.yaml --arm new --against main --test superiority -o json -q") == 0
    (result,) = json.loads(capsys.readouterr().out)["gate"]["results"]
    assert (result["against"], result["baseline"]["branch"]) == ("new@main", "main")
    assert result["baseline"]["commit"] == COMMIT
    assert f"Branch main at {COMMIT[:12]} is shop@1" in result["evidence"]
    assert headrace("gate experiment.yaml --arm new --against mian") == 2
    assert "no branch" in capsys.readouterr().err
