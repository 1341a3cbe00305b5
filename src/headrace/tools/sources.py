"""The file that a node names as its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

from headrace.domain.flow import Flow, Node
from headrace.errors import DefinitionError, Problem, nearest
from headrace.formats.paths import is_file, is_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A node's file: where it is, and how the user would name it."""

    path: Path
    shown: str


def source_file(node: Node, flow: Flow, folder: Path) -> SourceFile:
    """The file of a node.

    Args:
        node: Names the file relative to the flow's folder.
        flow: For places.
        folder: Where the flow's files are while it runs.

    Raises:
        DefinitionError: F001 when it does not exist, with the nearest file beside it; F006 when none is named.
    """
    if node.source.path is None:
        raise DefinitionError(
            Problem(
                code="F006",
                what=f"The node {node.name!r} does not say which file it runs.",
                span=flow.source_map.span((*node.pointer, "source")),
                pointer=(*node.pointer, "source"),
                fix="Add source.path, relative to the flow's folder.",
            )
        )
    path = folder / node.source.path
    shown = str(PurePath(flow.file).parent / node.source.path)
    if is_file(path):
        return SourceFile(path=path.resolve(), shown=shown)
    pointer = (*node.pointer, "source", "path")
    what = f"The file of the node {node.name!r}, {shown}, does not exist."
    beside = [item.name for item in path.parent.iterdir()] if is_folder(path.parent) else []
    near = nearest(path.name, beside)
    fix = f'Did you mean "{near}"?' if near else "Create the file, or correct source.path."
    if is_folder(path):
        what, fix = f"The file of the node {node.name!r}, {shown}, is a folder.", "Name a file in it."
    span = flow.source_map.span(pointer)
    raise DefinitionError(Problem(code="F001", what=what, span=span, pointer=pointer, fix=fix))
