"""What the entry of a flex flow takes and gives: from its code, completed by its file (promptflow-format: 6.1)."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from headrace.domain.flow import NO_DEFAULT, Flow, FlowInput
from headrace.domain.values import ANY
from headrace.errors import Problem, nearest
from headrace.source import Span
from headrace.tools.connection_types import is_connection_class
from headrace.tools.model_configuration import ModelConfiguration

RESULT = "output"
"""Name of a result that has no names of its own."""

INPUTS_ATTRIBUTE = "headrace_inputs"
"""On a class whose ``__call__`` takes the inputs that the file declares, whatever their names."""

Class = type[Any]

_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_WORDS: Mapping[Any, str] = {
    str: "string",
    int: "int",
    float: "double",
    bool: "bool",
    list: "list",
    dict: "object",
}
_LISTS = (
    list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection,
)  # fmt: skip
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryParameter:
    """One parameter of an entry or of its constructor.

    Attributes:
        type_name: Of the format.
        shown_type: What code or file says where ``type_name`` is any type, for a default of ``None``; else empty.
        default: In the code; or in the file, where that has one.
        is_default_declared: The file has a default, and the code has none.
        is_type_guessed: Neither of both says a type.
        object_class: Connection or model configuration that it wants, if it does.
    """

    name: str
    type_name: str
    default: Any = NO_DEFAULT
    is_default_declared: bool = False
    is_type_guessed: bool = False
    shown_type: str = ""
    object_class: Class | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySignature:
    """Parameters of an entry, of its constructor, and names of its results.

    Attributes:
        outputs: Type names by name; ``None`` when the code does not say.
        takes_any_init: Whether the constructor takes further values.
    """

    inputs: Mapping[str, EntryParameter]
    outputs: Mapping[str, str] | None
    init: Mapping[str, EntryParameter]
    takes_any_init: bool


class AnnotationError(TypeError):
    """A parameter wants what data cannot give; ``parameter`` and ``annotation`` say which and what."""

    def __init__(self, parameter: str, annotation: str, fix: str) -> None:
        super().__init__(parameter, annotation)
        self.parameter = parameter
        self.annotation = annotation
        self.fix = fix


def read_entry_signature(
    function: Callable[..., Any], constructor: Callable[..., Any] | None, *, is_method: bool
) -> EntrySignature:
    """Read the signature of an entry.

    Args:
        function: The function, or ``__call__`` as it stands in the class.
        constructor: ``__init__`` of the class, if it has one.
        is_method: Whether the first parameter of ``function`` is the instance.

    Raises:
        AnnotationError: A parameter cannot be fed from data.
        Exception: Whatever an annotation raises that is text.
    """
    inputs = _read_parameters(function, has_self=is_method, is_init=False)
    init = _read_parameters(constructor, has_self=True, is_init=True) if constructor else {}
    kinds = [item.kind for item in inspect.signature(constructor).parameters.values()] if constructor else []
    return EntrySignature(
        inputs=inputs,
        outputs=_read_outputs(function),
        init=init,
        takes_any_init=inspect.Parameter.VAR_KEYWORD in kinds,
    )


def _read_parameters(
    function: Callable[..., Any], *, has_self: bool, is_init: bool
) -> dict[str, EntryParameter]:
    hints = _hints(function)
    found: dict[str, EntryParameter] = {}
    for item in list(inspect.signature(function).parameters.values())[1 if has_self else 0 :]:
        if item.kind in _VARIABLE:
            continue
        if item.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise AnnotationError(
                item.name, "/", "Remove the / from the signature: inputs are given by name."
            )
        default = NO_DEFAULT if item.default is inspect.Parameter.empty else item.default
        annotation = hints.get(item.name, item.annotation)
        word, object_class = _type_of(item.name, annotation, default)
        if object_class is not None and not is_init:
            fix = "Take it in __init__ of a class instead, or pass the fields that are needed."
            raise AnnotationError(item.name, object_class.__name__, fix)
        # As under prompt flow: text for an input of no known type is read as JSON, but not what a constructor gets, and
        # not what an input gets that may be None.
        is_guessed = word == ANY and not is_init
        said = "object" if is_guessed else word
        found[item.name] = EntryParameter(
            name=item.name,
            type_name=ANY if default is None else said,
            default=default,
            is_type_guessed=is_guessed,
            shown_type=said if default is None else "",
            object_class=object_class,
        )
    return found


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Annotations with those resolved that are text; as they stand where that is not possible."""
    raw = getattr(inspect.unwrap(function), "__annotations__", {})
    if not any(isinstance(item, str) for item in raw.values()):
        return raw
    try:
        return typing.get_type_hints(inspect.unwrap(function))
    except (NameError, TypeError, AttributeError, SyntaxError):
        return {name: object if isinstance(item, str) else item for name, item in raw.items()}


def _type_of(name: str, annotation: Any, default: Any) -> tuple[str, type | None]:
    """Type name of an annotation, and the class of objects that it wants if they are no data."""
    if annotation is inspect.Parameter.empty:
        annotation = object if default is NO_DEFAULT or default is None else type(default)
    annotation = _bare(annotation)
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type) or origin in (object, Any):
        return ANY, None
    if origin in _WORDS:
        return _WORDS[origin], None
    if is_connection_class(origin) or issubclass(origin, ModelConfiguration):
        return origin.__name__, origin
    if origin in _LISTS:
        return "list", None
    if origin in _OBJECTS or typing.is_typeddict(origin):
        return "object", None
    if default is not NO_DEFAULT:
        return ANY, None
    fix = f"Annotate it with dict (or str), and make the {origin.__name__} in the function."
    raise AnnotationError(name, origin.__name__, fix)


def _bare(annotation: Any) -> Any:
    """An annotation without ``Optional`` and ``Annotated``; literals by the type of their values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else object
    if origin is Literal:
        kinds = {type(value) for value in get_args(annotation)}
        return kinds.pop() if len(kinds) == 1 else object
    return annotation


def _read_outputs(function: Callable[..., Any]) -> dict[str, str] | None:
    annotation = _hints(function).get("return", inspect.Parameter.empty)
    annotation = _bare(annotation)
    if annotation is str:
        return {RESULT: _WORDS[str]}
    is_dataclass = isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
    if not is_dataclass and not typing.is_typeddict(annotation):
        return None
    names = (
        [field.name for field in dataclasses.fields(annotation)]
        if is_dataclass
        else annotation.__annotations__
    )
    hints = _hints(annotation)
    kinds = {name: _bare(hints.get(name, object)) for name in names}
    return {name: _WORDS.get(get_origin(kind) or kind, "object") for name, kind in kinds.items()}


def complete_signature(
    found: EntrySignature, flow: Flow, place: Span | None, *, takes_declared: bool = False
) -> tuple[EntrySignature, tuple[Problem, ...]]:
    """The signature with what the file says about it.

    Args:
        found: From the code.
        flow: A flex flow as its file declares it.
        place: Of the entry in its Python file.
        takes_declared: Whether the entry takes whatever inputs the file declares.

    Returns:
        The signature, types and defaults of the file first, and T212 for every name that only one of both has.
    """
    known = None if takes_declared else list(found.inputs)
    problems = [
        *_differences(flow, "inputs", flow.inputs, known, place),
        *_differences(flow, "init", flow.init, list(found.init), place),
        *_differences(
            flow, "outputs", flow.outputs, None if found.outputs is None else list(found.outputs), place
        ),
    ]
    taken = {name: EntryParameter(name=name, type_name=ANY) for name in flow.inputs} if takes_declared else {}
    inputs = {
        name: _completed(item, flow.inputs.get(name)) for name, item in (taken | dict(found.inputs)).items()
    }
    init = {name: _completed(item, flow.init.get(name)) for name, item in found.init.items()}
    return replace(found, inputs=inputs, init=init), tuple(problems)


def _completed(found: EntryParameter, declared: FlowInput | None) -> EntryParameter:
    if declared is None:
        return found
    has_default = is_given_default(declared)
    default = declared.default if has_default else found.default
    return replace(
        found,
        type_name=ANY if default is None else declared.type,
        is_type_guessed=False,
        shown_type=declared.type if default is None else "",
        default=default,
        is_default_declared=has_default and found.default is NO_DEFAULT,
    )


def is_given_default(declared: FlowInput) -> bool:
    """Whether the file gives a default; empty text stands for none, as under prompt flow."""
    return declared.has_default and declared.default != ""


def _differences(
    flow: Flow,
    section: str,
    declared: Mapping[str, Any],
    known: typing.Sequence[str] | None,
    place: Span | None,
) -> typing.Iterator[Problem]:
    """T212 for names that only the file or only the code has; a section that is empty or absent says nothing."""
    if not declared or known is None:
        return
    related = (("the entry", place),) if place else ()
    what_it_is = {"inputs": "input", "init": "constructor parameter", "outputs": "output"}[section]
    for name in declared:
        if name not in known:
            guess = nearest(name, known)
            yield Problem(
                code="T212",
                what=f"The file declares the {what_it_is} {name!r}, which the entry {flow.entry} does not have.",
                span=flow.source_map.key_span((section, name)),
                pointer=(section, name),
                fix=f'Did you mean "{guess}"?'
                if guess
                else f"Remove it. The entry has: {', '.join(known) or 'none'}.",
                related=related,
            )
    for name in known:
        if name not in declared:
            yield Problem(
                code="T212",
                what=f"The entry {flow.entry} has the {what_it_is} {name!r}, which the file does not declare.",
                span=flow.source_map.key_span((section,)),
                pointer=(section,),
                fix=f"Declare it under {section} as well, or remove the section: then the code alone counts.",
                related=related,
            )
