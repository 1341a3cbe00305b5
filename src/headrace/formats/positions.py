"""YAML and text of the user, with the place of every value. The only home of the YAML library.

Plain data and positions are kept apart: :func:`load_yaml` returns ordinary dicts, lists and scalars,
and a :class:`~headrace.source.SourceMap` that knows where each of them stands. The dialect is YAML 1.2
as prompt flow reads it (see ``scalars``); a duplicate key is an error, because which one counts would
be a guess.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from headrace.errors import DefinitionError, Problem
from headrace.formats.scalars import read_float, read_int, resolve_plain
from headrace.formats.yaml_syntax import syntax_problem
from headrace.source import Pointer, SourceMap, Span, file_span

# libyaml is about ten times faster; PyYAML without it has the same interface.
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_MAX_DEPTH = 100
_MAX_VALUES = 200_000  # a few kilobytes of nested aliases can stand for billions of values
_TAG = "tag:yaml.org,2002:"


def read_text(path: Path, shown: str | None = None) -> str:
    """Read a UTF-8 file; a byte order mark is dropped and every line end becomes a newline character.

    Args:
        path: The file.
        shown: How the user named it; used in problems instead of ``path``.

    Raises:
        DefinitionError: F001 (without a place: the caller knows who asked for the file) or F011.
    """
    text = decode_text(read_bytes(path, shown), shown or str(path))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, shown: str | None = None) -> bytes:
    """Read a whole file.

    Raises:
        DefinitionError: F001 when there is no such file or it cannot be opened.
    """
    with open_bytes(path, shown) as stream:
        return stream.read()


def open_bytes(path: Path, shown: str | None = None) -> BinaryIO:
    """Open a file to read it.

    Raises:
        DefinitionError: F001 when there is no such file or it cannot be opened.
    """
    name = shown or str(path)
    try:
        return path.open("rb")
    except (FileNotFoundError, ValueError) as error:  # a path with a null character is a ValueError
        fix = "Check the path; capital letters count."
        raise DefinitionError(Problem(code="F001", what=f"{name} does not exist.", fix=fix)) from error
    except IsADirectoryError as error:
        what = f"{name} is a folder where a file is needed."
        raise DefinitionError(Problem(code="F001", what=what, fix="Name a file in it.")) from error
    except OSError as error:
        what = f"{name} cannot be opened: {error.strerror or type(error).__name__}."
        fix = "Check the path and its permissions."
        raise DefinitionError(Problem(code="F001", what=what, fix=fix)) from error


def decode_text(content: bytes, file: str) -> str:
    """Decode UTF-8, dropping a byte order mark; line ends stay as they are.

    Raises:
        DefinitionError: F011 at the first byte that is not UTF-8.
    """
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace").removeprefix("\ufeff")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        problem = Problem(
            code="F011",
            what="The file is UTF-16, not UTF-8." if is_utf16 else "The file is not UTF-8 at this place.",
            span=Span(file=file, line=line, column=column, end_line=line, end_column=column + 1),
            fix="Save the file as UTF-8.",
        )
        raise DefinitionError(problem) from error


def load_yaml(text: str, file: str) -> tuple[Any, SourceMap]:
    """Parse one YAML document; an empty one is ``None``.

    Args:
        text: The YAML.
        file: Name of the file for spans.

    Raises:
        DefinitionError: F002 for a syntax error, F003 for every duplicate key.
    """
    data, source_map, problems = read_yaml(text, file)
    if problems:
        raise DefinitionError(*problems)
    return data, source_map


def read_yaml(text: str, file: str) -> tuple[Any, SourceMap, tuple[Problem, ...]]:
    """Like :func:`load_yaml`, but duplicate keys are returned beside the data; there the first one counts.

    Raises:
        DefinitionError: F002 for a syntax error.
    """
    root = _Composer(text, file).compose()
    builder = _Builder(file)
    data = builder.build(root, ()) if root else None
    return data, SourceMap(file=file, values=builder.values, keys=builder.keys), tuple(builder.problems)


def dump_yaml(data: Any) -> str:
    """Write plain data as YAML that :func:`load_yaml` reads back unchanged; keys keep their order."""
    stream = io.StringIO()
    yaml.dump(
        data,
        stream,
        Dumper=_PlainDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    text = stream.getvalue()
    return text.removesuffix("...\n")


class _PlainDumper(_Dumper):  # type: ignore[misc]  # the base is chosen at import time
    """Writes text quoted wherever YAML 1.2 would read something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write anchors: equal values are written again."""
        del data
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    is_plain = isinstance(resolve_plain(text), str) and not text.startswith("=")
    is_block = "\n" in text.strip("\n")
    style = "|" if is_block else None if is_plain else "'"
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


_PlainDumper.add_representer(str, _represent_text)
_PlainDumper.add_multi_representer(Mapping, lambda dumper, data: dumper.represent_dict(dict(data)))
_PlainDumper.add_representer(tuple, lambda dumper, data: dumper.represent_list(list(data)))


@dataclass(slots=True)
class _Node:
    """One composed node; ``content`` is a value, a list of nodes or of pairs, or an alias' target."""

    kind: str
    content: Any
    span: Span
    is_merge: bool = False


class _Composer:
    """Events of the YAML parser → nodes with spans."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._anchors: dict[str, _Node] = {}

    def compose(self) -> _Node | None:
        """The root of the only document, ``None`` when the text holds none.

        Raises:
            DefinitionError: F002.
        """
        loader = None
        try:
            loader = _Loader(self._text)
            return self._document(loader.get_event)
        except yaml.YAMLError as error:
            raise DefinitionError(syntax_problem(error, self._text, self._file)) from error
        finally:
            if loader is not None:
                loader.dispose()

    def _document(self, next_event: Any) -> _Node | None:
        next_event()  # the start of the stream
        if isinstance(next_event(), yaml.StreamEndEvent):
            return None
        root = self._node(next_event(), next_event, 0)
        next_event()  # the end of the document
        extra = next_event()
        if not isinstance(extra, yaml.StreamEndEvent):
            fix = "Keep one document per file: remove the ---."
            raise self._stop(extra, "A second YAML document begins here.", fix)
        return root

    def _node(self, event: Any, next_event: Any, depth: int) -> _Node:
        if depth > _MAX_DEPTH:
            what = f"Values are nested deeper than {_MAX_DEPTH} levels."
            raise self._stop(event, what, "Flatten the file.")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._collection("sequence", event, next_event, depth)
        else:
            node = self._collection("mapping", event, next_event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> _Node:
        target = self._anchors.get(event.anchor)
        if target is None:
            raise self._stop(
                event,
                f"The alias *{event.anchor} has no anchor before it.",
                f"Define &{event.anchor} earlier, or put the text in quotes if no alias is meant.",
            )
        return _Node("alias", target, self._span(event.start_mark, event.end_mark))

    def _scalar(self, event: Any) -> _Node:
        span = self._span(event.start_mark, event.end_mark)
        text, tag = event.value, event.tag
        if tag is None or tag == "!":
            is_plain = tag is None and event.implicit[0]
            return _Node("scalar", resolve_plain(text) if is_plain else text, span, is_plain and text == "<<")
        return _Node("scalar", self._tagged(event, tag.removeprefix(_TAG), text), span)

    def _tagged(self, event: Any, tag: str, text: str) -> Any:
        if tag == "str":
            return text
        read: Callable[[str], Any] = {"int": read_int, "float": read_float}.get(tag, resolve_plain)
        value = read(text)
        fits = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(tag)
        if fits is None or not isinstance(value, fits):
            raise self._stop(event, f"The tag {event.tag} does not fit here.", "Remove the tag.")
        return value

    def _collection(self, kind: str, event: Any, next_event: Any, depth: int) -> _Node:
        if event.tag is not None and event.tag not in (f"{_TAG}map", f"{_TAG}seq", "!"):
            raise self._stop(event, f"The tag {event.tag} does not fit here.", "Remove the tag.")
        content: list[Any] = []
        last: _Node | None = None
        while True:
            item = next_event()
            if isinstance(item, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                break
            last = self._node(item, next_event, depth + 1)
            if kind == "mapping":
                key, last = last, self._node(next_event(), next_event, depth + 1)
                content.append((key, last))
            else:
                content.append(last)
        return _Node(kind, content, self._collection_span(event, item, last))

    def _collection_span(self, start: Any, end: Any, last: _Node | None) -> Span:
        # The end of a block collection is reported where the next token begins, often lines later.
        if end.start_mark.index == end.end_mark.index and last is not None:
            first = start.start_mark
            return Span(
                file=self._file,
                line=first.line + 1,
                column=first.column + 1,
                end_line=last.span.end_line,
                end_column=last.span.end_column,
            )
        return self._span(start.start_mark, end.end_mark)

    def _span(self, start: Any, end: Any) -> Span:
        return Span(
            file=self._file,
            line=start.line + 1,
            column=start.column + 1,
            end_line=end.line + 1,
            end_column=end.column + 1,
        )

    def _stop(self, event: Any, what: str, fix: str) -> DefinitionError:
        return DefinitionError(
            Problem(code="F002", what=what, span=self._span(event.start_mark, event.end_mark), fix=fix)
        )


class _Builder:
    """Nodes → plain data, filling the source map on the way."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0
        self.values: dict[Pointer, Span] = {}
        self.keys: dict[Pointer, Span] = {}
        self.problems: list[Problem] = []

    def build(self, node: _Node, pointer: Pointer) -> Any:
        """The plain value of ``node``, which stands at ``pointer``.

        Raises:
            DefinitionError: F002 when aliases expand to more than a file can hold.
        """
        self._count += 1
        if self._count > _MAX_VALUES:
            what = f"The aliases of the file expand to more than {_MAX_VALUES:,} values."
            place = file_span(self._file)
            raise DefinitionError(Problem(code="F002", what=what, span=place, fix="Use fewer aliases."))
        self.values[pointer] = node.span
        target = _resolve(node)
        if target.kind == "scalar":
            return target.content
        if target.kind == "sequence":
            return [self.build(item, (*pointer, index)) for index, item in enumerate(target.content)]
        return self._mapping(target, pointer)

    def _mapping(self, node: _Node, pointer: Pointer) -> dict[Any, Any]:
        data: dict[Any, Any] = {}
        key_spans: dict[Any, Span] = {}
        merged: list[tuple[Span, _Node]] = []
        for key_node, value_node in node.content:
            if key_node.is_merge:
                if merged:
                    self._duplicate("<<", key_node.span, merged[0][0], pointer)
                merged.append((key_node.span, value_node))
                continue
            key = self._key(key_node)
            if key is None and _resolve(key_node).content is not None:
                continue
            if key in data:
                self._duplicate(key, key_node.span, key_spans[key], pointer)
                continue
            place = (*pointer, _pointer_part(key))
            key_spans[key] = self.keys[place] = key_node.span
            data[key] = self.build(value_node, place)
        for _, source in merged:
            self._merge(source, data, pointer)
        return data

    def _key(self, node: _Node) -> Any:
        target = _resolve(node)
        if target.kind == "scalar":
            return target.content
        is_template = target.kind == "mapping" and len(target.content) == 1
        fix = "Put the text in quotes if it begins with {{ or ${." if is_template else "Use text as the key."
        what = "A key must be text, not a mapping or list."
        self.problems.append(Problem(code="F005", what=what, span=node.span, fix=fix))
        return None

    def _duplicate(self, key: Any, span: Span, first: Span, pointer: Pointer) -> None:
        self.problems.append(
            Problem(
                code="F003",
                what=f"The key {str(key)!r} is in this mapping twice.",
                span=span,
                pointer=(*pointer, _pointer_part(key)),
                fix="Remove or rename one of the two.",
                related=(("first defined here", first),),
            )
        )

    def _merge(self, source: _Node, data: dict[Any, Any], pointer: Pointer) -> None:
        """Add the keys of ``<<: *anchor`` that are not set yet."""
        for mapping in _merge_sources(source):
            if mapping is None:
                what, fix = "Only mappings, or a list of them, can be merged with <<.", "Merge a mapping."
                problem = Problem(code="F005", what=what, span=source.span, pointer=pointer, fix=fix)
                self.problems.append(problem)
                continue
            seen: dict[Any, Span] = {}
            for key_node, value_node in mapping.content:
                if key_node.is_merge:
                    self._merge(value_node, data, pointer)
                    continue
                key = self._key(key_node)
                if key in seen and source.kind != "alias":  # an anchored mapping is checked where it stands
                    self._duplicate(key, key_node.span, seen[key], pointer)
                seen.setdefault(key, key_node.span)
                if key is not None and key not in data:
                    place = (*pointer, _pointer_part(key))
                    self.keys[place] = key_node.span
                    data[key] = self.build(value_node, place)


def _resolve(node: _Node) -> _Node:
    return node.content if node.kind == "alias" else node


def _merge_sources(node: _Node) -> Iterator[_Node | None]:
    target = _resolve(node)
    items: Sequence[_Node] = target.content if target.kind == "sequence" else (target,)
    for item in items:
        mapping = _resolve(item)
        yield mapping if mapping.kind == "mapping" else None


def _pointer_part(key: Any) -> str:
    return key if isinstance(key, str) else str(key)
