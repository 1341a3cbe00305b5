"""Parquet files as rows, read with pyarrow."""

from __future__ import annotations

import io
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from headrace.errors import DefinitionError
from headrace.formats.lines import read_dataset


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    path.write_bytes(stream.getvalue())
    return path


def test_values_keep_their_types(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.parquet",
        {
            "n": [1, 2**60],
            "x": [0.5, None],
            "text": ["ünï", ""],
            "flag": [True, False],
            "list": [["a"], []],
            "record": [{"k": 1}, {"k": None}],
        },
    )
    dataset = read_dataset(path, "d.parquet")
    assert [line.columns for line in dataset.lines] == [
        {"n": 1, "x": 0.5, "text": "ünï", "flag": True, "list": ["a"], "record": {"k": 1}},
        {"n": 2**60, "x": None, "text": "", "flag": False, "list": [], "record": {"k": None}},
    ]
    assert dataset.columns == ("n", "x", "text", "flag", "list", "record")
    assert str(list(dataset.lines)[1].span) == "d.parquet:1:1"


def test_what_json_has_no_form_for_becomes_text(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.parquet",
        {
            "day": [date(2024, 5, 1)],
            "moment": [datetime(2024, 5, 1, 10, 30, tzinfo=UTC)],
            "price": [Decimal("1.50")],
            "bytes": [b"ab\xff"],
        },
    )
    (line,) = read_dataset(path).lines
    assert line.columns == {
        "day": "2024-05-01",
        "moment": "2024-05-01 10:30:00+00:00",
        "price": "1.50",
        "bytes": "ab\\xff",
    }


def test_it_stands_in_a_folder_beside_other_formats(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", {"n": [2]})
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n')
    assert [line.columns["n"] for line in read_dataset(tmp_path).lines] == [1, 2]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all, but long enough for a footer"])
def test_a_broken_file_is_one_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.parquet").write_bytes(content)
    with pytest.raises(DefinitionError) as caught:
        read_dataset(tmp_path / "d.parquet")
    assert [problem.code for problem in caught.value.problems] == ["D401"]


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "d.parquet", {"n": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DefinitionError) as caught:
        read_dataset(path)
    (problem,) = caught.value.problems
    assert problem.code == "C505"
    assert "headrace[parquet]" in (problem.fix or "")
