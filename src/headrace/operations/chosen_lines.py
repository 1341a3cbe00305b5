"""Lines that were used to choose an arm: kept beside the flow that was chosen, and refused by gates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

from headrace.domain.dataset import Dataset
from headrace.domain.evaluation import Experiment
from headrace.domain.flow import Flow
from headrace.domain.run import Run
from headrace.domain.variant import Arm, Variant
from headrace.errors import DefinitionError, HeadraceError, Problem, UsageError
from headrace.formats.arms import parse_variant
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.formats.mapping import parse_mapping
from headrace.formats.paths import is_file
from headrace.formats.positions import read_text
from headrace.operations.collect_scores import Collected
from headrace.operations.competing_flows import mapping_of
from headrace.operations.workspace import Workspace
from headrace.planning.columns import map_lines
from headrace.planning.convert import make_inputs
from headrace.planning.select import apply_arm

SELECTION = "selection"
"""Where the judgement of a run says which lines were used to choose its arms: ``{"lines": [digest]}``."""

SELECTION_FILE = "selection.json"
"""Beside the flow file of a flow whose variants were chosen by lines; it holds the same."""

_KEYS = ("lines", "prompts")
_DIGITS = 16


def line_digest(inputs: Mapping[str, Any]) -> str:
    """What tells a line by its content: 16 hexadecimal digits of SHA-256 over the values of the flow's inputs.

    Neither names of inputs and columns, ids nor the order of lines matter, nor white space or forms of Unicode.
    """
    values = sorted(
        json.dumps(_folded(value), sort_keys=True, ensure_ascii=False, default=str)
        for value in inputs.values()
    )
    return hashlib.sha256("\n".join(values).encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]


def data_inputs(flow: Flow, column_mapping: Mapping[str, str], dataset: Dataset) -> list[dict[str, Any]]:
    """The inputs that the flow gets of each line, as runs record them.

    Raises:
        DefinitionError: The data does not fit the flow.
    """
    lines, problems = map_lines(flow, parse_mapping(column_mapping), dataset, None)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DefinitionError(*errors)
    return [make_inputs(flow, line.columns)[0] for line in lines]


def prompt_digest(text: str) -> str:
    """What tells a prompt by its text, without its line ends: 16 hexadecimal digits of SHA-256."""
    lines = "\n".join(text.splitlines()).strip()
    return hashlib.sha256(lines.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]


def selection_text(lines: Iterable[str], prompts: Iterable[str]) -> str:
    """What :data:`SELECTION_FILE` holds: digests of lines, and of the prompts that were chosen by them."""
    note = "Digests of the lines that these prompts were chosen by. Gates on these lines are refused."
    found = {"note": note, "lines": sorted(lines), "prompts": sorted(prompts)}
    return json.dumps(found, indent=1) + "\n"


def selection_of(experiment: Experiment) -> dict[str, Any]:
    """What the judgement of the experiment says of its choice; empty where none of its flows was chosen."""
    paths = {arm.flow_path or experiment.flow_path for arm in experiment.arms}
    found = [_kept_beside(Path(path)) for path in paths]
    if not any(item["lines"] for item in found):
        return {}
    return {SELECTION: {key: sorted(set().union(*(item[key] for item in found))) for key in _KEYS}}


def prompts_chosen(run: Run) -> frozenset[str]:
    """Digests of the prompts that a suggestion made for the flow of a run, as the run has recorded them."""
    return frozenset(_texts(run.spec.judgement.get(SELECTION), "prompts"))


def chosen_lines(collected: Sequence[Collected], workspace: Workspace | None = None) -> tuple[int, int]:
    """How many of the lines of some runs were used to choose an arm among them, and how many lines there are.

    What the runs have recorded counts, what stands beside their flows, and in a workspace what any of its runs says of
    a prompt that they show. Both are 0 where nothing was chosen.
    """
    chosen: set[str] = set().union(*(_chosen_of(item.judged.run) for item in collected))
    if workspace is not None:
        chosen |= _chosen_for(workspace, set().union(*(_prompts_of(item.judged.run) for item in collected)))
    if not chosen:
        return 0, 0
    asked = {(line.line_id, line_digest(line.result.inputs)) for item in collected for line in item.lines}
    return len({line for line, digest in asked if digest in chosen}), len({line for line, _ in asked})


def chosen_note(collected: Sequence[Collected]) -> tuple[str, ...]:
    """What a comparison says of lines by which its arms were chosen; nothing where there are no such lines."""
    n, total = chosen_lines(collected)
    if not n:
        return ()
    return (
        f"{n:,} of {total:,} lines were used to choose the arms: on these the chosen arm looks better than it is, "
        "so nothing here says what it is worth on new lines.",
    )


def refuse_chosen_lines(collected: Sequence[Collected], workspace: Workspace | None) -> None:
    """Hold back a gate on lines that were used to choose an arm.

    Raises:
        UsageError: G964.
    """
    n, total = chosen_lines(collected, workspace)
    if n:
        raise _chosen(n, total)


def refuse_chosen_data(experiment: Experiment) -> None:
    """The same before anything runs, as far as the data and the flow can be read.

    Raises:
        UsageError: G964.
    """
    chosen = set(selection_of(experiment).get(SELECTION, {}).get("lines", ()))
    if not chosen:
        return
    try:
        dataset = read_dataset(Path(experiment.data_path))
        paths = {arm.flow_path or experiment.flow_path: arm for arm in experiment.arms}
        path, arm = next(item for item in paths.items() if _kept_beside(Path(item[0]))["lines"])
        inputs = data_inputs(load_flow(Path(path)), mapping_of(experiment, arm), dataset)
    except DefinitionError:  # said with its place when the experiment is checked
        return
    n = sum(line_digest(item) in chosen for item in inputs)
    if n:
        raise _chosen(n, len(inputs))


def _chosen_of(run: Run) -> set[str]:
    recorded = run.spec.judgement.get(SELECTION) or {}
    return _texts(recorded, "lines") | _kept_beside(Path(run.spec.flow_path))["lines"]


def _chosen_for(workspace: Workspace, prompts: set[str]) -> set[str]:
    """The lines that any of these prompts was chosen by, as runs of the workspace have recorded."""
    found: set[str] = set()
    for run in workspace.store.list_runs() if prompts else ():
        recorded = run.spec.judgement.get(SELECTION) or {}
        if prompts & _texts(recorded, "prompts"):
            found |= _texts(recorded, "lines")
    return found


def _prompts_of(run: Run) -> set[str]:
    """Digests of the templates that a run's nodes show, as they are now; none of a flow that is gone."""
    texts = (run.spec.variant or "").split(",")
    try:
        flow = load_flow(Path(run.spec.flow_path))
        choices = dict(parse_variant(text) for text in texts if text)
        nodes = apply_arm(flow, Arm(name="", variant=Variant(name="", choices=choices)), lambda _: None).nodes
        files = [
            Path(flow.folder) / node.source.path for node in nodes if node.type == "llm" and node.source.path
        ]
        return {prompt_digest(read_text(file)) for file in files}
    except HeadraceError:
        return set()


def _kept_beside(flow: Path) -> dict[str, set[str]]:
    """The digests beside a flow file, or in its folder; a file that is none of ours holds none."""
    folder = flow.parent if is_file(flow) else flow
    file = folder / SELECTION_FILE
    found: Any = None
    if is_file(file):
        try:
            found = json.loads(read_text(file))
        except (DefinitionError, ValueError):
            found = None
    return {key: _texts(found, key) for key in _KEYS}


def _texts(found: Any, key: str) -> set[str]:
    items = found.get(key) if isinstance(found, Mapping) else None
    return {str(item) for item in items} if isinstance(items, (list, tuple)) else set()


def _chosen(n: int, total: int) -> UsageError:
    return UsageError(
        Problem(
            code="G964",
            what=f"{n:,} of the {total:,} lines were used to choose the arms that are asked about.",
            fix="Run the gate over lines that had no part in the choice.",
        )
    )


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(normalize("NFC", value).split())
    if isinstance(value, dict):
        return {key: _folded(item) for key, item in value.items()}
    return [_folded(item) for item in value] if isinstance(value, list) else value
