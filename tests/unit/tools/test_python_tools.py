from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import (
    MODELS,
    MemoryConnections,
    call,
    call_once,
    connection,
    make_context,
    python_node,
    write_flow,
)

from headrace.errors import DefinitionError, Problem
from headrace.source import Span
from headrace.tools.base import ASYNC, INLINE, THREAD
from headrace.tools.failure import describe_failure
from headrace.tools.registry import load_tool

pytestmark = pytest.mark.usefixtures("served_names")

IMPORT = "from promptflow.core import tool, ToolProvider\n"


def problems_of(
    folder: Path, code: str, inputs: dict[str, Any] | None = None, **more: Any
) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        python_node(folder, code, inputs, **more)
    return caught.value.problems


@pytest.mark.parametrize(
    ("code", "mode", "result"),
    [
        ("@tool\ndef f(x: int): return x + 1", THREAD, 3),
        ("@tool()\ndef f(x: int): return x + 1", THREAD, 3),
        ("@tool(name='n', description='d', custom=1)\ndef f(x: int, *args, y=1): return x + y", THREAD, 3),
        ("@tool\nasync def f(x: int): return x + 1", ASYNC, 3),
        ("@tool\ndef f(x: int):\n    yield x\n    yield x + 1", THREAD, [2, 3]),
        ("@tool\nasync def f(x: int):\n    yield x\n    yield x + 1", INLINE, [2, 3]),
        ("@tool\ndef f(**kwargs): return kwargs", THREAD, {"x": 2}),
        ("import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(*a, **k): return g(*a, **k)\n    return w\n"
         "@tool\n@d\ndef f(x: int): return x + 1", THREAD, 3),
    ],
)  # fmt: skip
def test_what_a_tool_may_be(code: str, mode: str, result: Any, tmp_path: Path) -> None:
    tool = python_node(tmp_path, IMPORT + code)
    assert tool.mode == mode
    assert call_once(tool, {"x": 2}) == result


def test_the_file_is_a_fresh_module_with_its_own_name_and_absolute_path(tmp_path: Path) -> None:
    code = (
        IMPORT
        + "import sys\n@tool\ndef f(): return __name__, __file__, sys.path[0], '__pf_main__' in sys.modules"
    )
    assert call_once(python_node(tmp_path, code)) == (
        "__pf_main__",
        str(tmp_path / "tool.py"),
        str(tmp_path),
        False,
    )


def test_every_node_executes_its_file_again(tmp_path: Path) -> None:
    code = IMPORT + "count = []\n@tool\ndef f():\n    count.append(1)\n    return len(count)"
    first, second = python_node(tmp_path, code), python_node(tmp_path, code)
    assert [call_once(first), call_once(first), call_once(second)] == [1, 2, 1]


def test_dataclasses_with_deferred_annotations_load(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + IMPORT
    code += "@dataclass\nclass D:\n    x: int\n@tool\ndef f(): return D(x=1).x"
    assert call_once(python_node(tmp_path, code)) == 1


def test_projects_with_modules_of_one_name_do_not_get_each_others(tmp_path: Path) -> None:
    code = IMPORT + "import shared\n@tool\ndef f():\n    import late\n    return shared.VALUE, late.VALUE"
    tools = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files = {"shared.py": f"VALUE = {name!r}", "late.py": f"VALUE = {name!r}"}
        tools.append(python_node(tmp_path / name, code, files=files))
    assert [call_once(tool) for tool in (*tools, tools[0])] == [("a", "a"), ("b", "b"), ("a", "a")]


class TestClasses:
    CODE = (
        IMPORT
        + "class Store(ToolProvider):\n    def __init__(self, root: str, size: int = 3):\n        super().__init__()\n"
        + "        self.root, self.size = root, size\n    @tool\n    def get(self, key: str): return self.root, self.size, key"
    )

    def test_constructor_inputs_are_literals_of_the_node(self, tmp_path: Path) -> None:
        tool = python_node(tmp_path, self.CODE, {"root": "r", "size": "7", "key": "${inputs.k}"})
        assert [parameter.name for parameter in tool.spec.parameters] == ["root", "size", "key"]
        assert call_once(tool, {"root": "r", "size": 7, "key": "k"}) == ("r", 7, "k")

    def test_a_reference_and_a_missing_value_are_refused(self, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, self.CODE, {"root": "${inputs.r}"})
        assert problem.code == "T203"
        assert problem.span is not None
        assert problem.span.line == 13
        (problem,) = problems_of(tmp_path, self.CODE, {"key": "k"})
        assert (problem.code, "root" in problem.what) == ("T205", True)
        (problem,) = problems_of(tmp_path, self.CODE, {"root": "r", "size": "many"})
        assert problem.code == "T203"

    def test_a_constructor_that_fails_is_shown_with_its_line(self, tmp_path: Path) -> None:
        code = self.CODE.replace("super().__init__()", "raise OSError('no disk')")
        (problem,) = problems_of(tmp_path, code, {"root": "r"})
        assert problem.code == "T206"
        assert "OSError: no disk" in problem.what
        assert str(problem.span) == f"{tmp_path}/tool.py:4:9"

    def test_a_parameter_of_both_constructor_and_method_is_refused(self, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, self.CODE.replace("key: str", "root: str"), {"root": "r"})
        assert problem.code == "T206"
        assert "'root'" in problem.what

    def test_inherited_tools_count_and_imported_classes_do_not(self, tmp_path: Path) -> None:
        files = {"base.py": self.CODE}
        code = IMPORT + "from base import Store\nclass Mine(Store):\n    pass"
        assert call_once(python_node(tmp_path, code, {"root": "r"}, files=files), {"key": "k"}) == (
            "r",
            3,
            "k",
        )


class TestConnections:
    IMPORT = IMPORT + (
        "from typing import Union\nfrom promptflow.connections import *\nfrom promptflow.contracts.types import Secret\n"
        "class Mine(CustomStrongTypeConnection):\n    token: Secret\n    url: str = 'default'\n"
    )

    def run(self, folder: Path, code: str, name: str = "azure") -> Any:
        tool = python_node(folder, self.IMPORT + code, {"c": name})
        return call_once(tool, {"c": name})

    def test_fields_are_attributes(self, tmp_path: Path) -> None:
        code = "@tool\ndef f(c: AzureOpenAIConnection): return c.api_key, c.api_base, c.api_version, c.api_type, c.name, dict(c)"
        key, base, version, kind, name, fields = self.run(tmp_path, code)
        assert (key, base, version, kind, name) == ("k", "http://127.0.0.1", "2024-02-01", "azure", "azure")
        assert fields["api_key"] == "k"

    def test_custom_connections_by_every_way_of_asking(self, tmp_path: Path) -> None:
        code = "@tool\ndef f(c: CustomConnection): return c.token, c['url'], c.configs, c.secrets, c.is_secret('token'), dict(c)"
        token, url, configs, secrets, is_secret, both = self.run(tmp_path, code, "custom")
        assert (token, url, is_secret) == ("t", "u", True)
        assert (configs, secrets, both) == ({"url": "u"}, {"token": "t"}, {"url": "u", "token": "t"})

    def test_a_class_of_the_project_shows_the_stored_values(self, tmp_path: Path) -> None:
        code = "@tool\ndef f(c: Mine): return c.token, c.url, type(c).__name__, isinstance(c, Mine)"
        assert self.run(tmp_path, code, "custom") == ("t", "u", "Mine", True)

    def test_a_union_takes_either_and_no_annotation_takes_the_name(self, tmp_path: Path) -> None:
        union = "@tool\ndef f(c: Union[AzureOpenAIConnection, OpenAIConnection]): return type(c).__name__"
        assert self.run(tmp_path, union, "openai") == "OpenAIConnection"
        assert self.run(tmp_path, "@tool\ndef f(c): return c") == "azure"

    def test_deferred_annotations_inject_as_well(self, tmp_path: Path) -> None:
        code = "from __future__ import annotations\n" + self.IMPORT
        code += (
            "@tool\ndef f(c: OpenAIConnection | AzureOpenAIConnection, x: int = 1): return type(c).__name__"
        )
        assert (
            call_once(python_node(tmp_path, code, {"c": "azure"}), {"c": "azure"}) == "AzureOpenAIConnection"
        )

    @pytest.mark.parametrize(
        ("code", "name", "expected", "words"),
        [
            ("def f(c: OpenAIConnection): ...", "azure", "C504", "azure_open_ai"),
            ("def f(c: OpenAIConnection): ...", "opnai", "C501", "'opnai'"),
            ("def f(c: Mine): ...", "openai", "C504", "custom"),
            ("def f(c: CustomConnection): ...", "unset", "C503", "token"),
            ("def f(c: ServerlessConnection): ...", "half", "C502", "api_base"),
        ],
    )
    def test_what_cannot_be_injected(
        self, code: str, name: str, expected: str, words: str, tmp_path: Path
    ) -> None:
        lookup = MemoryConnections(
            *(found for key in MODELS.names() if (found := MODELS.find(key))),
            connection("half", "serverless", {"api_key": "k"}),
        )
        (problem,) = problems_of(tmp_path, f"{self.IMPORT}@tool\n{code}", {"c": name}, lookup=lookup)
        assert problem.code == expected
        assert words in problem.what
        assert problem.fix
        assert problem.span is not None
        assert (problem.span.file, problem.span.line) == (f"{tmp_path}/flow.dag.yaml", 13)

    def test_a_near_name_is_offered(self, tmp_path: Path) -> None:
        (problem,) = problems_of(
            tmp_path, f"{self.IMPORT}@tool\ndef f(c: OpenAIConnection): ...", {"c": "opnai"}
        )
        assert '"openai"' in (problem.fix or "")


class TestLoading:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("def f(): ...\ndef g(): ...", "Its functions are: f, g"),
            ("x = 1", "defines no tool"),
            ("from promptflow.tracing import trace\n@trace\ndef f(): ...", "defines no tool"),
            (IMPORT + "@tool\ndef f(): ...\n@tool\ndef g(): ...", "2 tools (f, g)"),
            (IMPORT + "from other import h", "defines no tool"),
        ],
    )
    def test_exactly_one_tool(self, code: str, words: str, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, code, files={"other.py": IMPORT + "@tool\ndef h(): ..."})
        assert problem.code == "T206"
        assert words in problem.what
        assert problem.span is not None
        assert problem.span.file == f"{tmp_path}/tool.py"
        assert problem.related[0][1].file == f"{tmp_path}/flow.dag.yaml"

    def test_one_function_under_two_names_is_one_tool(self, tmp_path: Path) -> None:
        assert call_once(python_node(tmp_path, IMPORT + "@tool\ndef f(): return 1\ng = f")) == 1

    def test_a_file_that_raises(self, tmp_path: Path) -> None:
        files = {"helper.py": "def go():\n    return 1 / 0\n"}
        (problem,) = problems_of(tmp_path, "import helper\nhelper.go()\n", files=files)
        assert problem.code == "T206"
        assert "ZeroDivisionError" in problem.what
        assert str(problem.span) == f"{tmp_path}/helper.py:2:12"
        assert problem.detail == (
            f"{tmp_path}/tool.py:2, in <module>",
            "    helper.go()",
            f"{tmp_path}/helper.py:2, in go",
            "    return 1 / 0",
            "ZeroDivisionError: division by zero",
        )

    def test_a_syntax_error_points_at_the_character(self, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, "x = 1\ndef f(:\n")
        assert (problem.code, str(problem.span)) == ("T206", f"{tmp_path}/tool.py:2:7")

    @pytest.mark.parametrize("has_requirements", [True, False])
    def test_a_missing_package(self, has_requirements: bool, tmp_path: Path) -> None:
        files = {"requirements.txt": "nosuch-package\n"} if has_requirements else {}
        (problem,) = problems_of(tmp_path, "\nimport nosuch_package.part\n", files=files)
        assert "nosuch_package" in problem.what
        assert str(problem.span).startswith(f"{tmp_path}/tool.py:2:")
        assert ("requirements.txt" in (problem.fix or "")) == has_requirements
        assert "nosuch_package" in (problem.fix or "")

    def test_a_name_that_is_not_served_points_at_the_import(self, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, "\nfrom promptflow.core import Newer, tool\n")
        assert problem.code == "T209"
        assert "promptflow.core.Newer" in problem.what
        assert str(problem.span).startswith(f"{tmp_path}/tool.py:2:")

    def test_a_missing_file_and_its_near_name(self, tmp_path: Path) -> None:
        node = {"name": "n", "type": "python", "source": {"type": "code", "path": "toool.py"}}
        flow = write_flow(tmp_path, {"tool.py": ""}, nodes=[node])
        with pytest.raises(DefinitionError) as caught:
            load_tool(flow.nodes[0], flow, tmp_path, MODELS)
        (problem,) = caught.value.problems
        assert (problem.code, problem.fix) == ("F001", 'Did you mean "tool.py"?')
        assert problem.span is not None
        assert problem.span.line == 10

    def test_an_unknown_kind_of_tool_is_refused(self, tmp_path: Path) -> None:
        (problem,) = problems_of(tmp_path, IMPORT + "@tool(type='nonsense')\ndef f(): ...")
        assert "nonsense" in problem.what

    def test_a_fixed_image_cannot_go_to_the_constructor_of_a_class(self, tmp_path: Path) -> None:
        code = IMPORT + (
            "from promptflow.core import ToolProvider\nfrom promptflow.contracts.multimedia import Image\n"
            "class C(ToolProvider):\n    def __init__(self, i: Image): ...\n    @tool\n    def f(self): ..."
        )
        (problem,) = problems_of(tmp_path, code, {"i": "a.png"})
        assert (problem.code, "takes no image" in problem.what) == ("F010", True)


class TestOutput:
    def test_prints_are_kept_and_shown(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = IMPORT + "import sys\n@tool\ndef f(x):\n    print('out', x)\n    print('err', file=sys.stderr)"
        logs: dict[str, str] = {}
        call_once(python_node(tmp_path, code), {"x": 1}, logs=logs)
        assert logs == {"stdout": "out 1\n", "stderr": "err\n"}
        assert capsys.readouterr() == ("", "out 1\nerr\n")

    def test_nodes_at_the_same_time_do_not_mix(self, tmp_path: Path) -> None:
        code = IMPORT + (
            "import threading\nbarrier = threading.Barrier(2)\n@tool\ndef f(x):\n    for i in range(50):\n"
            "        barrier.wait(10)\n        print(x)"
        )
        tool = python_node(tmp_path, code)

        async def run() -> list[dict[str, str]]:
            contexts = [make_context(), make_context()]
            async with asyncio.TaskGroup() as group:
                for name, context in zip("ab", contexts, strict=True):
                    group.create_task(call(tool, {"x": name}, context))
            return [context.logs for context in contexts]

        assert asyncio.run(run()) == [{"stdout": "a\n" * 50}, {"stdout": "b\n" * 50}]

    def test_generators_print_for_their_node_when_they_run(self, tmp_path: Path) -> None:
        for keyword in ("", "async "):
            code = f"{IMPORT}@tool\n{keyword}def f():\n    print('one')\n    yield 1\n    print('two')\n    yield 2"
            logs: dict[str, str] = {}
            assert call_once(python_node(tmp_path, code), logs=logs) == [1, 2]
            assert logs == {"stdout": "one\ntwo\n"}


class TestFailures:
    def failure(
        self, folder: Path, code: str, arguments: dict[str, Any] | None = None, **more: Any
    ) -> Problem:
        tool = python_node(folder, IMPORT + code, **more)
        place = Span(file=f"{folder}/flow.dag.yaml", line=5, column=3, end_line=5, end_column=9)
        try:
            call_once(tool, arguments)
        except Exception as error:  # noqa: BLE001 - what the engine does
            return describe_failure(error, node="n", folder=folder, flow_place=place)
        raise AssertionError

    def test_the_users_own_lines_and_words(self, tmp_path: Path) -> None:
        code = "import json\n@tool\ndef f(x):\n    return json.loads(x)"
        problem = self.failure(tmp_path, code, {"x": "{"})
        assert problem.code == "E601"
        assert "JSONDecodeError: Expecting property name" in problem.what
        assert str(problem.span) == f"{tmp_path}/tool.py:5:12"
        assert problem.detail[:2] == (f"{tmp_path}/tool.py:5, in f", "    return json.loads(x)")
        assert not any("json/decoder" in line for line in problem.detail)
        assert problem.related[0][1].line == 5

    def test_causes_are_shown(self, tmp_path: Path) -> None:
        code = "@tool\ndef f():\n    try:\n        {}['k']\n    except KeyError as e:\n        raise ValueError('bad') from e"
        problem = self.failure(tmp_path, code)
        assert problem.detail == (
            f"{tmp_path}/tool.py:7, in f",
            "    raise ValueError('bad') from e",
            "ValueError: bad",
            "caused by:",
            f"{tmp_path}/tool.py:5, in f",
            "    {}['k']",
            "KeyError: 'k'",
        )

    def test_a_name_that_is_not_served_and_is_asked_for_late(self, tmp_path: Path) -> None:
        problem = self.failure(tmp_path, "@tool\ndef f():\n    from promptflow.core import Promty")
        assert problem.code == "T209"
        assert str(problem.span) == f"{tmp_path}/tool.py:4:5"

    def test_a_missing_argument_has_no_line_of_the_user(self, tmp_path: Path) -> None:
        problem = self.failure(tmp_path, "@tool\ndef f(x): ...")
        assert problem.span is None
        assert "missing 1 required positional argument: 'x'" in problem.what

    def test_files_outside_the_folder_are_named_from_there(self, tmp_path: Path) -> None:
        (tmp_path / "flow").mkdir()
        (tmp_path / "lib.py").write_text("def go():\n    raise RuntimeError\n")
        code = "import sys, os\nsys.path.append(os.path.dirname(os.path.dirname(__file__)))\nimport lib\n@tool\ndef f(): lib.go()"
        problem = self.failure(tmp_path / "flow", code)
        assert str(problem.span) == f"{tmp_path}/lib.py:2:5"
        assert problem.what == "The tool of node 'n' raised RuntimeError."
