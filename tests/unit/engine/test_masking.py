from __future__ import annotations

from typing import Any

from headrace.domain.flow import Flow, FlowInput
from headrace.domain.run import COMPLETED, FAILED, LineResult, NodeResult
from headrace.engine.masking import MASK, mask_line
from headrace.errors import Problem, Raised
from headrace.source import SourceMap

KEY = "sk-1234567890"


def a_flow(**inputs: str) -> Flow:
    return Flow(
        name="f",
        file="f.yaml",
        folder=".",
        inputs={name: FlowInput(name=name, type=kind) for name, kind in inputs.items()},
        outputs={},
        nodes=(),
        node_variants={},
        environment_variables={},
        additional_includes=(),
        source_map=SourceMap(file="f.yaml", values={}, keys={}),
    )


def a_result(**changes: Any) -> LineResult:
    fields: dict[str, Any] = {"line_number": 0, "status": COMPLETED, "inputs": {"q": "hello"}}
    return LineResult(**{**fields, **changes})


def test_a_record_without_secrets_stays_the_same_object() -> None:
    result = a_result()
    assert mask_line(result, (), a_flow(q="string")) is result


def test_a_secret_is_masked_wherever_a_record_quotes_it() -> None:
    problem = Problem(
        code="E601",
        what=f"no access with {KEY}",
        detail=("File a.py", f"  token={KEY}"),
        fix=None,
        raised=Raised(node="n", module="m", type="E", message=f"bad {KEY}", traceback=f"E: bad {KEY}"),
    )
    node = NodeResult(
        node="n",
        status=FAILED,
        inputs={"headers": [{"api-key": KEY}]},
        output={"echo": f"<{KEY}>"},
        problem=problem,
        logs={"stdout": f"using {KEY}\n"},
    )
    masked = mask_line(a_result(problem=problem, nodes=(node,)), {KEY}, a_flow(q="string"))
    assert KEY not in repr(masked)
    assert masked.nodes[0].inputs == {"headers": [{"api-key": MASK}]}
    assert masked.problem is not None
    assert masked.problem.what == f"no access with {MASK}"


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    masked = mask_line(a_result(inputs={"q": f"{KEY}-long"}), {KEY, f"{KEY}-long"}, a_flow(q="string"))
    assert masked.inputs == {"q": MASK}


def test_a_secret_input_is_masked_whatever_its_length() -> None:
    node = NodeResult(node="n", status=COMPLETED, inputs={"password": "long enough"})
    result = a_result(inputs={"p": "long enough", "q": "pw"}, nodes=(node,))
    masked = mask_line(result, (), a_flow(p="secret", q="secret"))
    assert masked.inputs == {"p": MASK, "q": MASK}
    assert masked.nodes[0].inputs == {"password": MASK}


def test_placeholders_do_not_spoil_ordinary_text() -> None:
    result = a_result(inputs={"q": "an unused word"})
    assert mask_line(result, {"unused"}, a_flow(q="string")).inputs == {"q": "an unused word"}


def test_flow_outputs_stay() -> None:
    result = a_result(outputs={"r": KEY})
    assert mask_line(result, {KEY}, a_flow(q="string")).outputs == {"r": KEY}
