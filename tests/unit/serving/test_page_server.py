from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Callable
from contextlib import closing

import pytest

from headrace.errors import StateError
from headrace.serving.page_server import build_page_app, run_pages
from headrace.serving.server import ServerCalls, bind, run_app


def ask(
    render: Callable[[str], str | None], method: str, path: str, **headers: str
) -> tuple[int, str, http.client.HTTPMessage]:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    ready = asyncio.Event()

    def request() -> tuple[int, str, http.client.HTTPMessage]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request(method, path, headers=headers)
            with connection.getresponse() as response:
                return response.status, response.read().decode(), response.headers

    async def serve_and_ask() -> tuple[int, str, http.client.HTTPMessage]:
        calls = ServerCalls(on_ready=ready.set)
        async with asyncio.TaskGroup() as group:
            server = group.create_task(run_app(build_page_app(render), listener, calls))
            await ready.wait()
            answer = await asyncio.to_thread(request)
            server.cancel()
        return answer

    return asyncio.run(serve_and_ask())


def test_a_page_is_made_for_its_path_and_kept_by_nobody() -> None:
    status, text, headers = ask(lambda path: f"<p>{path}</p>", "GET", "/a%20test")

    assert (status, text) == (200, "<p>/a test</p>")
    assert headers["cache-control"] == "no-store"
    assert headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/none", {}, 404),
        ("POST", "/", {}, 405),
        ("GET", "/", {"Host": "evil.example"}, 400),
    ],
)
def test_other_requests_and_foreign_names_are_refused(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert ask({"/": "page"}.get, method, path, **headers)[0] == status


def test_a_port_that_is_taken_is_chosen_anew_where_it_was_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StateError) as caught:
            run_pages(lambda _: None, port, lambda _: None)
    assert caught.value.problems[0].fix == "Choose another port with --page, or stop the process that has it."
