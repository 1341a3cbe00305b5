"""``python -m headrace.compat`` beside ``python``: a program cannot tell the one from the other."""

from __future__ import annotations

import os
import subprocess
import sys
import zipapp
from collections.abc import Sequence
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).parents[2] / "src")
SHOW = """\
import os, pickle, sys
print(sys.argv, os.path.basename(sys.path[0]), __name__, os.path.isabs(__file__), os.path.basename(__file__))
print(__package__, __spec__ and __spec__.name, type(__loader__).__name__, "__builtins__" in globals())
class Kept: pass
print(type(pickle.loads(pickle.dumps(Kept()))) is Kept, sys.modules["__main__"].Kept is Kept)
import beside
print(beside.VALUE)
"""
FILES = {
    "scripts/show.py": SHOW,
    "scripts/beside.py": "VALUE = 'from the folder of the script'\n",
    "beside.py": "VALUE = 'from the working directory'\n",
    "folder/__main__.py": "import sys, beside\nprint(sys.argv, __package__, __spec__.name, beside.VALUE)\n",
    "folder/beside.py": "VALUE = 'from the program folder'\n",
    "package/__init__.py": "print('package')\n",
    "package/__main__.py": "from package import part\nimport sys\nprint(__package__, __spec__.name, len(sys.argv), part.X)\n",
    "package/part.py": "X = 1\nif __name__ == '__main__':\n    print('part as main', __package__)\n",
    "empty/__init__.py": "",
    "show.py": SHOW,
    "fails.py": "def inner():\n    raise ValueError('of the script')\n\ntry:\n    inner()\nexcept ValueError as error:\n    raise KeyError('k') from error\n",
    "broken.py": "x = 1\ndef (\n",
    "exit_number.py": "import sys\nsys.exit(7)\n",
    "exit_text.py": "import sys\nsys.exit('said at the end')\n",
    "exit_late.py": "import atexit\natexit.register(lambda: print('late', KEPT))\nKEPT = 1\n",
    "warns.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\n",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    zipapp.create_archive(tmp_path / "folder", tmp_path / "packed.pyz")
    return tmp_path


def run(words: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": SOURCE}
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )


def without_runpy(text: str) -> str:
    """``python -m`` shows the frames of its own ``runpy``; they are no part of the program."""
    return "".join(line for line in text.splitlines(keepends=True) if "<frozen runpy>" not in line)


@pytest.mark.parametrize(
    "words",
    [
        ["scripts/show.py", "one", "--two=2", "-m"],
        ["-m", "show", "one"],
        ["folder", "x"],
        ["packed.pyz", "x"],
        ["-m", "package", "x"],
        ["-m", "package.part"],
        ["fails.py"],
        ["-m", "fails"],
        ["broken.py"],
        ["exit_number.py"],
        ["exit_text.py"],
        ["exit_late.py"],
        ["warns.py"],
        ["nothing.py"],
        ["scripts"],
        ["-m", "nothing"],
        ["-m", "nothing.inside"],
        ["-m", "empty"],
    ],
    ids=" ".join,
)
def test_a_program_runs_as_under_python_itself(words: list[str], project: Path) -> None:
    expected = run(words, project)
    done = run(["-m", "headrace.compat", *words], project)
    assert done.stdout == expected.stdout
    assert done.stderr == without_runpy(expected.stderr)
    assert done.returncode == expected.returncode


@pytest.mark.parametrize(("words", "code"), [([], 2), (["--help"], 0), (["-m"], 2)], ids=str)
def test_a_call_that_names_no_program(words: list[str], code: int, tmp_path: Path) -> None:
    done = run(["-m", "headrace.compat", *words], tmp_path)
    assert done.returncode == code
    assert "-m" in done.stdout + done.stderr


def test_names_are_served_to_the_program_and_to_what_it_starts(tmp_path: Path) -> None:
    tmp_path.joinpath("program.py").write_text(
        """\
import subprocess, sys
from multiprocessing import get_context
from promptflow.core import tool

@tool
def increased(x): return x + 1

CHILD = "from promptflow.core import tool; print(tool.__module__)"
if __name__ == "__main__":
    print(increased(0))
    with get_context("spawn").Pool(1) as pool:
        print(pool.map(increased, [1, 2]))
    print(subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout)
""",
        "utf-8",
    )
    done = run(["-m", "headrace.compat", "program.py"], tmp_path)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:3] == ["1", "[2, 3]", "headrace.tools.declaration"]


def test_a_name_that_is_not_served_ends_the_program_at_its_line(tmp_path: Path) -> None:
    tmp_path.joinpath("program.py").write_text("import os\nimport promptflow.nothing_like_it\n", "utf-8")
    done = run(["-m", "headrace.compat", "program.py"], tmp_path)
    assert done.returncode == 1
    assert "program.py:2" in done.stderr
    assert "promptflow.nothing_like_it" in done.stderr


def test_pytest_runs_a_projects_own_tests(tmp_path: Path) -> None:
    tmp_path.joinpath("test_tool.py").write_text(
        "from promptflow.core import tool\n\n\n@tool\ndef f(x): return x\n\n\ndef test_f(): assert f(1) == 1\n",
        "utf-8",
    )
    done = run(["-m", "headrace.compat", "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
