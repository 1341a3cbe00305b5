"""Requirements: what a line names, and where it applies."""

from __future__ import annotations

import pytest

from headrace.formats.requirements import parse_requirement

LINUX = {"sys_platform": "linux", "python_version": "3.11", "os_name": "posix"}


@pytest.mark.parametrize(
    ("text", "name", "extras"),
    [
        ("PyYAML", "pyyaml", set()),
        ("zope.interface>=1,<2  # because", "zope-interface", set()),
        ("uvicorn[standard, Other_One]==1.*", "uvicorn", {"standard", "other-one"}),
        ('a ; python_version < "3"', "a", set()),
        ("a @ https://index.example/a-1.whl", "a", set()),
    ],
)
def test_a_line_names_a_distribution(text: str, name: str, extras: set[str]) -> None:
    found = parse_requirement(text)
    assert found is not None
    assert (found.name, set(found.extras)) == (name, extras)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "-r other.txt",
        "--index-url https://x.example",
        "./folder",
        "https://x.example/a.whl",
    ],
)
def test_other_lines_name_none(text: str) -> None:
    assert parse_requirement(text) is None


@pytest.mark.parametrize(
    ("marker", "applies"),
    [
        ("sys_platform == 'win32'", False),
        ("sys_platform != 'win32' and python_version >= '3.9'", True),
        ("python_version < '3.9' or os_name == 'posix'", True),
        ("python_version < '3.9'", False),  # and not by comparing texts
        ("extra == 'fast'", True),
        ("extra == 'slow'", False),
        ("(sys_platform == 'win32') and extra == 'fast'", False),
        ("unheard_of == 'x'", True),
        ("python_version not in '3.11'", True),
    ],
)
def test_a_marker_says_where_it_applies(marker: str, applies: bool) -> None:
    found = parse_requirement(f"a; {marker}")
    assert found is not None
    assert found.applies(LINUX, {"fast"}) is applies
