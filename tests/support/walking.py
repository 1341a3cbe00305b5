"""Walk through a page as a reader does: its commands are given, its files are written and read, its Python runs."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.documented import PYTHON, ROOT, SHELL, Block
from tests.support.model_server import ModelServer
from tests.support.page_files import KINDS, laid_over
from tests.support.reference_docs import copy_project
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.formats.positions import read_yaml

_ASSIGNED = re.compile(r"^([A-Z_][A-Z0-9_]*)=(.*)$", re.DOTALL)
_VARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)")
_ADDRESS = re.compile(r"https?://[\w.]+:(\d+)")
_STAYS = re.compile(
    r"^headrace (flow serve|model serve|ab watch (?!.*--once)|deploy traffic .*--follow)|^uvicorn |^python -m tests\.support\.azure "
)
_ADDRESSES = ("localhost:8080", "my-host:8080", "127.0.0.1:8777", "127.0.0.1:8790")
"""Where the pages say that servers listen."""
_STARTS_WITHIN_S = 30
_SHELL_SYNTAX = re.compile(r"[|<>]|&&|\$\(|^(for|if|while) ")
_ON_PATH = ("cat", "cp", "git", "ls", "mkdir", "mv", "rm", "sed", "sh", "test", "touch")


@dataclass(frozen=True)
class Said:
    """A command of a page and what it came to."""

    line: str
    out: str
    err: str = ""


@dataclass
class Place:
    """Where a page is walked through.

    Attributes:
        folder: The working directory, in the beginning a copy of the project.
        environment: Variables of commands.
        replaced: What stands in the page, to what stands for it here.
        codes: Lines that end with another code than 0.
        after: What happens after a line.
        model: The model service that the pages' services are replaced by.
        said: What was given so far.
    """

    folder: Path
    capsys: pytest.CaptureFixture[str]
    stack: ExitStack
    model: ModelServer
    environment: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    after: dict[str, Callable[[Place], None]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    _server: subprocess.Popen[str] | None = None

    def fill(self, text: str) -> str:
        """``text`` with what holds here; longer texts are replaced first."""
        for old in sorted(self.replaced, key=len, reverse=True):
            text = text.replace(old, self.replaced[old])
        return text

    def write(self, files: Mapping[str, str]) -> None:
        """Write files below the folder."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")

    def give(self, *lines: str) -> None:
        """Give commands that no page shows."""
        for line in lines:
            self._command(line, line)

    def walk(self, blocks: Iterable[Block]) -> None:
        """Run or read the blocks below one heading; the files that they show are there before the commands."""
        blocks = [block for block in blocks if block.is_walked]
        self.write(
            {block.path: self.fill(block.text) for block in blocks if block.path and not block.is_part}
        )
        for block in blocks:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in self.environment.items():
                    patch.setenv(name, value)
                try:
                    _WALKS[block.language](self, block)
                except Exception as error:
                    error.add_note(f"in {block.place}")
                    raise

    def _walk_shell(self, block: Block) -> None:
        for line in block.lines():
            self._command(line, f"{block.place}: {line}")
            if line in self.after:
                self.after[line](self)

    def _command(self, line: str, place: str) -> None:
        shown, line = line, self.fill(line)
        line = re.sub(r"\s+# .*$", "", line).removesuffix("&").rstrip()
        words, assigned = self._split(line)
        environment = {**self.environment, **assigned}
        if not words:
            self.environment = environment
        elif _STAYS.match(shlex.join(words)):
            self._start(words, environment, shown)
        elif _SHELL_SYNTAX.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", line)):
            self._program(["sh", "-e", "-c", line], environment, shown)
        elif words[0] == "headrace":
            self._headrace(words[1:], environment, shown, place)
        elif words[0] == "cd":
            self.folder = (self.folder / words[1]).resolve()
            self.stack.enter_context(chdir(self.folder))
        elif words[0] == "curl":
            self._program(
                [*words, "--fail", "--silent", "--show-error", "--max-time", "30"], environment, shown
            )
        elif words[0] in ("python", "python3"):
            self._program([sys.executable, *words[1:]], environment, shown)
        elif words[0] == "pytest":
            self._program(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[1:]], environment, shown
            )
        else:
            assert words[0] in _ON_PATH, f"{place}\nneither runs nor is marked as not run"
            self._program(words, environment, shown)

    def _split(self, line: str) -> tuple[list[str], dict[str, str]]:
        """The words of a command, and the variables that are set before them or by it."""
        words = shlex.split(_VARIABLE.sub(lambda found: self._value(found[1]), line))
        words = [re.sub(r"^~/", f"{self.environment['HOME']}/", word) for word in words]
        if words[0] == "export":
            del words[0]
        assigned = {}
        while words and (found := _ASSIGNED.match(words[0])):
            assigned[found[1]] = found[2]
            del words[0]
        return words, assigned

    def _value(self, name: str) -> str:
        assert name in self.environment, f"the variable {name} is not set"
        return self.environment[name]

    def _headrace(self, words: list[str], environment: Mapping[str, str], shown: str, place: str) -> None:
        self.capsys.readouterr()
        code = run_command_line(words, Session(self.folder, environment))
        out, err = self.capsys.readouterr()
        assert code == self.codes.get(shown, 0), f"{place}\n{out}\n{err}"
        assert (out + err).strip() or words[:2] == ["ab", "watch"], f"{place} says nothing"
        self.said.append(Said(shown, out, err))

    def _program(self, words: list[str], environment: Mapping[str, str], shown: str) -> None:
        if words[0] == "curl" and shutil.which("curl") is None:
            pytest.skip("needs curl")
        done = subprocess.run(
            words,
            check=False,
            cwd=self.folder,
            env=_variables(environment),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == self.codes.get(shown, 0), f"{shown}\n{done.stdout}\n{done.stderr}"
        self.said.append(Said(shown, done.stdout, done.stderr))

    def _start(self, words: list[str], environment: Mapping[str, str], shown: str) -> None:
        """Start what stays until it is stopped, in place of what was started before."""
        self.stop()
        module = words[2:] if words[0] == "python" else words
        has_port = words[0] == "uvicorn" or words[:3:2] == ["headrace", "serve"]
        port = ["--port", "0"] if has_port else ["--page", "0"] if "--page" in words else []
        self._server = subprocess.Popen(
            [sys.executable, "-m", *module, *port],
            cwd=self.folder,
            env=_variables(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._server.stdout is not None
        begun = []
        limit = threading.Timer(_STARTS_WITHIN_S, self._server.kill)
        limit.start()
        for line in self._server.stdout:
            begun.append(line)
            if found := _ADDRESS.search(line):
                self.replaced |= dict.fromkeys(_ADDRESSES, f"127.0.0.1:{found[1]}")
            if found or not port:
                break
        else:
            raise AssertionError(f"{shown}\n{''.join(begun)}")
        limit.cancel()
        self.said.append(Said(shown, "".join(begun)))

    def stop(self) -> None:
        """Stop what stays."""
        if self._server is not None:
            self._server.terminate()
            self._server.communicate(timeout=20)
            self._server = None

    def _walk_python(self, block: Block) -> None:
        if block.kind:
            self._walk_data(block)
            return
        self.capsys.readouterr()
        names = {"__name__": "__main__"}
        exec(compile(self.fill(block.text), block.place, "exec"), names)  # noqa: S102 - the page's own code
        out, err = self.capsys.readouterr()
        assert bool(out.strip()) == ("print(" in block.text), f"{block.place}\n{out}"
        self.said.append(Said(block.text, out, err))

    def _walk_data(self, block: Block) -> None:
        text = self.fill(block.text)
        if not block.kind:
            assert_like(json.loads(text), json.loads(self.said[-1].out), block.place)
            return
        path = self.folder / block.path
        if block.is_part:
            text = json.dumps(laid_over(path, text, block.key), indent=1)
            path = path.with_name(f"{path.stem}.page{path.suffix}")
            if block.kind == "flow":
                path = path.with_name("page.dag.yaml")
        self.write({path.relative_to(self.folder).as_posix(): text})
        KINDS[block.kind](path, self.environment)
        if block.kind == "tests":
            self._command(f"pytest {block.path}", block.place)
        if block.kind == "steps":
            steps, _, _ = read_yaml(text, block.path)
            for step in (step for step in steps if "run" in step):
                self._command(" ".join(step["run"].split()), block.place)


_WALKS: Mapping[str, Callable[[Place, Block], None]] = {
    SHELL: Place._walk_shell,
    PYTHON: Place._walk_python,
    "yaml": Place._walk_data,
    "json": Place._walk_data,
    "jinja": Place._walk_data,
    "prompty": Place._walk_data,
}


def assert_like(shown: Any, printed: Any, place: str) -> None:
    """What a page shows is what was printed; ``…`` stands for anything.

    Args:
        shown: Parsed JSON of the page.
        printed: Parsed JSON of the command.
        place: Of the block.
    """
    if isinstance(shown, dict) and isinstance(printed, dict):
        assert list(shown) == list(printed), place
        for key, value in shown.items():
            assert_like(value, printed[key], f"{place} {key}")
    elif isinstance(shown, list) and isinstance(printed, list):
        if shown and shown[-1] == "…":
            shown, printed = shown[:-1], printed[: len(shown) - 1]
        assert len(shown) == len(printed), place
        for one, other in zip(shown, printed, strict=True):
            assert_like(one, other, place)
    elif shown != "…":
        assert shown == printed, place


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of a process: the program is on its path, and nothing of the machine's own is known to it."""
    path = ":".join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"))
    return {"PATH": path, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment}


def open_place(folder: Path, capsys: pytest.CaptureFixture[str], stack: ExitStack) -> Place:
    """A place with a copy of the project; ``stack`` ends it.

    Args:
        folder: An empty folder.
        capsys: Hears what commands say.
        stack: Gets what is to be closed.
    """
    copy_project(folder)
    model = stack.enter_context(ModelServer())
    place = Place(folder, capsys, stack, model)
    place.environment = {"HOME": str(folder), "OPENAI_BASE_URL": model.base_url}
    place.replaced = {
        "https://my-resource.openai.azure.com": model.url,
        "http://localhost:11434/v1": model.base_url,
    }
    stack.enter_context(chdir(folder))
    stack.enter_context(serving_names(folder))
    stack.callback(place.stop)
    return place
