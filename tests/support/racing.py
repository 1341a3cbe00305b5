"""Arms of which it is known how well they do, for tests of races; every answer is noted in a file."""

from __future__ import annotations

import json
import random
from pathlib import Path

from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.race import RaceSpec
from headrace.domain.scores import MetricSpec
from headrace.domain.variant import Arm, Variant

ARMS = {"worst": 0.3, "fair": 0.5, "good": 0.7, "best": 0.9}
ANSWERS = "answers.txt"

FLOW = """\
inputs:
  n: {type: int}
  passed_by: {type: list}
outputs:
  answer: {type: string, reference: "${say.output}"}
nodes:
- {name: say, use_variants: true}
node_variants:
  say:
    default_variant_id: best
    variants:
"""
VARIANT = """\
      {arm}:
        node:
          type: python
          source: {{type: code, path: say.py}}
          inputs: {{n: "${{inputs.n}}", passed_by: "${{inputs.passed_by}}", arm: {arm}}}
"""
SAY = """\
import os
import time
from pathlib import Path

from promptflow.core import tool

NOTES = Path(__file__).resolve().with_name("where.txt").read_text("utf-8")

@tool(cache=False)
def say(n: int, passed_by: list, arm: str) -> str:
    time.sleep(float(os.environ.get("RACE_SLEEP_S", "0")))
    with open(NOTES, "a", encoding="utf-8") as notes:
        notes.write(f"{arm} {n}\\n")
    if arm == "worst" and n % 10 == 7:
        raise ValueError("cannot say")
    return "yes" if arm in passed_by else "no"
"""
JUDGE = """\
def passed(answer: str) -> dict:
    return {"passed": float(answer == "yes")}
"""
EXPERIMENT = """\
name: race
flow: flow
data: data.jsonl
variants: [say.worst, say.fair, say.good, say.best]
evaluators:
- {name: passed, python: "judge.py:passed", column_mapping: {answer: "${run.outputs.answer}"}}
metrics: [passed]
baseline: fair
"""


def make_racers(folder: Path, n_lines: int, *, seed: int = 5) -> None:
    """A flow with four variants, data that say who passes which line, an evaluator and an experiment file."""
    flow = folder / "flow"
    flow.mkdir()
    variants = "".join(VARIANT.format(arm=arm) for arm in ARMS)
    flow.joinpath("flow.dag.yaml").write_text(FLOW + variants, "utf-8")
    flow.joinpath("say.py").write_text(SAY, "utf-8")
    flow.joinpath("where.txt").write_text(str(folder / ANSWERS), "utf-8")
    draw = random.Random(seed)
    lines = [
        {"n": n, "passed_by": [arm for arm, rate in ARMS.items() if draw.random() < rate]}
        for n in range(n_lines)
    ]
    folder.joinpath("data.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    folder.joinpath("judge.py").write_text(JUDGE, "utf-8")
    folder.joinpath("experiment.yaml").write_text(EXPERIMENT, "utf-8")


def make_race(folder: Path, race: RaceSpec | None, *, repeats: int = 1) -> Experiment:
    """The experiment over what :func:`make_racers` has made."""
    return Experiment(
        name="race",
        flow_path=str(folder / "flow"),
        data_path=str(folder / "data.jsonl"),
        column_mapping={},
        arms=tuple(Arm(name=arm, variant=Variant(name=arm, choices={"say": arm})) for arm in ARMS),
        baseline="fair",
        evaluators=(
            EvaluatorSpec(
                name="passed",
                python=f"{folder / 'judge.py'}:passed",
                column_mapping={"answer": "${run.outputs.answer}"},
            ),
        ),
        metrics=(MetricSpec(name="passed"),),
        race=race,
        repeats=repeats,
    )


def answers(folder: Path) -> list[str]:
    """Every answer that was made, as ``arm line``, in order."""
    return folder.joinpath(ANSWERS).read_text("utf-8").splitlines()
