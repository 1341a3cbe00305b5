"""Flows with images, through tests, nodes and batch runs. What stock does with them is recorded in the conformance cases."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tests.support.images import BLUE, RED, Page, image_server, write_files

from headrace.config import load_settings
from headrace.domain.run import COMPLETED, FAILED, Run
from headrace.errors import DefinitionError
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.test_records import print_images, write_test_records
from headrace.operations.workspace import Workspace, open_workspace

RED_64 = b64encode(RED).decode()
SHOW = """\
from promptflow.core import tool
from promptflow.contracts.multimedia import Image

def seen(value):
    if isinstance(value, Image):
        return f"{value} {value._mime_type} {value.source_url}"
    if isinstance(value, dict):
        return {name: seen(item) for name, item in value.items()}
    return [seen(item) for item in value] if isinstance(value, list) else value

@tool
def show(x):
    return seen(x)
"""
FLOW = """\
inputs:
  image: {type: image, default: blue.png}
  items: {type: list, default: []}
outputs:
  image: {type: image, reference: "${inputs.image}"}
  seen: {type: list, reference: "${show.output}"}
nodes:
- {name: show, type: python, source: {type: code, path: show.py}, inputs: {x: "${inputs.items}"}}
- {name: one, type: python, source: {type: code, path: show.py}, inputs: {x: "${inputs.image}"}}
- {name: after, type: python, source: {type: code, path: show.py}, inputs: {x: "${one.output}"}}
- {name: count, type: python, aggregation: true, source: {type: code, path: count.py}, inputs: {all: "${inputs.image}"}}
"""
COUNT = """\
from promptflow.core import tool, log_metric

@tool
def count(all: list):
    log_metric("images", sum(type(one).__name__ == "Image" for one in all))
"""
SEEN_RED = "Image(2732f12a) image/png None"


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {
        "flow/flow.dag.yaml": FLOW,
        "flow/show.py": SHOW,
        "flow/count.py": COUNT,
        "flow/red.png": RED,
        "flow/blue.png": BLUE,
    }
    return write_files(tmp_path, files) / "flow"


def tried(flow: Path, inputs: dict[str, Any], *, node: str | None = None, **environment: str) -> TestResult:
    settings = load_settings({"HOME": str(flow.parent), **environment})
    with open_workspace(settings, flow.parent) as workspace:
        return run_test(workspace, TestRequest(flow=flow, inputs=inputs, node=node))


def test_images_are_read_from_inputs_and_defaults_and_printed_as_files(flow: Path) -> None:
    result = tried(flow, {"items": ["what?", {"data:image/png;path": "red.png"}]})
    assert result.line.outputs["seen"] == ["what?", SEEN_RED]
    assert result.metrics == {"images": 1}
    printed, problems = print_images(result)
    ((key, path),) = printed["image"].items()
    assert (key, Path(path).read_bytes(), problems) == ("data:image/png;path", BLUE, ())
    assert Path(path).parent == flow / ".promptflow" / "output"


def test_records_of_a_test_refer_to_copies_of_the_images(flow: Path, tmp_path: Path) -> None:
    result = tried(flow, {"image": RED_64})
    request = TestRequest(flow=flow, inputs={})
    for folder, shown in ((None, ".promptflow/intermediate"), (tmp_path / "there", "intermediate")):
        assert write_test_records(request, result, folder) == ()
        records = folder or flow / ".promptflow"
        output = json.loads((records / "flow.output.json").read_text())
        path = Path(output["image"]["data:image/png;path"])
        assert path.parent == Path(shown)
        assert (records / "intermediate" / path.name).read_bytes() == RED
        detail = (records / "flow.detail.json").read_text()
        assert detail.count(str(path)) >= 4
        assert RED_64 not in detail


def test_where_no_file_can_be_written_images_are_printed_in_base64(flow: Path) -> None:
    (flow / ".promptflow").write_text("in the way")
    result = tried(flow, {"image": "red.png"})
    printed, (problem,) = print_images(result)
    assert printed["image"] == {"data:image/png;base64": RED_64}
    assert (problem.code, problem.severity) == ("S814", "warning")


def test_an_image_that_cannot_be_read_fails_the_line_at_its_input(flow: Path) -> None:
    line = tried(flow, {"image": "none.png"}).line
    assert line.status == FAILED
    assert line.problem is not None
    assert (line.problem.code, str(line.problem.span)) == ("T210", f"{flow}/flow.dag.yaml:2:10")
    assert line.nodes == ()


def test_addresses_are_fetched_under_the_policy_and_kept_as_addresses(flow: Path) -> None:
    with image_server(lambda *_: Page(content=RED)) as port:
        url = f"http://127.0.0.1:{port}/red.png"
        refused = tried(flow, {"image": url}).line.problem
        result = tried(flow, {"items": [{"data:image/png;url": url}]}, HEADRACE_IMAGE_HOSTS="127.0.0.1")
        kept = tried(flow, {"image": url}, HEADRACE_IMAGE_HOSTS="127.0.0.1")
    assert refused is not None
    assert refused.code == "C509"
    assert result.line.outputs["seen"] == [f"Image(2732f12a) image/png {url}"]
    assert print_images(kept)[0]["image"] == {"data:image/png;url": url}


@pytest.mark.parametrize(
    ("node", "inputs", "output"),
    [
        ("one", {"x": "red.png"}, SEEN_RED),
        ("one", {"inputs.image": {"data:image/png;path": "red.png"}}, SEEN_RED),
        ("one", {}, "Image(3b37538e) image/png None"),
        ("show", {"x": '[{"data:image/png;path": "red.png"}]'}, [SEEN_RED]),
        ("after", {"one.output": {"data:image/png;path": "red.png"}}, SEEN_RED),
        ("after", {"x": "red.png"}, "red.png"),
    ],
)
def test_one_node_gets_images_as_in_its_flow(
    flow: Path, node: str, inputs: dict[str, Any], output: Any
) -> None:
    assert tried(flow, inputs, node=node).outputs == output


def test_one_node_refuses_what_is_no_image(flow: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        tried(flow, {"x": "none.png"}, node="one")
    assert [problem.code for problem in caught.value.problems] == ["T210"]
    with pytest.raises(DefinitionError) as caught:
        tried(flow, {"x": "no list"}, node="show")
    assert [problem.code for problem in caught.value.problems] == ["T201"]


def run(workspace: Workspace, flow: Path, **request: Any) -> Run:
    return create_run(workspace, RunRequest(flow=flow, **request))


@pytest.fixture
def workspace(flow: Path) -> Any:
    with open_workspace(load_settings({"HOME": str(flow.parent)}), flow.parent) as opened:
        yield opened


def test_a_batch_reads_images_beside_its_data_and_keeps_them_in_the_store(
    flow: Path, tmp_path: Path, workspace: Workspace
) -> None:
    rows = [
        {"items": [{"data:image/png;path": "near.png"}], "image": "red.png"},
        {"items": [{"data:image/png;path": "none.png"}], "image": "red.png"},
        {"items": [], "image": "near.png"},
    ]
    write_files(tmp_path, {"data/d.jsonl": "\n".join(map(json.dumps, rows)), "data/near.png": RED})
    mapping = {"image": "${data.image}", "items": "${data.items}"}
    run(workspace, flow, data=tmp_path / "data" / "d.jsonl", column_mapping=mapping, name="first")
    first, second, third = workspace.store.read_lines("first")
    assert (first.status, second.status, third.status) == (COMPLETED, FAILED, FAILED)
    assert first.outputs == {"image": {"data:image/png;base64": RED_64}, "seen": [SEEN_RED]}
    assert first.inputs["items"] == [{"data:image/png;base64": RED_64}]
    assert second.problem is not None
    assert (second.problem.code, str(second.problem.span)) == ("T210", f"{tmp_path}/data/d.jsonl:2:1")
    # An evaluation reads the images back, also after the files are gone.
    (tmp_path / "data" / "near.png").unlink()
    evaluation = {"image": "${run.outputs.image}", "items": "${run.inputs.items}"}
    finished = run(workspace, flow, source_run="first", column_mapping=evaluation, name="second")
    (line,) = workspace.store.read_lines("second")
    assert line.problem is not None
    write_files(tmp_path, {"data/near.png": RED})
    finished = run(workspace, flow, source_run="first", column_mapping=evaluation, name="third")
    (line,) = workspace.store.read_lines("third")
    assert (line.outputs["seen"], finished.metrics) == ([SEEN_RED], {"images": 1})


def test_a_run_that_goes_on_takes_over_lines_with_images(
    flow: Path, tmp_path: Path, workspace: Workspace
) -> None:
    rows = [{"image": {"data:image/png;path": name}} for name in ("a.png", "late.png")]
    write_files(tmp_path, {"data/d.jsonl": "\n".join(map(json.dumps, rows)), "data/a.png": RED})
    mapping = {"image": "${data.image}"}
    run(workspace, flow, data=tmp_path / "data" / "d.jsonl", column_mapping=mapping, name="base")
    write_files(tmp_path, {"data/late.png": BLUE})
    again = create_run(workspace, RunRequest(flow=flow, resume_from="base", name="again"))
    base, line = workspace.store.read_line("base", 0), workspace.store.read_line("again", 0)
    assert base is not None
    assert line is not None
    assert line.trace_id == base.trace_id
    assert again.metrics == {"images": 2}


NODE = """\
message_format: {format}
inputs: {{}}
outputs:
  seen: {{type: object, reference: "${{show.output}}"}}
nodes:
- {{name: show, type: {type}, source: {{type: code, path: {path}}}, inputs: {inputs}}}
"""
TYPED = SHOW.replace("def show(x):", "def show(x: Image = None, y: list = None, z: dict = None):").replace(
    "seen(x)", "seen([x, y, z])"
)


def fixed(
    folder: Path, inputs: str, *, source: str = TYPED, kind: str = "python", form: str = "basic"
) -> TestResult:
    path = "show.py" if kind == "python" else "show.jinja2"
    dag = NODE.format(format=form, type=kind, path=path, inputs=inputs)
    write_files(
        folder, {"flow.dag.yaml": dag, path: source, "red.png": RED, "bot.yaml": "model: m\ntools: [{a: 1}]"}
    )
    return tried(folder, {})


@pytest.mark.parametrize(
    ("form", "inputs", "seen"),
    [
        ("basic", "{x: red.png}", [SEEN_RED, None, None]),
        ("basic", '{x: {"data:image/png;path": red.png}}', [SEEN_RED, None, None]),
        ("basic", f"{{x: {RED_64}}}", [SEEN_RED, None, None]),
        (
            "basic",
            '{y: [{"data:image/png;path": red.png}], z: {q: {"data:image/png;path": red.png}}}',
            [None, [SEEN_RED], {"q": SEEN_RED}],
        ),
        ("openai-vision", "{x: {type: image_file, image_file: {path: red.png}}}", [SEEN_RED, None, None]),
        (
            "openai-vision",
            '{y: [{"data:image/png;path": red.png}]}',
            [None, [{"data:image/png;path": "red.png"}], None],
        ),
        ("basic", "{x: null, y: []}", [None, [], None]),
    ],
)
def test_fixed_values_of_nodes_are_read_by_the_types_of_their_parameters(
    tmp_path: Path, form: str, inputs: str, seen: Any
) -> None:
    assert fixed(tmp_path / "flow", inputs, form=form).line.outputs == {"seen": seen}


def test_a_template_that_shows_a_variable_as_an_image_gets_an_image(tmp_path: Path) -> None:
    source = "![ image ]({{ x }}) {{x}} {{y}}"
    line = fixed(tmp_path / "flow", "{x: red.png, y: red.png}", source=source, kind="prompt").line
    assert line.outputs == {"seen": "![ image ](Image(2732f12a)) Image(2732f12a) red.png"}


@pytest.mark.parametrize(("kind", "source"), [("python", TYPED), ("prompt", "![image]({{x}})")])
@pytest.mark.parametrize(
    ("inputs", "code"), [("{x: none.png}", "T210"), ("{x: http://localhost/a.png}", "C509")]
)
def test_a_fixed_value_that_is_no_image_is_found_before_anything_runs(
    tmp_path: Path, kind: str, source: str, inputs: str, code: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        fixed(tmp_path / "flow", inputs, source=source, kind=kind)
    (problem,) = caught.value.problems
    assert (problem.code, problem.span.line if problem.span else None) == (code, 6)
    assert problem.what.startswith("The input 'x' of the node 'show'")


ASSISTANT = """\
from promptflow.core import tool
from promptflow.contracts.types import AssistantDefinition

@tool
def show(x: AssistantDefinition):
    return [type(x).__name__, x.model, x.instructions, x.tools]
"""


def test_an_assistant_definition_is_read_from_its_file(tmp_path: Path) -> None:
    line = fixed(tmp_path / "flow", "{x: bot.yaml}", source=ASSISTANT).line
    assert line.outputs == {"seen": ["AssistantDefinition", "m", "", [{"a": 1}]]}


@pytest.mark.parametrize(
    ("inputs", "code"), [("{x: none.yaml}", "F001"), ("{x: {model: m}}", "F005"), ("{x: list.yaml}", "F005")]
)
def test_an_assistant_definition_that_is_none_is_found_before_anything_runs(
    tmp_path: Path, inputs: str, code: str
) -> None:
    write_files(tmp_path / "flow", {"list.yaml": "[1]"})
    with pytest.raises(DefinitionError) as caught:
        fixed(tmp_path / "flow", inputs, source=ASSISTANT)
    assert [(problem.code, problem.span is not None) for problem in caught.value.problems] == [(code, True)]
