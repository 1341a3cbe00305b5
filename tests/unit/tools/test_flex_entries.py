"""Entries of flex flows: loading them, their signatures, what their classes are made with."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.tool_nodes import MODELS, MemoryConnections, call_once, connection

from headrace.domain.flow import AGGREGATE, NO_DEFAULT, Flow
from headrace.errors import DefinitionError, Problem
from headrace.formats.flow_file import load_flow
from headrace.tools.base import ASYNC, INLINE, THREAD, StartingTool, Tool
from headrace.tools.registry import load_tool

pytestmark = pytest.mark.usefixtures("served_names")


def write(folder: Path, code: str, file: str = "entry: m:f\n", **files: str) -> Flow:
    folder.mkdir(exist_ok=True)
    (folder / "flow.flex.yaml").write_text(file, encoding="utf-8")
    for name, text in {"m.py": code, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    return load_flow(folder)


def load(
    folder: Path,
    code: str,
    file: str = "entry: m:f\n",
    *,
    init: dict[str, Any] | None = None,
    lookup: MemoryConnections = MODELS,
    **files: str,
) -> Tool:
    flow = write(folder, code, file, **files)
    flow = replace(flow, init_values=init or flow.sample_init)
    tool = load_tool(flow.nodes[0], flow, folder, lookup)
    if isinstance(tool, StartingTool):
        tool.start()
    return tool


def problems_of(folder: Path, code: str, file: str = "entry: m:f\n", **more: Any) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        load(folder, code, file, **more)
    return caught.value.problems


@pytest.mark.parametrize(
    ("code", "mode", "result"),
    [
        ("def f(x): return x + 1", THREAD, 3),
        ("async def f(x): return x + 1", ASYNC, 3),
        ("def f(x):\n    yield x\n    yield x + 1", THREAD, [2, 3]),
        ("async def f(x):\n    yield x", INLINE, [2]),
        ("f = lambda x: x + 1", THREAD, 3),
        ("import functools\nf = functools.partial(lambda x, y: x + y, y=1)", THREAD, 3),
        ("class f:\n    def __call__(self, x): return x + 1", THREAD, 3),
        ("class f:\n    async def __call__(self, x): return x + 1", ASYNC, 3),
        ("class f:\n    def __call__(self, x):\n        yield x", THREAD, [2]),
        ("class f:\n    async def __call__(self, x):\n        yield x", INLINE, [2]),
        ("class B:\n    def __call__(self, x): return x + 1\nclass f(B): pass", THREAD, 3),
        ("class f:\n    @staticmethod\n    def __call__(x): return x + 1", THREAD, 3),
        ("class f:\n    @classmethod\n    def __call__(cls, x): return x + 1", THREAD, 3),
        ("from promptflow.core import tool\n@tool\ndef f(x): return x + 1", THREAD, 3),
        ("from promptflow.tracing import trace\n@trace\nasync def f(x): return x + 1", ASYNC, 3),
    ],
)
def test_what_an_entry_may_be(code: str, mode: str, result: Any, tmp_path: Path) -> None:
    tool = load(tmp_path, code)
    assert tool.mode == mode
    assert call_once(tool, {"x": 2}) == result


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("", "object"),
        (": str", "string"),
        (": int", "int"),
        (": float", "double"),
        (": bool", "bool"),
        (": list", "list"),
        (": dict", "object"),
        (": list[int]", "list"),
        (": List[str]", "list"),
        (": Sequence[str]", "list"),
        (": Dict[str, int]", "object"),
        (": Mapping[str, Any]", "object"),
        (": Optional[int]", "int"),
        (": int | None", "int"),
        (": Union[int, str]", "object"),
        (": Any", "object"),
        (": Literal['a', 'b']", "string"),
        (": Literal[1, 'b']", "object"),
        (": Annotated[int, 'even']", "int"),
        (": Typed", "object"),
        (": 'int'", "int"),
        (": 'Optional[float]'", "double"),
        (": 'Unknown'", "object"),
        (" = 3", "int"),
        (" = 'a'", "string"),
        (" = [1]", "list"),
        (" = None", "any"),
        (": int = None", "any"),
        (": Path = Path('.')", "object"),
    ],
)
def test_a_parameter_has_the_nearest_type_of_the_format(
    annotation: str, expected: str, tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path\nfrom typing import *\nclass Typed(TypedDict):\n    a: int\n"
        f"def f(x{annotation}): ...\n"
    )
    (parameter,) = load(tmp_path, code).spec.parameters
    assert parameter.types == (expected,)


def test_defaults_are_those_of_the_code_unless_the_file_has_one(tmp_path: Path) -> None:
    code = "def f(a, b: int = 1, c: dict = {'k': 1}, d=None, e: int = 5): ..."
    tool = load(tmp_path, code)
    assert [item.default for item in tool.spec.parameters] == [NO_DEFAULT, 1, {"k": 1}, None, 5]
    file = "entry: m:f\ninputs:\n" + "".join(f"  {name}: {{type: int}}\n" for name in "abcd")
    tool = load(tmp_path, code, file + "  e: {type: string, default: x}\n")
    assert [item.default for item in tool.spec.parameters] == [NO_DEFAULT, 1, {"k": 1}, None, "x"]
    assert [item.types for item in tool.spec.parameters] == [
        ("int",),
        ("int",),
        ("int",),
        ("any",),
        ("string",),
    ]


def test_every_name_that_only_one_side_has_is_reported(tmp_path: Path) -> None:
    code = "class f:\n    def __init__(self, k=1): ...\n    def __call__(self, a, b) -> str: ...\n"
    file = (
        "entry: m:f\ninputs:\n  a: {type: int}\n  c: {type: int}\noutputs:\n  label: {type: string}\n"
        "init:\n  q: {type: int}\n"
    )
    found = problems_of(tmp_path, code, file)
    assert [(item.code, item.pointer) for item in found] == [
        ("T212", ("inputs", "c")), ("T212", ("inputs",)), ("T212", ("init", "q")), ("T212", ("init",)),
        ("T212", ("outputs", "label")), ("T212", ("outputs",)),
    ]  # fmt: skip
    assert found[0].span is not None
    assert (found[0].span.line, found[0].related[0][1].line) == (4, 2)


@pytest.mark.parametrize(
    "code",
    [
        "from dataclasses import dataclass\n@dataclass\nclass O:\n    label: str\ndef f() -> O: ...",
        "from typing import TypedDict\nclass O(TypedDict):\n    label: str\ndef f() -> O: ...",
        "def f() -> dict: ...",
        "def f(): ...",
    ],
)
def test_outputs_are_compared_where_the_code_says_which_there_are(code: str, tmp_path: Path) -> None:
    file = "entry: m:f\noutputs:\n  label: {type: string}\n"
    assert load(tmp_path, code, file).spec.parameters == ()


@pytest.mark.parametrize(
    ("code", "file", "what", "line"),
    [
        ("", "entry: nope:f\n", "no module nope", 1),
        ("", "entry: m.sub:f\n", "no module m.sub", 1),
        ("def g(): ...", "entry: m:f\n", "no 'f'", 1),
        ("f = 3", "entry: m:f\n", "is a int", 1),
        ("\nclass f: ...", "entry: m:f\n", "no method __call__", 1),
        ("\n\nraise ValueError('at import')", "entry: m:f\n", "ValueError: at import", 3),
        ("\ndef f(:", "entry: m:f\n", "SyntaxError", 2),
        ("\nfrom h import f", "entry: m:f\n", "no_such_package", 1),
        ("class f:\n    def __init__(self):\n        raise ValueError('no')\n    def __call__(self): ...",
         "entry: m:f\n", "ValueError: no", 3),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_loaded(code: str, file: str, what: str, line: int, tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, code, file, **{"h.py": "import no_such_package\n"})
    assert problem.code == "T211"
    assert what in problem.what
    assert problem.span is not None
    assert problem.span.line == line


def test_near_misses_are_named(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "def classify(): ...", "entry: m:clasify\n")
    assert problem.fix == 'Did you mean "classify"?'


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("def f(a: Path): ...", "'a' as Path"),
        ("def f(a, /): ...", "by its position only"),
        ("def f(c: OpenAIConnection): ...", "'c' as OpenAIConnection"),
        (
            "class f:\n    def __call__(self): ...\n    def __aggregate__(self, a, b): ...",
            "must take one parameter",
        ),
        (
            "class f:\n    def __call__(self): ...\n    def __aggregate__(self): ...",
            "must take one parameter",
        ),
    ],
)
def test_a_signature_that_data_cannot_feed(code: str, what: str, tmp_path: Path) -> None:
    code = f"from pathlib import Path\nfrom promptflow.connections import OpenAIConnection\n{code}"
    (problem,) = problems_of(tmp_path, code)
    assert problem.code == "T213"
    assert what in problem.what
    assert problem.span is not None
    assert problem.span.file.endswith("m.py")


def test_the_module_of_the_project_counts_even_when_one_of_its_name_is_imported(tmp_path: Path) -> None:
    tool = load(tmp_path, "", "entry: colorsys:f\n", **{"colorsys.py": "def f(): return 'mine'\n"})
    assert call_once(tool) == "mine"
    tool = load(tmp_path, "", "entry: json:f\n", **{"json.py": "def f(): return 'mine'\n"})
    assert call_once(tool) == "mine"


def test_modules_whose_files_have_changed_are_read_again(tmp_path: Path) -> None:
    entry = "from h import WORD\nN = []\ndef f(): return WORD, len(N)\n"
    tool = load(tmp_path, entry, **{"h.py": "WORD = 'one'\n"})
    assert call_once(tool) == ("one", 0)
    sys.modules["m"].N.append(1)
    assert call_once(load(tmp_path, entry)) == ("one", 1)
    assert call_once(load(tmp_path, entry, **{"h.py": "WORD = 'another'\n"})) == ("another", 0)


def test_code_and_packages(tmp_path: Path) -> None:
    files = {
        "src/pkg/__init__.py": "X = 2\n",
        "src/pkg/m.py": "from . import X\ndef f(): return X, __name__\n",
    }
    tool = load(tmp_path, "", "entry: pkg.m:f\ncode: src\n", **files)
    assert call_once(tool) == (2, "pkg.m")


MAKER = """
class f:
    def __init__(self, k: int = 1, word: str = 'w', flag: bool = False, many: list = (), more=None, data: dict = None):
        self.all = (k, word, flag, many, more, data)
    def __call__(self):
        return self.all
"""


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ({}, (1, "w", False, (), None, None)),
        ({"k": "5", "flag": "true", "many": "[1]", "more": "7"}, (5, "w", True, [1], "7", None)),
        ({"k": 5.5, "word": 3, "data": {"a": 1}}, (5.5, 3, False, (), None, {"a": 1})),
    ],
)
def test_text_becomes_what_the_constructor_wants(
    init: dict[str, Any], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    assert call_once(load(tmp_path, MAKER, init=init)) == expected


def test_values_come_from_the_sample_only_when_none_are_given(tmp_path: Path) -> None:
    file = "entry: m:f\nsample:\n  init: {k: 8, word: s}\n"
    assert call_once(load(tmp_path, MAKER, file))[:2] == (8, "s")
    assert call_once(load(tmp_path, MAKER, file, init={"k": 9}))[:2] == (9, "w")


def test_defaults_of_the_file_come_before_those_of_the_code(tmp_path: Path) -> None:
    code = "class f:\n    def __init__(self, k: int = 1): self.k = k\n    def __call__(self): return self.k\n"
    assert call_once(load(tmp_path, code, "entry: m:f\ninit:\n  k: {type: int, default: 4}\n")) == 4


def test_everything_that_is_wrong_with_init_values_is_said_at_once(tmp_path: Path) -> None:
    code = "class f:\n    def __init__(self, k: int, need, word=''): ...\n    def __call__(self): ...\n"
    file = "entry: m:f\nsample:\n  init: {k: x, wrod: a}\n"
    found = problems_of(tmp_path, code, file)
    assert [(item.code, item.span.line if item.span else 0) for item in found] == [
        ("T203", 3), ("T204", 3), ("T205", 1),
    ]  # fmt: skip
    assert found[1].fix == 'Did you mean "word"?'


def test_a_constructor_that_takes_anything_gets_anything(tmp_path: Path) -> None:
    code = (
        "class f:\n    def __init__(self, **all): self.all = all\n    def __call__(self): return self.all\n"
    )
    assert call_once(load(tmp_path, code, init={"a": "1"})) == {"a": "1"}


CONFIGURED = """
from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration
class f:
    def __init__(self, azure: AzureOpenAIModelConfiguration = None, plain: OpenAIModelConfiguration = None):
        self.both = (azure, plain)
    def __call__(self):
        return [vars(item) if item else None for item in self.both]
"""


def test_model_configurations_are_made_of_mappings_and_connections(tmp_path: Path) -> None:
    init = {
        "azure": {"azure_deployment": "d", "connection": "azure"},
        "plain": {"model": "m", "base_url": "u"},
    }
    assert call_once(load(tmp_path, CONFIGURED, init=init)) == [
        {"azure_deployment": "d", "azure_endpoint": "http://127.0.0.1", "api_version": "2024-02-01",
         "api_key": "k", "connection": None},
        {"model": "m", "base_url": "u", "api_key": None, "organization": None, "connection": None},
    ]  # fmt: skip
    init = {"plain": {"model": "m", "connection": "openai"}}
    azure, plain = call_once(load(tmp_path, CONFIGURED, init=init))
    assert (azure, plain["base_url"], plain["api_key"]) == (None, "http://127.0.0.1/v1", "k")


@pytest.mark.parametrize(
    ("value", "code", "what"),
    [
        ("azure", "T203", "a mapping"),
        ({"azure_deployment": "d", "connection": "nope"}, "C501", "'nope'"),
        ({"azure_deployment": "d", "connection": "openai"}, "C504", "open_ai"),
        ({"azure_deployment": "d", "connection": "azure", "api_key": "k"}, "T203", "as well"),
        ({"connection": "azure"}, "T205", "azure_deployment"),
        ({"azure_deployment": "d", "endpoint": "u"}, "T204", "'endpoint'"),
    ],
)
def test_a_model_configuration_that_makes_no_sense(value: Any, code: str, what: str, tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, CONFIGURED, init={"azure": value})
    assert problem.code == code
    assert what in problem.what
    assert problem.span is not None


def test_connections_are_named_and_arrive_as_objects(tmp_path: Path) -> None:
    code = (
        "from promptflow.connections import CustomConnection\nclass f:\n"
        "    def __init__(self, c: CustomConnection): self.c = c\n"
        "    def __call__(self): return self.c.token, self.c.url\n"
    )
    assert call_once(load(tmp_path, code, init={"c": "custom"})) == ("t", "u")
    (problem,) = problems_of(tmp_path, code, init={"c": "openai"})
    assert problem.code == "C504"
    (problem,) = problems_of(tmp_path, code, init={"c": {"a": 1}})
    assert problem.code == "T203"
    declared = "entry: m:f\ninit:\n  c: {type: OpenAIConnection}\n"
    code = "class f:\n    def __init__(self, c): self.c = c\n    def __call__(self): return self.c\n"
    lookup = MemoryConnections(connection("mine", "open_ai", {"api_key": "k"}))
    # The annotation in the code decides, as under prompt flow, not the type in the file.
    assert call_once(load(tmp_path / "other", code, declared, init={"c": "mine"}, lookup=lookup)) == "mine"


def test_an_aggregation_gets_lines_by_attribute_and_gives_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "class f:\n    def __init__(self): self.seen = []\n    def __call__(self): self.seen.append(1)\n"
        "    def __aggregate__(self, lines):\n"
        "        return {'a': lines[0].n, 'b': lines[0]['n'], 'c': 'x', 'd': True, 'seen': len(self.seen), 'e': lines[1]}\n"
    )
    tool = load(tmp_path, code)
    assert isinstance(tool, StartingTool)
    call_once(tool)
    aggregation = tool.aggregation
    assert aggregation is not None
    assert aggregation.spec.name == AGGREGATE
    metrics: dict[str, float] = {}
    call_once(aggregation, {"lines": [{"n": 2}, 5]}, metrics=metrics)
    assert metrics == {"a": 2, "b": 2, "d": True, "seen": 0, "e": 5}
    assert "'c' is a str" in capsys.readouterr().err


def test_an_aggregation_says_what_a_line_has(tmp_path: Path) -> None:
    code = (
        "class f:\n    def __call__(self): ...\n    async def __aggregate__(self, lines): return lines[0].m\n"
    )
    tool = load(tmp_path, code)
    assert isinstance(tool, StartingTool)
    assert tool.aggregation is not None
    with pytest.raises(AttributeError, match="no 'm'; they have: n"):
        call_once(tool.aggregation, {"lines": [{"n": 2}]})
