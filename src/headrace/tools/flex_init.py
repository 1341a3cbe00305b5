"""Values for the constructor of a flex flow's class: converted, with connections and model configurations as objects.

Values come from the command line, from a file, from code, or from the sample of the flow (promptflow-format: 6.2, 6.3).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from headrace.domain.flow import NO_DEFAULT, Flow
from headrace.errors import DefinitionError, HeadraceError, Problem, at_place, nearest
from headrace.planning.convert import ConversionError, convert_input
from headrace.source import Pointer
from headrace.tools.base import ConnectionLookup
from headrace.tools.connection_types import CONNECTION_CLASSES, ConnectionObject, connection_type
from headrace.tools.connections import find_connection, make_connection
from headrace.tools.flex_signature import EntryParameter, EntrySignature, is_given_default
from headrace.tools.model_configuration import AzureOpenAIModelConfiguration, ModelConfiguration


def make_init_values(signature: EntrySignature, flow: Flow, lookup: ConnectionLookup) -> dict[str, Any]:
    """What the constructor is called with.

    Args:
        signature: What it takes, completed by the file.
        flow: Says what it is given.
        lookup: Finds connections.

    Raises:
        DefinitionError: T203, T204, T205 and C501 to C504, all at once.
    """
    maker = _Maker(flow, lookup)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    given = {
        **{name: item.default for name, item in flow.init.items() if is_given_default(item)},
        **flow.init_values,
        **_chosen_model(signature, flow),
    }
    for name, value in given.items():
        try:
            values[name] = maker.make(name, value, signature)
        except HeadraceError as error:
            problems.extend(
                at_place(error, flow.source_map.span(maker.place(name)), maker.place(name)).problems
            )
    for name, parameter in signature.init.items():
        if name not in given and parameter.default is NO_DEFAULT:
            problems.append(maker.missing(name))
    if problems:
        raise DefinitionError(*problems)
    return values


def _chosen_model(signature: EntrySignature, flow: Flow) -> dict[str, Mapping[str, str]]:
    """A configuration for every parameter that takes one, where a model was chosen for the whole flow."""
    if flow.model is None:
        return {}
    chosen = {"connection": flow.model.connection}
    return {
        item.name: {**chosen, _model_setting(item.object_class): flow.model.model}
        for item in model_parameters(signature)
        if item.object_class is not None
    }


def model_parameters(signature: EntrySignature) -> list[EntryParameter]:
    """The parameters of a constructor that take a model configuration."""
    return [
        item
        for item in signature.init.values()
        if item.object_class is not None and issubclass(item.object_class, ModelConfiguration)
    ]


def _model_setting(cls: type[Any]) -> str:
    """What a configuration calls its model: its first setting."""
    name: str = dataclasses.fields(cls)[0].name
    return name


class _Maker:
    def __init__(self, flow: Flow, lookup: ConnectionLookup) -> None:
        self._flow = flow
        self._lookup = lookup
        (self._node,) = (node for node in flow.nodes if not node.is_aggregation)

    def place(self, name: str) -> Pointer:
        """Where a value stands: in the sample, else where its parameter is declared."""
        if self._flow.init_values is self._flow.sample_init and name in self._flow.sample_init:
            return ("sample", "init", name)
        return ("init", name) if name in self._flow.init else ("entry",)

    def make(self, name: str, value: Any, signature: EntrySignature) -> Any:
        parameter = signature.init.get(name)
        if parameter is None:
            if not signature.takes_any_init:
                raise DefinitionError(self._unknown(name, signature))
            return value
        if parameter.object_class is None:
            return self._plain(parameter, value)
        if issubclass(parameter.object_class, ModelConfiguration):
            return self._configuration(parameter, parameter.object_class, value)
        return self._connection(parameter.name, parameter.object_class, value)

    def missing(self, name: str) -> Problem:
        pointer = ("init", name) if name in self._flow.init else ("entry",)
        return Problem(
            code="T205",
            what=f"The constructor of {self._flow.entry} needs a value for {name!r}.",
            span=self._flow.source_map.span(pointer),
            pointer=pointer,
            fix=f"Give --init {name}=VALUE, or write a default for it under init of the flow file.",
        )

    def _unknown(self, name: str, signature: EntrySignature) -> Problem:
        known = tuple(signature.init)
        guess = nearest(name, known)
        return Problem(
            code="T204",
            what=f"The constructor of {self._flow.entry} does not take {name!r}.",
            fix=f'Did you mean "{guess}"?' if guess else f"It takes: {', '.join(known) or 'nothing'}.",
        )

    def _plain(self, parameter: EntryParameter, value: Any) -> Any:
        """Text becomes what the parameter is annotated with; values of other kinds are passed as they are."""
        if not isinstance(value, str):
            return value
        try:
            return convert_input(value, parameter.type_name)
        except ConversionError as error:
            raise DefinitionError(self._refused(parameter.name, str(error))) from error

    def _connection(self, name: str, cls: type, value: Any) -> Any:
        if value is None or isinstance(value, ConnectionObject):
            return value
        if not isinstance(value, str):
            raise DefinitionError(self._refused(name, "the name of a connection is needed"))
        kind = connection_type(cls)
        connection = find_connection(
            value, [kind] if kind else [], self._flow, self._node, self.place(name), self._lookup
        )
        return make_connection(connection, cls, self._lookup)

    def _configuration(self, parameter: EntryParameter, cls: type[ModelConfiguration], value: Any) -> Any:
        if isinstance(value, ModelConfiguration):
            value = {name: item for name, item in vars(value).items() if item is not None}
        if value is None:
            return None
        if not isinstance(value, Mapping):
            what = "a mapping of model settings is needed, with the name of a connection or an endpoint"
            raise DefinitionError(self._refused(parameter.name, what))
        self._check_settings(parameter.name, cls, value)
        if not value.get("connection"):
            return cls(**value)
        is_azure = issubclass(cls, AzureOpenAIModelConfiguration)
        kinds = ["azure_open_ai"] if is_azure else ["open_ai"]
        pointer = self.place(parameter.name)
        connection = find_connection(
            str(value["connection"]), kinds, self._flow, self._node, pointer, self._lookup
        )
        made = make_connection(connection, CONNECTION_CLASSES[connection.type], self._lookup)
        model = value[_model_setting(cls)]
        make: Any = cls  # both classes have it, each with a name of its own for the model
        return make.from_connection(made, model)

    def _check_settings(self, name: str, cls: type[ModelConfiguration], value: Mapping[str, Any]) -> None:
        known = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
        model = _model_setting(cls)
        for key in value:
            if key not in known:
                guess = nearest(str(key), known)
                fix = f'Did you mean "{guess}"?' if guess else f"It has: {', '.join(known)}."
                what = f"A {cls.__name__} ({name!r}) has no setting {key!r}."
                raise DefinitionError(Problem(code="T204", what=what, fix=fix))
        if not value.get(model):
            what = f"The model configuration {name!r} does not say which model to ask: it has no {model}."
            raise DefinitionError(Problem(code="T205", what=what, fix=f"Add {model}."))
        others = [key for key in known if key not in (model, "connection") and value.get(key)]
        if value.get("connection") and others:
            what = f"it names a connection and says {', '.join(others)} as well"
            raise DefinitionError(self._refused(name, what))

    def _refused(self, name: str, reason: str) -> Problem:
        return Problem(
            code="T203",
            what=f"The value of {name!r} does not fit the constructor of {self._flow.entry}: {reason}.",
            fix="Correct the value.",
        )
