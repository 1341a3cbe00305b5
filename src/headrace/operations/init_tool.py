"""Write a new tool: a Python file, or an installable package that offers it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.paths import exists
from headrace.operations.new_files import cannot_write, refuse_existing, write_files
from headrace.source import file_span

_LISTING = '''\
"""Tells prompt flow and headrace which tools this package has: the entry point ``package_tools``."""

import json
from pathlib import Path


def list_package_tools():
    return json.loads((Path(__file__).parent / "tools.json").read_text(encoding="utf-8"))
'''
_PROJECT = """\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "{package}"
version = "0.0.1"
description = "Tools for prompt flow."

[project.entry-points.package_tools]
{package} = "{package}.listing:list_package_tools"

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
{package} = ["tools.json", "icons/*"]
"""
_README = """\
# {package}

Tools for flows. Install it beside the engine that runs them: `pip install -e .`

- `{package}/*.py`: one tool each, a function with `@tool`
- `{package}/tools.json`: what the package says about its tools. Change the inputs there with the function
- `{package}/listing.py`: hands that out; the entry point `package_tools` in `pyproject.toml` leads to it

`headrace tool validate --source {package}` compares the two. A node uses a tool as
`source: {{type: package, tool: {package}.NAME.NAME}}`.
"""


def init_tool(
    folder: Path, tool: str, package: str | None = None, options: Mapping[str, Any] | None = None
) -> tuple[Path, ...]:
    """Write a tool into ``folder``, or into the package of that name in it, which may exist.

    Args:
        folder: Where the file or the package goes.
        tool: Name of the function.
        package: Name of the package; ``None`` for a file alone.
        options: ``icon`` (path of a picture), ``category``, ``tags`` and others, for the decorator.

    Returns:
        The files that were written.

    Raises:
        UsageError: C507 for a name that cannot be one in Python, S806 when the tool exists.
        DefinitionError: F001 when the icon does not exist, F002 when the package's ``tools.json`` cannot be read.
        StateError: S808 when a file cannot be written.
    """
    options = dict(options or {})
    for name in (tool, *([package] if package else [])):
        if not name.isidentifier():
            what = f"{name!r} cannot be the name of a tool or package."
            raise UsageError(Problem(code="C507", what=what, fix="Use letters, digits and _ only."))
    icon = _find_icon(options)
    if package is None:
        return write_files({folder / f"{tool}.py": _make_tool(tool, options, icon_folder=None)})
    inside = folder / package / package
    refuse_existing([inside / f"{tool}.py"])
    tools = _read_tools(inside / "tools.json")
    tools[f"{package}.{tool}.{tool}"] = _describe(package, tool, options)
    files = {
        folder / package / "pyproject.toml": _PROJECT.format(package=package),
        folder / package / "README.md": _README.format(package=package),
        inside / "__init__.py": "",
        inside / "listing.py": _LISTING,
    }
    written = write_files({path: text for path, text in files.items() if not path.exists()})
    changing = {
        inside / f"{tool}.py": _make_tool(tool, options, icon_folder="icons"),
        inside / "tools.json": json.dumps(tools, indent=2, ensure_ascii=False) + "\n",
    }
    written += write_files(changing, is_replacing=True)
    return written + _copy_icon(icon, inside / "icons")


def _find_icon(options: Mapping[str, Any]) -> Path | None:
    if not options.get("icon"):
        return None
    path = Path(str(options["icon"]))
    if not path.is_file():
        raise DefinitionError(
            Problem(code="F001", what=f"The icon {path} does not exist.", fix="Correct the path.")
        )
    return path


def _copy_icon(icon: Path | None, folder: Path) -> tuple[Path, ...]:
    if icon is None:
        return ()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (Path(shutil.copy2(icon, folder / icon.name)),)
    except OSError as error:
        raise cannot_write(folder / icon.name, error) from error


def _read_tools(path: Path) -> dict[str, Any]:
    if not exists(path):
        return {}
    try:
        tools = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        tools = None
    if isinstance(tools, dict):
        return tools
    what = "The list of the package's tools is not valid JSON."
    raise DefinitionError(
        Problem(code="F002", what=what, span=file_span(str(path)), fix="Correct it, or delete the file.")
    )


def _describe(package: str, tool: str, options: Mapping[str, Any]) -> dict[str, Any]:
    extras = {name: value for name, value in options.items() if name != "icon"}
    return {
        "name": tool,
        "description": f"This is the tool {tool}.",
        "type": "python",
        "module": f"{package}.{tool}",
        "function": tool,
        "inputs": {"text": {"type": ["string"]}},
        **extras,
    }


def _make_tool(tool: str, options: Mapping[str, Any], *, icon_folder: str | None) -> str:
    arguments = [f'    name="{tool}",', f'    description="This is the tool {tool}.",']
    lines = ["from promptflow.core import tool", "", ""]
    for name, value in options.items():
        text = repr(value)
        if name == "icon" and icon_folder is not None:
            text = f'Path(__file__).parent / "{icon_folder}" / {Path(str(value)).name!r}'
            lines.insert(0, "from pathlib import Path\n")
        arguments.append(f"    {name}={text},")
    lines += [
        "@tool(",
        *arguments,
        ")",
        f"def {tool}(text: str) -> str:",
        '    """Put the work of the tool here; its parameters are the inputs of the node."""',
        '    return "Hello " + text',
    ]
    return "\n".join(lines) + "\n"
