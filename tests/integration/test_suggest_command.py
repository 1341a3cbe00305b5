"""``headrace experiment suggest`` on the triage flow: what is written, what is measured, and what gates then refuse."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session

FLOWS = Path(__file__).parents[2] / "flows"
ASK = "experiment suggest triage/experiment.yaml --train triage/data/train.jsonl --shots 4 --candidates 2 -o json"

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggest")
    shutil.copytree(FLOWS / "triage", folder / "triage")
    return folder


@pytest.fixture
def ask(place: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def ask(command: str) -> tuple[int, str, str]:
        with chdir(place), serving_names(place):
            code = run_command_line(
                re.findall(r"(?:'[^']*'|\S)+", command.replace("'", "")), Session(place, {})
            )
        shown = capsys.readouterr()
        return int(code), shown.out, shown.err

    return ask


@pytest.fixture
def found(place: Path, ask: Ask) -> dict[str, Any]:
    """The suggestion, made once."""
    file = place / "found.json"
    if not file.exists():
        before = {path: path.read_bytes() for path in (place / "triage").rglob("*") if path.is_file()}
        code, out, err = ask(ASK)
        assert code == 0, err
        assert {path: path.read_bytes() for path in (place / "triage").rglob("*") if path.is_file()} == before
        file.write_text(out, encoding="utf-8")
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _other_data(place: Path, name: str, rows: list[dict[str, Any]]) -> str:
    """The suggested experiment over other data; its path."""
    folder = place / "triage_suggested"
    _write(place / f"{name}.jsonl", rows)
    text = (folder / "experiment.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^data: .*$", f"data: ../{name}.jsonl", text)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return f"triage_suggested/{name}.yaml"


def test_selections_are_made_in_one_half_and_chosen_by_the_other(place: Path, found: dict[str, Any]) -> None:
    kinds = [item["kind"] for item in found["candidates"]]
    assert kinds == ["similar", "similar", "errors", "errors", "random", "random", "control"]
    assert {len(item["lines"]) for item in found["candidates"]} == {4}
    gains = {item["name"]: item["gain"] for item in found["candidates"]}
    assert gains["control"] is None
    assert (
        found["choice"]["gain"]
        == gains[found["chosen"]]
        == max(gain for gain in gains.values() if gain is not None)
    )
    train = _lines(place / "triage/data/train.jsonl")
    chosen_by = {line["text"] for line in _lines(place / "triage_suggested/data/choice.jsonl")}
    shown = {train[number]["text"] for item in found["candidates"] for number in item["lines"]}
    assert len(chosen_by) == found["choice"]["lines"] == 60
    assert not shown & chosen_by
    held_out = {line["text"] for line in _lines(place / "triage/data/test.jsonl")}
    assert not held_out & (shown | chosen_by)


def test_the_held_out_lines_say_what_it_gains_over_the_baseline_and_over_random_examples(
    found: dict[str, Any],
) -> None:
    held_out = found["held_out"]
    assert (
        held_out["lines"]
        == held_out["against_baseline"]["lines"]
        == held_out["against_control"]["lines"]
        == 106
    )
    effect = held_out["against_baseline"]
    assert effect["low"] < effect["difference"] < effect["high"]
    assert effect["verdict"] in ("better", "worse", "equivalent", "inconclusive")
    assert found["choice"]["shrunken"] < found["choice"]["gain"]


def test_prompts_are_files_of_a_flow_that_runs(place: Path, found: dict[str, Any], ask: Ask) -> None:
    chosen = found["chosen"]
    prompt = (place / f"triage_suggested/classify.{chosen}.jinja2").read_text(encoding="utf-8")
    assert prompt.count("# assistant:") == 4
    assert prompt.endswith("# user:\nMessage: {{text}}\nLabel:\n")
    code, out, err = ask("flow validate --source triage_suggested")
    assert code == 0, err
    code, out, err = ask(
        f"flow test --flow triage_suggested --variant ${{classify.{chosen}}} --inputs text=refund"
    )
    assert code == 0, err
    assert "label" in out


def test_the_same_seed_suggests_the_same(place: Path, found: dict[str, Any], ask: Ask) -> None:
    code, out, err = ask(f"{ASK} --out again")
    assert code == 0, err
    again = json.loads(out)
    assert again["candidates"] == found["candidates"]
    assert again["choice"] == found["choice"]
    assert again["held_out"]["against_baseline"] == found["held_out"]["against_baseline"]
    code, out, err = ask(f"{ASK} --out other --seed 5")
    assert code == 0, err
    other = json.loads(out)
    assert other["candidates"] != found["candidates"]
    assert other["held_out"]["suggestions_before"] == again["held_out"]["suggestions_before"] + 1


def test_a_gate_asks_on_lines_held_out(found: dict[str, Any], ask: Ask) -> None:
    code, out, err = ask(f"gate triage_suggested/experiment.yaml --arm {found['chosen']} --margin 0.1")
    assert code in (0, 1, 6), err
    assert "106 paired lines" in out


@pytest.mark.parametrize("name", ["same", "shuffled", "renamed", "part"])
def test_a_gate_on_lines_that_were_used_to_choose_is_refused(
    name: str, place: Path, found: dict[str, Any], ask: Ask
) -> None:
    train = _lines(place / "triage/data/train.jsonl")
    fresh = _lines(place / "triage/data/test.jsonl")
    rows, said = {
        "same": (train, "120 of the 120 lines"),
        "shuffled": (train[::-1], "120 of the 120 lines"),
        "renamed": (
            [{**row, "id": f"x{n}", "text": f" {row['text']} "} for n, row in enumerate(train)],
            "120 of the 120",
        ),
        "part": (fresh[:40] + train[50:57], "7 of the 47 lines"),
    }[name]
    file = _other_data(place, name, rows)
    code, out, err = ask(f"gate {file} --arm {found['chosen']} --margin 0.1")
    assert code == 2
    assert "G964" in err
    assert said in err
    assert not out
    code, out, err = ask(f"compare {file} -o json")
    assert code == 0, err
    assert "were used to choose" in out


def test_a_gate_on_runs_over_them_is_refused_without_an_experiment(
    place: Path, found: dict[str, Any], ask: Ask
) -> None:
    for variant in ("zero_shot", found["chosen"]):
        code, _, err = ask(
            f"run create --flow triage_suggested --data triage/data/train.jsonl --name r_{variant} "
            f"--variant ${{classify.{variant}}} --column-mapping text=${{data.text}}"
        )
        assert code == 0, err
        assert ask(f"run evaluate r_{variant} --evaluator latency")[0] == 0
    code, _, err = ask(f"gate r_zero_shot r_{found['chosen']} --margin 1")
    assert code == 2
    assert "120 of the 120 lines" in err


def test_a_prompt_that_was_taken_into_another_flow_is_known(
    place: Path, found: dict[str, Any], ask: Ask
) -> None:
    flow = place / "adopted"
    shutil.copytree(place / "triage", flow)
    shutil.copy(place / f"triage_suggested/classify.{found['chosen']}.jinja2", flow / "few_shot.jinja2")
    file = flow / "experiment.yaml"
    file.write_text(file.read_text("utf-8").replace("data/test.jsonl", "data/train.jsonl"), encoding="utf-8")
    code, _, err = ask("gate adopted/experiment.yaml --arm few_shot --margin 0.1")
    assert code == 2
    assert "120 of the 120 lines were used to choose" in err
    file.write_text(file.read_text("utf-8").replace("data/train.jsonl", "data/test.jsonl"), encoding="utf-8")
    code, _, err = ask("gate adopted/experiment.yaml --arm few_shot --margin 0.1")
    assert code in (0, 1, 6), err


def test_a_share_or_a_split_of_the_data_can_be_the_train_lines(place: Path, ask: Ask) -> None:
    rows = [
        {**row, "split": "train" if number % 2 else "test"}
        for number, row in enumerate(_lines(place / "triage/data/test.jsonl"))
    ]
    _write(place / "triage/data/both.jsonl", rows)
    text = (place / "triage/experiment.yaml").read_text("utf-8")
    (place / "triage/both.yaml").write_text(text.replace("test.jsonl", "both.jsonl"), encoding="utf-8")
    for number, train in enumerate(("split=train", "0.5")):
        out = place / f"split_{number}"
        code, shown, err = ask(
            f"experiment suggest triage/both.yaml --train {train} --shots 2 --candidates 1 --out {out.name} -o json"
        )
        assert code == 0, err
        held_out = _lines(out / "data/held_out.jsonl")
        assert json.loads(shown)["held_out"]["lines"] == len(held_out) == 53
        texts = {row["text"] for row in held_out}
        assert not texts & {row["text"] for row in _lines(out / "data/choice.jsonl")}
        if train == "split=train":
            assert texts == {row["text"] for row in rows if row["split"] == "test"}


def test_a_flow_without_variants_gets_them_and_its_experiment_needs_no_second_arm(
    place: Path, ask: Ask
) -> None:
    flow = place / "plain"
    shutil.copytree(place / "triage", flow)
    (flow / "flow.dag.yaml").write_text(
        "inputs: {text: {type: string}}\n"
        'outputs: {label: {type: string, reference: "${classify.output}"}}\n'
        "nodes:\n- name: classify\n  type: llm\n  source: {type: code, path: zero_shot.jinja2}\n"
        "  connection: baseline\n  api: chat\n"
        '  inputs: {model: baseline, temperature: 0, max_tokens: 32, text: "${inputs.text}"}\n',
        encoding="utf-8",
    )
    text = (flow / "experiment.yaml").read_text("utf-8")
    text = re.sub(r"(?s)variants:.*?\n\n", "\n", text).replace("baseline: zero_shot\n", "")
    (flow / "experiment.yaml").write_text(
        re.sub(r"(?s)# To race.*?evaluators:", "evaluators:", text), encoding="utf-8"
    )
    code, out, err = ask(
        "experiment suggest plain/experiment.yaml --train plain/data/train.jsonl --shots 2 --candidates 1 -o json"
    )
    assert code == 0, err
    assert json.loads(out)["baseline"] == "base"
    code, _, err = ask("flow test --flow plain_suggested --variant ${classify.base} --inputs text=refund")
    assert code == 0, err


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("--train triage/data/test.jsonl", "G972"),
        ("--train splt=train", "D403"),
        ("--train label=nothing", "D402"),
        ("--train nowhere.jsonl", "G971"),
        ("--train 0.1", "G971"),
        ("--shots 61", "G971"),
        ("--node clasify", "R102"),
        ("--answer lable", "D403"),
        ("--example {{txt}}", "D403"),
        ("--example {{text", "F009"),
        ("--baseline zero", "V305"),
        ("--out triage", "S806"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    more: str, code: str, place: Path, ask: Ask
) -> None:
    runs = ask("run list -r 1")[1]
    exit_code, out, err = ask(f"{ASK} --out {place}/never {more}")
    assert (exit_code in (2, 3), out) == (True, "")
    assert f"error[{code} " in err
    assert not (place / "never").exists()
    assert ask("run list -r 1")[1] == runs
