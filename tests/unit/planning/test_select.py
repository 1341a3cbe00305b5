"""Choosing an arm: variants, models, and what a flow does not offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.flow import Flow
from headrace.domain.variant import Arm, ModelSpec, Variant
from headrace.errors import UsageError
from headrace.formats.flow_file import read_flow
from headrace.planning.select import apply_arm, parse_variant

TEXT = """\
nodes:
- {name: prepare, type: python, source: {path: p.py}}
- {name: embed, type: python, source: {type: package, tool: promptflow.tools.embedding.embedding}, inputs: {deployment_name: e}}
- {name: generate, use_variants: true}
- {name: judge, type: llm, source: {path: j.jinja2}, connection: old, api: chat, provider: OpenAI, module: promptflow.tools.openai,
   inputs: {model: m, temperature: 1, question: "${prepare.output}"}}
node_variants:
  generate:
    default_variant_id: zero_shot
    variants:
      zero_shot: {node: {type: llm, source: {path: z.jinja2}, connection: old, api: chat, inputs: {deployment_name: d, max_tokens: 5}}}
      few_shot: {node: {type: llm, source: {path: f.jinja2}, connection: old, api: chat, inputs: {deployment_name: d}}}
      broken: {node: {type: llm}}
"""


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    (tmp_path / "flow.dag.yaml").write_text(TEXT)
    flow, _ = read_flow(tmp_path)
    assert flow is not None
    return flow


def choose(**choices: str) -> Arm:
    return Arm(name="arm", variant=Variant(name="v", choices=choices))


def type_of(name: str) -> str | None:
    return {"azure": "azure_open_ai", "local": "open_ai"}.get(name)


def test_chooses_a_variant_and_settles_the_rest(flow: Flow) -> None:
    chosen = apply_arm(flow, choose(generate="few_shot"), type_of)
    assert [node.name for node in chosen.nodes] == ["prepare", "embed", "generate", "judge"]
    assert chosen.nodes[2].source.path == "f.jinja2"
    assert chosen.node_variants == {}
    assert flow.nodes[2].source.path == "z.jinja2"
    assert apply_arm(flow, Arm(name="default"), type_of).nodes == flow.nodes


@pytest.mark.parametrize(
    ("connection", "field_name", "other"),
    [
        ("azure", "deployment_name", "model"),
        ("local", "model", "deployment_name"),
        ("unknown", "model", "deployment_name"),
    ],
)
def test_points_every_model_node_at_the_model(
    flow: Flow, connection: str, field_name: str, other: str
) -> None:
    model = ModelSpec(
        name="gpt", connection=connection, model="gpt-x", parameters={"temperature": 0, "seed": 1}
    )
    nodes = {node.name: node for node in apply_arm(flow, Arm(name="gpt", model=model), type_of).nodes}
    for name in ("generate", "judge"):
        assert nodes[name].connection == connection
        assert (nodes[name].provider, nodes[name].module, nodes[name].api) == (None, None, "chat")
        assert nodes[name].inputs[field_name] == "gpt-x"
        assert other not in nodes[name].inputs
        assert (nodes[name].inputs["temperature"], nodes[name].inputs["seed"]) == (0, 1)
    assert nodes["generate"].inputs["max_tokens"] == 5
    assert nodes["judge"].inputs["question"] == flow.nodes[3].inputs["question"]
    assert nodes["embed"] == flow.nodes[1]


@pytest.mark.parametrize(
    ("choices", "what", "fix", "line"),
    [
        ({"generate": "few_shots"}, "has no variant 'few_shots'", '"few_shot"', 10),
        ({"generat": "few_shot"}, "no node 'generat'", '"generate"', 7),
        ({"judge": "x"}, "offers no variants", "none", 5),
        ({"generate": "broken"}, "cannot be used", "validate", 13),
    ],
)
def test_a_variant_that_is_not_offered(
    flow: Flow, choices: dict[str, str], what: str, fix: str, line: int
) -> None:
    with pytest.raises(UsageError) as caught:
        apply_arm(flow, choose(**choices), type_of)
    (problem,) = caught.value.problems
    assert problem.code == "V301"
    assert what in problem.what
    assert fix in (problem.fix or "")
    assert problem.span is not None
    assert problem.span.line == line


def test_all_wrong_choices_at_once(flow: Flow) -> None:
    with pytest.raises(UsageError) as caught:
        apply_arm(flow, choose(generate="x", nope="y"), type_of)
    assert len(caught.value.problems) == 2


def test_a_model_needs_a_model_node(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text("nodes:\n- {name: a, type: python, source: {path: a.py}}\n")
    flow, _ = read_flow(tmp_path)
    assert flow is not None
    with pytest.raises(UsageError, match="V304") as caught:
        apply_arm(flow, Arm(name="m", model=ModelSpec(name="m", connection="c", model="m")), type_of)
    assert str(caught.value.problems[0].span).endswith("flow.dag.yaml:1:1")


def test_parse_variant_is_offered_here() -> None:
    assert parse_variant("${generate.few_shot}") == ("generate", "few_shot")
