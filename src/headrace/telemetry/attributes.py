"""Attribute names of our spans and the functions that build them.

Names under ``gen_ai.``, ``server.`` and ``error.`` are OpenTelemetry's semantic conventions for generative
AI; names under ``headrace.`` are ours. A model call carries its provider under the current name and under the
one that it replaced, because Azure Monitor still reads the older one. Attributes hold names, counts and
settings, never prompts or answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.43.0"
"""Version of the semantic conventions that the names below are taken from."""

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
SYSTEM: Final = "gen_ai.system"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
REQUEST_STREAM: Final = "gen_ai.request.stream"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
EMBEDDING_DIMENSIONS: Final = "gen_ai.embeddings.dimension.count"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
CONVERSATION: Final = "gen_ai.conversation.id"
ERROR_TYPE: Final = "error.type"
FUNCTION_NAME: Final = "code.function.name"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105, a name
HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
PROTOCOL_VERSION: Final = "network.protocol.version"
CLIENT_ADDRESS: Final = "client.address"
USER_AGENT: Final = "user_agent.original"
EVALUATION_RESULT: Final = "gen_ai.evaluation.result"
"""Name of an event, not of an attribute."""
EVALUATION_NAME: Final = "gen_ai.evaluation.name"
SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
EXPLANATION: Final = "gen_ai.evaluation.explanation"

FLOW: Final = "headrace.flow"
NODE: Final = "headrace.node"
NODE_KIND: Final = "headrace.node.kind"
NODE_IS_AGGREGATION: Final = "headrace.node.is_aggregation"
RUN: Final = "headrace.run"
ARM: Final = "headrace.arm"
TEST: Final = "headrace.test"
"""Name of the online test that the request is a part of."""
REVISION: Final = "headrace.revision"
ROLE: Final = "headrace.role"
PROPENSITY: Final = "headrace.propensity"
"""Chance of the arm for a unit in the test."""
FLOW_VERSION: Final = "headrace.flow.version"
FLOW_DIGEST: Final = "headrace.flow.digest"
DATA_VERSION: Final = "headrace.data.version"
DATA_DIGEST: Final = "headrace.data.digest"
LINE_NUMBER: Final = "headrace.line_number"
COLLECTION: Final = "headrace.collection"
CACHED_FROM: Final = "headrace.cached_from"
RETRIES: Final = "headrace.retries"
QUOTA_WAIT: Final = "headrace.quota_wait_s"
ENDPOINT_VERSION: Final = "headrace.endpoint.version"
COST: Final = "headrace.cost_usd"
LOGGER: Final = "headrace.logger"
REQUEST_ID: Final = "headrace.request_id"
QUEUE_WAIT: Final = "headrace.queue_wait_s"
"""How long a request waited for its turn, seconds; on its server span."""
FLOW_KIND: Final = "headrace.flow.kind"
TREE_INPUT_TOKENS: Final = "headrace.tree.input_tokens"
"""Tokens of a span and of everything below it, counted when it leaves."""
TREE_OUTPUT_TOKENS: Final = "headrace.tree.output_tokens"

CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
EMBEDDINGS: Final = "embeddings"
EXECUTE_TOOL: Final = "execute_tool"
INVOKE_WORKFLOW: Final = "invoke_workflow"
RETRIEVAL: Final = "retrieval"

# Our word for an operation where it is not OpenTelemetry's.
_OPERATIONS: Mapping[str, str] = MappingProxyType({"completion": TEXT_COMPLETION})

# Fields of a request body that have an attribute; all of them are numbers, flags or short texts.
_REQUEST_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "temperature": "gen_ai.request.temperature",
        "top_p": "gen_ai.request.top_p",
        "max_tokens": "gen_ai.request.max_tokens",
        "max_completion_tokens": "gen_ai.request.max_tokens",
        "frequency_penalty": "gen_ai.request.frequency_penalty",
        "presence_penalty": "gen_ai.request.presence_penalty",
        "seed": "gen_ai.request.seed",
        "n": "gen_ai.request.choice.count",
        "stream": REQUEST_STREAM,
        "dimensions": EMBEDDING_DIMENSIONS,
    }
)
_STOP_SEQUENCES = "gen_ai.request.stop_sequences"
_ENCODING_FORMATS = "gen_ai.request.encoding_formats"
_TOOL_KINDS = ("python", "custom_llm")


def run_attributes(
    run: str,
    arm: str | None,
    *,
    flow_version: str | None = None,
    flow_digest: str = "",
    data_version: int | None = None,
    data_digest: str | None = None,
) -> dict[str, Any]:
    """Attributes that every root span of a run carries.

    Args:
        run: Name of the run.
        arm: ``None`` outside an experiment.
        flow_version: ``ask_docs@7``; ``None`` where the run knows none.
        flow_digest: The id of that version, the same in every store; empty where it is not known.
        data_version: Number of the version of the data; ``None`` where the run read none.
        data_digest: The id of that version; ``None`` likewise.
    """
    given = {
        RUN: run,
        ARM: arm,
        FLOW_VERSION: flow_version,
        FLOW_DIGEST: flow_digest or None,
        DATA_VERSION: data_version,
        DATA_DIGEST: data_digest,
    }
    return {name: value for name, value in given.items() if value is not None}


def flow_attributes(flow: str, line_number: int | None = None) -> dict[str, Any]:
    """Attributes of the root span of one line, or of the aggregation of a run (no ``line_number``).

    Args:
        flow: Name of the flow.
        line_number: Counts from 0.
    """
    attributes: dict[str, Any] = {OPERATION_NAME: INVOKE_WORKFLOW, WORKFLOW_NAME: flow, FLOW: flow}
    if line_number is not None:
        attributes[LINE_NUMBER] = line_number
    return attributes


def node_attributes(
    node: str,
    kind: str,
    is_aggregation: bool = False,  # noqa: FBT001, FBT002, three properties of a node in the order of its type
) -> dict[str, Any]:
    """Attributes of the span of one node.

    Args:
        node: Name of the node.
        kind: Its type in the flow file: python, prompt, llm, custom_llm. A node that runs a Python tool is
            OpenTelemetry's ``execute_tool``; an llm node is not, its model call has a span of its own.
        is_aggregation: Whether it runs once over all lines.
    """
    attributes: dict[str, Any] = {NODE: node, NODE_KIND: kind}
    if kind in _TOOL_KINDS:
        attributes[OPERATION_NAME] = EXECUTE_TOOL
        attributes[TOOL_NAME] = node
        attributes[TOOL_TYPE] = "function"
    if is_aggregation:
        attributes[NODE_IS_AGGREGATION] = True
    return attributes


def model_span_name(operation: str, model: str) -> str:
    """Name of the span of a model call: the operation and the model, as the conventions ask."""
    return f"{_OPERATIONS.get(operation, operation)} {model}"


def endpoint_request_attributes(flow: str, address: str | None, port: int | None) -> dict[str, Any]:
    """Attributes of the span of one request to a flow that runs elsewhere, known before the answer.

    Args:
        flow: Name of the flow.
        address: Host that is asked.
        port: Port that is asked.
    """
    given = {
        OPERATION_NAME: INVOKE_WORKFLOW,
        WORKFLOW_NAME: flow,
        SERVER_ADDRESS: address,
        SERVER_PORT: port,
    }
    return {name: value for name, value in given.items() if value is not None}


def endpoint_answer_attributes(version: str | None, retries: int, waited_s: float) -> dict[str, Any]:
    """Attributes of the same span that are known with the answer.

    Args:
        version: What the endpoint says of itself.
        retries: Attempts before the one that was answered.
        waited_s: How long the request waited for a quota, seconds.
    """
    given = {ENDPOINT_VERSION: version, RETRIES: retries or None, QUOTA_WAIT: waited_s or None}
    return {name: value for name, value in given.items() if value is not None}


def model_request_attributes(
    operation: str,
    system: str,
    model: str,
    body: Mapping[str, Any],
    address: str | None = None,
    port: int | None = None,
) -> dict[str, Any]:
    """Attributes of the span of one model call that are known before the answer.

    Args:
        operation: chat, completion or embeddings.
        system: OpenTelemetry's provider name, e.g. ``azure.ai.openai``.
        model: Model name; the deployment name on Azure.
        body: JSON body of the request; only its parameters are read, never its messages.
        address: Host that the request goes to; ``None`` in process.
        port: Port of that host.
    """
    attributes: dict[str, Any] = {
        OPERATION_NAME: _OPERATIONS.get(operation, operation),
        PROVIDER_NAME: system,
        SYSTEM: system,
        REQUEST_MODEL: model,
    }
    for field, name in _REQUEST_FIELDS.items():
        value = body.get(field)
        if isinstance(value, int | float):
            attributes[name] = value
    for field, name in (("stop", _STOP_SEQUENCES), ("encoding_format", _ENCODING_FORMATS)):
        texts = _texts(body.get(field))
        if texts:
            attributes[name] = texts
    if address is not None:
        attributes[SERVER_ADDRESS] = address
        if port is not None:
            attributes[SERVER_PORT] = port
    return attributes


def model_response_attributes(
    *,
    model: str | None = None,
    response_id: str | None = None,
    finish_reasons: Sequence[str] = (),
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    retries: int = 0,
    waited_s: float = 0.0,
    cost_usd: float | None = None,
    first_chunk_s: float | None = None,
) -> dict[str, Any]:
    """Attributes of the span of one model call that its answer adds.

    Args:
        model: Model that answered, as the service names it.
        response_id: The service's id of the answer.
        finish_reasons: One per choice.
        input_tokens: Tokens of the prompt; ``None`` where the service does not say.
        output_tokens: Tokens of the answer; ``None`` where the service does not say.
        retries: Attempts that were refused before this answer.
        waited_s: How long the request waited for a quota, seconds.
        cost_usd: What the answer costs; ``None`` where the price is not known.
        first_chunk_s: From the request to the first piece of a streamed answer, seconds.
    """
    found: dict[str, Any] = {
        RESPONSE_MODEL: model,
        RESPONSE_ID: response_id,
        FINISH_REASONS: list(finish_reasons) or None,
        INPUT_TOKENS: input_tokens,
        OUTPUT_TOKENS: output_tokens,
        RETRIES: retries or None,
        QUOTA_WAIT: round(waited_s, 3) or None,
        COST: cost_usd,
        TIME_TO_FIRST_CHUNK: None if first_chunk_s is None else round(first_chunk_s, 6),
    }
    return {name: value for name, value in found.items() if value is not None}


def evaluation_attributes(
    name: str,
    *,
    value: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
    response_id: str | None = None,
    error_type: str | None = None,
) -> dict[str, Any]:
    """Attributes of the event that says what an evaluator found.

    Args:
        name: Name of the metric.
        value: The score; ``None`` where there is none, as for NaN.
        label: The evaluator's word for it.
        explanation: Why; content, so only where content may be captured.
        response_id: The service's id of the answer that was evaluated.
        error_type: Name of the problem that ended the evaluation.
    """
    found: dict[str, Any] = {
        EVALUATION_NAME: name,
        SCORE_VALUE: None if value is None or not isfinite(value) else float(value),
        SCORE_LABEL: label,
        EXPLANATION: explanation,
        RESPONSE_ID: response_id,
        ERROR_TYPE: error_type,
    }
    return {key: item for key, item in found.items() if item is not None}


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list | tuple):
        return [item for item in value if isinstance(item, str)]
    return []
