"""Which version a packed flow says it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.formats.flow_identity import IDENTITY, FlowIdentity, served_identity

PACKED = FlowIdentity(flow="ask", digest="a" * 64, packed_digest="b" * 64, variants={"n": "v"})


def test_packed_files_are_the_version_that_was_packed_until_they_change(tmp_path: Path) -> None:
    (tmp_path / IDENTITY).write_text(json.dumps(PACKED.to_json()))
    assert served_identity(tmp_path / "flow", "flow", "b" * 64).version == "ask@" + "a" * 12
    assert served_identity(tmp_path / "flow", "flow", "c" * 64).version == "flow@" + "c" * 12


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"flow": 1}'])
def test_a_flow_without_such_a_file_is_its_own_version(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / IDENTITY).write_text(text)
    assert served_identity(tmp_path / "flow", "flow", "c" * 64).digest == "c" * 64
