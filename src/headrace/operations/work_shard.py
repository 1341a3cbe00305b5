"""The program of a job that runs one shard of a run: a packed flow and lines in, files of recorded lines out.

Its folder holds ``flow``, ``setup.bin`` and ``lines.bin``; whoever can write them can write the flow itself. What comes
back is only data, since others may be able to write where it lies: JSON Lines of
:func:`~headrace.store.records.line_row`, in files ``part-00001.jsonl`` that never change once they are there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.config import load_settings
from headrace.domain.variant import Arm
from headrace.engine.frames import Inbox, LineDone, LineWanted
from headrace.errors import HeadraceError
from headrace.operations.line_worker import CacheAsked, LineWorker, WorkerSetup, opened_flow, working
from headrace.operations.prepare_flow import FlowChoice
from headrace.providers.turns import Lane
from headrace.store.records import encode_json, line_row

FLOW, SETUP, LINES = "flow", "setup.bin", "lines.bin"
"""What the folder of a job holds."""

PART, REFUSED = "part-", "refused.json"
"""What the folder of its results holds; the latter where the flow cannot be loaded there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSetup:
    """How a job runs its lines.

    Attributes:
        file: Of the flow, below its folder; empty for the folder.
        arm: What was chosen; variants are settled in the packed flow already.
        overrides: ``node.field`` to value.
        init: Of a flex flow's class.
        attributes: Of every flow span.
        lane: Whom model calls are for.
        run: Name of the run.
        n_at_once: Lines in flight.
    """

    file: str
    arm: Arm | None
    overrides: Mapping[str, str]
    init: Mapping[str, Any]
    attributes: Mapping[str, Any]
    lane: Lane
    run: str
    n_at_once: int


def main(results: Path) -> int:
    """Run the lines of the working directory's shard; the exit code is 1 where its flow cannot be loaded."""
    results.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()
    (setup,) = Inbox().feed((here / SETUP).read_bytes())
    lines = Inbox().feed((here / LINES).read_bytes())
    wanted = WorkerSetup(
        settings=load_settings(),
        cwd=here,
        import_path=tuple(item for item in sys.path if item),
        given={},
        flow=FlowChoice(
            path=here / FLOW / setup.file, arm=setup.arm, overrides=setup.overrides, init=setup.init, cwd=here
        ),
        attributes=setup.attributes,
        lane=setup.lane,
        cached=CacheAsked(run=setup.run, repeat=0, nodes=()),
        n_at_once=setup.n_at_once,
    )
    try:
        with opened_flow(wanted) as (workspace, loaded):

            async def work() -> None:
                async with working(wanted, workspace, loaded, lambda: None) as worker:
                    await _run(worker, lines, setup.n_at_once, results)

            asyncio.run(work())
    except HeadraceError as error:
        said = json.dumps([item.to_json() for item in error.problems])
        (results / REFUSED).write_text(said, encoding="utf-8")
        return 1
    return 0


async def _run(worker: LineWorker, lines: Sequence[LineWanted], n_at_once: int, results: Path) -> None:
    room, done = asyncio.Semaphore(n_at_once), asyncio.Queue[LineDone | None]()

    async def run(wanted: LineWanted) -> None:
        async with room:
            done.put_nowait(await worker.run(wanted))

    async with asyncio.TaskGroup() as everything:
        everything.create_task(_write(done, results))
        async with asyncio.TaskGroup() as group:
            for wanted in lines:
                group.create_task(run(wanted))
        done.put_nowait(None)


async def _write(done: asyncio.Queue[LineDone | None], results: Path) -> None:
    """Write whatever has come meanwhile into a file of its own: a file that is mounted is there once it is closed."""
    n_parts, is_open = 0, True
    while is_open:
        found = [await done.get()]
        while not done.empty():
            found.append(done.get_nowait())
        is_open = None not in found
        rows = [encode_json(line_row(item.result)) for item in found if item is not None]
        if rows:
            n_parts += 1
            path = results / f"{PART}{n_parts:05}.jsonl"
            await asyncio.to_thread(path.write_text, "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
