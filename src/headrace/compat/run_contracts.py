"""What a run leaves behind, under the names of ``promptflow.contracts.run_info``, ``run_mode`` and ``trace``.

The fields are those of the files that runs are recorded in; :meth:`deserialize` reads one of their objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any, Self


class Status(Enum):
    """States of a run, of a line and of a node."""

    Running = "Running"
    Preparing = "Preparing"
    Completed = "Completed"
    Failed = "Failed"
    Bypassed = "Bypassed"
    Canceled = "Canceled"
    NotStarted = "NotStarted"
    CancelRequested = "CancelRequested"

    @staticmethod
    def is_terminated(status: Status | str) -> bool:
        """Whether nothing more will happen."""
        value = status.value if isinstance(status, Status) else status
        return value in ("Completed", "Failed", "Bypassed", "Canceled")


class RunMode(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """How a flow is run."""

    Test = "Test"
    SingleNode = "SingleNode"
    Batch = "Batch"

    @classmethod
    def parse(cls, value: Any) -> RunMode:
        """The mode of this name; ``Test`` for names that are none.

        Raises:
            ValueError: It is not a text.
        """
        if not isinstance(value, str):
            message = f"A run mode is a text, not a {type(value).__name__}."
            raise ValueError(message)
        return next((mode for mode in cls if mode.value == value), cls.Test)


class _Recorded:
    """A record that can be made from an object of a run's files."""

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> Self:
        """Make a record; names that it does not know are left out. Times are UTC without saying so."""
        known = {item.name: data[item.name] for item in fields(cls) if item.name in data}  # type: ignore[arg-type]
        known["status"] = Status(known["status"])
        for name in ("start_time", "end_time"):
            known[name] = _time(known.get(name))
        return cls(**known)


@dataclass
class RunInfo(_Recorded):
    """What is recorded of one node in one line."""

    node: str
    flow_run_id: str
    run_id: str
    status: Status
    inputs: Mapping[str, Any] | None
    output: Any
    metrics: dict[str, Any] | None
    error: dict[str, Any] | None
    parent_run_id: str
    start_time: datetime | None
    end_time: datetime | None
    index: int | None = None
    api_calls: list[dict[str, Any]] | None = None
    cached_run_id: str | None = None
    cached_flow_run_id: str | None = None
    logs: dict[str, str] | None = None
    system_metrics: dict[str, Any] | None = None
    result: Any = None
    message_format: str = "basic"


@dataclass
class FlowRunInfo(_Recorded):
    """What is recorded of one line."""

    run_id: str
    status: Status
    error: Any
    inputs: Any
    output: Any
    metrics: dict[str, Any] | None
    request: Any
    parent_run_id: str
    root_run_id: str
    source_run_id: str | None
    flow_id: str
    start_time: datetime | None
    end_time: datetime | None
    index: int | None = None
    api_calls: list[dict[str, Any]] | None = None
    name: str = ""
    description: str = ""
    tags: Mapping[str, str] | None = None
    system_metrics: dict[str, Any] | None = None
    result: Any = None
    upload_metrics: bool = False
    otel_trace_id: str | None = ""
    message_format: str = "basic"


class TraceType(str, Enum):  # noqa: UP042
    """What a traced call is."""

    LLM = "LLM"
    FUNCTION = "Function"
    LANGCHAIN = "LangChain"
    FLOW = "Flow"
    EMBEDDING = "Embedding"
    RETRIEVAL = "Retrieval"


@dataclass
class Trace:
    """One traced call, as ``api_calls`` of a record holds them."""

    name: str
    type: TraceType
    inputs: dict[str, Any]
    output: Any | None = None
    start_time: float | None = None
    end_time: float | None = None
    error: str | None = None
    children: list[Trace] | None = None
    node_name: str | None = None
    parent_id: str = ""
    id: str = ""
    function: str = ""


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value).replace(tzinfo=None) if isinstance(value, str) else value
