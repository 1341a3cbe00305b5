"""``OperationContext``: facts about the current operation, which code adds its own to (promptflow-format: 11)."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar

from headrace.compat.served_names import INTERFACE_VERSION
from headrace.formats.run_info import FLOW_ID
from headrace.telemetry.spans import line_run_id
from headrace.tools.base import NodeContext, current_node
from headrace.tools.current_span import parent_span

_ATTRIBUTES = "_otel_attributes"
_USER_AGENT = f"promptflow-tracing/{INTERFACE_VERSION}"


class OperationContext(dict[str, Any]):
    """A mapping whose items are attributes as well. One for each context of the program, shared by what it starts.

    Every node of a flow has one of its own, with the items of its surroundings and what prompt flow says about the run.

    Nothing in headrace decides by it. What is added with ``_add_otel_attributes`` stands in the spans of the node that
    adds it, and of the traced functions that are called afterwards.
    """

    USER_AGENT_KEY: ClassVar = "user_agent"
    REQUEST_ID_KEY: ClassVar = "request_id"
    EXECUTION_TARGET: ClassVar = "execution_target"

    @classmethod
    def get_instance(cls) -> OperationContext:
        """The one of this context, or of the node that runs in it; made when there is none."""
        found = _current.get()
        node = current_node.get()
        if found is None or (node is not None and _node.get() is not node):
            found = cls() if found is None else found.copy()
            if node is not None:
                dict.update(found, _facts(node))
            _node.set(node)
            _current.set(found)
        return found

    @classmethod
    def set_instance(cls, instance: OperationContext | None) -> None:
        """Put another one in its place."""
        _note_effect()
        _node.set(current_node.get())
        _current.set(instance)

    def __setitem__(self, key: str, value: Any) -> None:
        _note_effect()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        _note_effect()
        super().__delitem__(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Add items."""
        _note_effect()
        super().update(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        message = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(message)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message)
        del self[name]

    def copy(self) -> OperationContext:
        """Another one with the same items."""
        made = type(self)(self)
        if _ATTRIBUTES in self:
            dict.__setitem__(made, _ATTRIBUTES, dict(self[_ATTRIBUTES]))
        return made

    def get_user_agent(self) -> str:
        """What has been appended, and who we say that we are."""
        return f"{self.get(self.USER_AGENT_KEY, '')} {_USER_AGENT}".strip()

    def append_user_agent(self, user_agent: str) -> None:
        """Append words to the user agent, unless they are there."""
        known = self.get(self.USER_AGENT_KEY, "")
        if user_agent not in known:
            self[self.USER_AGENT_KEY] = f"{known} {user_agent}".strip()

    def get_request_id(self) -> str:
        """Id of the request that is served; ``unknown`` outside one."""
        return str(self.get(self.REQUEST_ID_KEY, "unknown"))

    def set_execution_target(self, execution_target: str) -> None:
        """Say what kind of flow runs: dag, flex or prompty."""
        self[self.EXECUTION_TARGET] = execution_target

    def set_default_tracing_keys(self, keys: set[str]) -> None:
        """Accepted; kept as an item."""
        self["_default_tracing_keys"] = keys

    def get_context_dict(self) -> dict[str, Any]:
        """All items, as a mapping of their own."""
        return dict(self)

    def _add_otel_attributes(self, key: str, value: Any) -> None:
        _note_effect()
        self.setdefault(_ATTRIBUTES, {})[key] = value
        node = current_node.get()
        if node is not None:
            parent_span(node).attributes[key] = value

    def _remove_otel_attributes(self, keys: list[str] | str) -> None:
        for key in [keys] if isinstance(keys, str) else keys:
            self.get(_ATTRIBUTES, {}).pop(key, None)

    def _get_otel_attributes(self) -> dict[str, Any]:
        node = current_node.get()
        return {**({} if node is None else _span_facts(node)), **self.get(_ATTRIBUTES, {})}


def _facts(node: NodeContext) -> dict[str, Any]:
    """What prompt flow says about the run that a node is part of."""
    return {
        "run_mode": "Test" if node.run is None else "Batch",
        "flow_id": FLOW_ID,
        "root_run_id": line_run_id(node.span.trace_id) if node.run is None else node.run,
        OperationContext.EXECUTION_TARGET: node.flow_kind,
    }


def _span_facts(node: NodeContext) -> dict[str, Any]:
    facts: dict[str, Any] = {OperationContext.EXECUTION_TARGET: node.flow_kind}
    if node.line_number is None:
        return {**facts, "is_aggregation": True}
    if node.run is None:
        return {**facts, "line_run_id": line_run_id(node.span.trace_id)}
    return {**facts, "batch_run_id": node.run, "line_number": node.line_number}


def _note_effect() -> None:
    """Say that the node that runs leaves more behind than its output."""
    node = current_node.get()
    if node is not None:
        node.has_effects = True


_node: ContextVar[NodeContext | None] = ContextVar("headrace_operation_context_node", default=None)
"""The node that the operation context of this context was made for."""

_current: ContextVar[OperationContext | None] = ContextVar("headrace_operation_context", default=None)


def span_attributes() -> dict[str, Any]:
    """What code has added for spans in this context."""
    context = _current.get()
    return dict(context.get(_ATTRIBUTES, {})) if context else {}
