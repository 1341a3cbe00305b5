"""The entry of a flex flow as a tool: a function, or a class whose instance is called (promptflow-format: 6)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module, invalidate_caches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.domain.flow import AGGREGATE, Flow, Node
from headrace.errors import DefinitionError, Problem, nearest, raise_if_errors
from headrace.formats.includes import code_folder
from headrace.providers.loading import load_by_name
from headrace.source import Span
from headrace.tools.base import ConnectionLookup, Tool
from headrace.tools.failure import UnservedNameError, failure_lines, failure_span, shown_path
from headrace.tools.flex_calls import ClassTool, EntryTool
from headrace.tools.flex_init import make_init_values, model_parameters
from headrace.tools.flex_signature import (
    INPUTS_ATTRIBUTE,
    AnnotationError,
    EntrySignature,
    complete_signature,
    read_entry_signature,
)
from headrace.tools.given_entry import copies_of, find_given
from headrace.tools.project import activate_project, forget_changed_modules, note_modules
from headrace.tools.user_code import run_user_code

if TYPE_CHECKING:
    from headrace.domain.cache import Code

_READ_CODE = "headrace.tools.identity:code_of_file"


def load_flex_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load the entry of a flex flow.

    Raises:
        DefinitionError: T211 when the entry cannot be loaded, T213 when it takes what data cannot give, T212 for every
            difference between its signature and the file.
    """
    del node
    loading = _Loading(flow=flow, folder=folder)
    entry = loading.entry()
    signature = loading.signature(entry)
    is_made = _is_given_instance(entry, flow)
    if not isinstance(entry, type) and not is_made:
        return EntryTool(entry, signature, code_folder(flow, folder), partial(loading.read_code, entry))
    return ClassTool(
        type(entry) if is_made else entry,
        signature,
        folder=code_folder(flow, folder),
        make_values=lambda: make_init_values(signature, flow, connections),
        describe=loading.constructor_problem,
        copied=copies_of(entry) if is_made else None,
        read_code=partial(loading.read_code, entry),
    )


def load_signature(flow: Flow, folder: Path) -> EntrySignature:
    """What the entry of a flex flow takes and gives, completed by the flow's file.

    Raises:
        DefinitionError: As :func:`load_flex_tool`.
    """
    loading = _Loading(flow=flow, folder=folder)
    return loading.signature(loading.entry())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loading:
    """One entry while it is loaded."""

    flow: Flow
    folder: Path

    def read_code(self, entry: Any) -> Code | None:
        """What the entry is made of; ``None`` where code has given it, or where it says that it must be called."""
        if entry is find_given(self.flow.entry):
            return None
        file = inspect.getsourcefile(inspect.unwrap(entry))
        if file is None:
            return None
        folder = code_folder(self.flow, self.folder)
        code: Code | None = load_by_name(_READ_CODE)(
            entry, Path(file), folder, self.flow.init_values.values()
        )
        return code

    def entry(self) -> Any:
        """The function or class that the entry names."""
        folder = code_folder(self.flow, self.folder)
        activate_project(folder)
        given = find_given(self.flow.entry)
        if given is not None:
            return given
        forget_changed_modules(folder)
        module_name, _, name = (self.flow.entry or "").partition(":")
        module = run_user_code(lambda: _import(module_name, folder), self._import_problem)
        note_modules(folder)
        found = getattr(module, name, None)
        if found is None:
            names = [
                key for key, value in vars(module).items() if callable(value) and not key.startswith("_")
            ]
            guess = nearest(name, names)
            has = ", ".join(names) or "nothing that can be called"
            fix = f'Did you mean "{guess}"?' if guess else f"It has: {has}."
            raise DefinitionError(self.problem(f"The module {module_name} has no {name!r}.", fix))
        if isinstance(found, type) and not _has_call(found):
            fix = "Give it a method __call__ with the inputs of the flow."
            raise DefinitionError(
                self.problem(f"The class {name} has no method __call__.", fix, self.place_of(found))
            )
        if not callable(found):
            what = f"{name} in the module {module_name} is a {type(found).__name__}, which cannot be called."
            raise DefinitionError(self.problem(what, "Name a function or a class."))
        return found

    def signature(self, entry: Any) -> EntrySignature:
        """What the entry takes, completed by the file."""
        constructor = None
        function = entry
        is_method = False
        if isinstance(entry, type):
            function = entry.__call__
            is_method = not _is_bound(entry, "__call__")
            constructor = None if entry.__init__ is object.__init__ else entry.__init__  # type: ignore[misc]
        elif _is_given_instance(entry, self.flow):
            function = type(entry).__call__
            is_method = not _is_bound(type(entry), "__call__")
        place = self.place_of(entry)
        try:
            found = run_user_code(
                lambda: _read(function, constructor, is_method=is_method), self._signature_problem
            )
        except _RefusedError as error:
            raise DefinitionError(self._annotation_problem(error.reason, place)) from error
        signature, problems = complete_signature(
            found, self.flow, place, takes_declared=bool(getattr(entry, INPUTS_ATTRIBUTE, False))
        )
        raise_if_errors((*problems, *self._aggregation_problems(entry), *self._model_problems(signature)))
        return signature

    def _model_problems(self, signature: EntrySignature) -> list[Problem]:
        """V304 where a model was chosen for the flow that it has no use for."""
        model = self.flow.model
        if model is None:
            return []
        what, fix = "", ""
        if not model_parameters(signature):
            what = f"The model {model.name!r} was chosen, but {self.flow.entry} takes no model configuration."
            fix = "Annotate a parameter of the constructor with OpenAIModelConfiguration, or with the one for Azure."
        elif model.parameters:
            what = f"The model {model.name!r} sets {', '.join(model.parameters)}, which a model configuration cannot."
            fix = "Leave the parameters out, and set them in the code."
        return [replace(self.problem(what, fix), code="V304")] if what else []

    def _aggregation_problems(self, entry: Any) -> list[Problem]:
        entry = type(entry) if _is_given_instance(entry, self.flow) else entry
        method = getattr(entry, AGGREGATE, None) if isinstance(entry, type) else None
        if method is None or len(inspect.signature(method).parameters) == (
            1 if _is_bound(entry, AGGREGATE) else 2
        ):
            return []
        what = (
            f"{AGGREGATE} of {self.flow.entry} must take one parameter: the list of what the lines returned."
        )
        fix = f"Write def {AGGREGATE}(self, lines)."
        return [replace(self.problem(what, fix, self.place_of(method)), code="T213")]

    def constructor_problem(self, error: BaseException) -> Problem:
        """T211 for a class that cannot be made."""
        return self.failed(error, f"The class of {self.flow.entry} cannot be made")

    def problem(self, what: str, fix: str | None, span: Span | None = None) -> Problem:
        """T211 at the entry, or in the Python file."""
        here = self.flow.source_map.span(("entry",))
        related = (("the entry", here),) if span else ()
        return Problem(
            code="T211", what=what, span=span or here, pointer=("entry",), fix=fix, related=related
        )

    def place_of(self, function: Any) -> Span | None:
        """Where a function or class begins, if it stands in the project."""
        if isinstance(function, type):
            function = vars(function).get("__init__") or vars(function).get("__call__") or function
        code = getattr(inspect.unwrap(function), "__code__", None)
        shown = shown_path(code.co_filename, self.folder, self.flow.file) if code else None
        if code is None or shown is None:
            return None
        line = code.co_firstlineno
        return Span(file=shown, line=line, column=1, end_line=line, end_column=2)

    def failed(self, error: BaseException, what: str) -> Problem:
        """T211 for code that raised, at its line."""
        span = failure_span(error, self.folder, self.flow.file)
        if isinstance(error, UnservedNameError):
            related = (("the entry", self.flow.source_map.span(("entry",))),)
            return replace(error.problem, span=span or error.problem.span, related=related)
        reason = f"{what}: {type(error).__name__}: {error}".splitlines()[0]
        problem = self.problem(reason, None, span)
        return replace(problem, detail=failure_lines(error, self.folder, self.flow.file))

    def _import_problem(self, error: BaseException) -> Problem:
        module = (self.flow.entry or "").partition(":")[0]
        problem = self.failed(error, f"The module {module} of the entry cannot be loaded")
        if isinstance(error, ModuleNotFoundError) and error.name:
            if module == error.name or module.startswith(f"{error.name}."):
                place = "the folder of the flow" if self.flow.code == "." else f"the folder {self.flow.code}"
                what = f"There is no module {module}."
                return self.problem(
                    what, f"Write the path of the module below {place}, with dots for folders."
                )
            fix = f"Install the package that provides the module {error.name}, which `headrace doctor` names."
            return replace(problem, fix=fix)
        fix = "Correct this line; the module is imported when the flow is loaded."
        return replace(problem, fix=problem.fix or fix)

    def _signature_problem(self, error: BaseException) -> Problem:
        return self.failed(error, f"The signature of {self.flow.entry} cannot be read")

    def _annotation_problem(self, error: AnnotationError, place: Span | None) -> Problem:
        what = f"{self.flow.entry} takes {error.parameter!r} as {error.annotation}, which an input cannot be."
        if error.annotation == "/":
            what = f"{self.flow.entry} takes {error.parameter!r} by its position only."
        return replace(self.problem(what, error.fix, place), code="T213")


class _RefusedError(DefinitionError):
    """Carries an annotation error past those of the user's own code."""

    def __init__(self, reason: AnnotationError) -> None:
        super().__init__()
        self.reason = reason


def _read(function: Callable[..., Any], constructor: Any, *, is_method: bool) -> EntrySignature:
    try:
        return read_entry_signature(function, constructor, is_method=is_method)
    except AnnotationError as error:
        raise _RefusedError(error) from error


def _import(name: str, folder: Path) -> ModuleType:
    """The module of an entry; one of the project comes before one of the same name that is imported already."""
    invalidate_caches()
    path = folder.joinpath(*name.split("."))
    file = path.with_name(f"{path.name}.py")
    known = sys.modules.get(name)
    if known is None or not file.is_file() or Path(getattr(known, "__file__", None) or "").resolve() == file:
        return import_module(name)
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        return import_module(name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_given_instance(entry: Any, flow: Flow) -> bool:
    """Whether code has given an object of a class with ``__call__`` for the entry, so that copies of it are called."""
    is_function = inspect.isroutine(inspect.unwrap(entry)) or isinstance(entry, partial)
    return entry is find_given(flow.entry) and not isinstance(entry, type) and not is_function


def _is_bound(cls: type, method: str) -> bool:
    """Whether a method takes no instance: a static method, or one of the class."""
    return isinstance(inspect.getattr_static(cls, method), (staticmethod, classmethod))


def _has_call(cls: type) -> bool:
    return any("__call__" in vars(base) for base in cls.__mro__ if base is not object)
