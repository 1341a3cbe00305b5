"""From an exception of the user's code to a problem that points at the user's line."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from headrace.errors import Problem, Raised
from headrace.source import Span
from headrace.tools.user_code import MODULE_NAME

_SHOWN_CAUSES = 3
_PACKAGES = frozenset({"site-packages", "dist-packages"})
_PYTHON = Path(os.__file__).parent
_HEADRACE = Path(__file__).parent.parent


class UnservedNameError(ModuleNotFoundError):
    """A project asks for a name of the promptflow package that is neither served nor installed.

    Attributes:
        problem: T209, at the line that asks.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.what} {problem.fix}")
        self.problem = problem


def describe_failure(error: BaseException, *, node: str, folder: Path, flow_place: Span) -> Problem:
    """E601 for an exception that a tool raised; T209 when it asked for a name that is not served.

    The message of the exception is shown: it is the words of the user's own code.

    Args:
        error: The exception, with its traceback.
        node: Node whose tool raised.
        folder: Where the flow's files are while it runs.
        flow_place: Place of the node in the flow file; its file says how the user names the folder.

    Returns:
        A problem at the innermost line of the project in the traceback, else without a place.
    """
    related = (("the node", flow_place),)
    span = failure_span(error, folder, flow_place.file)
    if isinstance(error, UnservedNameError):
        return replace(error.problem, span=span or error.problem.span, related=related)
    return Problem(
        code="E601",
        what=f"The tool of node {node!r} raised {_headline(error)}",
        span=span,
        related=related,
        detail=failure_lines(error, folder, flow_place.file),
        raised=_raised(error, node),
    )


def failure_span(error: BaseException, folder: Path, flow_file: str) -> Span | None:
    """The innermost line of the project that the exception passed through; ``None`` when it touched none."""
    if isinstance(error, SyntaxError) and error.filename:
        shown = shown_path(error.filename, folder, flow_file)
        if shown:
            line, column = error.lineno or 1, max(error.offset or 1, 1)
            return Span(file=shown, line=line, column=column, end_line=line, end_column=column + 1)
    frames = list(_own_frames(error, folder, flow_file))
    if not frames:
        return None
    shown, frame = frames[-1]
    column = (frame.colno or 0) + 1
    end_line = frame.end_lineno or frame.lineno or 1
    end_column = (frame.end_colno or 0) + 1
    line = frame.lineno or 1
    return Span(
        file=shown,
        line=line,
        column=column,
        end_line=end_line,
        end_column=max(end_column, column + 1) if end_line == line else max(end_column, 1),
    )


def failure_lines(error: BaseException, folder: Path, flow_file: str) -> tuple[str, ...]:
    """The traceback as the user needs it: lines of the project only, then the exception, then its causes."""
    lines: list[str] = []
    current: BaseException | None = error
    for depth in range(_SHOWN_CAUSES):
        if current is None:
            break
        if depth:
            lines.append("caused by:")
        for shown, frame in _own_frames(current, folder, flow_file):
            lines.append(f"{shown}:{frame.lineno}, in {frame.name}")
            if frame.line:
                lines.append(f"    {frame.line}")
        lines.extend(_message_lines(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return tuple(lines)


def _own_frames(
    error: BaseException, folder: Path, flow_file: str
) -> Iterator[tuple[str, traceback.FrameSummary]]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [index for index, frame in enumerate(frames) if Path(frame.filename).is_relative_to(_HEADRACE)]
    # What stands before our first frame is the program that uses us, not the flow.
    for frame in frames[ours[0] :] if ours else frames:
        shown = shown_path(frame.filename, folder, flow_file)
        if shown:
            yield shown, frame


def shown_path(file: str, folder: Path, flow_file: str) -> str | None:
    """A file as the user would name it, when it is the user's own: not Python's, a package's or ours."""
    if file.startswith("<"):
        return None
    path = Path(file)
    for root in (folder, folder.resolve()):
        if path.is_relative_to(root):
            inside = path.relative_to(root)
            return None if _PACKAGES.intersection(inside.parts) else str(PurePath(flow_file).parent / inside)
    if _PACKAGES.intersection(path.parts) or path.is_relative_to(_PYTHON) or path.is_relative_to(_HEADRACE):
        return None
    # A source or module outside the flow's folder, e.g. ../shared/score.py
    beside = os.path.relpath(path, folder.resolve())
    return os.path.normpath(PurePath(flow_file).parent / beside)


def _raised(error: BaseException, node: str) -> Raised:
    """The exception as prompt flow records it: with a whole traceback, in which our own frames say nothing."""
    whole = traceback.TracebackException.from_exception(error)
    _keep_frames_of_tool(whole)
    last = whole.stack[-1] if whole.stack else None
    return Raised(
        node=node,
        module=_module_of_tool(error),
        type=type(error).__name__,
        message=str(error),
        traceback="".join(whole.format()),
        file=last.filename if last else None,
        line=last.lineno if last else None,
        function=last.name if last else None,
    )


def _keep_frames_of_tool(whole: traceback.TracebackException) -> None:
    files = [frame.filename for frame in whole.stack]
    first = next((index for index, file in enumerate(files) if _may_be_first(file)), len(files))
    whole.stack[:] = [item for item in whole.stack[first:] if not _is_own(item.filename)]
    for cause in (whole.__cause__, whole.__context__):
        if cause is not None:
            _keep_frames_of_tool(cause)


def _module_of_tool(error: BaseException) -> str:
    """The module of the first frame that is the tool's."""
    frames = traceback.walk_tb(error.__traceback__)
    found = next((frame for frame, _ in frames if _may_be_first(frame.f_code.co_filename)), None)
    return str(found.f_globals.get("__name__", MODULE_NAME)) if found else MODULE_NAME


def _may_be_first(file: str) -> bool:
    """Whether a frame of that file may be the first of a tool: it is neither ours nor Python's own machinery."""
    path = Path(file)
    return not _is_own(file) and (
        not path.is_relative_to(_PYTHON) or bool(_PACKAGES.intersection(path.parts))
    )


def _is_own(file: str) -> bool:
    return Path(file).is_relative_to(_HEADRACE)


def _headline(error: BaseException) -> str:
    message = str(error).strip()
    first = message.splitlines()[0] if message else ""
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return text if text.endswith((".", "!", "?", ":")) else text + "."


def _message_lines(error: BaseException) -> list[str]:
    message = str(error).strip()
    if not message:
        return [type(error).__name__]
    return f"{type(error).__name__}: {message}".splitlines()
