"""Python files read without being run: what they import, and which environment variables and files they ask for."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from headrace.source import Span

_IMPORTERS = ("import_module", "importlib.import_module", "__import__")
_PATH_MAKERS = (
    "open",
    "Path",
    "PurePath",
    "join",
    "joinpath",
    "abspath",
    "load",
    "read_text",
    "listdir",
    "scandir",
    "walk",
    "glob",
    "iglob",
    "rglob",
    "load_flow",
    "load_local",
    "FileSystemLoader",
    "DirectoryLoader",
)
_GLOBS = ("glob", "iglob", "rglob")
_JOINERS = ("Path", "PurePath", "join", "joinpath", "abspath")
_PATTERN = re.compile(r"[*?\[]")
"""Where the pattern of a glob begins to fit more than one name."""
_OPENERS = ("open", "io.open", "codecs.open")
_WRITERS = ("write_text", "write_bytes", "touch", "mkdir", "unlink")
_WRITING = re.compile(r"(?=[bt]?[wax])[wabtx]+")
_PATH = re.compile(r"(?=.*[/\\]|.*\.\w{1,10}\Z)(?=.*\w)[\w ./\\@+~:-]+")
_LONGEST_PATH = 200
_MOST_PARSES = 20
_OPTIONAL = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module.

    Attributes:
        module: Its full name; for ``from . import x`` the dots are kept.
        names: What is taken from it; empty for ``import module``.
        is_optional: The file goes on without it: the import stands in a ``try`` that expects it to fail.
    """

    module: str
    names: tuple[str, ...]
    span: Span
    is_optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable that is asked for; ``is_optional`` where the code has something to fall back on."""

    name: str
    span: Span
    is_optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSource:
    """What a Python file says about its surroundings.

    Attributes:
        connections: Parameters annotated with a connection class: name to the annotation.
        paths: Texts that may be paths of files: they look like one, or stand where a path is made. One that is only
            opened to be written is none, because nothing that is returned can depend on it.
        has_hidden_imports: It imports modules whose names it works out when it runs.
    """

    imports: tuple[Import, ...]
    variables: tuple[Variable, ...]
    connections: tuple[tuple[str, str], ...]
    paths: tuple[str, ...] = ()
    has_hidden_imports: bool = False


def read_python(text: str, file: str) -> PythonSource | None:
    """Read a Python file.

    Args:
        text: Its content.
        file: As the user would name it, for spans.

    Returns:
        ``None`` when it is not Python that can be parsed; running it says why.
    """
    try:
        tree = _parse(text, file)
    except (SyntaxError, ValueError, RecursionError):
        return None
    optional = {id(item) for node in ast.walk(tree) if _expects_failure(node) for item in _body(node)}
    named = [(_text(node.args[0]), node) for node in ast.walk(tree) if _imports_by_name(node)]
    by_name = (
        Import(module=name, names=(), span=_span(node, file), is_optional=id(node) in optional)
        for name, node in named
        if name
    )
    return PythonSource(
        imports=(*_imports(tree, file, optional), *by_name),
        variables=tuple(_variables(tree, file)),
        connections=tuple(_connections(tree)),
        paths=tuple(dict.fromkeys(_paths(tree))),
        has_hidden_imports=any(not name for name, _ in named),
    )


def _parse(text: str, file: str) -> ast.Module:
    for _ in range(_MOST_PARSES):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a user's text is not ours to report
            try:
                return ast.parse(text, filename=file)
            except SystemError:
                # CPython 3.11 counts the depth of all threads together: one that prints a traceback parses as well.
                continue
    return ast.parse(text, filename=file)


def _imports_by_name(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and bool(node.args) and ast.unparse(node.func) in _IMPORTERS


def _paths(tree: ast.Module) -> Iterator[str]:
    """Texts with a slash or an ending, and single words where a path is put together or a file is opened.

    A name that the module gives a text stands for it, also inside an f-string; of a pattern the folder counts that it
    begins with.
    """
    written = {id(node) for call in ast.walk(tree) for node in _written(call)}
    constants = _constants(tree)
    for node in ast.walk(tree):
        if id(node) in written:
            continue
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from _named_by((node.left, node.right), constants)
        elif isinstance(node, ast.Call) and (maker := _last_name(node.func)) in _PATH_MAKERS:
            given = (*node.args, *(keyword.value for keyword in node.keywords))
            names = _named_by([item for item in given if id(item) not in written], constants)
            yield from filter(None, map(_before_pattern, names)) if maker in _GLOBS else names
        elif (text := _text(node)) and looks_like_path(text):
            yield text


def _named_by(nodes: Iterable[ast.expr], constants: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        if text := _known_text(node, constants):
            yield text


def _last_name(function: ast.expr) -> str:
    return ast.unparse(function).rpartition(".")[2]


def _before_pattern(text: str) -> str:
    """The folder that the names begin with which a pattern of a glob fits."""
    start = _PATTERN.split(text, maxsplit=1)[0]
    return start if start == text else start.rpartition("/")[0]


def _known_text(node: ast.expr, constants: Mapping[str, str]) -> str | None:
    """The text that an expression is: a literal, a name for one, or an f-string or sum of these."""
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.Attribute):
        return constants.get(node.attr)
    if isinstance(node, ast.FormattedValue):
        return _known_text(node.value, constants)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_known_text(side, constants) for side in (node.left, node.right)]
    elif isinstance(node, ast.JoinedStr):
        parts = [_known_text(part, constants) for part in node.values]
    else:
        return _text(node)
    return None if None in parts else "".join(part for part in parts if part is not None)


def _constants(tree: ast.Module) -> Mapping[str, str]:
    """Names and attributes that are given one text in the whole module, and nothing else."""
    found: dict[str, set[str | None]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name | ast.Attribute):
                    name = target.id if isinstance(target, ast.Name) else target.attr
                    found.setdefault(name, set()).add(_text(node.value))
    return {
        name: text
        for name, texts in found.items()
        if len(texts) == 1 and (text := next(iter(texts))) is not None
    }


def _written(node: ast.AST) -> Iterator[ast.AST]:
    """The name of a file that a call opens only to write it: ``open("x", "a")``, ``Path("x").write_text(…)``."""
    if not isinstance(node, ast.Call):
        return
    method = node.func
    if ast.unparse(method) in _OPENERS:
        if node.args and _opens_to_write(node, node.args[1:]):
            yield from _parts_of_path(node.args[0])
    elif (
        isinstance(method, ast.Attribute)
        and _is_path(method.value)
        and (method.attr in _WRITERS or (method.attr == "open" and _opens_to_write(node, node.args)))
    ):
        yield from _parts_of_path(method.value)


def _parts_of_path(node: ast.AST) -> Iterator[ast.AST]:
    """What an expression of a path is put together from; not what is called to find it out, which may read files."""
    yield node
    if not isinstance(node, ast.Call) or _last_name(node.func) in _JOINERS:
        for part in ast.iter_child_nodes(node):
            yield from _parts_of_path(part)


def _is_path(node: ast.expr) -> bool:
    """Whether it makes a path: ``Path("x")``, ``Path("x") / "y"``."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return True
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("Path", "pathlib.Path")


def _opens_to_write(call: ast.Call, arguments: list[ast.expr]) -> bool:
    """Whether the mode, the first of ``arguments`` or a keyword, is one in which nothing can be read."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    mode = next(iter((*arguments[:1], *named)), None)
    text = _text(mode) if mode is not None else None
    return text is not None and _WRITING.fullmatch(text) is not None


def looks_like_path(text: str) -> bool:
    """Whether a text may be the path of a file or folder, by its form alone."""
    return len(text) <= _LONGEST_PATH and _PATH.fullmatch(text) is not None


def _expects_failure(node: ast.AST) -> bool:
    if not isinstance(node, ast.Try):
        return False
    caught = [ast.unparse(handler.type) if handler.type else "Exception" for handler in node.handlers]
    return any(word in text for text in caught for word in _OPTIONAL)


def _body(node: ast.AST) -> Iterator[ast.AST]:
    for statement in node.body if isinstance(node, ast.Try) else ():
        yield from ast.walk(statement)


def _imports(tree: ast.Module, file: str, optional: set[int]) -> Iterator[Import]:
    for node in ast.walk(tree):
        is_optional = id(node) in optional
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module=alias.name, names=(), span=_span(node, file), is_optional=is_optional)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names = tuple(alias.name for alias in node.names)
            yield Import(module=module, names=names, span=_span(node, file), is_optional=is_optional)


def _variables(tree: ast.Module, file: str) -> Iterator[Variable]:
    set_here = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_environment(node.value):
            name = _text(node.slice)
            if name and isinstance(node.ctx, ast.Store):
                set_here.add(name)
            elif name and name not in set_here:
                yield Variable(name=name, span=_span(node, file), is_optional=False)
        elif isinstance(node, ast.Call) and _asks_for_variable(node.func) and node.args:
            name = _text(node.args[0])
            if name and name not in set_here:
                yield Variable(name=name, span=_span(node, file), is_optional=True)


def _is_environment(node: ast.AST) -> bool:
    return ast.unparse(node) in ("os.environ", "environ")


def _asks_for_variable(node: ast.AST) -> bool:
    return ast.unparse(node) in ("os.environ.get", "environ.get", "os.getenv", "getenv")


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _connections(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                annotation = ast.unparse(argument.annotation) if argument.annotation else ""
                if "Connection" in annotation:
                    yield argument.arg, annotation.strip("'\"")


def _span(node: ast.stmt | ast.expr, file: str) -> Span:
    return Span(
        file=file,
        line=node.lineno,
        column=node.col_offset + 1,
        end_line=node.end_lineno or node.lineno,
        end_column=(node.end_col_offset or node.col_offset) + 1,
    )
