"""The client for programs without an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Any

import httpx2

from headrace.client.answers import Answer
from headrace.client.attempts import Attempts
from headrace.client.failures import unreadable
from headrace.client.options import authorized, check_key_arguments, read_options
from headrace.client.requests import Call, Outcome, Outgoing
from headrace.client.tokens import Credential, Tokens, find_scope
from headrace.errors import RemoteError, RemoteRequestError


class Stream:
    """The pieces of an answer, in order: each maps names of outputs to values, or to the next piece of a text.

    Attributes:
        answer: What is known of the answer before its pieces; its outputs are ``None``.
    """

    def __init__(self, answer: Answer, pieces: Iterator[Mapping[str, Any]]) -> None:
        self.answer = answer
        self._pieces = pieces

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return self._pieces


class Client:
    """Asks one served flow. Threads may share it.

    Args:
        base_url: Address of the server such as ``http://localhost:8080``, or of the scoring route that Azure ML shows.
        path: Path of the flow where the server has several, such as ``triage``.
        key: Sent as ``Authorization: Bearer``.
        token_provider: In place of a key: called before each attempt, and keeps tokens itself, as
            ``azure.identity.get_bearer_token_provider`` does.
        credential: In place of a key: a credential of ``azure.identity``, whose tokens are kept until shortly
            before they end.
        scope: What these tokens are for; needed unless the address is one of Azure Machine Learning.
        deployment: Azure ML deployment that is to answer.
        timeout_s: How long the endpoint may say nothing, seconds.
        connect_timeout_s: How long a connection may take to be made, seconds.
        max_retries: Attempts after the first: only after 408, 429, 503 or a connection that broke before anything was
            answered, with growing, random waits, or for as long as ``Retry-After`` says.

    Raises:
        UsageError: C506 or C507 for arguments of the wrong form.
    """

    def __init__(
        self,
        base_url: str,
        *,
        path: str = "",
        key: str | None = None,
        token_provider: Callable[[], str] | None = None,
        credential: Credential | None = None,
        scope: str | None = None,
        deployment: str | None = None,
        timeout_s: float = 300.0,
        connect_timeout_s: float = 10.0,
        max_retries: int = 4,
    ) -> None:
        check_key_arguments(key, token_provider, credential)
        self._options = read_options(
            base_url,
            path,
            deployment,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_retries=max_retries,
        )
        if credential is not None:
            token_provider = Tokens(credential, find_scope(base_url, scope)).token
        self._key = key
        self._token_provider = token_provider
        self._http = httpx2.Client(**self._options.client_arguments())

    def score(self, inputs: Mapping[str, Any], call: Call | None = None) -> Answer:
        """Ask for one answer.

        Args:
            inputs: The inputs of the flow, as plain data.
            call: What goes with the call.

        Raises:
            UsageError: For inputs that are no JSON, or a value that no header can have.
            RemoteError: The endpoint refuses, fails, or cannot be reached; its ``refusal`` has what it said.
        """
        return self._fetch(self._options.score(inputs, call, streams=False))

    @contextmanager
    def stream(self, inputs: Mapping[str, Any], call: Call | None = None) -> Iterator[Stream]:
        """Ask for an answer piece by piece; of a flow that does not stream, it comes in one piece.

        Leaving the block before the end closes the connection, by which the endpoint stops its work.

        Raises:
            UsageError: As :meth:`score`.
            RemoteError: As :meth:`score`, and from the stream where the flow fails after a part of its answer.
        """
        outgoing = self._options.score(inputs, call, streams=True)
        attempts = self._options.attempts(outgoing)
        with closing(self._begin(outgoing, attempts)) as response:
            yield Stream(attempts.make_answer(None, response.headers), _read_pieces(response, attempts))

    def feedback(self, feedback: Any, answer: Answer | None = None, *, is_flat: bool = False) -> None:
        """Say what somebody thinks of an answer.

        Args:
            feedback: A text, or plain data.
            answer: The answer that is meant; its trace has the feedback then.
            is_flat: The members of a mapping become attributes of their own.

        Raises:
            UsageError: As :meth:`score`.
            RemoteError: As :meth:`score`.
        """
        self._fetch(self._options.feedback(feedback, answer, is_flat=is_flat))

    def report(self, outcome: Outcome, answer: Answer | None = None) -> None:
        """Say what became of an answer, or of a unit, where an online test splits the requests; counted once.

        Args:
            outcome: What is said.
            answer: The answer that it is about; without one, the outcome names a unit.

        Raises:
            UsageError: As :meth:`score`, and where neither is named.
            RemoteError: As :meth:`score`; nothing is known to be kept then.
        """
        self._fetch(self._options.report(outcome, answer))

    def health(self) -> Mapping[str, Any]:
        """What the server says of itself at ``/health``.

        Raises:
            RemoteError: As :meth:`score`.
        """
        return self._fetch_mapping(self._options.health())

    def openapi(self) -> Mapping[str, Any]:
        """The OpenAPI description: ``/openapi.json`` of the server, else ``/swagger.json`` of the flow.

        Raises:
            RemoteError: As :meth:`score`.
        """
        first, second = self._options.openapi()
        try:
            return self._fetch_mapping(first)
        except RemoteRequestError as error:
            if error.refusal is None or error.refusal.status != 404:
                raise
        return self._fetch_mapping(second)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _fetch_mapping(self, outgoing: Outgoing) -> Mapping[str, Any]:
        answer = self._fetch(outgoing)
        if not isinstance(answer.outputs, dict):
            raise unreadable(self._options.address.host, answer.request_id)
        return answer.outputs

    def _fetch(self, outgoing: Outgoing) -> Answer:
        attempts = self._options.attempts(outgoing)
        body = attempts.body()
        with closing(self._begin(outgoing, attempts)) as response:
            try:
                for part in response.iter_bytes():
                    body.add(part)
            except httpx2.HTTPError as error:
                raise attempts.break_off(error, has_begun=True) from error
            return attempts.make_answer(body.read_json(), response.headers)

    def _begin(self, outgoing: Outgoing, attempts: Attempts) -> httpx2.Response:
        """Send until there is an answer; its body is still to be read."""
        while True:
            headers = authorized(outgoing.headers, self._find_key())
            request = self._http.build_request(
                outgoing.method, outgoing.url, headers=headers, content=outgoing.content
            )
            fault: httpx2.HTTPError | None = None
            try:
                response = self._http.send(request, stream=True)
                if response.is_success:
                    return response
                error = attempts.refuse(
                    response.status_code, response.headers, _read_refusal(response, attempts)
                )
            except httpx2.HTTPError as raised:
                fault, error = raised, attempts.break_off(raised)
            delay_s = attempts.delay_s(error)
            if delay_s is None:
                raise error from fault
            time.sleep(delay_s)

    def _find_key(self) -> str | None:
        return self._key if self._token_provider is None else self._token_provider()


def _read_pieces(response: httpx2.Response, attempts: Attempts) -> Iterator[Mapping[str, Any]]:
    reader = attempts.pieces(response.headers)
    try:
        for part in response.iter_bytes():
            yield from reader.feed(part)
    except httpx2.HTTPError as error:
        raise attempts.break_off(error, has_begun=True) from error
    yield from reader.end()


def _read_refusal(response: httpx2.Response, attempts: Attempts) -> bytes:
    """What an endpoint says in place of an answer, as far as it comes."""
    body = attempts.body()
    with closing(response):
        try:
            for part in response.iter_bytes():
                body.add(part)
        except (httpx2.HTTPError, RemoteError):
            return b""
    return body.content
