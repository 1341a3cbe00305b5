"""HTTP by httptools' parser, which takes a fraction of the time of h11's, within the bounds that h11 keeps."""

from __future__ import annotations

from typing import Any

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEAD_BYTES = 65_536


class FastHttp(HttpToolsProtocol):
    """One connection. Ends it when too much comes that is neither body nor the end of a request.

    The parser has no bound of its own: it would collect the head of a request, or the fields after a body in chunks,
    for as long as a client sends them. And it takes what follows a head that offers another protocol for that protocol:
    the body would be lost of every request of a client that offers HTTP/2, as Java's does. A server may leave such an
    offer aside (RFC 9110, 7.8), so the request is read again without it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._n_head_bytes = 0
        self._is_offered_more = False
        self.parser = _Parser(self)

    def data_received(self, data: bytes) -> None:
        """Take what has come; the piece that a body or a request ends in does not count."""
        self._n_head_bytes += len(data)
        super().data_received(data)
        while self._is_offered_more and isinstance(self.parser, _Parser):
            self._is_offered_more = False
            data = self._head_alone() + data[self.parser.n_read :]
            self.parser = _Parser(self)
            super().data_received(data)
        if self._n_head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def _head_alone(self) -> bytes:
        """The head of the request that was read, without the offer."""
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))

    def on_headers_complete(self) -> None:
        """Begin a request, unless it is to be read again."""
        self._is_offered_more = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._is_offered_more:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._n_head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._n_head_bytes = 0
        if not self._is_offered_more:
            super().on_message_complete()


class _Parser(HttpRequestParser):
    """Stops where a request offers another protocol, after :attr:`n_read` bytes of what it was fed."""

    def __init__(self, protocol: FastHttp) -> None:
        super().__init__(protocol)
        self.n_read = 0
        # An answer may be sent before all of its request has come.
        self.set_dangerous_leniencies(lenient_data_after_close=True)

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except HttpParserUpgrade as offer:
            (self.n_read,) = offer.args
