"""A project whose flow is right about as many lines as its variants say, for gates."""

from __future__ import annotations

from pathlib import Path

SAY = """\
from promptflow.core import tool
@tool
def say(n: str, right: int) -> str:
    return n if int(n) % 10 < right else "no idea"
"""
FLOW = """\
inputs: {n: {type: string}}
outputs: {answer: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, use_variants: true}
node_variants:
  say:
    default_variant_id: old
    variants:
"""
VARIANT = (
    "      {name}: {{node: {{type: python, source: {{type: code, path: say.py}}, "
    'inputs: {{n: "${{inputs.n}}", right: {right}}}}}}}\n'
)
EXPERIMENT = """\
data: data.jsonl
column_mapping: {n: "${data.n}"}
variants: ["${say.old}", "${say.new}"]
evaluators:
- name: exact_match
  builtin: exact_match
  column_mapping: {prediction: "${run.outputs.answer}", reference: "${data.n}"}
metrics: [{name: exact_match, margin: 0.1}]
"""


def write_project(folder: Path) -> None:
    """A flow with the variants ``old`` and ``new``, 100 lines, and an experiment of both."""
    (folder / "say.py").write_text(SAY, encoding="utf-8")
    (folder / "data.jsonl").write_text("".join(f'{{"n": "{n}"}}\n' for n in range(100)), encoding="utf-8")
    (folder / "experiment.yaml").write_text(EXPERIMENT, encoding="utf-8")
    write_flow(folder, old=6, new=6)


def write_flow(folder: Path, **right: int) -> None:
    """The flow with these variants; each is right about so many tenths of the lines."""
    variants = "".join(VARIANT.format(name=name, right=tens) for name, tens in right.items())
    (folder / "flow.dag.yaml").write_text(FLOW + variants, encoding="utf-8")
