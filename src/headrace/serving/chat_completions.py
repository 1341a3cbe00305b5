"""Chat flows as models of OpenAI's API: ``POST /v1/chat/completions`` and ``GET /v1/models``.

A model is a served flow: its path, or the name of a flow that is served without one; the name of the version that is
served, such as ``my_chat@3f9a1c0b2d4e``, names it as well and is what the answer says. The sampling parameters of a
request are the flow's own affair and are ignored. Errors have OpenAI's form.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.domain.flow import DAG, Flow
from headrace.domain.run import LineResult
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.planning.chat import find_chat_ports, read_answer
from headrace.serving.chat_messages import answer_text, read_messages
from headrace.serving.chat_stream import ChatStream
from headrace.serving.conversation import conversation_attributes
from headrace.serving.flow_inputs import fit_inputs, read_json
from headrace.serving.model_errors import line_status, problem_body
from headrace.serving.plain_response import PlainResponse
from headrace.serving.request_id import REQUEST_ID
from headrace.serving.routes import Routes, answering
from headrace.serving.served import FlowCall, Served, ServedFlow


def routes(served: Served) -> Routes:
    """What a chat client asks."""
    completions = _Completions(served)
    found: dict[str, Mapping[str, ASGIApp]] = {
        "/v1/chat/completions": {"POST": completions.answer},
        "/v1/models": {"GET": answering(completions.models)},
    }
    for flow in served.flows.values():
        found[f"/v1/models/{_model_id(flow)}"] = {"GET": answering(completions.model)}
    return found


def served_models(flows: Iterable[ServedFlow]) -> list[str]:
    """What a request may name as its model: chat flows, and the versions of them that answer now."""
    chats = [flow for flow in flows if flow.version.chat_ports is not None]
    return [name for flow in chats for name in (_model_id(flow), flow.version.name)]


def _model_id(flow: ServedFlow) -> str:
    return flow.path.strip("/") or flow.version.flow.plan.flow.name


class _Completions:
    """What answers the routes."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the last message."""
        request = Request(scope, receive)
        try:
            body = _read_body(await request.body())
            flow = self._find(body.get("model"))
            if flow is None:
                await self._unknown()(scope, receive, send)
                return
            with flow.call(scope, body) as call:
                call.attributes = conversation_attributes(scope)
                response = await _complete(call, body, scope)
                await response(scope, receive, send)
        except UsageError as error:  # of what is asked: once a line runs, what goes wrong is its result
            await _refuse(error.problems[0])(scope, receive, send)

    async def models(self, _: Request) -> Response:
        """The chat flows."""
        flows = [flow for flow in self._served.flows.values() if flow.version.chat_ports is not None]
        return PlainResponse({"object": "list", "data": [_describe(flow) for flow in flows]})

    async def model(self, request: Request) -> Response:
        """One of them."""
        flow = self._find(request.scope["path"].removeprefix("/v1/models/"))
        if flow is None or flow.version.chat_ports is None:
            return self._unknown()
        return PlainResponse(_describe(flow))

    def _find(self, name: Any) -> ServedFlow | None:
        flows = self._served.flows.values()
        return next((flow for flow in flows if name in (_model_id(flow), flow.version.name)), None)

    def _unknown(self) -> Response:
        names = ", ".join(_model_id(flow) for flow in self._served.flows.values())
        body = {"message": f"No flow of this name or version is served here; served are: {names}."}
        more = {"type": "invalid_request_error", "param": "model", "code": "model_not_found"}
        return PlainResponse({"error": {**body, **more}}, 404)


def _describe(flow: ServedFlow) -> dict[str, Any]:
    ours = {"owned_by": "headrace", "version": flow.version.name}
    return {"id": _model_id(flow), "object": "model", "created": 0, **ours}


def _read_body(content: bytes) -> dict[str, Any]:
    try:
        body = read_json(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        _reject("The request is not a JSON object.", 'Send {"model": "…", "messages": […]}.')
    return body


def _read_inputs(flow: Flow, body: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a line that a request asks for.

    Raises:
        UsageError: F013 for a flow that is no chat flow; D401, T201, T202 or T210 for what does not fit.
    """
    ports, problems = find_chat_ports(flow)
    if ports is None:
        raise UsageError(*problems)
    if body.get("n") not in (None, 1) or body.get("tools") or body.get("functions"):
        _reject("A flow gives one answer, and calls its own tools.", "Leave n, tools and functions away.")
    more = body.get("inputs") or {}
    if not isinstance(more, dict):
        _reject('"inputs" is not an object of input names and values.', "Correct it, or leave it away.")
    return fit_inputs(flow, {**more, **read_messages(flow, ports, body.get("messages"))})


async def _complete(call: FlowCall, body: Mapping[str, Any], scope: Scope) -> Response:
    """Run the line, or get ready to run it while its answer is sent."""
    try:
        call.take(lambda flow: _read_inputs(flow, body))
    except HeadraceError as error:
        return _refuse(error.problems[0], call.headers)
    streams, options = bool(body.get("stream")), body.get("stream_options")
    wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    envelope = {
        "id": f"chatcmpl-{scope.get(REQUEST_ID, '')}",
        "object": "chat.completion.chunk" if streams else "chat.completion",
        "created": int(time.time()),
        "model": call.version.name,
    }

    def read_text(line: LineResult) -> str:
        ports = call.version.chat_ports
        shown = call.version.choose(line.outputs)
        return answer_text(shown if ports is None else read_answer(ports, shown))

    def is_answer(name: str) -> bool:
        version = call.version
        is_named = version.chat_ports is not None and name == version.chat_ports.answer
        return (is_named or version.flow.plan.flow.kind != DAG) and bool(version.choose({name: ""}))

    def fail(line: LineResult) -> Response:
        problem = line.problem
        return PlainResponse({}, 500) if problem is None else _refuse(problem, call.headers)

    if streams:
        return ChatStream(
            lambda on_piece: call.run(on_piece=on_piece),
            is_answer=is_answer,
            read_text=read_text,
            fail=fail,
            envelope=envelope,
            usage=lambda line: _usage(line) if wants_usage else None,
            headers=call.headers,
        )
    line = await call.run()
    if line.problem is not None:
        return fail(line)
    message = {"role": "assistant", "content": read_text(line)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return PlainResponse({**envelope, "choices": [choice], "usage": _usage(line)}, headers=call.headers)


def _usage(line: LineResult) -> dict[str, int] | None:
    """What the model calls of the line took; ``None`` where there were none, or the service does not say."""
    usage = line.usage
    if not usage.total_tokens:
        return None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _refuse(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The error; only what another try may mend may be sent again by a client that does so by itself."""
    status = 400 if problem.code == "F013" else line_status(problem)
    again = "true" if status in (429, 502, 503) else "false"
    return PlainResponse(problem_body(problem, status), status, {**(headers or {}), "x-should-retry": again})


def _reject(what: str, fix: str) -> NoReturn:
    raise UsageError(Problem(code="D401", what=what, fix=fix))
