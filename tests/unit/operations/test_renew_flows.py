"""Watching for new versions goes on, whatever happens while it looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.endpoint import write

from headrace.config import load_settings
from headrace.errors import Problem
from headrace.operations.renew_flows import Renewals, ServedSource, source_state
from headrace.operations.served_sources import find_sources
from headrace.operations.served_versions import LoadedVersion, ServingChoice
from headrace.operations.workspace import open_workspace
from headrace.serving.served import ServedFlow

FLOW = """\
inputs: {q: {type: string}}
outputs: {r: {type: string, reference: "${a.output}"}}
nodes:
- {name: a, type: prompt, source: {type: code, path: a.jinja2}, inputs: {q: "${inputs.q}"}}
"""


@pytest.mark.parametrize("error", [BrokenPipeError("stderr is closed"), LookupError("a bug of ours")])
def test_an_unexpected_error_does_not_end_the_watching(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, {"flow/flow.dag.yaml": FLOW, "flow/a.jinja2": "{{q}}"})
    told: list[str] = []

    def tell(text: str, problems: tuple[Problem, ...]) -> None:
        told.append(text)
        if problems:
            raise error

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(_renew_twice(tmp_path, tell))
    assert [("now answers as" in text) for text in told] == [False, True]


async def _renew_twice(folder: Path, tell: Callable[[str, tuple[Problem, ...]], None]) -> None:
    (source,) = find_sources([folder / "flow"], folder)
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        loaded = LoadedVersion(workspace, folder / "flow", ServingChoice())
        flow = ServedFlow("", await loaded.open())
        served = ServedSource(source, flow, loaded, source_state(workspace, source, loaded.flow))
        async with asyncio.TaskGroup() as group:
            renewals = Renewals(workspace, ServingChoice(), tell, group)
            watching = group.create_task(renewals.run(lambda: [served], is_watching=False))
            first = flow.version.name
            write(folder, {"flow/flow.dag.yaml": "inputs: [\n"})
            renewals.ask()
            async with asyncio.timeout(10):
                while not flow.refused:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
                assert [problem.code for problem in flow.refused] == ["F002"]
                write(folder, {"flow/flow.dag.yaml": FLOW, "flow/a.jinja2": "new {{q}}"})
                renewals.ask()
                while flow.version.name == first:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
            assert flow.refused == ()
            watching.cancel()
        await served.loaded.close()
