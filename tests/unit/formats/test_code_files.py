"""What a tool is made of: every file that decides about its results, and none that does not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.domain.cache import Code
from headrace.formats import code_files, named_files
from headrace.formats.code_files import read_code, read_package_code

FILES = {
    "tool.py": (
        "import json, yaml\nimport helpers.deep as d\nfrom local import *\nfrom promptflow.core import tool\n"
        "INDEX = 'index/terms.json'\nWORDS = open('words')\n"
        "def f(item):\n    import inner\n    return item['data'], d, json, 'see index/none.json'\n"
    ),
    "local.py": "import os\nURL = os.environ['URL']\nNAME = os.getenv('NAME', 'x')\n",
    "inner.py": "from . import sibling\n",
    "sibling.py": "",
    "helpers/__init__.py": "",
    "helpers/deep.py": "from .near import x\nfrom . import beside\n",
    "helpers/near.py": "x = 1\n",
    "helpers/beside.py": "",
    "helpers/unused.py": "",
    "other.py": "",
    "words": "one two",
    "index/terms.json": "{}",
    "data/lines.jsonl": "{}",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(name).write_text(text, "utf-8")
    return folder


def code_of(folder: Path, **files: str) -> Code:
    write(folder, files)
    return read_code(folder / "tool.py", folder)


def test_it_is_the_file_and_what_that_imports_and_reads_by_name(tmp_path: Path) -> None:
    found = read_code(write(tmp_path, FILES) / "tool.py", tmp_path)
    assert set(found.parts) == {
        "tool.py", "local.py", "inner.py", "sibling.py", "helpers/__init__.py", "helpers/deep.py", "helpers/near.py",
        "helpers/beside.py", "words", "index/terms.json", "package PyYAML",
    }  # fmt: skip
    assert found.variables == ("NAME", "URL")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_counts_exactly_when_it_is_a_part(tmp_path: Path, name: str) -> None:
    before = read_code(write(tmp_path, FILES) / "tool.py", tmp_path)
    with tmp_path.joinpath(name).open("a") as file:
        file.write("\n# changed\n")
    after = read_code(tmp_path / "tool.py", tmp_path)
    changed = {key for key in after.parts if after.parts[key] != before.parts[key]}
    assert changed == ({name} if name in before.parts else set())


def test_line_ends_do_not_count(tmp_path: Path) -> None:
    one = code_of(tmp_path, **{"tool.py": "a = 1\nb = 2\n"})
    tmp_path.joinpath("tool.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    assert read_code(tmp_path / "tool.py", tmp_path) == one


def test_imports_whose_names_are_worked_out_make_every_module_a_part(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "", "b/c.py": ""})
    named = code_of(tmp_path, **{"tool.py": "import importlib\nimportlib.import_module('a')\n"})
    assert set(named.parts) == {"tool.py", "a.py"}
    hidden = code_of(tmp_path, **{"tool.py": "import importlib\nimportlib.import_module(input())\n"})
    assert set(hidden.parts) == {"tool.py", "a.py", "b/c.py"}


@pytest.mark.parametrize(
    ("line", "is_steady"),
    [
        ("import json, re, sqlite3, asyncio", True),
        ("from promptflow.core import tool, log_metric", True),
        ("from promptflow.connections import CustomConnection", True),
        ("from promptflow.core import Prompty", False),
        ("import promptflow.tools", False),
        ("import random", False),
        ("from urllib.request import urlopen", False),
        ("import openai", False),
        ("import numpy", False),
    ],
)
def test_what_may_give_other_results_next_time_is_told_by_its_imports(
    tmp_path: Path, line: str, is_steady: bool
) -> None:
    write(tmp_path, {"local.py": line})
    assert code_of(tmp_path, **{"tool.py": line}).is_steady is is_steady
    assert code_of(tmp_path, **{"tool.py": "import local"}).is_steady is is_steady


def test_packages_count_by_their_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_files, "_installed", lambda name: (name, "1.2"))
    assert code_of(tmp_path, **{"tool.py": "import yaml, os"}).parts["package PyYAML"] == "1.2"


def test_packages_that_are_worked_on_count_by_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = write(tmp_path / "elsewhere", {"mine/__init__.py": "", "mine/a.py": "1", "single.py": "1"})
    project = write(tmp_path / "project", {"tool.py": "import mine, single"})
    monkeypatch.syspath_prepend(elsewhere)
    before = read_code(project / "tool.py", project).parts
    write(elsewhere, {"mine/a.py": "2", "single.py": "2"})
    after = read_code(project / "tool.py", project).parts
    assert {key for key in after if after[key] != before[key]} == {"package mine", "package single"}


def test_files_that_arguments_name_count(tmp_path: Path) -> None:
    project = write(tmp_path / "project", {"tool.py": "", "a.txt": "1", "data/x.txt": "1"})
    write(tmp_path, {"docs/one.md": "1", "docs/.hidden": "1"})
    texts = ["../docs", "a.txt", "data", "..", ".", "", "no/such", "why?", "a\nb/c", "x" * 500 + "/", "\0/"]
    named = {"tool.py", "../docs/", "a.txt", "data/"}
    assert set(read_code(project / "tool.py", project, texts).parts) == named
    before = read_code(project / "tool.py", project, texts)
    write(tmp_path, {"docs/.hidden": "2"})
    assert read_code(project / "tool.py", project, texts) == before


def test_large_files_count_by_size_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_files, "_LARGE_BYTES", 4)
    write(tmp_path, {"big.bin": "123456"})
    code = code_of(tmp_path, **{"tool.py": "open('big.bin')"})
    assert "-" in code.parts["big.bin"]


def test_code_that_cannot_be_parsed_is_its_file(tmp_path: Path) -> None:
    assert set(code_of(tmp_path, **{"tool.py": "def ("}).parts) == {"tool.py"}


WRITTEN = (
    "open('out.txt', 'a')",
    "open('out.txt', mode='wb')",
    "io.open('out.txt', 'xt')",
    "Path('out.txt').write_text('more')",
    "pathlib.Path('out.txt').open('w')",
    "(Path('.') / 'out.txt').write_text('more')",
    "open(os.path.join('.', 'out.txt'), 'a')",
    "(Path(folder) / 'out.txt').write_text('more')",
)
READ = (
    "open('out.txt')",
    "open('out.txt', 'a+')",
    "open('out.txt', 'r+')",
    "open('out.txt', mode)",
    "Path('out.txt').open()",
    "Path('out.txt').open('w+')",
    "Path('out.txt').read_text()",
    "NAME = 'out.txt'\nopen(NAME, 'a')",
    "open('out.txt', 'w')\nopen('out.txt')",
    "(Path(json.load(open('out.txt'))['out']) / 'x').write_text('more')",
    "open('out-' + open('out.txt').read(), 'w')",
)


@pytest.mark.parametrize(
    ("line", "counts"), [*((line, False) for line in WRITTEN), *((line, True) for line in READ)]
)
def test_a_file_that_is_only_written_does_not_count(tmp_path: Path, line: str, counts: bool) -> None:
    write(tmp_path, {"out.txt": "1"})
    assert ("out.txt" in code_of(tmp_path, **{"tool.py": line}).parts) is counts


@pytest.mark.parametrize(
    "code", ["open('data[1].txt')", "open(os.path.join('data[1].txt'))", "Path('data[1].txt')"]
)
def test_brackets_in_the_name_of_a_file_are_no_pattern(tmp_path: Path, code: str) -> None:
    write(tmp_path, {"data[1].txt": "1"})
    assert "data[1].txt" in code_of(tmp_path, **{"tool.py": code}).parts


def test_what_one_file_of_the_code_writes_and_another_reads_counts(tmp_path: Path) -> None:
    files = {"tool.py": "import reads\nopen('out.txt', 'w')", "reads.py": "open('out.txt')", "out.txt": "1"}
    assert "out.txt" in code_of(tmp_path, **files).parts


OLD_NS = 1_000_000_000


def aged(path: Path) -> None:
    """Let it look as if it had not been touched for long."""
    os.utime(path, ns=(OLD_NS, OLD_NS))


def test_it_knows_which_named_files_have_changed_since(tmp_path: Path) -> None:
    tool = "open('words')\nopen('none/yet.txt')\nINDEX = 'index/'\nHERE = './'\n"
    write(tmp_path, {"words": "one two", "index/a": "1", "index/.hidden": "1", "other": "1"})
    code = code_of(tmp_path, **{"tool.py": tool})
    assert set(code.parts) == {"tool.py", "words", "index/"}
    assert code.changed() == ()
    write(tmp_path, {"words": "one two", "other": "2", "index/.hidden": "2", "tool.py": tool + "#"})
    assert code.changed() == ()  # written again, with what it held; others do not count
    write(tmp_path, {"words": "two one"})
    assert code.changed() == ("words",)
    write(tmp_path, {"words": "one two"})
    assert code.changed() == ()
    write(tmp_path, {"index/b": "1", "none/yet.txt": "1"})
    assert code.changed() == ("index/", "none/yet.txt")
    (tmp_path / "words").unlink()
    assert code.changed() == ("index/", "none/yet.txt", "words")


def test_files_are_read_again_only_when_their_times_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"words": "1"})
    aged(tmp_path / "words")
    code = code_of(tmp_path, **{"tool.py": "open('words')"})
    read: list[Path] = []
    digest = named_files.file_digest
    monkeypatch.setattr(named_files, "file_digest", lambda file: read.append(file) or digest(file))
    assert (code.changed(), read) == ((), [])
    write(tmp_path, {"words": "2"})  # as large as before, and so new that a further change might not show
    assert (code.changed(), len(read)) == (("words",), 1)
    assert (code.changed(), len(read)) == (("words",), 2)
    write(tmp_path, {"words": "1"})
    assert (code.changed(), len(read)) == ((), 3)


def test_files_that_arguments_of_packaged_tools_name_are_watched_too(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "1"})
    code = read_package_code("json", "dumps", tmp_path, ["a.txt"])
    write(tmp_path, {"a.txt": "22"})
    assert code.changed() == ("a.txt",)


@pytest.mark.parametrize(
    "code",
    [
        'os.path.join(PLACE, "one.txt")',
        'Path(__file__).parent / PLACE / "one.txt"',
        'open(f"{PLACE}/one.txt")',
        'open(PLACE + "/one.txt")',
        "os.listdir(Reader.place)",
        'Path(__file__).parent.glob("pages/*.txt")',
        'glob.glob("./pages/**/*.txt")',
        'load_flow("pages")',
        'load_flow(source="pages")',
        'jinja2.FileSystemLoader("pages")',
    ],
)
def test_a_place_that_is_named_once_and_used_elsewhere_counts(tmp_path: Path, code: str) -> None:
    file = tmp_path / "tool.py"
    file.write_text(f'PLACE = "pages"\n\n\nclass Reader:\n    place = "pages"\n\n\nfound = {code}\n', "utf-8")
    page = tmp_path / "pages" / "one.txt"
    page.parent.mkdir()
    page.write_text("one", "utf-8")
    before = read_code(file, tmp_path).parts
    page.write_text("two", "utf-8")
    assert read_code(file, tmp_path).parts != before


def test_a_word_that_only_happens_to_be_a_folder_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "tool.py"
    file.write_text(
        'KIND = "data"\nKIND = KIND or "other"\nfound = {"data": 1}["data"], join(KIND)\n', "utf-8"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lines.jsonl").write_text("{}", "utf-8")
    assert set(read_code(file, tmp_path).parts) == {"tool.py"}
