"""``python -m tests.soak [--seconds S]``: minutes of load on served flows while things break around them.

Two processes serve three flows: a folder whose files change, a stored version whose tag says which, and one that asks a
model. Meanwhile one of the processes is killed, the files change, now and then to something broken, the collector of
telemetry and the store go away and come back, and clients are slow or leave. No answer may be wrong, none may have a
status but 200, a connection may break only where its process was killed, and the process that is never killed may not
grow. Ends with 1 when something of this is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.soak.clients import Clients, Outcome
from tests.support.endpoint import write
from tests.support.model_server import ModelServer, Reply, Request

HEADRACE = [sys.executable, "-m", "headrace"]
TOOL = """\
import asyncio
from promptflow.core import tool

@tool
async def turn(q: str) -> str:
    await asyncio.sleep(0.005)
    return f"{q[::-1]} VERSION"
"""
FLOW = """\
inputs: {q: {type: string}}
outputs: {said: {type: string, reference: "${turn.output}"}}
nodes:
- {name: turn, type: python, source: {type: code, path: turn.py}, inputs: {q: "${inputs.q}"}}
"""
FILES = {
    "turn/flow.dag.yaml": FLOW,
    "turn/turn.py": TOOL,
    "lines.jsonl": '{"q": "abc"}\n',
    "ask/flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {said: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: model
  api: chat
  inputs: {model: m, q: "${inputs.q}"}
""",
    "ask/ask.jinja2": "# user:\n{{q}}",
}
MOST_GROWTH_MB = 12.0
"""What the process that is never killed may be larger in the last third than in the second, beyond a twentieth."""


def turned(request: Request) -> Reply:
    """The model's answer: the word of the question, turned round."""
    return Reply(text=f"{request.body['messages'][-1]['content'].strip()[::-1]} model", piece_delay_s=0.01)


class Around:
    """What is around the server, and breaks."""

    def __init__(self, folder: Path, parent: int, outcome: Outcome, collector_port: int) -> None:
        self._folder = folder
        self._parent = parent
        self._outcome = outcome
        self._collector_port = collector_port
        self._collector: asyncio.Server | None = None
        self._senders: set[asyncio.StreamWriter] = set()
        self._n_versions = 0
        self.survivor = min(workers_of(parent))
        self.sizes_mb: list[tuple[float, float]] = []

    async def break_things(self, end_s: float) -> None:
        """One thing after the other, in an order that is drawn."""
        await self.toggle_collector()
        deeds = [self.kill, self.change_files, self.break_files, self.toggle_collector, self.take_store_away]
        while time.monotonic() < end_s:
            for deed in random.sample(deeds, len(deeds)):
                if time.monotonic() >= end_s:
                    break
                await deed()
                self._outcome.counts[f"fault: {deed.__name__}"] += 1
                await asyncio.sleep(2)
        if self._collector is not None:
            await self.toggle_collector()

    async def kill(self) -> None:
        """Kill a process; never the one that is watched for growth."""
        others = [pid for pid in workers_of(self._parent) if pid != self.survivor]
        if others:
            self._outcome.killed_at_s = time.monotonic()
            with suppress(ProcessLookupError):
                os.kill(random.choice(others), signal.SIGKILL)

    async def change_files(self) -> None:
        """A new version of the flow in the folder."""
        self._n_versions += 1
        self._put("turn/turn.py", TOOL.replace("VERSION", f"v{self._n_versions}"))

    async def break_files(self) -> None:
        """A version that cannot be loaded, for a while."""
        self._put("turn/flow.dag.yaml", "nodes: [")
        await asyncio.sleep(2)
        self._put("turn/flow.dag.yaml", FLOW)

    async def take_store_away(self) -> None:
        """The store is gone for a while; connections stay."""
        store, away = self._folder / ".headrace", self._folder / f"away_{time.monotonic_ns()}"
        move_store(store, away)
        await asyncio.sleep(2)
        move_store(store, self._folder / f"made_{time.monotonic_ns()}")  # somebody made a new one meanwhile
        move_store(away, store)

    async def toggle_collector(self) -> None:
        """The collector goes, or comes back."""
        if self._collector is not None:
            self._collector.close()
            self._collector = None
            for writer in tuple(self._senders):
                writer.transport.abort()
        else:
            self._collector = await asyncio.start_server(
                self._take_telemetry, "127.0.0.1", self._collector_port
            )

    async def watch(self, end_s: float) -> None:
        """Note the size of the process that is never killed."""
        while time.monotonic() < end_s:
            size = resident_mb(self.survivor)
            if size is None:
                self._outcome.fail("died", "a process that nobody killed")
                return
            self.sizes_mb.append((time.monotonic(), size))
            await asyncio.sleep(1)

    async def _take_telemetry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what is sent, and forget it."""
        self._senders.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0]))
                self._outcome.counts["exports of telemetry"] += 1
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
                )
        self._senders.discard(writer)
        writer.close()

    def _put(self, name: str, text: str) -> None:
        path = self._folder / name
        beside = path.with_name(f"{path.name}.new")
        beside.write_text(text)
        beside.replace(path)


def move_store(source: Path, target: Path) -> None:
    """Move the files of a store from one folder to another."""
    target.mkdir(exist_ok=True)
    for path in source.glob("headrace.sqlite*"):
        path.replace(target / path.name)


def workers_of(parent: int) -> list[int]:
    """The processes that serve: children of the first, but not Python's own that clean up after them."""
    words = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(word) for word in words if b"resource_tracker" not in command_of(int(word))]


def command_of(pid: int) -> bytes:
    """The command line of a process; empty when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process; ``None`` when it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return None


def growth_mb(sizes: list[tuple[float, float]]) -> float:
    """Median of the last third less that of the second."""
    third = len(sizes) // 3
    last, second = sizes[-third:], sizes[third : 2 * third]
    return statistics.median(size for _, size in last) - statistics.median(size for _, size in second)


def run(words: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a command of headrace that must succeed."""
    subprocess.run([*HEADRACE, *words], cwd=folder, env=environment, check=True, capture_output=True)


async def soak(folder: Path, server: Any, collector_port: int, seconds: float) -> int:
    """The load, and what breaks; returns the exit code."""
    line = await asyncio.to_thread(server.stdout.readline)
    port = int(line.decode().split("localhost:")[-1].split("127.0.0.1:")[-1].split("/")[0])
    await asyncio.sleep(3)  # the other process begins
    outcome = Outcome()
    around = Around(folder, server.pid, outcome, collector_port)
    end_s = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        group.create_task(around.break_things(end_s - 3))
        group.create_task(around.watch(end_s))
        group.create_task(Clients(port, outcome, end_s).run())
    for name, count in sorted(outcome.counts.items()):
        print(f"  {count:>9,} {name}")
    grown, size = growth_mb(around.sizes_mb), around.sizes_mb[-1][1]
    print(f"  the process that was never killed: {size:.1f} MB at the end, {grown:+.1f} MB in the last third")
    if grown > MOST_GROWTH_MB + size / 20:
        outcome.fail("memory", f"{grown:.1f} MB more in the last third")
    print("\n".join(outcome.faults) or "Nothing was wrong.")
    return 1 if outcome.faults else 0


def main() -> int:
    """Serve, load, break."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_S", "600")))
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    random.seed(options.seed)
    print(f"{options.seconds:g} s, --seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as name, ModelServer(default=turned, is_recording=False) as model:
        folder = Path(name)
        write(folder, FILES)
        connection = f"name: model\ntype: open_ai\napi_key: soak\nbase_url: {model.base_url}\n"
        write(folder, {"model.yaml": connection})
        collector_port = 20_000 + os.getpid() % 10_000
        plain = {**os.environ, "HOME": name}
        run(["connection", "create", "--file", "model.yaml"], folder, plain)
        run(["run", "create", "--flow", "turn", "--data", "lines.jsonl", "--name", "first"], folder, plain)
        run(["flow", "tag", "first", "prod"], folder, plain)
        sources = ["turn=turn", "stored=turn@prod", "ask=ask"]
        words = [word for source in sources for word in ("--source", source)]
        with (folder / "serve.log").open("wb") as log:
            server = subprocess.Popen(
                [*HEADRACE, "flow", "serve", *words, "--workers", "2", "--reload", "--port", "0"],
                cwd=folder,
                env={**plain, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector_port}"},
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            code = asyncio.run(soak(folder, server, collector_port, options.seconds))
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=60)
            server.kill()
        if server.wait() != 0:
            print(f"The server ended with {server.returncode}, not with 0.")
            code = 1
        if code:
            print((folder / "serve.log").read_text()[-3000:])
        return code


if __name__ == "__main__":
    sys.exit(main())
