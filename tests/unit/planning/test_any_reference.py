"""Whatever stands in a node's input, it is read and checked without an error of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.reference import PropertyNotFoundError, follow_path, is_reference, parse_reference
from headrace.formats.flow_file import read_flow
from headrace.formats.positions import dump_yaml
from headrace.planning.check import check_flow
from headrace.planning.plan import make_plan

names = st.text(alphabet="abc_ é", min_size=1, max_size=5)
inner = st.text(alphabet="ab.[]'0 ${}", max_size=16) | st.sampled_from(
    [
        "inputs.q",
        "flow.q",
        "a",
        "a.output",
        "a.output.x[0]['y z']",
        "n.output",
        "inputs",
        ".",
        "..",
        "a..",
        "a.output.",
    ]
)


@given(inner)
def test_any_reference_is_read(text: str) -> None:
    whole = f"${{{text}}}"
    assert is_reference(whole)
    reference = parse_reference(whole)
    assert reference.text == whole
    assert reference.kind in ("input", "node")
    assert reference.kind == "node" or reference.path == ()


@given(names, st.lists(st.from_regex(r"[a-z_]{1,4}", fullmatch=True) | st.integers(0, 99), max_size=5))
def test_references_are_read_as_they_are_written(name: str, path: list[str | int]) -> None:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    if path and isinstance(path[0], int):
        text = f".{text}"
    reference = parse_reference(f"${{{name}.output{text}}}")
    assert (reference.name, reference.section, list(reference.path)) == (name, "output", path)


@given(
    st.lists(st.text(alphabet="ab", min_size=1, max_size=2) | st.integers(0, 3), max_size=3),
    st.recursive(
        st.integers(),
        lambda item: st.lists(item, max_size=2) | st.dictionaries(st.sampled_from("ab"), item),
        max_leaves=5,
    ),
)
def test_a_path_leads_somewhere_or_says_where_it_ends(path: list[str | int], value: object) -> None:
    try:
        found = follow_path(value, path)
    except PropertyNotFoundError as error:
        assert error.args[0] in [str(part) for part in path]  # noqa: PT017 — both ends are right
    else:
        assert json.dumps(found) in json.dumps(value)


@given(st.lists(inner.map(lambda text: f"${{{text}}}") | st.text(max_size=8), min_size=2, max_size=4))
def test_any_flow_is_checked_and_planned_or_refused(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    nodes = [
        {
            "name": name,
            "type": "python",
            "source": {"path": "a.py"},
            "inputs": {"x": value},
            "aggregation": name == "n",
        }
        for name, value in zip("abnc", values, strict=False)
    ]
    folder: Path = tmp_path_factory.mktemp("flow")
    data = {"inputs": {"q": {"type": "string"}}, "nodes": nodes}
    (folder / "flow.dag.yaml").write_text(dump_yaml(data), encoding="utf-8")
    flow, problems = read_flow(folder)
    assert flow is not None
    assert problems == ()
    found = check_flow(flow, {})
    assert all(problem.span is not None and problem.fix for problem in found)
    if "R104" not in [problem.code for problem in found]:
        plan = make_plan(flow, {})
        assert {step.node.name for step in (*plan.steps, *plan.aggregation)} == {
            str(node["name"]) for node in nodes
        }
