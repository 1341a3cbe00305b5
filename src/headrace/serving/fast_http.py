"""HTTP by httptools' parser, which takes a fraction of the time of h11's, within the bounds that h11 keeps."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEAD_BYTES = 65_536


class FastHttp(HttpToolsProtocol):
    """One connection. Ends it when too much comes that is neither body nor the end of a request.

    The parser has no bound of its own: it would collect the head of a request, or the fields after a body in chunks,
    for as long as a client sends them.
    """

    _n_head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come; the piece that a body or a request ends in does not count."""
        self._n_head_bytes += len(data)
        super().data_received(data)
        if self._n_head_bytes > _MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._n_head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._n_head_bytes = 0
        super().on_message_complete()
