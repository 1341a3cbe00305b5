from __future__ import annotations

from typing import Any

from headrace.domain.flow_diff import ABSENT, FlowParts
from headrace.planning.flow_diff import diff_flows


def parts(data: Any, body: str = "", file: str = "flow.dag.yaml", **files: str | None) -> FlowParts:
    listed = {path.replace("__", "."): ("code", str(text), text) for path, text in files.items()}
    return FlowParts(
        name="f", digest=repr((data, body, files)), data=data, body=body, file=file, files=listed
    )


def llm(path: str = "ask.jinja2", connection: str = "a", **inputs: Any) -> dict[str, Any]:
    return {
        "name": "ask",
        "type": "llm",
        "source": {"type": "code", "path": path},
        "connection": connection,
        "inputs": {"model": "m", **inputs},
    }


def changes(before: FlowParts, after: FlowParts) -> list[tuple[str, str, str, Any, Any]]:
    found = diff_flows(before, after).changes
    return [(change.kind, change.node, change.what, change.before, change.after) for change in found]


def test_models_connections_parameters_and_wiring_are_told_apart() -> None:
    before = parts({"nodes": [llm(temperature=0, text="${inputs.q}")]})
    after = parts({"nodes": [llm(connection="b", temperature=0.0, text="x", top_p=1)]})
    after.data["nodes"][0]["inputs"]["model"] = "n"
    assert changes(before, after) == [
        ("model", "ask", "model", "m", "n"),
        ("parameter", "ask", "temperature", 0, 0.0),
        ("wiring", "ask", "text", "${inputs.q}", "x"),
        ("parameter", "ask", "top_p", ABSENT, 1),
        ("connection", "ask", "connection", "a", "b"),
    ]


def test_nodes_and_variants_come_and_go() -> None:
    offer = {"default_variant_id": "one", "variants": {"one": {"node": llm()}}}
    more = {"default_variant_id": "two", "variants": {"two": {"node": llm()}}}
    before = parts({"nodes": [{"name": "ask", "use_variants": True}], "node_variants": {"ask": offer}})
    after = parts(
        {"nodes": [{"name": "ask", "use_variants": True}, {"name": "b"}], "node_variants": {"ask": more}}
    )
    assert changes(before, after) == [
        ("node", "b", "added", ABSENT, "variants"),
        ("variant", "ask.two", "added", ABSENT, "llm ask.jinja2"),
        ("variant", "ask.one", "removed", "llm ask.jinja2", ABSENT),
        ("variant", "ask", "default_variant_id", "one", "two"),
    ]


def test_a_prompt_under_another_name_is_a_setting_and_another_prompt_is_a_text() -> None:
    before = parts({"nodes": [llm()]}, ask__jinja2="old")
    moved = parts({"nodes": [llm("new.jinja2")]}, new__jinja2="old")
    assert changes(before, moved) == [("setting", "ask", "source.path", "ask.jinja2", "new.jinja2")]
    other = diff_flows(before, parts({"nodes": [llm("new.jinja2")]}, new__jinja2="new")).changes
    assert [(change.kind, change.what) for change in other] == [("prompt", "ask.jinja2 -> new.jinja2")]
    assert other[0].text[-2:] == ("-old", "+new")


def test_what_is_no_text_is_said_to_differ() -> None:
    found = diff_flows(parts({}, data__bin=None), parts({}, data__bin="x")).changes
    assert found[0].text == ("(no text, or too large to be kept)",)


def test_a_prompty_is_compared_by_its_model_its_parameters_and_its_prompt() -> None:
    def prompty(model: str, temperature: float, body: str) -> FlowParts:
        configuration = {"type": "openai", "model": model}
        data = {
            "model": {
                "api": "chat",
                "configuration": configuration,
                "parameters": {"temperature": temperature},
            }
        }
        return parts(data, body, "ask.prompty")

    assert [item[:3] for item in changes(prompty("m", 0, "a"), prompty("n", 1, "b"))] == [
        ("model", "", "model"),
        ("parameter", "", "temperature"),
        ("prompt", "", "ask.prompty"),
    ]
