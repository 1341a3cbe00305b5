"""Files of flows that run elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.flow import ENDPOINT
from headrace.domain.remote import RemoteFlow
from headrace.formats.flow_file import load_flow, read_flow
from headrace.formats.remote import remote_file

WHOLE = """\
name: live
url: https://example.invalid:8443/a/score?v=2
connection: my_endpoint
deployment: blue
timeout_s: 2.5
headers: {x-tenant: "7", Authorization: "Bearer ${env:TOKEN}", x-functions-key: "${other.api_key}"}
inputs: [question, context]
outputs: {answer: result.text, n: ~}
cache: on
"""


def read(folder: Path, text: str) -> list[tuple[str, int, int]]:
    folder.joinpath("flow.endpoint.yaml").write_text(text, "utf-8")
    _, problems = read_flow(folder)
    return [(item.code, item.span.line, item.span.column) for item in problems if item.span]


def test_everything_that_a_file_can_say(tmp_path: Path) -> None:
    tmp_path.joinpath("flow.endpoint.yaml").write_text(WHOLE, "utf-8")
    flow = load_flow(tmp_path)
    assert flow.remote == RemoteFlow(
        url="https://example.invalid:8443/a/score?v=2",
        connection="my_endpoint",
        deployment="blue",
        timeout_s=2.5,
        headers={
            "x-tenant": "7",
            "Authorization": "Bearer ${env:TOKEN}",
            "x-functions-key": "${other.api_key}",
        },
        inputs=("question", "context"),
        outputs={"answer": "result.text", "n": "n"},
        is_steady=True,
    )
    assert (flow.kind, flow.name, list(flow.inputs), list(flow.outputs)) == (
        ENDPOINT,
        "live",
        ["question", "context"],
        ["answer", "n"],
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("url: https://a.westeurope.inference.ml.azure.com/score\nauth: entra", []),
        ("url: http://localhost:8080/score\nauth: entra\nscope: api://a/.default", []),
        ("url: https://example.invalid/score\nauth: entra", [("F006", 2, 7)]),
        ("url: http://example.invalid/score\nauth: entra\nscope: api://a/.default", [("F005", 1, 6)]),
        ("url: https://a.b.inference.ml.azure.com\nauth: aad_token", [("F007", 2, 7)]),
        ("url: https://a.b.inference.ml.azure.com\nconnection: a\nauth: entra", [("G985", 3, 1)]),
    ],
)
def test_a_token_in_place_of_a_key(tmp_path: Path, text: str, found: list[tuple[str, int, int]]) -> None:
    assert read(tmp_path, f"{text}\ninputs: [q]\n") == found
    if not found:
        flow = load_flow(tmp_path)
        assert flow.remote is not None
        tmp_path.joinpath("flow.endpoint.yaml").write_text(remote_file(flow.remote, "live"), "utf-8")
        assert load_flow(tmp_path).remote == flow.remote
        assert flow.remote.auth == "entra"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    tmp_path.joinpath("flow.endpoint.yaml").write_text(WHOLE, "utf-8")
    remote = load_flow(tmp_path).remote
    assert remote is not None
    tmp_path.joinpath("flow.endpoint.yaml").write_text(remote_file(remote, "live"), "utf-8")
    assert load_flow(tmp_path).remote == remote


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inputs: [a]\nurl: example.invalid/score\n", [("F005", 2, 6)]),
        ("inputs: [a]\nurl: ftp://example.invalid\n", [("F005", 2, 6)]),
        ("inputs: [a]\nurl: 'http://exa mple/score'\n", [("F005", 2, 6)]),
        ("inputs: [a]\nurl: http://[::1/score\n", [("F005", 2, 6)]),
        ("inputs: [a]\nurl: https://me:pass@example.invalid/score\n", [("F022", 2, 6)]),
        ("inputs: [a]\nurl: https://example.invalid/api?code=abc\n", [("F022", 2, 6)]),
        ("inputs: [a]\nurl: http://h\nheaders: {x-api-key: abc}\n", [("F022", 3, 22)]),
        ("inputs: [a]\nurl: http://h\nheaders: {'a b': c}\n", [("F005", 3, 11)]),
        ("inputs: [a]\nurl: http://h\nheaders: {Host: other}\n", [("F005", 3, 11)]),
        ("inputs: [a]\nurl: http://h\ntimeout_s: 0\n", [("F005", 3, 12)]),
        ("inputs: [a]\nurl: http://h\ncache: maybe\n", [("F007", 3, 8)]),
        ("inputs: [a, {b: 1}]\nurl: http://h\n", [("F005", 1, 13)]),
        ("url: http://h\n", [("F006", 1, 1)]),
        ("inputs: [a]\nurl: http://h\nmethod: GET\n", [("F012", 3, 1)]),
    ],
)
def test_what_is_wrong_is_said_at_its_place(
    text: str, expected: list[tuple[str, int, int]], tmp_path: Path
) -> None:
    assert read(tmp_path, text) == expected


def test_an_address_in_place_of_a_flow_says_where_it_belongs() -> None:
    _, problems = read_flow(Path("https://example.invalid/score"))
    (problem,) = problems
    assert (problem.code, "flow.endpoint.yaml" in (problem.fix or "")) == ("F001", True)
