"""What the flow of a Python evaluator calls: the function, class or object, loaded and made ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from headrace.errors import DefinitionError, Problem, nearest
from headrace.evaluation.evaluators.entry import mean_scores
from headrace.evaluation.evaluators.objects import Callee, library_of, make_callee
from headrace.source import Span, file_span
from headrace.tools.failure import failure_lines, failure_span
from headrace.tools.given_entry import copies_of
from headrace.tools.project import activate_project
from headrace.tools.user_code import execute_file, run_user_code


def load_callee(python: str, folder: Path, parameters: Mapping[str, Any]) -> Callee:
    """Load ``file.py:name`` or ``module:name`` and make it ready.

    Args:
        python: What is wanted.
        folder: Where the file is and modules are imported from.
        parameters: What a class is made with, or a function is given.

    Raises:
        DefinitionError: G926 where there is no such thing, or it cannot be loaded, made or called.
    """
    where, _, name = python.rpartition(":")
    file = folder / where if where.endswith(".py") else None
    place = file_span(str(file)) if file is not None else None

    def describe(error: BaseException) -> Problem:
        what = f"The evaluator {python} cannot be made: {type(error).__name__}: {error}".splitlines()[0]
        shown = str(file or folder / "module")
        span: Span | None = failure_span(error, folder.resolve(), shown) or place
        fix = "Correct the code or the parameters, or install what it imports."
        return Problem(
            code="G926", what=what, span=span, fix=fix, detail=failure_lines(error, folder.resolve(), shown)
        )

    def load() -> Callee:
        module = execute_file(file) if file is not None else import_module(where)
        if not hasattr(module, name):
            raise DefinitionError(_unknown(python, name, vars(module), place))
        found = getattr(module, name)
        if not isinstance(found, type) and library_of(found):
            found = copies_of(found)()  # some keep the last score in themselves, so lines may not share one
        return make_callee(found, parameters)

    activate_project(folder)
    return run_user_code(load, describe)


def _unknown(python: str, name: str, names: Mapping[str, Any], place: Span | None) -> Problem:
    known = [key for key, value in names.items() if callable(value) and not key.startswith("_")]
    near = nearest(name, known)
    fix = f'Did you mean "{near}"?' if near else f"It has: {', '.join(known[:10]) or 'nothing to call'}."
    return Problem(code="G926", what=f"The evaluator {python} does not exist.", span=place, fix=fix)


class PythonEntry:
    """A Python evaluator as the entry of a flow.

    Args:
        python: ``file.py:name`` or ``module:name``.
        folder: Where that is.
        name: What the evaluator is called.
        parameters: Of its constructor.
        version: Noted with the run; does nothing.
    """

    headrace_inputs = True
    headrace_cache = False

    def __init__(
        self, python: str, folder: str, name: str, parameters: dict[str, Any], version: str = ""
    ) -> None:
        del version
        self._name = name
        self._callee = load_callee(python, Path(folder), parameters)

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """The scores of one line.

        Raises:
            UnscorableError: G921 where there is no score.
            Exception: Whatever the evaluator raises.
        """
        return self._callee.read(self._callee.call(**self._given(inputs)), self._name)

    def __aggregate__(self, lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Mean of each score over the lines that have it."""
        return mean_scores(lines)

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs without those that were not mapped and have a default of their own."""
        optional = {item.name for item in self._callee.inputs if not item.is_required}
        return {name: value for name, value in inputs.items() if value is not None or name not in optional}


class AsyncPythonEntry(PythonEntry):
    """A Python evaluator that is awaited, so that many lines wait at once."""

    async def __call__(self, **inputs: Any) -> dict[str, Any]:  # type: ignore[override]  # awaited, as the engine sees
        """The scores of one line.

        Raises:
            UnscorableError: G921 where there is no score.
            Exception: Whatever the evaluator raises.
        """
        return self._callee.read(await self._callee.call(**self._given(inputs)), self._name)
