"""Problems as OpenAI's clients expect them: HTTP status and error JSON."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import JSONResponse, Response

from headrace.errors import HeadraceError, Problem, RemoteError
from headrace.serving.flow_errors import is_for_operator

# The caller's own fault or wish comes back as such; a fault behind us is a bad gateway.
_STATUS = {"C509": 400, "P702": 429, "P703": 502, "P704": 504, "P705": 400, "P706": 400, "P708": 503}
_TYPES = {429: "rate_limit_error", 400: "invalid_request_error"}


def error_body(error: HeadraceError) -> dict[str, Any]:
    """The JSON of an error; its ``code`` is the problem's kebab name, or OpenAI's own where there is one."""
    problem = error.problems[0]
    code = "content_filter" if problem.code == "P706" else problem.name
    message = f"{problem.what} {problem.fix}" if problem.fix else problem.what
    kind = _TYPES.get(_status(error), "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_response(error: HeadraceError) -> Response:
    """The HTTP answer for an error of the model or of its connection."""
    headers = {}
    if isinstance(error, RemoteError) and error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return JSONResponse(error_body(error), _status(error), headers=headers)


def problem_body(problem: Problem, status: int) -> dict[str, Any]:
    """The JSON of a problem of a flow; what whoever runs the server could do, which may name its files, is not said."""
    kind = _TYPES.get(status, "server_error")
    is_callers = problem.code[0] in "TD" or problem.code == "F013"
    message = f"{problem.what} {problem.fix}" if problem.fix and is_callers else problem.what
    return {"error": {"message": message, "type": kind, "param": None, "code": problem.name}}


def line_status(problem: Problem) -> int:
    """HTTP status for a line that failed: 400 only where the caller can mend it by another request."""
    if problem.code[0] in "TD":
        return 400
    if is_for_operator(problem):
        return 503
    return (
        504 if problem.code == "E603" else _STATUS.get(problem.code, 502 if problem.code[0] == "P" else 500)
    )


def _status(error: HeadraceError) -> int:
    if isinstance(error, RemoteError):
        return _STATUS.get(error.problems[0].code, 502)
    return 500
