"""``promptflow.tools.serpapi``: a web search through SerpAPI (promptflow-format: 3.6)."""

from __future__ import annotations

from enum import Enum
from typing import Any

from headrace.compat.exception_families import fail_tool
from headrace.providers.web import WebAnswer, WebError, request
from headrace.tools.connection_types import SerpConnection
from headrace.tools.declaration import ToolProvider, tool

ADDRESS = "https://serpapi.com/search"
_FIRST_SERVER_ERROR = 500
_OK = 200


class SafeMode(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """Whether results for adults only are left out."""

    ACTIVE = "active"
    OFF = "off"


class Engine(str, Enum):  # noqa: UP042
    """Search engines."""

    GOOGLE = "google"
    BING = "bing"


def search(
    connection: SerpConnection,
    query: str,
    location: str | None = None,
    safe: SafeMode = SafeMode.OFF,
    num: int = 10,
    engine: Engine = Engine.GOOGLE,
) -> Any:
    """Search the web.

    Args:
        connection: With the key of SerpAPI.
        query: What to look for.
        location: Where the search begins, in SerpAPI's words.
        safe: Leave out results for adults.
        num: How many results are wanted.
        engine: Which engine to ask.

    Returns:
        SerpAPI's answer.

    Raises:
        SerpAPIUserError: SerpAPI refused the request.
        SerpAPISystemError: It could not answer.
    """
    words = ("num", "safe", "Active") if engine == Engine.GOOGLE else ("count", "safeSearch", "Strict")
    asked = {
        "q": query,
        "location": location,
        "api_key": connection.api_key,
        "engine": engine.value if isinstance(engine, Engine) else engine,
        words[0]: int(num),
        words[1]: words[2] if safe == SafeMode.ACTIVE else None,
        "source": "python",
    }
    try:
        answer = request(ADDRESS, query=asked)
    except WebError as error:
        fail_tool("SerpAPISystemError", f"SerpAPI search request failed: {error}")
    return _result(answer)


def _result(answer: WebAnswer) -> Any:
    try:
        data = answer.json()
    except ValueError:
        data = None
    if answer.status == _OK and data is not None:
        return data
    failed = f"SerpAPI search request failed: HTTP status {answer.status}"
    if answer.status >= _FIRST_SERVER_ERROR or answer.status == _OK:
        fail_tool("SerpAPISystemError", f"{failed}, no JSON result")
    reason = data.get("error") if isinstance(data, dict) else None
    return fail_tool("SerpAPIUserError", str(reason or failed))


class SerpAPI(ToolProvider):
    """SerpAPI with a connection."""

    def __init__(self, connection: SerpConnection) -> None:
        self.connection = connection

    @tool
    def search(
        self,
        query: str,
        location: str | None = None,
        safe: SafeMode = SafeMode.OFF,
        num: int = 10,
        engine: Engine = Engine.GOOGLE,
    ) -> Any:
        """As :func:`search`."""
        return search(self.connection, query, location, safe, num, engine)
