"""Shards that run as command jobs of Azure Machine Learning; keeps the contract of :mod:`headrace.engine.shards`.

The name of a job follows from its run, its shard and how often that was tried. So whoever goes on with a run after its
command was killed finds the jobs that are under way or have ended, and submits none of them again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from shlex import quote
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from urllib.parse import parse_qsl

from headrace.domain.azure_workspace import AzureWorkspace
from headrace.domain.run import FAILED, LineResult
from headrace.engine.batch import failed_line
from headrace.engine.frames import LineDone, LineWanted, pack
from headrace.engine.masking import is_masked, mask_settings
from headrace.engine.pool import Accept
from headrace.engine.shards import Deliver, PendingLine, Shard
from headrace.errors import DefinitionError, Problem, StateError, UsageError, problem_from_json
from headrace.formats.connection_provider import read_provider
from headrace.operations.built_forms import FLOW_ONLY, RUNTIME
from headrace.operations.prepare_flow import FlowChoice
from headrace.operations.work_shard import FLOW, LINES, PART, REFUSED, SETUP, ShardSetup
from headrace.operations.workspace import Workspace
from headrace.providers.azure_sources import PROVIDER_VARIABLE
from headrace.providers.loading import load_by_name, load_optional
from headrace.store.records import decode_json, decode_spans, line_from_row

COMMAND_JOBS = "headrace.deploy.command_jobs:CommandJobs"
_BUILD = "headrace.operations.build_flow:build_flow"
_BUILD_REQUEST = "headrace.operations.build_flow:BuildRequest"
"""Reached by name: packing leads to the command of experiments, which leads here."""

_JOB_PLACE = "headrace.deploy.command_jobs:JobPlace"
_JOB = "headrace.deploy.command_jobs:Job"
_ENDED = ("Completed", "Failed", "Canceled")
_N_SUBMISSIONS = 2
_N_TOLD_LINES = 10
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.5, 15.0
_COMMAND = (
    'AZURE_CLIENT_ID="${{AZURE_CLIENT_ID:-$DEFAULT_IDENTITY_CLIENT_ID}}" '
    "python -m headrace.operations.work_shard {results} > {results}/log.txt 2>&1 "
    "|| {{ tail -n 50 {results}/log.txt; exit 1; }}"
)


class Jobs(Protocol):
    """What :class:`headrace.deploy.command_jobs.CommandJobs` does."""

    def status(self, name: str) -> str | None:
        """What a job says of itself."""
        ...

    def submit(self, job: Any) -> None:
        """Submit a job once."""
        ...

    def read_new(self, name: str, start: str, seen: Collection[str]) -> Any:
        """Files of results."""
        ...

    def last_lines(self, name: str, n_lines: int) -> tuple[str, ...]:
        """The end of a log."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


def read_place(on: str) -> tuple[AzureWorkspace, str, str]:
    """Workspace, compute and environment of an address.

    Raises:
        UsageError: X321 when it names no workspace or no compute.
    """
    address, _, query = on.partition("?")
    values = dict(parse_qsl(query, keep_blank_values=True))
    compute, environment = values.pop("compute", ""), values.pop("environment", "")
    try:
        workspace = read_provider(address, Path.cwd())
    except DefinitionError:
        workspace = None
    if workspace is None or not compute or values:
        what = f"--on {on} does not say where jobs run."
        fix = (
            "Give --on 'azureml://subscriptions/ID/resourcegroups/GROUP/workspaces/NAME?compute=CLUSTER', "
            "and &environment=azureml:NAME@latest behind it for an environment that is there."
        )
        raise UsageError(Problem(code="X321", what=what, fix=fix))
    return workspace, compute, environment


def check_jobs(on: str) -> None:
    """Refuse jobs that cannot be had, before a run is made.

    Raises:
        UsageError: X321 for the address, C505 when the extra ``azureml`` is not installed.
    """
    read_place(on)
    load_optional(COMMAND_JOBS, extra="azureml")


def refuse_choice(workspace: Workspace, choice: FlowChoice, *, is_limited: bool, wants_cache: bool) -> None:
    """Refuse what jobs cannot do, or what would have to be sent where others can read it.

    Raises:
        UsageError: X322.
    """
    arm = choice.arm
    refused = {
        "--environment-variables": bool(choice.environment_variables),
        "a key in --init": is_masked(mask_settings(choice.init)),
        "connections that code has made": bool(workspace.connections.given),
        "--max-cost and --max-tokens": is_limited,
        "--cache": wants_cache,
        "several variants at once": arm is not None
        and arm.variant is not None
        and len(arm.variant.choices) > 1,
    }
    found = [name for name, is_there in refused.items() if is_there]
    if found:
        what = f"Jobs of Azure Machine Learning cannot run with {', '.join(found)}."
        fix = (
            "Keep keys in connections of the workspace, which jobs read by their names, and variables without "
            "secrets in the flow file; or run here, without --on."
        )
        raise UsageError(Problem(code="X322", what=what, fix=fix))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsWanted:
    """What jobs a run has.

    Attributes:
        on: Where.
        choice: The flow.
        run: Name of the run.
        setup: For each of them.
    """

    on: str
    choice: FlowChoice
    run: str
    setup: ShardSetup


@asynccontextmanager
async def open_jobs(workspace: Workspace, wanted: JobsWanted, accept: Accept) -> AsyncIterator[JobRunner]:
    """Pack the flow and open the workspace. At the end of the block jobs that are under way go on."""
    where, compute, environment = read_place(wanted.on)
    make_jobs = load_optional(COMMAND_JOBS, extra="azureml")
    place = load_by_name(_JOB_PLACE)(workspace=where, compute=compute, environment=environment)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="headrace-jobs-")))
        await asyncio.to_thread(_pack, workspace, wanted, folder, builds=not environment)
        jobs: Jobs = make_jobs(place)
        stack.callback(jobs.close)
        run = workspace.store.read_run(wanted.run)
        failures = {
            line.line_number: line.start_ns
            for line in workspace.store.read_lines(wanted.run)
            if line.status == FAILED
        }
        key = sha256(f"{wanted.run}\n{run.created_at.isoformat()}".encode()).hexdigest()[:16]
        yield JobRunner(jobs, wanted, folder, key=key, failures=failures, accept=accept)


def _pack(workspace: Workspace, wanted: JobsWanted, folder: Path, *, builds: bool) -> None:
    """The code of all shards, and the context of their image."""
    arm = wanted.choice.arm
    choices = arm.variant.choices if arm is not None and arm.variant is not None else {}
    variant = next((f"${{{node}.{name}}}" for node, name in choices.items()), None)
    source = wanted.choice.cwd / wanted.choice.path
    usual: dict[str, Any] = {"source": source, "variant": variant}
    build, make_request = load_by_name(_BUILD), load_by_name(_BUILD_REQUEST)
    build(workspace, make_request(output=folder / FLOW, kind=FLOW_ONLY, **usual))
    if builds:
        build(workspace, make_request(output=folder / "context", kind=RUNTIME, extras=("azure",), **usual))


class JobRunner:
    """Runs each shard as a job; see :class:`~headrace.engine.shards.ShardRunner`.

    Args:
        jobs: Of the workspace.
        wanted: What they run.
        folder: What was packed.
        key: Of the run, no two runs have the same.
        failures: Number of a line to when the failure began that is recorded of it: that is no news.
        accept: Takes in a line.
    """

    def __init__(
        self,
        jobs: Jobs,
        wanted: JobsWanted,
        folder: Path,
        *,
        key: str,
        failures: Mapping[int, int],
        accept: Accept,
    ) -> None:
        self._jobs = jobs
        self._wanted = wanted
        self._folder = folder
        self._key = key
        self._failures = failures
        self._accept = accept
        self._turn = asyncio.Lock()

    async def run(self, shard: Shard, deliver: Deliver) -> None:
        """Run a shard: what a job leaves undone, a second one does; what that leaves has failed.

        Raises:
            DefinitionError: The flow cannot be loaded there.
            StateError: X324 somebody has cancelled a job.
            HeadraceError: What Azure refuses.
        """
        missing = {pending.line.number: pending for pending in shard.lines}
        n_submitted, status, name = 0, "", ""
        for attempt in count():
            following = f"headrace-{self._key}-{shard.index}-{attempt}"
            is_there = await self._call(self._jobs.status, following)
            if is_there is None and n_submitted == _N_SUBMISSIONS:
                break
            name = following
            if is_there is None:
                n_submitted += 1
                await self._call(self._submit, name, shard.index, tuple(missing.values()))
            status = await self._follow(name, missing, deliver)
            if not missing:
                return
            if status == "Canceled" and is_there not in _ENDED:
                raise StateError(_cancelled(name, self._wanted.run))
        log = await self._call(self._jobs.last_lines, name, _N_TOLD_LINES)
        for pending in missing.values():
            deliver(failed_line(pending, _lost(name, status, log)), {})

    async def _follow(self, name: str, missing: dict[int, PendingLine], deliver: Deliver) -> str:
        """Deliver what a job writes, until it has ended or nothing is missing."""
        seen: set[str] = set()
        for attempt in count():
            status = await self._call(self._jobs.status, name)
            for file, data in await self._call(self._read, name, seen):
                results = _read_part(data)
                if results is None:  # still being written
                    continue
                seen.add(file)
                for result in results:
                    self._take(result, missing, deliver)
            if status in _ENDED or status is None or not missing:
                if missing and status == "Failed":
                    await self._raise_refusal(name)
                return status or ""
            await asyncio.sleep(min(_FIRST_LOOK_S * 1.2 ** min(attempt, 30), _LONGEST_LOOK_S))
        return ""

    def _take(self, result: LineResult, missing: dict[int, PendingLine], deliver: Deliver) -> None:
        number = result.line_number
        is_known = result.status == FAILED and self._failures.get(number) == result.start_ns
        if number in missing and not is_known:
            accepted, values = self._accept(missing.pop(number), LineDone(result=result, kept=None))
            deliver(accepted, values)

    def _read(self, name: str, seen: set[str]) -> list[tuple[str, bytes]]:
        return list(self._jobs.read_new(name, PART, seen))

    async def _raise_refusal(self, name: str) -> None:
        for _, data in await self._call(lambda: list(self._jobs.read_new(name, REFUSED, ()))):
            raise DefinitionError(*map(problem_from_json, json.loads(data)))

    def _submit(self, name: str, index: int, lines: tuple[PendingLine, ...]) -> None:
        messages = [
            LineWanted(line_number=item.line.number, inputs=item.inputs, place=item.line.span)
            for item in lines
        ]
        workspace, _, environment = read_place(self._wanted.on)
        with TemporaryDirectory(prefix="headrace-job-") as made:
            code = Path(made)
            (code / SETUP).write_bytes(pack(self._wanted.setup))
            (code / LINES).write_bytes(b"".join(map(pack, messages)))
            copytree(self._folder / FLOW, code / FLOW)
            _keep_all(code / FLOW)
            job = load_by_name(_JOB)(
                name=name,
                title=f"{self._wanted.run}, part {index}",
                code=code,
                command=_COMMAND,
                context=None if environment else self._folder / "context",
                variables={PROVIDER_VARIABLE: f"azureml:/{workspace.resource_id}"},
                tags={"headrace_run": self._wanted.run, "headrace_shard": str(index)},
            )
            self._jobs.submit(job)

    async def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call what blocks, one at a time."""
        async with self._turn:
            return await asyncio.to_thread(function, *arguments)


def _keep_all(folder: Path) -> None:
    """Let the package upload everything: what belongs to the flow was settled when it was packed."""
    for ignoring in (".amlignore", ".gitignore"):
        (folder / ignoring).unlink(missing_ok=True)


def _read_part(data: bytes) -> list[LineResult] | None:
    """The lines of a file; ``None`` while it is not whole."""
    if not data.endswith(b"\n"):
        return None
    rows = [decode_json(line) for line in data.decode("utf-8").split("\n")[:-1]]
    return [replace(line_from_row(row), spans=decode_spans(row["spans"])) for row in rows]


def _cancelled(name: str, run: str) -> Problem:
    return Problem(
        code="X324",
        what=f"The job {name} was cancelled; lines of it are not recorded.",
        fix=f"Go on with the run in a new job: headrace run resume --name {quote(run)}",
    )


def _lost(name: str, status: str, log: tuple[str, ...]) -> Problem:
    return Problem(
        code="X323",
        what=f"This line has no result after two jobs; the last one, {name}, ended as {status}.",
        fix="Look for what ends the whole process in the tools of its lines, or for what keeps the job from starting; "
        "the workspace shows its log. Then run the failed lines again: headrace run resume --retry-failed.",
        detail=log,
    )
