"""``python -m tests.bench [--stock VENV] [--rounds N] [--only NAME …]``: prints medians and ratios.

Stock promptflow runs in its own virtual environment with a home of its own and its telemetry switched off.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from headrace.store.base import RunStore
from headrace.store.opening import open_store
from tests.bench.measure import Contender, Timing, run_once, time_in_turn
from tests.support.limited_calls import measure_use
from tests.support.limited_service import BUCKET, FIXED, SLIDING, Limit

HERE = Path(__file__).parent
HEADRACE = [str(Path(sys.executable).with_name("headrace"))]
N_ARM_LINES = 200
N_CALLS, CONCURRENCY, DELAY_MS = 400, 64, 200
N_SHORT_CALLS, SHORT_DELAY_MS = 2_000, 20
QUOTA_ALLOWED, QUOTA_MINUTE_S = 300, 20.0


class Bench:
    """Folders and environments that the measurements share."""

    def __init__(self, folder: Path, stock: Path | None, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.pf = [str(stock.resolve() / "bin" / "pf")] if stock else None
        # Compiled modules are what a user has after the first start.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.ours = {**inherited, "HOME": str(folder)}
        self.stock_environment = {
            **inherited,
            "HOME": str(folder / "stock"),
            "PF_DISABLE_TRACING": "true",
            "PF_TRACING_SKIP_LOCAL_SETUP": "true",
            "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        }
        (folder / "stock").mkdir()
        if self.pf:
            self.stock("config", "set", "telemetry.enabled=false", "trace.destination=none")

    def stock(self, *words: str) -> None:
        """Run a stock command that must succeed."""
        subprocess.run(
            [*(self.pf or []), *words],
            env=self.stock_environment,
            check=True,
            capture_output=True,
            cwd=self.folder,
        )

    def time(
        self, title: str, contenders: list[Contender | None], rounds: int | None = None
    ) -> dict[str, Timing]:
        """Time those contenders that are there and print them against the first one."""
        there = [contender for contender in contenders if contender]
        timings = time_in_turn(there, rounds=rounds or self.rounds)
        print(f"\n{title}")
        ours = timings[0].median
        for timing in timings:
            spread = f"{min(timing.runs):.2f}-{max(timing.runs):.2f}"
            print(
                f"  {timing.name:<34} {timing.median:8.3f} s  ({spread})   {timing.median / ours:6.2f}x headrace"
            )
        return {timing.name: timing for timing in timings}

    def headrace(self, name: str, *words: str, expects: str = "") -> Contender:
        """One of our own commands."""
        return Contender(
            name=name, command=[*HEADRACE, *words], environment=self.ours, cwd=self.folder, expects=expects
        )

    def promptflow(self, name: str, *words: str, expects: str = "") -> Contender | None:
        """A stock command, when stock is installed."""
        if not self.pf:
            return None
        return Contender(
            name=name,
            command=[*self.pf, *words],
            environment=self.stock_environment,
            cwd=self.folder,
            expects=expects,
        )

    def python(self, name: str, *words: str) -> Contender:
        """A Python process in our environment."""
        return Contender(name=name, command=[sys.executable, *words], environment=self.ours, cwd=self.folder)


def write_lines(path: Path, n: int) -> Path:
    """A data file of ``n`` short lines."""
    path.write_text("".join(json.dumps({"text": f"text {number}"}) + "\n" for number in range(n)))
    return path


def bench_start(bench: Bench) -> None:
    """One test of the two-node flow, and ``--help``."""
    flow = str(HERE / "two_node")
    bench.time(
        "one test of the two-node flow, process start to exit",
        [
            bench.headrace("headrace flow test", "flow", "test", "--flow", flow, expects='"words": 8'),
            bench.promptflow("pf flow test", "flow", "test", "--flow", flow, expects='"words": 8'),
            bench.python("floor: import yaml, jinja2", "-c", "import yaml, jinja2"),
        ],
    )
    bench.time(
        "help",
        [
            bench.headrace("headrace --help", "--help", expects="flow"),
            bench.python("floor: import click", "-c", "import click"),
        ],
        rounds=2 * bench.rounds,
    )


def bench_lines(bench: Bench) -> None:
    """The two-node flow over many lines, everything recorded."""
    flow = str(HERE / "two_node")
    for n, is_slow in ((1_000, False), (10_000, True)):
        data = str(write_lines(bench.folder / f"lines_{n}.jsonl", n))
        words = ("run", "create", "--flow", flow, "--data", data, "--name", "lines_{round}",
                 "--column-mapping", "text=${data.text}")  # fmt: skip
        plain = [
            str(HERE / "plain_loop.py"),
            data,
            str(bench.folder / "out.jsonl"),
            str(HERE / "two_node/render.jinja2"),
        ]
        stock = bench.promptflow("pf run create", *words, expects="Completed")
        timings = bench.time(
            f"{n:,} lines of the two-node flow",
            [
                bench.headrace("headrace run create", *words, expects="Completed"),
                stock if not is_slow else None,
                bench.python("floor: plain loop, one file", *plain),
            ],
            rounds=min(bench.rounds, 3),
        )
        print_rate(f"{bench.folder}/.headrace/headrace.sqlite", n)
        if stock and is_slow:
            wall = run_once(stock, "once")
            ours = timings["headrace run create"].median
            print(f"  {'pf run create, one run':<34} {wall:8.3f} s  {wall / ours:22.2f}x headrace")


def print_rate(store_path: str, n: int) -> None:
    """Lines per second from the creation of a run to its end, of the runs of ``n`` lines in the store."""
    with closing(open_store(store_path)) as store:
        rates = sorted(
            n / (run.finished_at - run.created_at).total_seconds()
            for run in store.list_runs()
            if run.n_lines == n and run.finished_at
        )
    print(f"  recorded per second, from creation to end: median {rates[len(rates) // 2]:,.0f} lines"
          f" of {len(rates)} runs ({rates[0]:,.0f} to {rates[-1]:,.0f})")  # fmt: skip


def bench_memory(bench: Bench) -> None:
    """The most memory of a process that runs the two-node flow over few lines and over many."""
    print("\nmost memory of a run of the two-node flow")
    first = 0
    for n in (1_000, 100_000):
        data = str(write_lines(bench.folder / f"memory_{n}.jsonl", n))
        command = bench.headrace(
            "", "-q", "run", "create", "--flow", str(HERE / "two_node"), "--data", data, "--name", f"memory_{n}",
            "--column-mapping", "text=${data.text}",
        ).command  # fmt: skip
        process = subprocess.Popen(command, env=bench.ours, cwd=bench.folder, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            what = f"the run over {n:,} lines failed"
            raise SystemExit(what)
        first = first or usage.ru_maxrss
        print(f"  {n:>7,} lines {usage.ru_maxrss / 1024:26.1f} MB {usage.ru_maxrss / first:20.2f}x")


@contextmanager
def model_service(bench: Bench, delay_ms: int) -> Iterator[str]:
    """Address of a loopback server that answers after a fixed delay; the connection ``bench`` leads there."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.model_server", "--port", "0", "--delay-ms", str(delay_ms),
         "--seconds", "900"],
        stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1],
    )  # fmt: skip
    try:
        url = (server.stdout.readline() if server.stdout else "").split()[-1].rstrip("/")
        connection = bench.folder / "bench.yaml"
        connection.write_text(f"name: bench\ntype: open_ai\napi_key: bench\nbase_url: {url}\n")
        run_once(bench.headrace("connection", "connection", "create", "--file", str(connection)), "once")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=10)


def bench_calls(bench: Bench) -> None:
    """Model calls that take their time, and many that do not."""
    flow = str(HERE / "one_call")
    loop = str(HERE / "bare_loop.py")
    at_once = ("--max-concurrency", str(CONCURRENCY))
    with model_service(bench, DELAY_MS) as url:
        if bench.pf:
            bench.stock("connection", "create", "--file", str(bench.folder / "bench.yaml"))
        data = str(write_lines(bench.folder / "calls.jsonl", N_CALLS))
        words = ("run", "create", "--flow", flow, "--data", data, "--name", "calls_{round}")
        size = (str(N_CALLS), str(CONCURRENCY))
        bench.time(
            f"{N_CALLS} calls of {DELAY_MS} ms at {CONCURRENCY}, process start to exit (ideal 1.25 s)",
            [
                bench.headrace("headrace run create", *words, *at_once, expects="Completed"),
                bench.python("bare loop: openai", loop, "openai", url, *size),
                bench.python("bare loop: aiohttp", loop, "aiohttp", url, *size),
            ],
        )
        if bench.pf:
            bench.stock_environment["PF_WORKER_COUNT"] = "16"
            contender = bench.promptflow("pf run create", *words, expects="Completed")
            if contender:
                print(f"  pf run create, 16 workers, one run {run_once(contender, 'once'):18.3f} s")
        print_share("the ideal rate", "calls_", bench.folder, N_CALLS / CONCURRENCY * DELAY_MS / 1000)
        # The last of the calls fill a part of the last wave only: nothing can be faster than this.
        waves = math.ceil(N_CALLS / CONCURRENCY)
        print_share("whole waves", "calls_", bench.folder, waves * DELAY_MS / 1000)
    with model_service(bench, SHORT_DELAY_MS) as url:
        data = str(write_lines(bench.folder / "short.jsonl", N_SHORT_CALLS))
        words = ("run", "create", "--flow", flow, "--data", data, "--name", "short_{round}")
        size = (str(N_SHORT_CALLS), str(CONCURRENCY))
        bench.time(
            f"{N_SHORT_CALLS:,} calls of {SHORT_DELAY_MS} ms at {CONCURRENCY}, process start to exit",
            [
                bench.headrace("headrace run create", *words, *at_once, expects="Completed"),
                bench.python("bare loop: headrace's client", loop, "headrace", url, *size),
            ],
        )
        bare = [
            float(subprocess.check_output([sys.executable, loop, "headrace", url, *size], env=bench.ours))
            for _ in range(bench.rounds)
        ]
        print_share("a bare loop around the same client", "short_", bench.folder, statistics.median(bare))


def print_share(of_what: str, prefix: str, folder: Path, best_s: float) -> None:
    """``best_s`` against the time from the first call to the last recorded result, of the runs in the store."""
    shares = []
    with closing(open_store(str(folder / ".headrace" / "headrace.sqlite"))) as store:
        for run in store.list_runs():
            if run.spec.name.startswith(prefix) and run.finished_at:
                lines = [store.read_line(run.spec.name, number) for number in range(CONCURRENCY)]
                spans = [span for line in lines if line for span in line.spans]
                first_ns = min(span.start_ns for span in spans if span.kind == "client")
                shares.append(best_s / (run.finished_at.timestamp() - first_ns / 1e9))
    shares.sort()
    print(f"  share of {of_what}, first call to last recorded result: median {shares[len(shares) // 2]:.1%}"
          f" of {len(shares)} runs ({shares[0]:.1%} to {shares[-1]:.1%})")  # fmt: skip


NAMES = "import promptflow.core\nfrom promptflow.core import log_metric, tool\n"
IN_PROCESS = """\
import sys, time
import headrace.cli.commands.flow_test, headrace.compat, headrace.tools.python
headrace.compat.install()
began = time.process_time()
exec(sys.argv[1])
print((time.process_time() - began) * 1e3)
"""


def bench_arms(bench: Bench) -> None:
    """An experiment of six arms that share a node, 200 lines, and the same once more."""
    calls = bench.folder / "calls.txt"
    bench.ours["BENCH_CALLS"] = str(calls)
    shutil.copytree(HERE / "six_arms", bench.folder / "six_arms")
    write_lines(bench.folder / "six_arms" / "lines.jsonl", N_ARM_LINES)
    run = bench.headrace(
        "compare", "compare", str(bench.folder / "six_arms" / "experiment.yaml"), "-o", "json"
    )
    print(f"\n6 arms of {N_ARM_LINES} lines that share a node, calls of {DELAY_MS} ms, process start to exit")
    with model_service(bench, DELAY_MS):
        first_s = run_once(run, "first")
        n_retrieved = len(calls.read_text("utf-8").splitlines())
        again_s = statistics.median(run_once(run, f"again_{number}") for number in range(bench.rounds))
    with closing(open_store(str(bench.folder / ".headrace" / "headrace.sqlite"))) as store:
        taken = [
            sum(one.usage.calls for one in store.list_runs(experiment=name)) for name in experiments(store)
        ]
    n_more = len(calls.read_text("utf-8").splitlines()) - n_retrieved
    print(
        f"  first time {first_s:35.3f} s   {n_retrieved} calls of the shared node, {taken[-1]} of the model"
    )
    print(f"  again {again_s:40.3f} s   {n_more} calls of the shared node, {sum(taken[:-1])} of the model")


def experiments(store: RunStore) -> list[str]:
    """Ids of the experiments of a store, the newest first."""
    return list(dict.fromkeys(run.spec.experiment for run in store.list_runs() if run.spec.experiment))


def bench_names(bench: Bench) -> None:
    """A script that imports promptflow.core, and the same import where headrace runs already."""
    script = bench.folder / "names.py"
    script.write_text(NAMES)
    stock = None
    if bench.pf:
        command = [str(Path(bench.pf[0]).with_name("python")), str(script)]
        stock = Contender(
            name="python script.py, stock",
            command=command,
            environment=bench.stock_environment,
            cwd=bench.folder,
        )
    bench.time(
        "a script that imports promptflow.core, process start to exit",
        [
            bench.python("python -m headrace.compat script.py", "-m", "headrace.compat", str(script)),
            stock,
            bench.python("floor: import dataclasses", "-c", "import dataclasses"),
        ],
    )
    command = [sys.executable, "-c", IN_PROCESS, NAMES]
    taken = [
        float(subprocess.run(command, env=bench.ours, check=True, capture_output=True, text=True).stdout)
        for _ in range(2 * bench.rounds + 1)
    ]
    print(f"  the import in a headrace process {sorted(taken)[bench.rounds]:23.1f} ms  (limit 30 ms)")


def bench_workers(bench: Bench) -> None:
    """A tool that computes, in threads and in processes, and what processes cost a trivial line."""
    data = str(write_lines(bench.folder / "workers.jsonl", 1_000))
    for title, flow in (
        ("1,000 lines of a tool that computes in Python", "cpu_loop"),
        ("1,000 lines of the two-node flow, which have nothing to gain", "two_node"),
    ):
        words = ("run", "create", "--flow", str(HERE / flow), "--data", data, "--column-mapping",
                 "text=${data.text}")  # fmt: skip
        stock = bench.promptflow("pf run create", *words, "--name", f"{flow}_{{round}}", expects="Completed")
        bench.time(
            title,
            [
                *(
                    bench.headrace(
                        f"headrace run create --workers {n}",
                        *words, "--name", f"{flow}_{n}_{{round}}", "--workers", str(n),
                        expects="Completed",
                    )
                    for n in (2, 1, 0)
                ),
                stock if flow == "cpu_loop" else None,
            ],
            rounds=min(bench.rounds, 3),
        )  # fmt: skip


def bench_verdict(bench: Bench) -> None:
    """Scores that exist, compared and rendered; in a process of its own, for its memory."""
    subprocess.run([sys.executable, "-m", "tests.bench.verdict"], env=bench.ours, check=True)


def bench_again(bench: Bench) -> None:
    """Recorded runs compared once more, from the store to the report."""
    words = [sys.executable, "-m", "tests.bench.again", "--rounds", str(bench.rounds)]
    subprocess.run(words, env=bench.ours, check=True)


def bench_quota(bench: Bench) -> None:
    """How much of what a service allows is used, and how much is refused, after the warm-up."""
    print(f"\na service that allows {QUOTA_ALLOWED} calls in a minute of {QUOTA_MINUTE_S:g} s, over HTTP")
    for title, kind, has_headers in (
        ("stated, bucket", BUCKET, True),
        ("not stated, fixed window", FIXED, False),
        ("not stated, sliding window", SLIDING, False),
        ("not stated, bucket", BUCKET, False),
    ):
        for n_processes in (1, 3):
            home = bench.folder / f"quota {title} {n_processes}"
            home.mkdir()
            limit = Limit(
                kind=kind,
                allowed=QUOTA_ALLOWED,
                has_headers=has_headers,
                has_retry_after=has_headers,
                minute_s=QUOTA_MINUTE_S,
            )
            found = measure_use(limit, home, n_processes)
            print(
                f"  {title:<27} {n_processes} process{'es' if n_processes > 1 else '  '}"
                f" {found.used:8.1%} used {found.refused:6.2%} refused, {found.n_refused} in all, {found.n_lost} lost"
            )


BENCHES = {
    "start": bench_start,
    "lines": bench_lines,
    "workers": bench_workers,
    "memory": bench_memory,
    "calls": bench_calls,
    "names": bench_names,
    "arms": bench_arms,
    "quota": bench_quota,
    "verdict": bench_verdict,
    "again": bench_again,
}


def main() -> None:
    """Run the benchmarks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--stock", type=Path, help="virtual environment of stock promptflow; left out without it"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=sorted(BENCHES), default=sorted(BENCHES, reverse=True))
    arguments = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.stock, arguments.rounds)
        for name in arguments.only:
            BENCHES[name](bench)
    print(
        f"\n{time.perf_counter() - began:.0f} s in all, {arguments.rounds} rounds, medians; {os.cpu_count()} processors"
    )


if __name__ == "__main__":
    main()
