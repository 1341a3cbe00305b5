"""``python -m tests.bench.again [--rounds N] [--folder FOLDER] [--only built_in judged]``: recorded runs, compared once more.

Records 12 arms over 1,000 lines with 5 metrics, and with one metric that two judges give twice each, then measures
``headrace compare --again ID --report FILE`` from process start to exit. What stands in FOLDER is not recorded again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from headrace.domain.run import Run
from headrace.store.opening import open_store

HERE = Path(__file__).parent
N_LINES = 1_000
EXPERIMENTS = {
    "built_in": ("experiment.yaml", "5 metrics, two of them binary, two graded, one unbounded"),
    "judged": ("judged.yaml", "1 metric of a panel of two judges, asked twice each"),
}
WORDS = [
    "river",
    "wheel",
    "water",
    "gate",
    "stone",
    "mill",
    "channel",
    "stream",
    "bank",
    "weir",
    "sluice",
    "race",
]


class Use(NamedTuple):
    """What a process took: seconds from start to exit, seconds of the processor, the most memory in MB."""

    wall_s: float
    cpu_s: float
    memory_mb: float


class Desk:
    """A folder with the flow, its data and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Compiled modules are what a user has after the first start.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.store = str(folder / "headrace.sqlite")
        self.environment = {**inherited, "HOME": str(folder), "HEADRACE_STORE": self.store}
        if not self.flow.exists():
            shutil.copytree(HERE / "twelve_arms", self.flow)
            write_lines(self.flow / "lines.jsonl")

    @property
    def flow(self) -> Path:
        """Where the flow and the experiments stand."""
        return self.folder / "flow"

    def headrace(self, *words: str) -> Use:
        """One command, which must succeed."""
        command = [sys.executable, "-m", "headrace", "-q", *words]
        began = time.perf_counter()
        process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            what = f"headrace {' '.join(words)} failed"
            raise SystemExit(what)
        wall_s = time.perf_counter() - began
        return Use(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def runs(self, n_evaluators: int) -> list[Run]:
        """The runs of the newest experiment with so many evaluators, which is empty before it was run."""
        with closing(open_store(self.store)) as store:
            found: dict[str, list[Run]] = {}
            for run in store.list_runs():
                found.setdefault(run.spec.experiment or "", []).append(run)
        whole = [runs for runs in found.values() if len(runs) == 12 * (1 + n_evaluators)]
        return whole[0] if whole else []


def write_lines(path: Path) -> None:
    """A data file of questions with references of twelve words."""
    lines = []
    for number in range(N_LINES):
        words = [WORDS[byte % len(WORDS)] for byte in sha256(str(number).encode()).digest()]
        question = f"Question {number}: what stands where the {words[12]} meets the {words[13]}?"
        lines.append(json.dumps({"question": question, "reference": " ".join(words[:12])}) + "\n")
    path.write_text("".join(lines), "utf-8")


@contextmanager
def judges(desk: Desk) -> Iterator[None]:
    """A service on loopback that grades at once; the connection ``bench`` leads there."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.judge_service"], stdout=subprocess.PIPE, text=True
    )
    try:
        url = server.stdout.readline().strip() if server.stdout else ""
        connection = desk.folder / "bench.yaml"
        connection.write_text(f"name: bench\ntype: open_ai\napi_key: bench\nbase_url: {url}\n", "utf-8")
        desk.headrace("connection", "create", "--file", str(connection))
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)


def record(desk: Desk, experiment: str, n_evaluators: int) -> list[Run]:
    """Run an experiment, unless that was done; says what it took."""
    runs = desk.runs(n_evaluators)
    if runs:
        return runs
    with judges(desk):
        use = desk.headrace("compare", str(desk.flow / experiment))
    ended = time.time()
    runs = desk.runs(n_evaluators)
    n_lines = sum(run.n_completed for run in runs)
    if n_lines != N_LINES * 12 * (1 + n_evaluators):
        what = f"{n_lines:,} lines were recorded"
        raise SystemExit(what)
    last_s = max(run.finished_at.timestamp() for run in runs if run.finished_at)
    print(f"  {f'{n_lines:,} lines recorded and compared':<38} {use.wall_s:8.2f} s  {use.cpu_s:8.2f} s of processor"
          f"  {use.memory_mb:6.0f} MB")  # fmt: skip
    print(f"  {'of that after the last recorded run':<38} {ended - last_s:8.2f} s")
    return runs


def measure(desk: Desk, name: str, rounds: int) -> None:
    """Record one of the experiments and compare it again."""
    experiment, title = EXPERIMENTS[name]
    print(f"\n12 arms over {N_LINES:,} lines, {title}")
    runs = record(desk, experiment, 5 if name == "built_in" else 1)
    report = desk.folder / "again.html"
    words = ("compare", "--again", runs[0].spec.experiment or "", "--report", str(report))
    uses = [desk.headrace(*words) for _ in range(rounds + 1)][1:]  # the first one compiles modules
    walls, cpus, memory = (tuple(use[at] for use in uses) for at in range(3))
    print(f"  {'compared again, process start to exit':<38} {statistics.median(walls):8.2f} s"
          f"  {statistics.median(cpus):8.2f} s of processor  {max(memory):6.0f} MB"
          f"  ({min(walls):.2f}-{max(walls):.2f} s, report {report.stat().st_size / 1e6:.2f} MB)")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where runs are kept; a temporary one without it")
    parser.add_argument("--only", nargs="*", choices=list(EXPERIMENTS), default=list(EXPERIMENTS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = (arguments.folder or Path(folder)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        desk = Desk(place)
        for name in arguments.only:
            measure(desk, name, arguments.rounds)
    print(
        f"  medians of {arguments.rounds}; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )


if __name__ == "__main__":
    main()
