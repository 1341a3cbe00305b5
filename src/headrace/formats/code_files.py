"""What the code of a tool is made of, told without running it: its file, and what that imports and reads.

A result may be used again while all of this is as it was. What code opens under a name that it works out itself cannot
be seen here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from headrace.domain.cache import Code
from headrace.formats.named_files import (
    NamedFiles,
    file_digest,
    folder_digest,
    is_name_in,
    shown_path,
)
from headrace.formats.python_source import Import, looks_like_path, read_python

DISTRIBUTIONS: Mapping[str, str] = {
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "jwt": "PyJWT",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""Module → distribution, where the two are called differently."""

_SERVED = ("promptflow", "headrace")
_PLAIN_NAMES = frozenset(("tool", "ToolProvider", "log_metric", "PromptTemplate"))
_PLAIN_MODULES = ("promptflow.connections", "promptflow.contracts")
_UNSTEADY = frozenset(
    ("random", "secrets", "uuid", "socket", "ssl", "http", "urllib", "ftplib", "smtplib", "subprocess")
)  # fmt: skip
"""Modules of the standard library with which the same arguments may give different results."""


def read_code(file: Path, folder: Path, texts: Sequence[str] = ()) -> Code:
    """What the code in a Python file is made of.

    It is the file itself, the modules of the project that it imports, transitively, the packages that they import by
    name and version, and the files and folders that stand in them by name.

    Args:
        file: The file.
        folder: The project: where its modules are imported from.
        texts: Arguments of the tool; files and folders that they name count as well.
    """
    parts: dict[str, str] = {}
    variables: dict[str, None] = {}
    is_steady = True
    named = NamedFiles(folder)
    waiting, seen = [file.resolve()], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        parts[shown_path(path, folder)] = file_digest(path)
        source = read_python(path.read_text(encoding="utf-8", errors="replace"), str(path))
        if source is None:
            continue
        variables.update((item.name, None) for item in source.variables)
        if source.has_hidden_imports:
            waiting += folder.rglob("*.py")
        for text in source.paths:
            named.add(text, (path.parent, folder))
        for item in source.imports:
            own = [found for root in (path.parent, folder) for found in local_files(item, [root])]
            waiting += own
            if not own:
                parts.update(package_parts(item.module))
                is_steady = is_steady and _is_steady(item)
    _add_given(named, texts, folder)
    return Code(
        parts={**parts, **named.parts()},
        variables=tuple(sorted(variables)),
        is_steady=is_steady,
        changed=named.changed,
    )


def read_package_code(module: str, name: str, folder: Path, texts: Sequence[str] = ()) -> Code:
    """What a function of an installed package is made of: the package; whether it is steady cannot be known.

    Args:
        module: Where the function stands.
        name: Its name.
        folder: The project that uses it.
        texts: Arguments of the tool, as for :func:`read_code`.
    """
    named = NamedFiles(folder)
    _add_given(named, texts, folder)
    parts = {**package_parts(module), "function": f"{module}.{name}", **named.parts()}
    return Code(parts=parts, is_steady=False, changed=named.changed)


def _add_given(named: NamedFiles, texts: Sequence[str], folder: Path) -> None:
    for text in texts:
        if looks_like_path(text) or is_name_in(folder, text):
            named.add(text, (folder,))


def local_files(item: Import, roots: Sequence[Path]) -> Iterator[Path]:
    """Files of a project that an import means: the module, the packages that it is in, and names that are modules.

    Args:
        item: The import; one with dots is looked for below ``roots`` as well, and in the folders above them.
        roots: Where modules are imported from.
    """
    module = item.module.lstrip(".")
    levels = max(len(item.module) - len(module) - 1, 0)
    names = [module] if module else []
    names += [f"{module}.{name}" if module else name for name in item.names]
    for root in roots:
        place = root.joinpath(*[".."] * levels)
        for name in names:
            words = name.split(".")
            base = place.joinpath(*words)
            packages = [place.joinpath(*words[:count], "__init__.py") for count in range(1, len(words) + 1)]
            for file in (base.with_name(f"{base.name}.py"), *packages):
                if file.is_file():
                    yield file.resolve()


def distribution_of(module: str) -> str:
    """The distribution that most likely provides a module."""
    parts = module.split(".")
    if parts[0] in ("azure", "google") and len(parts) > 1:
        return "-".join(
            parts[:3] if len(parts) > 2 and parts[1] in ("ai", "search", "storage", "cloud") else parts[:2]
        )
    return DISTRIBUTIONS.get(parts[0], parts[0].replace("_", "-"))


def package_parts(module: str) -> Mapping[str, str]:
    """The package of an imported module by name and version; by its files where its version does not follow them."""
    top = module.partition(".")[0]
    if not top or top in sys.stdlib_module_names or top in _SERVED:
        return {}
    name, version = _installed(distribution_of(module))
    if version:
        return {f"package {name}": version}
    spec: ModuleSpec | None = PathFinder.find_spec(top)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if places:
        return {f"package {top}": folder_digest(Path(places[0]))}
    return {f"package {top}": file_digest(Path(spec.origin))} if spec and spec.origin else {}


@lru_cache(maxsize=512)
def _installed(name: str) -> tuple[str, str | None]:
    """A distribution's name and version; none where it is not installed, or installed from a folder that changes."""
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return name, None
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    return name, None if "dir_info" in origin else found.version


def _is_steady(item: Import) -> bool:
    top = item.module.partition(".")[0]
    if top in _SERVED:
        return item.module.startswith(_PLAIN_MODULES) or bool(
            item.names and _PLAIN_NAMES.issuperset(item.names)
        )
    return top in sys.stdlib_module_names and top not in _UNSTEADY
