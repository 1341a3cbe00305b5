"""Which files a flow is made of: its own file, code, prompts, requirements, and what these name or import."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

from headrace.domain.flow import Flow
from headrace.domain.version import CODE, DATA, GRAPH, PROMPT, REQUIREMENTS
from headrace.errors import DefinitionError
from headrace.formats.code_files import local_files
from headrace.formats.flow_file import FLOW_FILE_NAMES
from headrace.formats.front_matter import read_prompty_text
from headrace.formats.named_files import is_name_in
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.python_source import looks_like_path, read_python

_PROMPTS = frozenset((".jinja2", ".jinja", ".j2", ".prompty"))
_SKIPPED_FOLDERS = frozenset(("__pycache__", "node_modules"))
_SECRET_FILE = re.compile(
    r"\.env(\..*)?|.*\.env|.*\.(pem|key|pfx|p12|jks|keystore|kdbx)|id_(rsa|dsa|ecdsa|ed25519)(\..*)?"
    r"|\.(netrc|pgpass|npmrc|pypirc)|credentials?(\..*)?|secrets?\.(ya?ml|json|toml|ini|txt)",
    re.IGNORECASE,
)
_REQUIREMENTS = re.compile(r"requirements.*\.txt", re.IGNORECASE)
_FILE_VALUE = re.compile(r"\$\{file:(.*)\}", re.IGNORECASE)
_MODULE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFiles:
    """The files of a flow.

    Attributes:
        data: What the flow file holds; ``None`` for a flow that is only an entry.
        body: The prompt below the front matter of a prompty.
        file: Name of the flow file; empty for a flow that is only an entry.
        files: Path from the flow's folder, parts separated by ``/``, to kind and place on the disk; in order of path.
        skipped: Paths of files that hold keys and passwords by their names; they belong to no version.
    """

    data: Any
    body: str
    file: str
    files: Mapping[str, tuple[str, Path]]
    skipped: tuple[str, ...]


def find_flow_files(flow: Flow) -> FlowFiles:
    """Find the files of a flow as they are now.

    They are the flow file; code, prompts and requirements in its folder, but for hidden folders, virtual environments,
    ``data`` folders and flows of their own; its includes, whole; the modules that its code imports, transitively; and
    the files and folders that its code and its file name.

    Args:
        flow: Only its place counts: the file is read again, so that nothing chosen for a run is among it.

    Raises:
        DefinitionError: The flow file cannot be read any more.
    """
    folder = Path(flow.folder)
    file = folder / Path(flow.file).name
    data, body = _read_flow_file(file)
    found = _Found(folder)
    if data is not None:
        found.add(file, GRAPH)
    found.add_folder(folder)
    texts = list(_texts(data))
    roots = [folder]
    if isinstance(data, dict):
        code = data.get("code")
        if isinstance(code, str):
            roots.append(folder / code)
            found.add_folder(folder / code)
        for text in _includes(data):
            roots += found.add_include(text)
        for path in _sources(data):
            found.add(folder / path, CODE if path.endswith(".py") else PROMPT)
    entry = flow.entry or ""
    starts = [path for path in _sources(data) if path.endswith(".py")]
    modules = [text for text in (*texts, entry) if _MODULE.fullmatch(text)]
    found.follow([*(folder / path for path in starts), *_entries(modules, roots)], roots)
    for text in texts:
        inner = _FILE_VALUE.fullmatch(text)
        if inner is not None or looks_like_path(text):
            found.add_named(inner[1] if inner else text, [folder])
    for text in _given(data):
        if is_name_in(folder, text):
            found.add_named(text, [folder])
    return FlowFiles(
        data=data,
        body=body,
        file=file.name if data is not None else "",
        files={path: found.files[path] for path in sorted(found.files)},
        skipped=tuple(sorted(found.skipped)),
    )


def is_secret_file(name: str) -> bool:
    """Whether a file holds keys or passwords, by its name."""
    return _SECRET_FILE.fullmatch(name) is not None


def _read_flow_file(file: Path) -> tuple[Any, str]:
    """What the flow file holds, and the body of a prompty; nothing for the module of an entry."""
    if file.suffix == ".prompty":
        parts = read_prompty_text(file)
        return parts.data, parts.body
    if file.suffix not in (".yaml", ".yml"):
        return None, ""
    data, _, problems = read_yaml(read_text(file), str(file))
    if data is None:
        raise DefinitionError(*problems)
    return data, ""


@dataclass(slots=True)
class _Found:
    """Files that were found so far, by their paths from ``folder``, which is absolute and has no links."""

    folder: Path
    files: dict[str, tuple[str, Path]] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)

    def add(self, file: Path, kind: str) -> None:
        path = self._path(file)
        if path is None or not _is_file(file):
            return
        if is_secret_file(file.name):
            self.skipped.add(path)
        elif path not in self.files:
            self.files[path] = (kind, file)

    def add_folder(self, folder: Path) -> None:
        """Code, prompts and requirements of a folder."""
        for entry in _entries_of(folder):
            if entry.is_dir():
                if not _is_skipped(entry) and entry.name != "data" and not _is_flow(entry):
                    self.add_folder(entry)
            elif entry.suffix == ".py":
                self.add(entry, CODE)
            elif entry.suffix in _PROMPTS:
                self.add(entry, PROMPT)
            elif _REQUIREMENTS.fullmatch(entry.name):
                self.add(entry, REQUIREMENTS)
            elif is_secret_file(entry.name):
                self.add(entry, DATA)

    def add_include(self, text: str) -> list[Path]:
        """A whole include; returns where modules may be imported from because of it."""
        target = self.folder / text
        if target.suffix == ".zip" and not target.exists():
            target = target.with_suffix("")
        if not target.is_dir():
            self.add(target, _kind(target))
            return [target.parent]
        self._add_all(target)
        return [target.parent, target]

    def follow(self, waiting: list[Path], roots: list[Path]) -> None:
        """Files of the project that code imports, transitively, and what it names."""
        seen: set[Path] = set()
        while waiting:
            file = waiting.pop()
            if file in seen or not _is_file(file):
                continue
            seen.add(file)
            if not self._has(file):
                self.add(file, CODE)
            source = read_python(file.read_text(encoding="utf-8", errors="replace"), str(file))
            if source is None:
                continue
            for text in source.paths:
                self.add_named(text, [file.parent, *roots])
            for item in source.imports:
                waiting += local_files(item, [file.parent, *roots])

    def add_named(self, text: str, roots: list[Path]) -> None:
        """A file or folder that a text names, in the first of ``roots`` that has it."""
        if Path(text).is_absolute() or text.startswith("~"):
            return
        for root in roots:
            target = root / text
            try:
                if target.is_dir():
                    if not self.folder.resolve().is_relative_to(target.resolve()):
                        self._add_all(target)
                    return
                if target.is_file():
                    self.add(target, _kind(target))
                    return
            except (OSError, ValueError):  # no path on this system
                return

    def _add_all(self, folder: Path) -> None:
        for entry in _entries_of(folder):
            if entry.is_dir():
                if not _is_skipped(entry):
                    self._add_all(entry)
            elif not entry.name.startswith(".") or is_secret_file(entry.name):
                self.add(entry, _kind(entry))

    def _has(self, file: Path) -> bool:
        """Whether a file was found already, under another name perhaps."""
        resolved = file.resolve()
        return any(place.resolve() == resolved for _, place in self.files.values())

    def _path(self, file: Path) -> str | None:
        """Path from the flow's folder; ``None`` for what lies on another disk."""
        try:
            return normalize("NFC", Path(os.path.relpath(file, self.folder)).as_posix())
        except ValueError:
            return None


def _kind(file: Path) -> str:
    if file.suffix == ".py":
        return CODE
    if file.suffix in _PROMPTS:
        return PROMPT
    return REQUIREMENTS if _REQUIREMENTS.fullmatch(file.name) else DATA


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False


def _entries_of(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_skipped(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS:
        return True
    return folder.is_symlink() or (folder / "pyvenv.cfg").exists()


def _is_flow(folder: Path) -> bool:
    return any((folder / name).is_file() for name in FLOW_FILE_NAMES)


def _entries(texts: list[str], roots: list[Path]) -> Iterator[Path]:
    """Files of the modules of ``module:callable`` texts."""
    for text in texts:
        words = text.partition(":")[0].split(".")
        for root in roots:
            base = root.joinpath(*words)
            yield base.with_name(f"{base.name}.py")
            for count in range(1, len(words) + 1):
                yield root.joinpath(*words[:count], "__init__.py")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _given(data: Any) -> Iterator[str]:
    """Texts that nodes are given: values of their inputs, those of variants too, and defaults of the flow's inputs."""
    for node in _nodes(data):
        yield from _texts(node.get("inputs"))
    inputs = data.get("inputs") if isinstance(data, dict) else None
    for value in inputs.values() if isinstance(inputs, dict) else ():
        yield from _texts(value.get("default") if isinstance(value, dict) else None)


def _includes(data: Mapping[str, Any]) -> list[str]:
    given = data.get("additional_includes")
    return [text for text in given if isinstance(text, str)] if isinstance(given, list) else []


def _sources(data: Any) -> list[str]:
    """Paths of the sources of all nodes, those of variants included."""
    found = []
    for node in _nodes(data):
        source = node.get("source")
        path = source.get("path") if isinstance(source, dict) else None
        if isinstance(path, str):
            found.append(path)
    return found


def _nodes(data: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(data, dict):
        return
    nodes = data.get("nodes")
    yield from (node for node in (nodes if isinstance(nodes, list) else ()) if isinstance(node, dict))
    offers = data.get("node_variants")
    for offer in offers.values() if isinstance(offers, dict) else ():
        variants = offer.get("variants") if isinstance(offer, dict) else None
        for variant in variants.values() if isinstance(variants, dict) else ():
            node = variant.get("node") if isinstance(variant, dict) else None
            if isinstance(node, dict):
                yield node
