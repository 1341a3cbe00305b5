"""One HTTP request of a tool that is no model call: a web search, a content check. Blocks; run it in a thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

TIMEOUT_S = 60.0
_SCHEMES = ("http", "https")


class WebError(Exception):
    """No answer came; the text says why, without the address, whose query may hold a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """An answer, whatever its status.

    Attributes:
        status: HTTP status.
        text: The body.
    """

    status: int
    text: str

    def json(self) -> Any:
        """The body as data.

        Raises:
            ValueError: It is not JSON.
        """
        return json.loads(self.text)


def request(
    url: str,
    *,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    timeout_s: float = TIMEOUT_S,
    may_ask: Callable[[str], bool] = bool,
) -> WebAnswer:
    """Send a GET, or a POST where there is a body, and wait for its answer. Proxies of the environment are used.

    Args:
        url: An http or https address.
        query: Parameters of the address; those that are ``None`` are left out.
        headers: Everything but length and content type.
        body: Data to send as JSON.
        timeout_s: Limit for each wait, seconds.
        may_ask: Whether an address that the answer leads on to may be asked.

    Raises:
        WebError: No answer came.
    """
    if urlsplit(url).scheme not in _SCHEMES:
        message = "the address does not begin with http:// or https://"
        raise WebError(message)
    given = {name: value for name, value in (query or {}).items() if value is not None}
    content = None if body is None else json.dumps(body).encode()
    asked = Request(  # noqa: S310 - the scheme is checked above
        f"{url}?{urlencode(given)}" if given else url,
        data=content,
        headers={**(headers or {}), **({} if content is None else {"Content-Type": "application/json"})},
    )
    try:
        with build_opener(_Redirects(may_ask)).open(asked, timeout=timeout_s) as answer:
            return WebAnswer(status=answer.status, text=answer.read().decode("utf-8", "replace"))
    except HTTPError as error:
        with error:
            return WebAnswer(status=error.code, text=error.read().decode("utf-8", "replace"))
    except URLError as error:
        raise WebError(_reason(error.reason)) from None
    except OSError as error:
        raise WebError(_reason(error)) from None


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect where that is allowed, and never from https to http."""

    def __init__(self, may_ask: Callable[[str], bool]) -> None:
        self._may_ask = may_ask

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to the next address.

        Raises:
            WebError: It may not be asked.
        """
        is_less_safe = req.type == "https" and urlsplit(newurl).scheme != "https"
        if is_less_safe or not self._may_ask(newurl):
            message = "the answer leads on to an address that may not be asked"
            raise WebError(message)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _reason(reason: Any) -> str:
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return str(reason.strerror).lower()
    return str(reason)
