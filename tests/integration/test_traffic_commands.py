"""``headrace ab check``, ``assign`` and ``schema`` as people and programs call them."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import settle_revision, stop
from headrace.operations.workspace import open_workspace
from headrace.planning.assignment import bucket

TRIAGE = Path(__file__).parents[2] / "flows" / "triage"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(TRIAGE, tmp_path / "triage")
    return tmp_path / "triage"


@pytest.fixture
def ab(folder: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def call(words: str) -> tuple[int, str, str]:
        with chdir(folder):
            code = run_command_line(
                ["ab", *shlex.split(words)], Session(folder, {"HOME": str(folder.parent)})
            )
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


def write(folder: Path, **changes: str) -> None:
    """The traffic file with some lines changed."""
    text = (TRIAGE / "traffic.yaml").read_text(encoding="utf-8")
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    (folder / "traffic.yaml").write_text(text, encoding="utf-8")


def begin(folder: Path) -> None:
    with (
        chdir(folder),
        open_workspace(Session(folder, {"HOME": str(folder.parent)}).settings, folder) as space,
    ):
        settle_revision(space.store, read_traffic(Path("traffic.yaml")), space.now())


def test_check_says_what_the_file_does(ab: Call) -> None:
    code, out, err = ab("check traffic.yaml --output table")
    assert (code, err) == (0, "")
    for words in (
        "classify.few_shot, baseline",
        "10% mirrored",
        "header x-user-id or cookie visitor",
        "10% after 0s, 50% after 1h, 100% after 1d",
        "started: zero_shot 5%, few_shot 5%",
    ):
        assert words in out


def test_check_as_json_says_what_is_due(ab: Call) -> None:
    code, out, _ = ab("check traffic.yaml")
    found = json.loads(out)
    assert code == 0
    assert (found["revision"], found["warnings"]) == (None, [])
    assert found["due"]["shares"] == {"zero_shot": 0.05, "few_shot": 0.05}
    assert found["arms"][2] == {
        "name": "one_shot",
        "runs": "classify.one_shot, baseline",
        "weight": None,
        "shadow": 0.1,
    }


def test_check_says_which_units_a_change_would_move(ab: Call, folder: Path) -> None:
    whole = {"coverage: 0.1": "coverage: 1", "coverage: 0.5": "coverage: 1"}
    write(folder, **whole)
    begin(folder)
    assert json.loads(ab("check traffic.yaml")[1])["due"] is None
    write(
        folder,
        **whole,
        **{
            "{name: zero_shot, weight: 0.5}": "{name: zero_shot, weight: 0.7}",
            "{name: few_shot, weight: 0.5}": "{name: few_shot, weight: 0.3}",
        },
    )
    _, out, _ = ab("check traffic.yaml --output table")
    assert "revision 1, started: zero_shot 50%, few_shot 50%" in out
    assert "20% of all units move from few_shot to zero_shot" in out


def test_check_finds_what_is_wrong_with_every_arm(ab: Call, folder: Path) -> None:
    write(
        folder,
        **{
            "{name: few_shot, weight: 0.5}": "{name: few_shot, weight: 0.5, choices: {classify: fwe_shot}}",
            "{name: one_shot, shadow: 0.1}": "{name: one_shot, shadow: 0.1, overrides: {clasify.x: 1}}",
        },
    )
    code, out, err = ab("check traffic.yaml")
    assert (code, out) == (3, "")
    assert "fwe_shot" in err
    assert "clasify" in err
    assert err.count("traffic.yaml:") >= 2


def test_a_chat_is_told_that_its_conversations_would_change_arms(ab: Call, folder: Path) -> None:
    dag = folder / "flow.dag.yaml"
    text = dag.read_text(encoding="utf-8")
    dag.write_text(text.replace("type: standard", "type: chat"), encoding="utf-8")
    write(folder, **{"unit:\n- {header: x-user-id}\n- {cookie: visitor}\n": ""})
    code, out, err = ab("check traffic.yaml")
    assert code == 0
    assert [warning["code"] for warning in json.loads(out)["warnings"]] == ["G986"]
    assert "a conversation changes arms" in err
    assert "{session: chat_id}" in err


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("- {name: few_shot, weight: 0.5}\n", "", "Only one arm answers"),
        ("{name: thumbs, window: 10m, margin: 0.02}", "{name: thumbs, window: 10m}", "no margin"),
        (
            "{name: thumbs, window: 10m, margin: 0.02}",
            "{name: was helpful, window: 10m, margin: 0.02}",
            "cannot name 'was helpful'",
        ),
        (
            "{name: few_shot, weight: 0.5}",
            "{name: few_shot, weight: 1}",
            "The baseline zero_shot has no share",
        ),
        ("{after: 1d, coverage: 1}", "{after: 1d, coverage: 0}", "nobody is in the test"),
        (
            "{name: one_shot, shadow: 0.1}",
            "{name: words, flow: by_words, shadow: 0.1}",
            "words needs message",
        ),
    ],
)
def test_check_warns_of_what_is_hardly_meant(
    ab: Call, folder: Path, before: str, after: str, words: str
) -> None:
    changes = {before: after}
    if "few_shot" in before:
        changes["{name: zero_shot, weight: 0.5}"] = f"{{name: zero_shot, weight: {0 if after else 1}}}"
    if "coverage" in before:
        changes |= {"coverage: 0.1": "coverage: 0", "coverage: 0.5": "coverage: 0"}
    write(folder, **changes)
    code, out, err = ab("check traffic.yaml")
    assert code == 0
    assert [warning["code"] for warning in json.loads(out)["warnings"]] == ["G987"]
    assert words in err


def test_check_of_a_wrong_file_says_all_of_it_at_once(ab: Call, folder: Path) -> None:
    write(folder, **{"fall_back: true": "fall_back: maybe", "weight: 0.5": "weight: 0.6"})
    code, _, err = ab("check traffic.yaml")
    assert code == 3
    assert "F005" in err
    assert "G981" in err


def assigned(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_assign_says_who_gets_what_and_why(ab: Call) -> None:
    code, out, _ = ab("assign traffic.yaml --unit ann --unit bob")
    ann, bob = assigned(out)
    assert code == 0
    assert (ann["unit"], ann["arm"], ann["role"]) == ("ann", "few_shot", "assigned")
    assert ann["bucket"] == bucket("triage-1", "ann")
    assert ann["propensity"] == 0.5
    assert (bob["arm"], bob["role"]) == ("zero_shot", "outside")
    assert bob["why"] == f"bucket {bucket('triage-1', 'bob')}, which no arm has"


def test_assign_asks_conditions_of_what_is_given(ab: Call, folder: Path) -> None:
    write(folder, **{"fall_back: true": "target: [{header: X-Country, is: DE}]"})
    (row,) = assigned(ab("assign traffic.yaml --unit ann")[1])
    assert (row["role"], row["why"]) == ("outside", "a condition is not met")
    for name in ("X-Country", "header:x-country", "x-country"):
        (row,) = assigned(ab(f"assign traffic.yaml --unit ann --attribute {name}=DE")[1])
        assert row["role"] == "assigned"


def test_assign_follows_the_store_and_says_when_the_file_is_another_one(ab: Call, folder: Path) -> None:
    begin(folder)
    with (
        chdir(folder),
        open_workspace(Session(folder, {"HOME": str(folder.parent)}).settings, folder) as space,
    ):
        stop(space.store, "triage", space.now(), by="ann")
    write(folder, **{"fall_back: true": "fall_back: false"})
    _, out, err = ab("assign traffic.yaml --unit ann")
    assert (assigned(out)[0]["why"], assigned(out)[0]["revision"]) == ("the test is over", 2)
    assert "not the one of revision 2" in err
    assert assigned(ab("assign traffic.yaml --unit ann --revision 1")[1])[0]["role"] == "assigned"


def test_assign_refuses_a_revision_that_there_is_not(ab: Call) -> None:
    code, _, err = ab("assign traffic.yaml --unit ann --revision 7")
    assert code == 2
    assert "no revision 7" in err


def test_assign_refuses_what_is_no_attribute(ab: Call) -> None:
    assert ab("assign traffic.yaml --unit ann --attribute DE")[0] == 2


@pytest.mark.parametrize("unit", ["''", "a" * 1_001])
def test_assign_refuses_what_a_server_takes_for_no_unit(ab: Call, unit: str) -> None:
    code, out, err = ab(f"assign traffic.yaml --unit ann --unit {unit}")
    assert (code, out) == (2, "")
    assert "counts as absent" in err
    assert ab(f"assign traffic.yaml --unit {'a' * 1_000}")[0] == 0


def test_assignments_as_a_table_say_who_is_mirrored(ab: Call) -> None:
    units = " ".join(f"--unit u{number}" for number in range(200))
    _, out, _ = ab(f"assign traffic.yaml {units} --output table")
    assert "mirrored to" in out
    assert "one_shot" in out


def test_schema_is_printed(ab: Call) -> None:
    code, out, _ = ab("schema")
    assert (code, json.loads(out)["title"]) == (0, "headrace traffic")
