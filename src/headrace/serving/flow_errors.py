"""Problems as prompt flow's server says them: HTTP status and error JSON (promptflow-format: 10)."""

from __future__ import annotations

from typing import Any

from headrace.errors import Problem

USER_ERROR, SYSTEM_ERROR = "UserError", "SystemError"
_TOO_SLOW = "E603"
_CONNECTION_CODES = frozenset({"C501", "C502", "C503", "C504", "C505"})


def error_body(*problems: Problem) -> dict[str, Any]:
    """The JSON of an error, with the code of headrace beside prompt flow's word."""
    kind = USER_ERROR if failure_status(problems[0]) < 500 else SYSTEM_ERROR
    message = " ".join(problem.what for problem in problems)
    return {"error": {"code": kind, "message": message, "problem": problems[0].code}}


def failure_status(problem: Problem) -> int:
    """HTTP status for a line that failed or a request that does not fit.

    504 for what took too long, 503 for what the server lacks; what a tool or a model service raises counts as the
    caller's, as under prompt flow.
    """
    if problem.code == _TOO_SLOW:
        return 504
    return 503 if is_for_operator(problem) else 400


def is_for_operator(problem: Problem) -> bool:
    """Whether whoever runs the server has to mend it: a connection, its key, a package, or a file of any of them."""
    return problem.code in _CONNECTION_CODES or problem.code[0] == "F"


def timed_out(what: str) -> dict[str, Any]:
    """The JSON for a request that was cut."""
    return error_body(Problem(code="E603", what=what))


def refusal(status: int, message: str) -> dict[str, Any]:
    """The JSON for a request that was not looked into further."""
    kind = SYSTEM_ERROR if status >= 500 else USER_ERROR
    return {"error": {"code": kind, "message": message}}
