"""``python -m tests.bench.serve [--stock VENV] [--rounds N] [--seconds S] [--only flow call stream]``.

The same flows behind ``headrace flow serve``, a bare Starlette app that does the same work, and stock prompt flow:
``pf flow serve`` and, where gunicorn is in its environment, the command of the images that it builds. All servers are up
at once and are asked in turn, by a load generator in a process of its own; figures are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import held_port

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HEADRACE = [sys.executable, "-m", "headrace"]
CONNECTIONS, FEW = 64, 8
MODEL_MS, PIECE_MS = 50, 20
TEXT = "first second third fourth"
START_S = 90.0
STOCK_WORKERS = 8

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Server:
    """Something that is asked, at its address; ``path`` comes before ``/score``."""

    name: str
    url: str
    pid: int = 0


class Servers:
    """Starts servers, and stops them at the end of its block."""

    def __init__(self, folder: Path, stock: Path | None) -> None:
        self.folder = folder
        self.stock = stock.resolve() / "bin" if stock else None
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.ours = {**inherited, "HOME": str(folder)}
        self.theirs = {
            **inherited,
            "HOME": str(folder / "stock"),
            "PF_DISABLE_TRACING": "true",
            "PF_TRACING_SKIP_LOCAL_SETUP": "true",
            "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        }
        (folder / "stock").mkdir()
        self._stack = ExitStack()

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def model(self) -> str:
        """A model service; the connection ``bench`` leads there, for both."""
        words = [
            "-m",
            "tests.support.model_server",
            "--delay-ms",
            str(MODEL_MS),
            "--piece-delay-ms",
            str(PIECE_MS),
        ]
        process = self._start(
            [sys.executable, *words, "--text", TEXT, "--seconds", "3600"], self.ours, ROOT, "model"
        )
        del process
        url = wait_for_text(self.folder / "model.log").split()[-1].rstrip("/")
        connection = self.folder / "bench.yaml"
        connection.write_text(f"name: bench\ntype: open_ai\napi_key: bench\nbase_url: {url}\n")
        words = ["connection", "create", "--file", str(connection)]
        self._run([*HEADRACE, *words], self.ours)
        if self.stock:
            self._run(
                [
                    str(self.stock / "pf"),
                    "config",
                    "set",
                    "telemetry.enabled=false",
                    "trace.destination=none",
                ],
                self.theirs,
            )
            self._run([str(self.stock / "pf"), *words], self.theirs)
        return url

    def all_of(self, flow: str, bare_path: str, model_url: str) -> list[Server]:
        """Ours first, then those that it is measured against."""
        source = str(HERE / flow)
        found = [
            self.serve(
                "headrace flow serve",
                f"{flow}_ours",
                [*HEADRACE, "flow", "serve", "--source", source],
                "--port",
            )
        ]
        bare = [sys.executable, str(HERE / "bare_app.py")]
        found.append(self.serve("bare Starlette", f"{flow}_bare", bare, "", model_url, path=bare_path))
        if self.stock:
            pf = [str(self.stock / "pf"), "flow", "serve", "--skip-open-browser", "--source", source]
            found.append(self.serve("pf flow serve", f"{flow}_pf", pf, "--port"))
            gunicorn = self.stock / "gunicorn"
            if gunicorn.exists():
                app = "promptflow.core._serving.app:create_app(engine='flask')"
                words = [str(gunicorn), "-w", str(STOCK_WORKERS), "--threads", "1", "--timeout", "300", app]
                name = f"stock in gunicorn, {STOCK_WORKERS} workers"
                found.append(self.serve(name, f"{flow}_gunicorn", words, "-b", source=source))
        return found

    def serve(
        self,
        name: str,
        log: str,
        command: Sequence[str],
        flag: str,
        *more: str,
        path: str = "",
        source: str = "",
    ) -> Server:
        """Start a server on a free port, and wait until it answers."""
        port = self._stack.enter_context(held_port())
        address = [f"127.0.0.1:{port}"] if flag == "-b" else [str(port)]
        is_stock = self.stock is not None and str(self.stock) in command[0]
        environment = {**(self.theirs if is_stock else self.ours), "PROMPTFLOW_PROJECT_PATH": source}
        if not source:
            del environment["PROMPTFLOW_PROJECT_PATH"]
        whole = [*command, *([flag] if flag else []), *address, *more]
        process = self._start(whole, environment, self.folder, log)
        url = f"http://127.0.0.1:{port}{path}/score"
        wait_for_answer(url, process, self.folder / f"{log}.log")
        return Server(name, url, process.pid)

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: str
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{log}.log").open("wb") as file:
            process = subprocess.Popen(command, env=dict(environment), cwd=cwd, stdout=file, stderr=file)
        self._stack.callback(stop, process)
        return process

    def _run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        subprocess.run(command, env=dict(environment), cwd=self.folder, check=True, capture_output=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_text(log: Path) -> str:
    """The first line that a server has written."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if (text := log.read_text()).endswith("\n"):
            return text
        time.sleep(0.05)
    raise SystemExit(f"no word from {log.stem}")


def wait_for_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers 200.

    Raises:
        SystemExit: It has ended, or takes too long.
    """
    request = urllib.request.Request(url, b'{"text": "water"}', {"Content-Type": "application/json"})
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{log.stem} does not answer:\n{log.read_text()[-2000:]}")


def used_s(pid: int) -> float:
    """Processor seconds of a process and those that it has started; 0 where /proc does not say."""
    if not pid or not Path("/proc/self/stat").exists():
        return 0.0
    used: dict[int, tuple[int, float]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        used[int(path.parent.name)] = (
            int(fields[1]),
            (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        )
    family = {pid}
    while more := {one for one, (parent, _) in used.items() if parent in family} - family:
        family |= more
    return sum(used[one][1] for one in family if one in used)


def measure(server: Server, seconds: float, *words: str) -> Figures:
    """Ask a server with the load generator.

    Raises:
        SystemExit: An answer was wrong.
    """
    command = [sys.executable, str(HERE / "load.py"), server.url, "--seconds", str(seconds), *words]
    before_s = used_s(server.pid)
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found["cpu_ms"] = (used_s(server.pid) - before_s) * 1000 / max(1, found["n_all"])
    if found["n_wrong"] or not found["n"]:
        raise SystemExit(f"{server.name}: {found['n_wrong']} wrong answers, such as\n{found['example']}")
    return found


def in_turn(servers: Sequence[Server], rounds: int, seconds: float, *words: str) -> dict[str, Figures]:
    """Medians of rounds in which every server is asked once."""
    runs: dict[str, list[Figures]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            runs[server.name].append(measure(server, seconds, *words))
    names = ("rps", "p50_ms", "p99_ms", "first_p50_ms", "cpu_share", "cpu_ms")
    return {
        name: {key: statistics.median(run[key] for run in found) for key in names}
        for name, found in runs.items()
    }


def show(title: str, figures: Mapping[str, Figures]) -> None:
    """A table, with each row against the first one, which is ours."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{title} (load {load})")
    ours = next(iter(figures.values()))
    for name, found in figures.items():
        print(
            f"  {name:<30} {found['rps']:8.0f} rps  p50 {found['p50_ms']:8.2f} ms  p99 {found['p99_ms']:8.2f} ms"
            f"   {found['cpu_ms']:6.2f} ms of processor   headrace has {ours['rps'] / found['rps']:6.2f}x its rps, {ours['p99_ms'] / found['p99_ms']:5.2f}x its p99"
        )
    print(
        f"  the load generator was busy for {max(found['cpu_share'] for found in figures.values()):.0%} of its time at most"
    )


def bench_flow(servers: Servers, model_url: str, rounds: int, seconds: float) -> None:
    """The two-node flow, which asks no model."""
    found = servers.all_of("two_node", "/render", model_url)
    words = ("--connections", str(CONNECTIONS), "--expects", '"words":')
    show(f"the two-node flow, {CONNECTIONS} connections", in_turn(found, rounds, seconds, *words))


def bench_call(servers: Servers, model_url: str, rounds: int, seconds: float) -> None:
    """One model call, and how long its answer takes beside the model's own."""
    found = servers.all_of("one_call", "/call", model_url)
    words = ("--expects", "fourth", "--connections")
    title = f"one model call of {MODEL_MS} ms"
    show(f"{title}, {CONNECTIONS} connections", in_turn(found, rounds, seconds, *words, str(CONNECTIONS)))
    model = Server("the model itself", f"{model_url}/chat/completions")
    body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "water"}]})
    alone = in_turn([model], rounds, seconds, "--body", body, *words, str(FEW))
    few = in_turn(found[:2], rounds, seconds, *words, str(FEW)) | alone
    show(f"{title}, {FEW} connections", few)
    added = few[found[0].name]["p50_ms"] - few[model.name]["p50_ms"]
    print(f"  added to the p50 of the model: {added:.2f} ms")


def bench_stream(servers: Servers, model_url: str, rounds: int, seconds: float) -> None:
    """The first piece of a streamed answer beside the model's own."""
    found = servers.all_of("one_call", "/call", model_url)
    model = Server("the model itself", f"{model_url}/chat/completions")
    body = json.dumps({"model": "bench", "stream": True, "messages": [{"role": "user", "content": "water"}]})
    words = ("--expects", "fourth", "--first", "first", "--connections", str(FEW))
    figures = in_turn(found, rounds, seconds, *words, "--accept", "text/event-stream")
    figures |= in_turn([model], rounds, seconds, *words, "--body", body)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\nfirst piece of a stream, {FEW} connections (load {load})")
    theirs = figures[model.name]["first_p50_ms"]
    for name, one in figures.items():
        print(f"  {name:<30} p50 {one['first_p50_ms']:8.2f} ms   {one['first_p50_ms'] - theirs:+8.2f} ms")


BENCHES = {"flow": bench_flow, "call": bench_call, "stream": bench_stream}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--stock", type=Path, help="virtual environment of stock promptflow; left out without it"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each is asked in a round")
    parser.add_argument("--only", nargs="*", choices=sorted(BENCHES), default=list(BENCHES))
    options = parser.parse_args()
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder, Servers(Path(folder), options.stock) as servers:
            BENCHES[name](servers, servers.model(), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
