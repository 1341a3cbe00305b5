from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.domain.flow import FLEX, PROMPTY
from headrace.formats.flow_file import load_flow
from headrace.operations.run_names import default_name, expand_title

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_a_run_is_named_after_flow_variant_and_time(tmp_path: Path) -> None:
    folder = tmp_path / "my-flow  ü"
    folder.mkdir()
    (folder / "flow.dag.yaml").write_text("inputs: {}\noutputs: {}\nnodes: []\n")
    flow = load_flow(folder)
    assert default_name(flow, {}, NOW) == "my_flow_ü_variant_0_20260102_030405_678901"
    assert default_name(flow, {"ask": "short"}, NOW) == "my_flow_ü_short_20260102_030405_678901"
    for kind in (FLEX, PROMPTY):
        assert default_name(replace(flow, kind=kind), {}, NOW) == "my_flow_ü_20260102_030405_678901"


@pytest.mark.parametrize(
    ("text", "choices", "source_run", "title"),
    [
        (None, {}, None, None),
        ("plain", {}, None, "plain"),
        ("${variant_id} ${timestamp} ${run}", {}, None, "variant_0 202601020304 ${run}"),
        ("${run}: ${variant_id}", {"ask": "short"}, "base", "base: short"),
        ("${other}", {}, "base", "${other}"),
    ],
)
def test_macros_of_a_title(
    text: str | None, choices: dict[str, str], source_run: str | None, title: str | None
) -> None:
    assert expand_title(text, choices=choices, source_run=source_run, now=NOW) == title
