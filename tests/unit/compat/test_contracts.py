"""Contracts, contexts and small functions under promptflow's names; expectations were observed at stock."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import pickle
import sys
import threading
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import make_context

from headrace.compat import asynchronous, files, loggers
from headrace.compat.constants import RunStatus
from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import (
    ErrorTarget,
    PromptflowException,
    UserErrorException,
    ValidationException,
)
from headrace.compat.metrics import add_metric_logger, log_metric, remove_metric_logger
from headrace.compat.operation_context import OperationContext
from headrace.compat.plain_values import (
    convert_dataclass_to_dict,
    convert_eager_flow_output_to_dict,
    serialize,
)
from headrace.compat.run_contracts import FlowRunInfo, RunInfo, RunMode, Status
from headrace.compat.token_provider import StaticTokenProvider
from headrace.compat.tool_contracts import ConnectionType, ValueType
from headrace.compat.tool_lists import (
    collect_tools_from_directory,
    enable_cache,
    register,
    register_connections,
)
from headrace.compat.tracing import trace
from headrace.compat.translation import translated
from headrace.domain.span import SpanRecord
from headrace.errors import Problem, UsageError
from headrace.tools.base import current_node
from headrace.tools.connection_types import CustomStrongTypeConnection, OpenAIConnection
from headrace.tools.value_types import Secret

pytestmark = pytest.mark.usefixtures("served_names")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, "INT"),
        (1.5, "DOUBLE"),
        (True, "BOOL"),
        ("s", "STRING"),
        ([1], "LIST"),
        ({}, "OBJECT"),
        (None, "OBJECT"),
    ],
)
def test_the_type_of_a_value(value: Any, kind: str) -> None:
    assert ValueType.from_value(value) is ValueType[kind]
    assert ValueType.from_type(Secret) is ValueType.SECRET


@pytest.mark.parametrize(
    ("kind", "value", "parsed"),
    [
        ("INT", "5", 5),
        ("DOUBLE", 5, 5.0),
        ("BOOL", "True", True),
        ("STRING", None, "None"),
        ("LIST", "[1]", [1]),
        ("OBJECT", '{"a": 1}', {"a": 1}),
        ("OBJECT", "abc", "abc"),
        ("IMAGE", None, None),
    ],
)
def test_a_value_is_made_from_text(kind: str, value: Any, parsed: Any) -> None:
    assert ValueType[kind].parse(value) == parsed


@pytest.mark.parametrize(("kind", "value"), [("BOOL", 5), ("LIST", "5"), ("LIST", "abc"), ("INT", "true")])
def test_a_value_that_cannot_be_one(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ValueType[kind].parse(value)


class Own(CustomStrongTypeConnection):
    url: str


def test_questions_about_connections() -> None:
    assert ConnectionType.is_connection_value(OpenAIConnection(api_key="k"))
    assert not ConnectionType.is_connection_value("name")
    assert ConnectionType.is_connection_class_name("OpenAIConnection")
    assert ConnectionType.get_connection_class("Other") is None
    assert ConnectionType.is_custom_strong_type(Own)
    assert ConnectionType.is_custom_strong_type(Own(secrets={"k": "v"}))
    assert not ConnectionType.is_custom_strong_type(OpenAIConnection)


def test_states_and_modes() -> None:
    assert Status.is_terminated("Bypassed")
    assert not Status.is_terminated(Status.CancelRequested)
    assert RunMode.parse("Batch") is RunMode.Batch
    assert RunMode.parse("other") is RunMode.Test
    with pytest.raises(ValueError, match="NoneType"):
        RunMode.parse(None)
    assert RunStatus.get_terminated_statuses() == {"Completed", "Failed", "Canceled"}
    assert "Preparing" in RunStatus.list()
    assert "Running" in RunStatus.get_running_statuses()


RECORD = {"run_id": "r", "status": "Completed", "inputs": {}, "output": 1, "metrics": None, "error": None,
          "parent_run_id": "p", "start_time": "2026-11-28T06:46:55.123456Z", "end_time": None, "other": 1}  # fmt: skip


def test_records_are_read_from_their_files() -> None:
    node = RunInfo.deserialize({**RECORD, "node": "n", "flow_run_id": "f"})
    assert (node.status, node.message_format) == (Status.Completed, "basic")
    assert node.start_time == datetime(2026, 11, 28, 6, 46, 55, 123456)  # noqa: DTZ001 - as stock's
    flow = {"request": None, "root_run_id": "q", "source_run_id": None, "flow_id": "f"}
    assert FlowRunInfo.deserialize({**RECORD, **flow}).upload_metrics is False


def test_the_operation_context_is_a_mapping_with_attributes() -> None:
    OperationContext.set_instance(None)
    context = OperationContext.get_instance()
    context.append_user_agent("a/1")
    context.append_user_agent("a/1")
    context.append_user_agent("b")
    assert context["user_agent"] == "a/1 b"
    assert context.get_user_agent().startswith("a/1 b promptflow-tracing/")
    context.x = 5
    copied = context.copy()
    copied.x = 6
    del copied.x
    assert (context.x, "x" in copied, context.get_request_id()) == (5, False, "unknown")
    for touch in (lambda: context.nothing, lambda: delattr(context, "nothing")):
        with pytest.raises(AttributeError, match="nothing"):
            touch()
    context.set_execution_target("dag")
    context.set_default_tracing_keys({"k"})
    assert context.get_context_dict()["execution_target"] == "dag"
    assert OperationContext.get_instance() is context
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(OperationContext.get_instance()))
    thread.start()
    thread.join()
    assert seen == [{}]
    OperationContext.set_instance(None)


@pytest.mark.parametrize(
    ("fields", "mode", "kind", "attributes"),
    [
        ({}, "Test", "dag", {"line_run_id"}),
        ({"run": "r", "flow_kind": "flex"}, "Batch", "flex", {"batch_run_id", "line_number"}),
    ],
)
def test_every_node_has_an_operation_context_that_knows_its_run(
    fields: dict[str, Any], mode: str, kind: str, attributes: set[str]
) -> None:
    async def run() -> None:
        outer = OperationContext.get_instance()
        outer.append_user_agent("mine/1")
        first, second = make_context(**fields), make_context(**fields)
        for node in (first, second):
            token = current_node.set(node)
            found = OperationContext.get_instance()
            assert found is OperationContext.get_instance()
            assert found is not outer
            assert (found.run_mode, found.flow_id, found.execution_target) == (mode, "default_flow_id", kind)
            assert found.root_run_id == fields.get("run", found._get_otel_attributes().get("line_run_id"))
            assert set(found._get_otel_attributes()) == {"execution_target", *attributes}
            assert found.user_agent == "mine/1"
            current_node.reset(token)
        assert set(outer) == {"user_agent"}

    asyncio.run(run())


def test_what_code_adds_stands_in_the_spans() -> None:
    spans: list[SpanRecord] = []

    @trace
    def inner() -> dict[str, Any]:
        return OperationContext.get_instance()._get_otel_attributes()

    async def run() -> tuple[dict[str, Any], dict[str, Any]]:
        context = make_context(spans=spans)
        token = current_node.set(context)
        try:
            OperationContext.get_instance()._add_otel_attributes("session", "s")
            found = inner()
            OperationContext.get_instance()._remove_otel_attributes("session")
            return found, context.span.attributes
        finally:
            current_node.reset(token)
            OperationContext.set_instance(None)

    found, of_node = asyncio.run(run())
    assert found["session"] == "s"
    assert of_node["session"] == "s"
    assert spans[0].attributes["session"] == "s"


@dataclasses.dataclass
class Pair:
    a: Any
    b: Any = None


class Word(Enum):
    X = "x"


def test_values_become_plain() -> None:
    data = {"p": Pair(1, Word.X), "t": (1, 2), "d": datetime(2020, 1, 1), "n": None}  # noqa: DTZ001
    assert serialize(data) == {"p": {"a": 1, "b": "x"}, "t": (1, 2), "d": "2020-01-01T00:00:00Z", "n": None}
    assert serialize(Pair(1), remove_null=True) == {"a": 1}
    assert serialize([Pair(1)], serialization_funcs={Pair: lambda _: "pair"}) == ["pair"]
    assert convert_dataclass_to_dict(Pair(1)) == {"a": 1, "b": None}
    assert convert_eager_flow_output_to_dict("x") == {"output": "x"}
    assert convert_eager_flow_output_to_dict(Pair(2)) == {"a": 2, "b": None}


def test_small_files_are_read_and_written(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: no\nb: 012\n", "utf-8")
    with (tmp_path / "a.yaml").open(encoding="utf-8") as stream:
        assert files.load_yaml(stream) == files.load_yaml(str(tmp_path / "a.yaml")) == {"a": "no", "b": 12}
    assert files.load_yaml(None) == {}
    with pytest.raises(UserErrorException, match="No such file"):
        files.load_yaml(tmp_path / "none.yaml")
    assert files.load_yaml_string(files.dump_yaml({"b": 1, "a": ["no"]}) or "") == {"b": 1, "a": ["no"]}
    with (tmp_path / "b.yaml").open("w", encoding="utf-8") as stream:
        assert files.dump_yaml({"x": 1}, stream) is None
    files.dump_list_to_jsonl(tmp_path / "l.jsonl", [{"a": "é"}, {"b": None}])
    assert (
        files.load_list_from_jsonl(tmp_path / "l.jsonl")
        == files.load_data(tmp_path / "l.jsonl")
        == [
            {"a": "é"},
            {"b": None},
        ]
    )
    (tmp_path / "j.json").write_text('{"a": 1}', "utf-8")
    assert files.load_json(tmp_path / "j.json") == {"a": 1}
    with files.inject_sys_path(tmp_path):
        assert sys.path[0] == str(tmp_path)
    assert str(tmp_path) not in sys.path
    before = Path.cwd()
    with files.change_working_dir(tmp_path / "new"):
        assert Path.cwd().samefile(tmp_path / "new")
    assert Path.cwd() == before
    attributes = files.AttrDict(a=1)
    attributes.b = 2
    assert (attributes.a, attributes["b"]) == (1, 2)
    with pytest.raises(AttributeError, match="'c'"):
        _ = attributes.c


@pytest.mark.parametrize(("camel", "snake"), [("FooBarBaz", "foo_bar_baz"), ("Foo", "foo")])
def test_cases_of_names(camel: str, snake: str) -> None:
    assert files.camel_to_snake(camel) == snake
    assert files.snake_to_camel(snake) == camel


def test_asynchronous_code_from_ordinary_code_and_back() -> None:
    async def more(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    async def inside() -> tuple[int, int, list[int]]:
        items = [item async for item in asynchronous.sync_iterator_to_async(iter([1, 2]))]
        in_thread = await asynchronous.sync_to_async(lambda x: x * 2)(4)
        return asynchronous.async_run_allowing_running_loop(more, 1), in_thread, items

    assert asynchronous.async_to_sync(more)(1) == 2
    assert asyncio.run(inside()) == (2, 8, [1, 2])
    seen: list[Any] = []
    OperationContext.get_instance()["k"] = "v"
    thread = asynchronous.ThreadWithContextVars(
        target=lambda: seen.append(OperationContext.get_instance()["k"])
    )
    thread.start()
    thread.join()
    OperationContext.set_instance(None)
    assert seen == ["v"]


def test_loggers_write_lines_of_prompt_flows_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loggers.get_logger("execution").info("said %s", "this")
    line = capsys.readouterr().out
    assert " execution          INFO     said this" in line
    made = loggers.LoggerFactory.get_logger("mine", verbosity=logging.WARNING)
    made.info("not shown")
    assert capsys.readouterr().out == ""
    assert loggers.get_cli_sdk_logger().name == "promptflow"
    monkeypatch.setenv("PF_LOGGING_LEVEL", "debug")
    assert loggers.get_pf_logging_level() == logging.DEBUG
    loggers.LoggerFactory.disable_all_loggers()
    loggers.flow_logger.error("silent")
    assert capsys.readouterr().out == ""
    for name in ("execution", "execution.flow", "execution.bulk", "execution.service", "promptflow"):
        logging.getLogger(name).disabled = False


def test_functions_that_hear_of_metrics() -> None:
    heard: list[Any] = []

    def short(key: str, value: Any) -> None:
        heard.append((key, value))

    def long(key: str, value: Any, variant_id: str | None) -> None:
        heard.append((key, value, variant_id))

    for function in (short, long, short):
        add_metric_logger(function)
    log_metric("a", 1, variant_id="v")
    remove_metric_logger(short)
    remove_metric_logger(long)
    log_metric("b", 2)
    assert heard == [("a", 1), ("a", 1, "v")]


def test_tool_packages_can_describe_and_announce_their_tools(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.yaml").write_text("my.tool:\n  function: f\n", "utf-8")
    assert collect_tools_from_directory(tmp_path) == {"my.tool": {"function": "f"}}
    assert register(Pair) is Pair
    assert enable_cache(len)(Pair) is Pair
    register_connections([Own])
    assert StaticTokenProvider("t").get_token() == "t"


def test_exceptions_know_what_stocks_know() -> None:
    error = UserErrorException(
        message_format="x {a} {b}", a=1, target=ErrorTarget.TOOL, module="m", error=ValueError("v")
    )
    assert (str(error), error.reference_code, str(error.inner_exception)) == ("x 1 <b>", "Tool/m", "v")
    assert error.message_parameters == {"a": 1, "b": "<b>"}
    assert ValidationException("v").error_codes == ["UserError", "ValidationError"]
    assert PromptflowException().message == "PromptflowException"
    kind = exception_family("promptflow._sdk._errors")["RunNotFoundError"]
    made = kind("m")
    assert made.error_codes == ["UserError", "SDKError", "RunNotFoundError"]
    assert (made.target, made.additional_info) == (ErrorTarget.CONTROL_PLANE_SDK, None)
    assert type(pickle.loads(pickle.dumps(made))) is kind  # noqa: S301
    with pytest.raises(AttributeError, match="no attribute"):
        getattr(sys.modules["headrace.compat.exception_families"], "promptflow._sdk._errors.Nothing")


def test_one_error_under_both_names() -> None:
    kind = exception_family("promptflow._sdk._errors")["RunNotFoundError"]
    problem = Problem(code="S801", what="There is no run.")
    error = translated(UsageError(problem), kind)
    assert isinstance(error, UsageError)
    assert isinstance(error, kind)
    assert error.problems == (problem,)
    assert "S801" in str(error)
    assert translated(error, kind) is error
    assert type(error) is type(translated(UsageError(problem), kind))
