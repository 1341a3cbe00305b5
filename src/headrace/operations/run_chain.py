"""Run a chain of flows: once over its first lines, or over all of them, one flow after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.domain.chain import DATA, INPUT, NODE_INPUT, NODE_OUTPUT, Chain, ChainNode, ChainReference
from headrace.domain.run import COMPLETED, Run
from headrace.engine.events import OnEvent
from headrace.errors import DefinitionError, Problem, UsageError, nearest
from headrace.formats.lines import read_dataset
from headrace.operations.new_files import write_files
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.workspace import Workspace

Rows = Mapping[int, Mapping[str, Any]]
"""Line number to values by column."""


@dataclass(slots=True, kw_only=True)
class _Tables:
    """What references read: rows by kind and name, and the values of the chain's inputs."""

    rows: dict[tuple[str, str], Rows]
    inputs: Mapping[str, Any]

    def lines(self, node: ChainNode) -> dict[int, dict[str, Any]]:
        """The inputs of a node line by line; lines that are missing in one of its sources are left out.

        Raises:
            DefinitionError: D403 for a column that its source does not have in any line.
        """
        references = {key: value for key, value in node.inputs.items() if isinstance(value, ChainReference)}
        sources = {
            (item.kind, item.name): self.rows[item.kind, item.name]
            for item in references.values()
            if item.kind != INPUT
        }
        numbers: Iterable[int] = (
            sorted(set.intersection(*(set(rows) for rows in sources.values()))) if sources else [0]
        )
        found = {number: self._line(node, number) for number in numbers}
        missing = [key for key in references if found and all(key not in line for line in found.values())]
        if missing:
            raise DefinitionError(*(_no_column(node, key, references[key]) for key in missing))
        return found

    def _line(self, node: ChainNode, number: int) -> dict[str, Any]:
        line = {}
        for key, value in node.inputs.items():
            if not isinstance(value, ChainReference):
                line[key] = value
            elif value.kind == INPUT:
                line[key] = self.inputs[value.name]
            else:
                row = self.rows[value.kind, value.name][number]
                if value.column in row:
                    line[key] = row[value.column]
        return line


def _no_column(node: ChainNode, key: str, reference: ChainReference) -> Problem:
    what = f"The node {node.name!r} takes {key!r} from {reference.text}, which no line has."
    return Problem(code="D403", what=what, pointer=(*node.pointer, "inputs", key), fix="Correct the column.")


def run_chain_once(
    workspace: Workspace, chain: Chain, given: Mapping[str, Any]
) -> tuple[dict[str, Any], TestResult | None]:
    """Run every flow of a chain on the first line of its data.

    Args:
        workspace: For connections.
        chain: What to run.
        given: Values for the chain's inputs.

    Returns:
        The outputs by node, and the result of the first node that failed, which ends the chain.

    Raises:
        DefinitionError: Data or a flow is wrong.
        UsageError: C507 for a value that is no input of the chain.
    """
    tables = _open_tables(chain, given, limit=1)
    outputs: dict[str, Any] = {}
    for node in chain.nodes:
        inputs = next(iter(_placed(tables, chain, node).values()), {})
        request = TestRequest(
            flow=Path(node.path),
            inputs=inputs,
            variant=node.variant,
            environment_variables=node.environment_variables,
            init=node.init,
        )
        result = run_test(workspace, request)
        if result.line.status != COMPLETED:
            return outputs, result
        outputs[node.name] = result.outputs
        tables.rows[NODE_INPUT, node.name] = {0: inputs}
        tables.rows[NODE_OUTPUT, node.name] = {0: result.line.outputs}
    return outputs, None


def run_chain(
    workspace: Workspace,
    chain: Chain,
    given: Mapping[str, Any],
    *,
    folder: Path,
    on_run: Callable[[ChainNode, Run], bool],
    on_event: OnEvent | None = None,
) -> None:
    """Run every flow of a chain over all lines, each as a run of its own.

    Lines keep their numbers: a line that failed in one flow is missing in those that read its outputs.

    Args:
        workspace: For connections and the store.
        chain: What to run.
        given: Values for the chain's inputs.
        folder: Where the lines of each flow are written before it runs.
        on_run: Hears each run when it has ended; the chain ends where it answers false.
        on_event: Hears the events of the runs.

    Raises:
        DefinitionError: Data or a flow is wrong.
        UsageError: C507 for a value that is no input of the chain.
    """
    tables = _open_tables(chain, given, limit=None)
    started = workspace.now().strftime("%Y%m%d_%H%M%S_%f")
    for node in chain.nodes:
        lines = _placed(tables, chain, node)
        data = folder / f"{node.name}.jsonl"
        text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines.values())
        write_files({data: text}, is_replacing=True)
        request = RunRequest(
            flow=Path(node.path),
            data=data,
            column_mapping={key: f"${{data.{key}}}" for key in node.inputs},
            variant=node.variant,
            name=f"{node.name}_attempt{started}",
            environment_variables=node.environment_variables,
            connections=node.connections,
            init=node.init,
            display_name=node.display_name,
            properties={"experiment_node": node.name},
        )
        run = create_run(workspace, request, on_event)
        tables.rows[NODE_INPUT, node.name] = lines
        tables.rows[NODE_OUTPUT, node.name] = _outputs(workspace, run, list(lines))
        if not on_run(node, run):
            return


def _placed(tables: _Tables, chain: Chain, node: ChainNode) -> dict[int, dict[str, Any]]:
    """The lines of a node; a problem gets its place in the chain's file."""
    try:
        return tables.lines(node)
    except DefinitionError as error:
        places = (chain.source_map.span(problem.pointer) for problem in error.problems)
        raise DefinitionError(
            *(
                Problem(code=p.code, what=p.what, span=place, pointer=p.pointer, fix=p.fix)
                for p, place in zip(error.problems, places, strict=True)
            )
        ) from error


def _outputs(workspace: Workspace, run: Run, numbers: Sequence[int]) -> Rows:
    """What the lines of a run answered, by their numbers in the chain."""
    recorded = workspace.store.read_lines(run.spec.name)
    return {numbers[line.line_number]: line.outputs for line in recorded if line.status == COMPLETED}


def _open_tables(chain: Chain, given: Mapping[str, Any], *, limit: int | None) -> _Tables:
    unknown = [name for name in given if name not in chain.inputs]
    if unknown:
        near = nearest(unknown[0], list(chain.inputs))
        fix = f'Did you mean "{near}"?' if near else f"Its inputs are: {', '.join(chain.inputs) or 'none'}."
        what = f"The chain has no input {unknown[0]!r}."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    rows: dict[tuple[str, str], Rows] = {}
    for name, path in chain.data.items():
        lines = read_dataset(Path(path)).lines
        rows[DATA, name] = dict(enumerate(line.columns for line in islice(lines, limit)))
    return _Tables(rows=rows, inputs={**chain.inputs, **given})
