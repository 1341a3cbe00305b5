"""Processes of this machine that outlive the command which starts them, told apart from others with the same number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import headrace
from headrace.formats.local_endpoint import LocalProcess

LOOPBACK = "127.0.0.1"

GO = b"g"
"""What tells a process that it is written down."""

KILL_AFTER_S = 5.0
"""How much longer than its requests a process may take to end, seconds."""

_ASK_S = 2.0
_LOOK_EVERY_S = 0.05
_PS_LIMIT_S = 5.0
_ENDED = ("Z", "X")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is started.

    Attributes:
        function: Import string; takes ``path`` and returns an exit code.
        cwd: Folder that it runs in.
        environment: All of it.
        log: File that takes what it prints.
    """

    function: str
    path: Path
    cwd: Path
    environment: Mapping[str, str]
    log: Path


def launch(wish: Launch, note: Callable[[LocalProcess], None]) -> None:
    """Start a process in a session of its own, which goes on when this one ends.

    Args:
        wish: What is started.
        note: Writes down that it is there; the process begins its work only afterwards, and ends if that never comes.

    Raises:
        OSError: It cannot be started.
    """
    words = [sys.executable, "-P", "-m", "headrace.deploy.launched", wish.function, str(wish.path)]
    with wish.log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            words,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=wish.cwd,
            env={**wish.environment, **_import_path(wish.environment)},
            start_new_session=True,
        )
    assert process.stdin is not None  # noqa: S101 - asked for above
    try:
        note(LocalProcess(pid=process.pid, started=start_of(process.pid)))
        with suppress(BrokenPipeError):  # it has died already, which is seen later
            process.stdin.write(GO)
            process.stdin.flush()
    finally:
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.returncode = 0  # it goes on without us, and nobody waits for it here


def _import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """What lets the process find the same headrace, where that is no installed package."""
    folder = Path(headrace.__file__).parents[1]
    if folder.name in _PACKAGE_FOLDERS:
        return {}
    inherited = environment.get("PYTHONPATH")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{inherited}" if inherited else str(folder)}


def start_of(pid: int) -> str:
    """When a process started, in the words of the system; empty where there is none, or nobody says."""
    return _look(pid)[1]


def _look(pid: int) -> tuple[str, str]:
    """The state of a process and when it started; both empty where there is none, or nobody says."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ("", "") if _BOOT.exists() else _look_by_ps(pid)
    fields = stat.rpartition(")")[2].split()
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    return fields[0], f"{fields[19]}@{boot}"  # proc_pid_stat(5): 3 and 22


def _look_by_ps(pid: int) -> tuple[str, str]:
    words = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    try:
        said = subprocess.run(  # noqa: S603 - a number
            words, capture_output=True, text=True, timeout=_PS_LIMIT_S, check=False
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    state, _, started = said.partition(" ")
    return state[:1], started.strip()


def is_alive(process: LocalProcess) -> bool:
    """Whether a process goes on: one with its number that was started when it was."""
    state, started = _look(process.pid)
    if not started or started != process.started:
        return False
    if state in _ENDED:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)  # ours, where this process started it
        return False
    return True


def stop(process: LocalProcess, grace_s: float) -> None:
    """Let a process end what it is at, then end it; one that has gone, or is another one by now, is left alone.

    Args:
        process: Which one.
        grace_s: How long its requests may take, seconds.
    """
    if not is_alive(process):
        return
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    if not wait_until(lambda: not is_alive(process), grace_s + KILL_AFTER_S) and is_alive(process):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session, so its workers go with it
        wait_until(lambda: not is_alive(process), KILL_AFTER_S)


def ask_port(port: int, path: str, key: str = "") -> tuple[int, bytes] | None:
    """What a server of this machine answers; ``None`` where it does not.

    Args:
        port: On loopback.
        path: What it is asked.
        key: That it is shown; empty for none.
    """
    connection = HTTPConnection(LOOPBACK, port, timeout=_ASK_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def wait_until(holds: Callable[[], bool], limit_s: float) -> bool:
    """Look again and again until something holds; whether it does."""
    ends_at_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() >= ends_at_s:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
