"""Python that judges: functions, classes with ``__call__``, and evaluators of other libraries, which are only called.

An object of another library is known by the module of its class; nothing of the library is imported before it is met.

| library | called | gets |
| --- | --- | --- |
| azure-ai-evaluation | ``evaluator(**inputs)`` | what its overloads name |
| autoevals | ``scorer.eval_async(output, expected, ...)`` | output, expected and what else it names |
| ragas | ``metric.ascore(**inputs)``, or ``metric.single_turn_ascore(sample)`` | what it names, or its columns |
| deepeval | ``metric.a_measure(test_case)`` | a test case of its required parameters |
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from headrace.errors import DefinitionError, Problem
from headrace.evaluation.evaluators.base import PREDICTION, REFERENCE, EvaluatorInput
from headrace.evaluation.evaluators.results import read_result

_LIBRARIES = {
    "azure.ai.evaluation": "azure",
    "autoevals": "autoevals",
    "ragas": "ragas",
    "deepeval": "deepeval",
}
_QUESTION = ("question", "query", "input", "user_input", "prompt", "text", "topic")
_CONTEXT = (
    "context",
    "contexts",
    "documents",
    "retrieved",
    "sources",
    "retrieved_contexts",
    "retrieval_context",
)
_ANSWERS = frozenset((*PREDICTION, "actual_output")) - {"label", "text", "category", "result"}
_TRUTHS = frozenset(REFERENCE) - {"answer", "answers", "label", "target"}
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOT_INPUTS = frozenset(("self", "conversation", "messages", "callbacks", "kwargs", "_show_indicator"))
_DEEPEVAL_INPUTS = ("input", "actual_output", "expected_output", "context", "retrieval_context")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """Python that judges, made ready to be called with inputs by name.

    Attributes:
        call: Returns what the evaluator returns, or an awaitable of it.
        is_async: Whether it returns an awaitable.
        library: Which other library it is of; empty for none.
    """

    call: Callable[..., Any]
    inputs: tuple[EvaluatorInput, ...]
    is_async: bool
    library: str = ""

    def read(self, found: Any, name: str) -> dict[str, Any]:
        """Outputs of a line, of what the call returned.

        Raises:
            UnscorableError: G921 where there is no score in it.
        """
        return read_result(found, name, is_azure=self.library == "azure")


def make_callee(found: Any, parameters: Mapping[str, Any]) -> Callee:
    """Make a function, a class or an object ready.

    Args:
        found: What the name of the evaluator stands for.
        parameters: What a class is made with, or what a function is given beside its inputs.

    Raises:
        DefinitionError: G926 where it cannot be called.
        Exception: Whatever the constructor raises.
    """
    if isinstance(found, type):
        found = found(**parameters)
        parameters = {}
    library = library_of(found)
    make = _MAKERS.get(library)
    callee = make(found) if make is not None else None
    if callee is not None:
        return callee
    if not callable(found):
        what = f"A {type(found).__name__} cannot be called, so it is no evaluator."
        fix = "Name a function, or a class with __call__."
        raise DefinitionError(Problem(code="G926", what=what, fix=fix))
    call = partial(found, **parameters) if parameters else found
    function = found if inspect.isroutine(found) or isinstance(found, partial) else type(found).__call__
    inputs = tuple(item for item in _signature_inputs(call) if item.name not in parameters)
    return Callee(call=call, inputs=inputs, is_async=inspect.iscoroutinefunction(function), library=library)


def library_of(found: Any) -> str:
    """Which library an object is of, by the modules of its classes; empty for none that is known."""
    for cls in type(found).__mro__:
        for module, library in _LIBRARIES.items():
            if cls.__module__ == module or cls.__module__.startswith(f"{module}."):
                return library
    return ""


def _azure(found: Any) -> Callee:
    overloads = typing.get_overloads(type(found).__call__)
    for function in overloads:
        names = set(inspect.signature(function).parameters) - {"self"}
        if names and not names & {"conversation", "messages"}:
            inputs = _signature_inputs(partial(function, found))
            return Callee(call=found, inputs=inputs, is_async=False, library="azure")
    return Callee(call=found, inputs=_signature_inputs(found), is_async=False, library="azure")


def _autoevals(found: Any) -> Callee:
    own = type(found)
    function = next(
        (getattr(own, name) for name in ("_run_eval_async", "_run_eval_sync") if _is_own(own, name)),
        own.__call__,
    )
    named = {item.name: item for item in _signature_inputs(partial(function, found))}
    inputs = {
        "output": named_input("output", is_required=True),
        "expected": named_input("expected", is_required=False),
    }
    taken = inspect.signature(function).parameters.values()
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in taken):
        inputs["input"] = named_input("input", is_required=False)  # what graders of theirs ask about
    call = getattr(found, "eval_async", None)
    return Callee(
        call=call or found,
        inputs=tuple((inputs | named).values()),
        is_async=inspect.iscoroutinefunction(call),
        library="autoevals",
    )


def _is_own(cls: type, name: str) -> bool:
    """Whether a class of the library besides its base defines the method."""
    return any(name in vars(base) and base.__name__ not in ("Scorer", "object") for base in cls.__mro__)


def _ragas(found: Any) -> Callee | None:
    score_sample = getattr(found, "single_turn_ascore", None)
    if score_sample is None:
        ascore = getattr(found, "ascore", None)
        if ascore is None:
            return None
        # A function that ragas has decorated is kept in the metric, whose own method takes anything.
        inputs = _signature_inputs(ascore) or _signature_inputs(getattr(found, "_func", None) or ascore)
        return Callee(call=ascore, inputs=inputs, is_async=True, library="ragas")
    columns = getattr(found, "required_columns", {}).get("SINGLE_TURN", ())
    make_sample = _class_of("ragas.dataset_schema", "SingleTurnSample")

    async def call(**inputs: Any) -> Any:
        return await score_sample(make_sample(**inputs))

    inputs = tuple(named_input(name, is_required=True) for name in sorted(columns))
    return Callee(call=call, inputs=inputs, is_async=True, library="ragas")


def _deepeval(found: Any) -> Callee | None:
    if not hasattr(found, "a_measure"):
        return None
    required = {str(getattr(item, "value", item)) for item in getattr(found, "_required_params", ()) or ()}
    required |= {str(getattr(item, "value", item)) for item in getattr(found, "evaluation_params", ()) or ()}
    names = [name for name in _DEEPEVAL_INPUTS if name in required] or ["input", "actual_output"]
    make_case = _class_of("deepeval.test_case", "LLMTestCase")
    quiet = (
        {"_show_indicator": False}
        if "_show_indicator" in inspect.signature(found.a_measure).parameters
        else {}
    )

    async def call(**inputs: Any) -> Any:
        for name in ("context", "retrieval_context"):
            if isinstance(inputs.get(name), str):
                inputs[name] = [inputs[name]]
        await found.a_measure(make_case(**inputs), **quiet)
        return SimpleNamespace(
            value=found.score, reason=found.reason, error=getattr(found, "error", None), label=_passed(found)
        )

    inputs = tuple(named_input(name, is_required=True) for name in names)
    return Callee(call=call, inputs=inputs, is_async=True, library="deepeval")


def _passed(metric: Any) -> str | None:
    success = getattr(metric, "success", None)
    return None if success is None else "pass" if success else "fail"


_MAKERS: Mapping[str, Callable[[Any], Callee | None]] = {
    "azure": _azure,
    "autoevals": _autoevals,
    "ragas": _ragas,
    "deepeval": _deepeval,
}


def _class_of(module: str, name: str) -> Any:
    """A class of an installed library; without the library, anything that holds what it is given."""
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        return SimpleNamespace


def _signature_inputs(call: Callable[..., Any]) -> tuple[EvaluatorInput, ...]:
    """The inputs that a callable names."""
    found = []
    for item in inspect.signature(call).parameters.values():
        if item.kind in _VARIABLE or item.name in _NOT_INPUTS:
            continue
        if item.kind is inspect.Parameter.POSITIONAL_ONLY:
            what = f"The evaluator takes {item.name!r} by its position only."
            fix = "Remove the / from the signature: inputs are given by name."
            raise DefinitionError(Problem(code="G926", what=what, fix=fix))
        found.append(named_input(item.name, is_required=item.default is inspect.Parameter.empty))
    return tuple(found)


def named_input(name: str, *, is_required: bool) -> EvaluatorInput:
    """An input by its name, which says what it is."""
    if name in _ANSWERS:
        return EvaluatorInput(
            name=name,
            title="the answer",
            outputs=(name, *PREDICTION),
            takes_only_output=True,
            is_required=is_required,
        )
    if name in _TRUTHS:
        return EvaluatorInput(
            name=name, title="the right answer", columns=(name, *REFERENCE), is_required=is_required
        )
    if name in _QUESTION:
        return EvaluatorInput(
            name=name, title="what was asked", columns=(name, *_QUESTION), is_required=is_required
        )
    if name in _CONTEXT:
        return EvaluatorInput(
            name=name,
            title="what the answer was made from",
            outputs=(name, *_CONTEXT),
            columns=(name, *_CONTEXT),
            is_required=is_required,
        )
    return EvaluatorInput(
        name=name,
        title="an input of its own",
        outputs=(name,),
        columns=(name,),
        is_required=is_required,
    )
