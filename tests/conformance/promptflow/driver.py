"""Runs steps under stock promptflow; executed by the interpreter that has it, with the standard library at hand.

Importing promptflow takes seconds, so it is imported once, and every step runs in a fork. Reads one JSON object per
line from standard input, ``{"words" | "script", "says", "folder", "environment", "output"}``, and answers each with
``{"pid": …}``, by which a step that serves can be ended, and with ``{"code": …}`` when the step has ended. What the step
prints goes to the file ``output``.

Stock starts the workers of a run as new interpreters. With ``"forks": true`` they are forks as well, which saves
seconds per run; nothing else about stock is changed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing.context
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

PRELOADED = (
    "promptflow._cli._pf.entry",
    "promptflow.client",
    "promptflow.batch",
    "promptflow.executor",
    "promptflow.core._serving.app",
    "promptflow.tools",
    "promptflow.tools.aoai",
    "promptflow.tools.openai",
    "pandas",
    "git",
    "openai",
)
STEP_TIMEOUT_S = 90


def run_step(step: dict) -> None:
    """Run one step in this process and leave it."""
    os.setsid()
    signal.alarm(STEP_TIMEOUT_S)
    out = os.open(step["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(typed_input(step.get("says")), 0)
    os.environ.update(step["environment"])
    os.chdir(step["folder"])
    added = step["environment"].get("PYTHONPATH")
    sys.path[1:1] = [str(Path(path).resolve()) for path in added.split(os.pathsep)] if added else []
    renew_locks()
    # The settings were read when promptflow was imported; earlier steps may have changed them.
    importlib.import_module("promptflow._sdk._configuration").Configuration._instance = None
    if step["forks"]:
        multiprocessing.context.SpawnContext.Process = multiprocessing.context.ForkContext.Process
    code = 0
    try:
        if step.get("script"):
            run_script(step["script"])
        else:
            sys.argv = ["pf", *step["words"]]
            importlib.import_module("promptflow._cli._pf.entry").main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - whatever stock raises is what the step did
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def typed_input(says: str | None) -> int:
    """What standard input reads: the lines that a person types, or nothing."""
    if says is None:
        return os.open(os.devnull, os.O_RDONLY)
    reader, writer = os.pipe()
    os.write(writer, says.encode())
    os.close(writer)
    # The stream has read ahead in the process that this one was forked from.
    sys.stdin = os.fdopen(os.dup(reader), encoding="utf-8")
    return reader


def renew_locks() -> None:
    """Give every module of promptflow a file lock of its own: one made before a fork is refused after it."""
    base = importlib.import_module("filelock").BaseFileLock
    for name, module in list(sys.modules.items()):
        if name.startswith("promptflow."):
            for attribute, value in list(vars(module).items()):
                if isinstance(value, base):
                    setattr(module, attribute, type(value)(value.lock_file))


def run_script(script: str) -> None:
    """Run a script the way an interpreter does that is given its path."""
    sys.argv = [script]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")


def main() -> None:
    """Answer steps until standard input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        step = json.loads(line)
        child = os.fork()
        if child == 0:
            run_step(step)
        answer(pid=child)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # workers that stock leaves behind
        answer(code=os.waitstatus_to_exitcode(status))


def answer(**what: int) -> None:
    """Write one line for whoever drives."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
