"""Python files read without being run: what they import and which environment variables they ask for."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.source import Span

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
    """

    imports: tuple[Import, ...]
    variables: tuple[Variable, ...]
    connections: tuple[tuple[str, str], ...]


def read_python(text: str, file: str) -> PythonSource | None:
    """Read a Python file.

    Args:
        text: Its content.
        file: As the user would name it, for spans.

    Returns:
        ``None`` when it is not Python that can be parsed; running it says why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a user's text is not ours to report
            tree = ast.parse(text, filename=file)
    except (SyntaxError, ValueError, RecursionError):
        return None
    optional = {id(item) for node in ast.walk(tree) if _expects_failure(node) for item in _body(node)}
    return PythonSource(
        imports=tuple(_imports(tree, file, optional)),
        variables=tuple(_variables(tree, file)),
        connections=tuple(_connections(tree)),
    )


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
