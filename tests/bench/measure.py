"""Whole processes, in turn, medians."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A command to time; ``expects`` must occur in its output, so that a failure is never timed as a success."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    expects: str = ""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Wall times of a contender's counted runs, seconds."""

    name: str
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median wall time in seconds."""
        return statistics.median(self.runs)


def time_in_turn(contenders: Sequence[Contender], *, rounds: int, warmups: int = 1) -> list[Timing]:
    """Run A B C A B C …; the warm-up rounds are not counted."""
    walls: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for round_number in range(-warmups, rounds):
        for contender in contenders:
            wall = run_once(contender, str(round_number))
            if round_number >= 0:
                walls[contender.name].append(wall)
    return [Timing(name=name, runs=tuple(found)) for name, found in walls.items()]


def run_once(contender: Contender, round_name: str) -> float:
    """Wall seconds of one run; ``{round}`` in the command becomes a word of its own per run."""
    command = [part.replace("{round}", f"{round_name}_{time.time_ns()}") for part in contender.command]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        env=dict(contender.environment),
        cwd=contender.cwd,
        capture_output=True,
        text=True,
        timeout=600,
    )
    wall = time.perf_counter() - began
    if done.returncode != 0 or contender.expects not in done.stdout:
        message = (
            f"{contender.name} failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
        raise SystemExit(message)
    return wall
