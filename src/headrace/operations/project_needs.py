"""What a flow needs besides its files, told without running any of its code: packages, connections, variables."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path, PurePath

from headrace.domain.flow import Flow, Node
from headrace.domain.project import Need
from headrace.errors import DefinitionError
from headrace.formats.code_files import distribution_of, local_files
from headrace.formats.env_file import find_env_file, read_env_file
from headrace.formats.python_source import PythonSource, read_python
from headrace.operations.workspace import Workspace
from headrace.source import Span

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_]\w*)\}", re.IGNORECASE)
_CONNECTION_VALUE = re.compile(r"\$\{([^.{}]+)\.([^.{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """One Python file of a flow, read."""

    path: Path
    shown: str
    source: PythonSource


def python_sources(flow: Flow, shown_folder: PurePath) -> tuple[SourceText, ...]:
    """The Python files that a flow runs: its tools or its entry, and what they import from beside them.

    Args:
        flow: As read.
        shown_folder: How the flow's folder is named to the user.
    """
    folder = Path(flow.folder)
    roots = [folder, *((folder / name).resolve().parent for name in flow.additional_includes)]
    waiting = list(dict.fromkeys(_entry_files(flow, folder)))
    found: dict[Path, SourceText] = {}
    while waiting:
        path = waiting.pop(0)
        if path in found or not path.is_file():
            continue
        shown = str(shown_folder / path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        source = read_python(path.read_text(encoding="utf-8", errors="replace"), shown)
        if source is None:
            continue
        found[path] = SourceText(path=path, shown=shown, source=source)
        waiting += [file for item in source.imports for file in local_files(item, [path.parent, *roots])]
    return tuple(found.values())


def _entry_files(flow: Flow, folder: Path) -> Iterator[Path]:
    if flow.entry:
        yield folder / (flow.entry.partition(":")[0].replace(".", "/") + ".py")
    for node in _all_nodes(flow):
        if node.type == "python" and node.source.path:
            yield (folder / node.source.path).resolve()


def _all_nodes(flow: Flow) -> Iterator[Node]:
    yield from flow.nodes
    for variants in flow.node_variants.values():
        yield from (node for name, node in variants.variants.items() if name != variants.default)


def package_needs(sources: Sequence[SourceText], served: Collection[str]) -> Iterator[Need]:
    """Packages that the sources import and cannot do without; each once, where it is imported first."""
    seen: set[str] = set()
    for text in sources:
        for item in text.source.imports:
            top = item.module.partition(".")[0]
            if item.is_optional or not top or top in sys.stdlib_module_names or top in served:
                continue
            if any(local_files(item, [text.path.parent, *(other.path.parent for other in sources)])):
                continue
            name = distribution_of(item.module)
            if name not in seen:
                seen.add(name)
                note = f"pip install {name}"
                yield Need(
                    kind="package", name=name, is_met=is_installed(item.module), span=item.span, note=note
                )


def is_installed(module: str) -> bool:
    """Whether a module can be imported; nothing is imported to find out."""
    places: Sequence[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec: ModuleSpec | None = PathFinder.find_spec(name, places)
        if spec is None:
            return False
        if spec.origin is not None or spec.submodule_search_locations is None:
            return True  # an ordinary package or module may make the rest by itself
        places = list(spec.submodule_search_locations)
    return True


def variable_needs(
    workspace: Workspace, flow: Flow, sources: Sequence[SourceText], prompts: Mapping[str, str]
) -> Iterator[Need]:
    """Environment variables that code or prompties ask for and have nothing to fall back on.

    Args:
        workspace: For the environment.
        flow: It may set variables itself.
        sources: Its Python files.
        prompts: Text of its prompties by how they are named to the user.
    """
    offered = {*workspace.settings.environment, *flow.environment_variables}
    file, in_file = _dotenv(flow, workspace.settings.environment)
    if any(item.module.partition(".")[0] == "dotenv" for text in sources for item in text.source.imports):
        offered.update(in_file)
    wanted: dict[str, Span] = {}
    for text in sources:
        for item in text.source.variables:
            if not item.is_optional:
                wanted.setdefault(item.name, item.span)
    for shown, prompt in prompts.items():
        for number, line in enumerate(prompt.splitlines(), start=1):
            for match in _VARIABLE.finditer(line):
                span = _place(shown, number, match)
                wanted.setdefault(match[1], span)
    for name, span in wanted.items():
        note = _note(name, file if name in in_file else None, workspace.cwd)
        yield Need(kind="variable", name=name, is_met=name in offered, span=span, note=note)


def _place(file: str, line: int, match: re.Match[str]) -> Span:
    return Span(file=file, line=line, column=match.start() + 1, end_line=line, end_column=match.end() + 1)


def _dotenv(flow: Flow, environment: Mapping[str, str]) -> tuple[Path | None, Collection[str]]:
    """The ``.env`` file that code which loads one would find, beside the flow or above it, and the names in it."""
    file = find_env_file(Path(flow.folder))
    try:
        return file, read_env_file(file, environment) if file else ()
    except DefinitionError:
        return file, ()


def _note(name: str, file: Path | None, cwd: Path) -> str:
    """What to do about a variable that is not set; one that is in a file stands there for the asking."""
    if file is None:
        return f"export {name}=…, or --environment-variables {name}=…"
    shown = file.relative_to(cwd) if file.is_relative_to(cwd) else file
    return f"it is in {shown}, which is not read by itself: --environment-variables {shown}"


def connection_needs(workspace: Workspace, flow: Flow, sources: Sequence[SourceText]) -> Iterator[Need]:
    """Connections that the nodes name, each once, and whether they are there."""
    annotated = {name: kind for text in sources for name, kind in text.source.connections}
    wanted: dict[str, tuple[Span, str]] = {}
    for node in _all_nodes(flow):
        for key, value, kind in _named_connections(node, annotated):
            inside = () if key == "connection" and node.connection else ("inputs",)
            pointer = (*node.pointer, *inside, key)
            wanted.setdefault(value, (flow.source_map.span(pointer), kind))
    for variable, text in flow.environment_variables.items():
        found = _CONNECTION_VALUE.fullmatch(text)
        if found:
            wanted.setdefault(
                found[1], (flow.source_map.span(("environment_variables", variable)), "a connection")
            )
    for name, (span, kind) in wanted.items():
        yield Need(
            kind="connection",
            name=name,
            is_met=_is_there(workspace, name),
            span=span,
            note=f"{kind}: headrace connection create --file FILE --name {name}",
        )


def _named_connections(node: Node, annotated: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Key, connection name and what kind is wanted."""
    if node.connection:
        yield "connection", node.connection, "a model service"
    for key, value in node.inputs.items():
        if not isinstance(value, str) or not value:
            continue
        if node.type == "python" and node.source.type == "code":
            if key in annotated:
                yield key, value, annotated[key]
        elif key == "connection":
            yield key, value, "a connection"


def _is_there(workspace: Workspace, name: str) -> bool:
    try:
        return workspace.connections.find(name) is not None
    except DefinitionError:
        return False


def prompt_texts(flow: Flow, shown_folder: PurePath) -> dict[str, str]:
    """Text of the prompties in a flow's folder, by how they are named to the user."""
    is_prompty = flow.file.endswith(".prompty")
    files = [Path(flow.file)] if is_prompty else sorted(Path(flow.folder).glob("*.prompty"))
    return {
        str(shown_folder / file.name): file.read_text(encoding="utf-8", errors="replace") for file in files
    }
