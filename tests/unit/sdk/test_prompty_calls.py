"""A prompty as a function: from a script, from tools of a running flow, from threads and from event loops."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import ModelServer, Reply, answer, error, tool_call

from headrace.compat import prompty_parts
from headrace.compat.exceptions import UserErrorException
from headrace.config import load_settings
from headrace.domain.multimedia import Image
from headrace.domain.run import COMPLETED
from headrace.errors import HeadraceError
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.workspace import open_workspace
from headrace.sdk import token_count
from headrace.sdk.flow import AsyncFlow, Flow, load_flow
from headrace.sdk.prompty import AsyncPrompty, Prompty
from headrace.tools.connection_types import AzureOpenAIConnection, OpenAIConnection
from headrace.tools.model_configuration import AzureOpenAIModelConfiguration, OpenAIModelConfiguration

pytestmark = pytest.mark.usefixtures("served_names")

BODY = "system:\nS.\n\nuser:\n{{q}}\n"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + struct.pack(">II", 800, 600) + b"\x08\x06"


def write(
    folder: Path,
    url: str,
    parameters: str = "temperature: 0",
    *,
    rest: str = "inputs: {q: {type: string}}",
    model: str = "",
    body: str = BODY,
) -> Path:
    file = folder / "ask.prompty"
    configuration = f"{{type: openai, model: m, api_key: k, base_url: {url}/v1}}"
    file.write_text(
        f"---\nname: Ask\nmodel:\n  configuration: {configuration}\n{model}  parameters:\n    {parameters}\n{rest}\n"
        f"---\n{body}"
    )
    return file


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(default=answer("ok")) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, which is the working directory."""
    with chdir(tmp_path):
        yield tmp_path


class TestScripts:
    def test_a_call_from_a_script(self, project: Path, server: ModelServer) -> None:
        write(project, server.url)
        prompty = Prompty.load("ask.prompty")
        assert prompty(q="hi", other=1) == "ok"
        assert server.requests[0].body == {
            "model": "m",
            "temperature": 0,
            "messages": [{"role": "system", "content": "S."}, {"role": "user", "content": "hi"}],
        }
        assert (prompty.name, prompty.path, prompty.code) == ("Ask", project / "ask.prompty", project)

    def test_every_way_to_load_one(self, project: Path, server: ModelServer) -> None:
        write(project, server.url)
        assert isinstance(Flow.load("ask.prompty"), Prompty)
        assert isinstance(AsyncFlow.load(project / "ask.prompty"), AsyncPrompty)
        assert load_flow("ask.prompty", model={"parameters": {"max_tokens": 3}})(q="x") == "ok"
        assert server.requests[0].body["max_tokens"] == 3

    def test_a_path_is_relative_to_the_working_directory_of_the_load(
        self, project: Path, server: ModelServer
    ) -> None:
        (project / "sub").mkdir()
        write(project / "sub", server.url)
        prompty = Prompty.load("sub/ask.prompty")
        with chdir(project / "sub"):
            assert prompty(q="x") == "ok"

    def test_a_coroutine_awaits_one(self, project: Path, server: ModelServer) -> None:
        write(project, server.url)

        async def run() -> Any:
            return await AsyncPrompty.load("ask.prompty")(q="x"), Prompty.load("ask.prompty")(q="y")

        assert asyncio.run(run()) == ("ok", "ok")

    def test_calls_from_many_threads(self, project: Path, server: ModelServer) -> None:
        write(project, server.url)
        prompty = Prompty.load("ask.prompty")
        with ThreadPoolExecutor(max_workers=4) as threads:
            assert set(threads.map(lambda n: prompty(q=str(n)), range(12))) == {"ok"}
        assert len(server.requests) == 12

    def test_a_stored_connection(
        self, project: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        configuration = dict.fromkeys(("type", "api_key", "base_url")) | {"connection": "openai"}
        write(project, server.url)
        prompty = Prompty.load("ask.prompty", model={"configuration": configuration})
        assert prompty(q="x") == "ok"
        assert (
            asyncio.run(AsyncPrompty.load("ask.prompty", model={"configuration": configuration})(q="x"))
            == "ok"
        )

    def test_tool_calls_and_json(self, project: Path, server: ModelServer) -> None:
        server.script.extend([tool_call("w", {"c": 1}), answer('{"a": 1}')])
        write(
            project,
            server.url,
            "tools: [{type: function, function: {name: w, parameters: {type: object, properties: {}}}}]",
        )
        assert Prompty.load("ask.prompty")(q="x")["tool_calls"][0]["function"]["name"] == "w"
        write(project, server.url, "response_format: {type: json_object}")
        assert Prompty.load("ask.prompty")(q="x") == {"a": 1}


class TestStreams:
    def test_pieces_arrive_as_they_are_read(self, project: Path, server: ModelServer) -> None:
        server.default = answer("one two three")
        prompty = Prompty.load(write(project, server.url, "stream: true"))
        assert list(prompty(q="x")) == ["one", " two", " three"]

    def test_a_stream_that_nobody_reads_to_its_end(self, project: Path, server: ModelServer) -> None:
        server.default = answer("one two three")
        pieces = Prompty.load(write(project, server.url, "stream: true"))(q="x")
        assert next(pieces) == "one"
        pieces.close()
        assert list(pieces) == []

    def test_in_a_coroutine(self, project: Path, server: ModelServer) -> None:
        server.default = answer("one two")
        write(project, server.url, "stream: true")

        async def run() -> Any:
            awaited = await AsyncPrompty.load("ask.prompty")(q="x")
            return list(awaited), list(Prompty.load("ask.prompty")(q="x"))

        assert asyncio.run(run()) == (["one", " two"], ["one", " two"])

    def test_everything_that_the_service_answers(self, project: Path, server: ModelServer) -> None:
        server.default = answer("one two")
        whole = Prompty.load(write(project, server.url, model="  response: all\n"))(q="x")
        assert (type(whole).__name__, whole.choices[0].message.content) == ("ChatCompletion", "one two")
        assert whole.usage.completion_tokens == 2
        chunks = Prompty.load(write(project, server.url, "stream: true", model="  response: all\n"))(q="x")
        assert [chunk.choices[0].delta.content for chunk in chunks] == ["one", " two"]

    def test_completions(self, project: Path, server: ModelServer) -> None:
        server.default = answer("one two")
        model = "  api: completion\n  response: all\n"
        assert Prompty.load(write(project, server.url, model=model))(q="x").choices[0].text == "one two"
        chunks = Prompty.load(write(project, server.url, "stream: true", model=model))(q="x")
        assert [chunk.choices[0].text for chunk in chunks] == ["one", " two"]


class TestOverrides:
    @pytest.mark.parametrize(
        ("configuration", "path", "key"),
        [
            ({"model": "other"}, "/v1/chat/completions", "Bearer k"),
            (OpenAIModelConfiguration(model="other", base_url="{url}/v1", api_key="o"), "/v1/chat/completions", "Bearer o"),
            (
                AzureOpenAIModelConfiguration(azure_deployment="other", azure_endpoint="{url}", api_key="a"),
                "/openai/deployments/other/chat/completions",
                "a",
            ),
        ],
    )  # fmt: skip
    def test_of_the_model(
        self, project: Path, server: ModelServer, configuration: Any, path: str, key: str
    ) -> None:
        for name in ("base_url", "azure_endpoint"):
            if "{url}" in str(getattr(configuration, name, "")):
                setattr(configuration, name, getattr(configuration, name).replace("{url}", server.url))
        write(project, server.url)
        assert Prompty.load("ask.prompty", model={"configuration": configuration})(q="x") == "ok"
        (request,) = server.requests
        assert (request.path, request.body["model"]) == (path, "other")
        assert request.headers.get("authorization", request.headers.get("api-key")) == key

    def test_of_anything_else(self, project: Path, server: ModelServer) -> None:
        write(project, server.url)
        prompty = Prompty.load("ask.prompty", inputs={"q": {"default": "D"}}, name="N", unknown=object())
        assert (prompty.name, prompty(z=1)) == ("N", "ok")
        assert server.requests[0].body["messages"][1]["content"] == "D"

    def test_a_configuration_from_a_connection(self) -> None:
        made = OpenAIModelConfiguration.from_connection(OpenAIConnection(api_key="k", base_url="u"), "m")
        assert made == OpenAIModelConfiguration(model="m", base_url="u", api_key="k")


class TestTexts:
    def test_the_prompt_as_text(self, project: Path, server: ModelServer) -> None:
        prompty = Prompty.load(write(project, server.url))
        assert (
            prompty.render(q="hi")
            == "[{'role': 'system', 'content': 'S.'}, {'role': 'user', 'content': 'hi'}]"
        )
        completion = Prompty.load(write(project, server.url, model="  api: completion\n"))
        assert completion.render(q="hi") == "system:\nS.\n\nuser:\nhi\n"
        assert server.requests == []

    def test_an_image(self, project: Path, server: ModelServer) -> None:
        (project / "a.png").write_bytes(PNG)
        body = "user:\nlook\n![image]({{q}})\nend {{ 1 }}\n"
        Prompty.load(write(project, server.url, body=body))(q="data:image/png;path: a.png")
        url = "data:image/png;base64," + base64.b64encode(PNG).decode()
        assert server.requests[0].body["messages"][0]["content"] == [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
            {"type": "text", "text": "end 1"},
        ]

    def test_an_image_that_cannot_be_read(self, project: Path, server: ModelServer) -> None:
        prompty = Prompty.load(write(project, server.url))
        for call in (prompty, prompty.render):
            with pytest.raises(UserErrorException, match="T210") as caught:
                call(q="data:image/png;path: no.png")
            assert isinstance(caught.value, HeadraceError)
            assert str(caught.value.problems[0].span) == f"{project}/ask.prompty:7:10"


class TestFailures:
    @pytest.mark.parametrize(
        ("text", "arguments", "code", "kind"),
        [
            ("", {"z": 1}, "T202", "MissingRequiredInputError"),
            ("{{ z.a.b }}", {"q": "x"}, "E602", "JinjaTemplateError"),
        ],
    )
    def test_have_the_names_that_projects_catch(
        self,
        project: Path,
        server: ModelServer,
        text: str,
        arguments: Mapping[str, Any],
        code: str,
        kind: str,
    ) -> None:
        prompty = Prompty.load(write(project, server.url, body=BODY + text))
        with pytest.raises(UserErrorException, match=code) as caught:
            prompty(**arguments)
        assert type(caught.value).__name__ == kind
        with pytest.raises(UserErrorException, match=code):
            asyncio.run(AsyncPrompty.load(prompty.path)(**arguments))

    @pytest.mark.parametrize(
        ("parameters", "reply", "kind"),
        [
            ("temperature: 0", error(401, "invalid_api_key"), "WrappedOpenAIError"),
            ("response_format: {type: json_object}", answer("no"), "InvalidOutputKeyError"),
        ],
    )
    def test_of_the_service(
        self, project: Path, server: ModelServer, parameters: str, reply: Reply, kind: str
    ) -> None:
        server.default = reply
        with pytest.raises(UserErrorException) as caught:
            Prompty.load(write(project, server.url, parameters))(q="x")
        assert type(caught.value).__name__ == kind

    @pytest.mark.parametrize(
        ("parameters", "kind"),
        [("tools: []", "ChatAPIInvalidTools"), ("functions: []", "ChatAPIInvalidFunctions")],
    )
    def test_of_definitions(self, project: Path, server: ModelServer, parameters: str, kind: str) -> None:
        prompty = Prompty.load(write(project, server.url, parameters))
        with pytest.raises(UserErrorException, match="T201") as caught:
            prompty(q="x")
        assert type(caught.value).__name__ == kind

    def test_of_the_file(self, project: Path) -> None:
        (project / "a.prompty").write_text("user:\nhello\n")
        (project / "a.txt").write_text("")
        for name, code in (("no.prompty", "F001"), ("a.txt", "F004"), (".", "F004"), ("a.prompty", "F015")):
            with pytest.raises(UserErrorException, match=code):
                Prompty.load(name)

    def test_of_the_call(self, project: Path, server: ModelServer) -> None:
        prompty = Prompty.load(write(project, server.url))
        for call in (prompty, prompty.render, prompty.estimate_token_count):
            with pytest.raises(UserErrorException, match="keyword arguments only"):
                call("hi")
        with pytest.raises(UserErrorException, match="keyword arguments only"):
            asyncio.run(AsyncPrompty.load(prompty.path)("hi"))


def flow_of(folder: Path, code: str) -> Path:
    """A flow of one Python node that calls the prompty beside it."""
    node = {"name": "call", "type": "python", "source": {"type": "code", "path": "call.py"}}
    flow = {
        "inputs": {"q": {"type": "string"}},
        "outputs": {"out": {"type": "string", "reference": "${call.output}"}},
        "nodes": [{**node, "inputs": {"q": "${inputs.q}"}}],
    }
    (folder / "call.py").write_text(f"from promptflow.core import AsyncPrompty, Prompty, tool\n@tool\n{code}")
    (folder / "flow.dag.yaml").write_text(json.dumps(flow))
    return folder


def run(folder: Path, **inputs: Any) -> TestResult:
    with open_workspace(load_settings(), folder) as workspace:
        return run_test(workspace, TestRequest(flow=folder, inputs=inputs))


class TestTools:
    @pytest.mark.parametrize(
        "code",
        [
            "def call(q: str):\n    return Prompty.load('ask.prompty')(q=q)\n",
            "async def call(q: str):\n    return await AsyncPrompty.load('ask.prompty')(q=q)\n",
            "async def call(q: str):\n    return Prompty.load('ask.prompty')(q=q)\n",
        ],
        ids=["thread", "coroutine", "waiting coroutine"],
    )
    def test_a_call_belongs_to_its_node(self, project: Path, server: ModelServer, code: str) -> None:
        write(project, server.url)
        result = run(flow_of(project, code), q="hi")
        assert (result.line.status, result.outputs) == (COMPLETED, {"out": "ok"})
        assert result.line.nodes[0].usage.calls == 1
        spans = {span.name: span for span in result.line.spans}
        assert spans["chat m"].parent_id == spans["call"].span_id

    def test_all_calls_of_a_run_share_a_client(self, project: Path, server: ModelServer) -> None:
        write(project, server.url)
        code = "def call(q: str):\n    ask = Prompty.load('ask.prompty')\n    return ask(q=q) + ask(q=q)\n"
        assert run(flow_of(project, code), q="hi").outputs == {"out": "okok"}
        assert server.n_connections == 1

    @pytest.mark.parametrize(
        "code",
        [
            "def call(q: str):\n    return Prompty.load('ask.prompty')(q=q)\n",
            "def call(q: str):\n    return ''.join(Prompty.load('ask.prompty')(q=q))\n",
            "async def call(q: str):\n    return await AsyncPrompty.load('ask.prompty')(q=q)\n",
        ],
        ids=["returned", "read", "awaited"],
    )
    def test_a_stream(self, project: Path, server: ModelServer, code: str) -> None:
        server.default = answer("one two")
        write(project, server.url, "stream: true")
        result = run(flow_of(project, code), q="hi")
        assert (result.line.problem, result.outputs) == (None, {"out": "one two"})

    def test_a_stream_inside_what_a_node_gives_counts_for_the_node(
        self, project: Path, server: ModelServer
    ) -> None:
        write(project, server.url, "stream: true")
        folder = flow_of(project, "def call(q: str):\n    return {'g': Prompty.load('ask.prompty')(q=q)}\n")
        file = folder / "flow.dag.yaml"
        file.write_text(file.read_text().replace("${call.output}", "${call.output.g}"))
        line = run(folder, q="hi").line
        assert line.outputs == {"out": "ok"}
        assert (line.usage.calls, line.nodes[0].usage) == (1, line.usage)

    def test_a_failure_has_its_place_in_the_prompty(self, project: Path, server: ModelServer) -> None:
        write(project, server.url, body=BODY + "{{ z.a.b }}")
        code = "def call(q: str):\n    return Prompty.load('ask.prompty')(q=q)\n"
        problem = run(flow_of(project, code), q="hi").line.problem
        assert problem is not None
        assert problem.span is not None
        assert (problem.code, Path(problem.span.file).name, problem.span.line) == ("E602", "ask.prompty", 14)


class FakeEncoding:
    """Counts every character."""

    def encode(self, text: str) -> list[str]:
        return list(text)


class TestTokens:
    @pytest.mark.parametrize(
        ("prompt", "count"),
        [
            ("abc", 3),
            ([{"role": "user", "content": "hi"}], 3 + 4 + 2 + 3),
            ([{"role": "user", "name": "bob", "content": "hi"}], 3 + 4 + 3 + 1 + 2 + 3),
            ([{"role": "assistant", "tool_calls": [{"id": "1", "type": "function"}]}], 3 + 9 + 3),
        ],
    )
    def test_of_messages(
        self, prompt: Any, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        keep_encoding(monkeypatch, tmp_path)
        assert token_count.count_tokens(prompt, None) == count
        assert token_count.count_tokens(prompt, 10) == count + 10

    @pytest.mark.parametrize(
        ("content", "tiles"),
        [
            (PNG, 4),
            (b"GIF89a" + struct.pack("<HH", 512, 512), 1),
            (b"GIF89a" + struct.pack("<HH", 4096, 100), 4),
            (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 8192, 4096), 6),
            (b"\xff\xd8\xff\xe0\x00\x04", 4),
            (b"GIF89a" + struct.pack("<HH", 0, 0), 4),
            (b"something else", 4),
        ],
    )
    def test_of_images(
        self, content: bytes, tiles: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        keep_encoding(monkeypatch, tmp_path)
        url = Image(content, "image/png").to_base64(with_type=True)
        items = [
            {"type": "text", "text": "hi"},
            {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
        ]
        count = token_count.count_tokens([{"role": "user", "content": items}], None)
        assert count == 3 + 4 + 2 + 3 + 85 + 170 * tiles

    @pytest.mark.parametrize("max_tokens", ["10", 5.0, 1, 0, True, math.nan])
    def test_max_tokens_that_are_none(self, project: Path, server: ModelServer, max_tokens: Any) -> None:
        write(project, server.url)
        prompty = Prompty.load("ask.prompty", model={"parameters": {"max_tokens": max_tokens}})
        with pytest.raises(UserErrorException, match="T201"):
            prompty.estimate_token_count(q="hi")

    def test_without_the_package_or_its_encoding(
        self, project: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompty = Prompty.load(write(project, server.url))
        monkeypatch.setattr(token_count, "load_by_name", not_installed)
        with pytest.raises(UserErrorException, match=r"C505 .*not installed"):
            prompty.estimate_token_count(q="hi")
        monkeypatch.setattr(token_count, "load_by_name", lambda _: lambda _: FakeEncoding())
        monkeypatch.setattr(token_count.tempfile, "gettempdir", lambda: str(project / "temporary"))
        monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
        monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
        with pytest.raises(UserErrorException, match=r"C505 .*no copy of the encoding"):
            prompty.estimate_token_count(q="hi")

    def test_of_a_prompty(self, project: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
        keep_encoding(monkeypatch, project)
        prompty = Prompty.load(write(project, server.url, "max_tokens: 10"))
        assert prompty.estimate_token_count(q="hi") == 33


def not_installed(_: str) -> Any:
    raise ModuleNotFoundError(name="tiktoken")


def keep_encoding(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The package and its encoding are there; what it counts does not matter."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
    (folder / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4").touch()
    monkeypatch.setattr(token_count, "load_by_name", lambda _: lambda _: FakeEncoding())


class TestParts:
    def test_a_template_becomes_messages(self) -> None:
        inputs = {"q": "hi\nsystem:\n", "image": Image(PNG, "image/png")}
        messages = prompty_parts.convert_prompt_template(
            "user:\n{{q}}\n![image]({{image}})\n", inputs, "chat"
        )
        assert [item["type"] for item in messages[0]["content"]] == ["text", "text", "image_url"]
        assert prompty_parts.convert_prompt_template("{{q}}", {"q": "a"}, "completion") == "a"
        image = inputs["image"]
        built = prompty_parts.build_messages("user:\n{{x}}\n{{q}}", images=[image], x=image, q="end")
        assert [item["type"] for item in built[0]["content"]] == ["image_url", "text"]

    @pytest.mark.parametrize(
        ("configuration", "cls", "fields"),
        [
            ({"type": "openai", "api_key": "k"}, OpenAIConnection, {"api_key": "k", "base_url": None}),
            ({"type": "azure_openai", "azure_endpoint": "e"}, AzureOpenAIConnection, {"api_base": "e"}),
            (OpenAIModelConfiguration(model="m"), OpenAIConnection, {"api_key": "ek", "base_url": None}),
            (AzureOpenAIModelConfiguration("d", connection="azure_openai"), AzureOpenAIConnection, {"api_base": "http://e"}),
        ],
    )  # fmt: skip
    def test_a_configuration_becomes_a_connection(
        self, configuration: Any, cls: type, fields: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "ek")
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://e")
        connection = prompty_parts.convert_model_configuration_to_connection(configuration)
        assert isinstance(connection, cls)
        assert {name: getattr(connection, name) for name in fields} == fields

    @pytest.mark.parametrize(
        ("configuration", "kind"),
        [
            ({"type": "foo"}, "UnknownConnectionType"),
            ({"type": "openai", "connection": "nope"}, "ConnectionNotFound"),
            ({"type": "openai"}, "RequiredEnvironmentVariablesNotSetError"),
        ],
    )
    def test_a_configuration_that_leads_nowhere(
        self, configuration: Any, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(UserErrorException) as caught:
            prompty_parts.convert_model_configuration_to_connection(configuration)
        assert type(caught.value).__name__ == kind
