"""A fingerprint of everything of a flow that can change its answers, its data excepted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from headrace.domain.flow import Flow

_CODE_SUFFIXES = frozenset((".py", ".jinja2", ".jinja", ".j2", ".prompty"))
_SKIPPED_FOLDERS = frozenset(("__pycache__", "node_modules", "data"))


def flow_digest(flow: Flow) -> str:
    """SHA-256 over the flow file, its sources, its includes and all code and templates in its folder.

    Line ends do not count, the order of files on disk does not count, and neither do data folders,
    hidden folders and virtual environments.

    Returns:
        64 hexadecimal digits.
    """
    folder = Path(flow.folder)
    file = folder / Path(flow.file).name
    files = {file.name: file} if file.is_file() else {}  # an entry of a package has no file of its own
    files.update((_relative(file, folder), file) for file in _code_files(folder))
    code = [flow.code] if flow.code.startswith("..") else []
    for name in (*_source_paths(flow), *code, *flow.additional_includes):
        target = folder / name
        if target.is_file():
            files[name] = target
        elif target.is_dir():
            files.update((f"{name}/{_relative(file, target)}", file) for file in _code_files(target))
    total = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def _source_paths(flow: Flow) -> Iterator[str]:
    offered = [node for variants in flow.node_variants.values() for node in variants.variants.values()]
    for node in (*flow.nodes, *offered):
        if node.source.path is not None:
            yield node.source.path


def _code_files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if not _is_skipped(entry):
                yield from _code_files(entry)
        elif entry.suffix in _CODE_SUFFIXES and entry.is_file():
            yield entry


def _is_skipped(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in _SKIPPED_FOLDERS:
        return True
    return folder.is_symlink() or (folder / "pyvenv.cfg").exists()


def _relative(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()
