"""YAML 1.2 scalars as prompt flow's loader reads them; the table was recorded from it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.formats.scalars import resolve_plain

TEXT = [
    "yes", "no", "on", "off", "Yes", "NO", "y", "n", "nULL", "tRUE", "12:30:45", "190:20:30", "1:30", "0o9", "0o19", "0o",
    "0x", "0b", "0b12", ".5e3", "-.nan", "+", ".", "..", "1e", "e3", ".e3", "1e_3", "1,000", "0.1.2", "1.5e", "_1", "__",
    "2024-05-01T", "2024-13-45", "2024-02-30 10:00:00", "=", "<", "٣", "1\u0660", "${inputs.x}", "a b", "None", "0x_", "+_",
]  # fmt: skip

VALUES = [
    ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None),
    ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
    ("0", 0), ("00", 0), ("08", 8), ("012", 12), ("-012", -12), ("+1", 1), ("-0", 0), ("0777", 777), ("1_000", 1000),
    ("1__0", 10), ("-_1", -1), ("0_", 0), ("0o12", 10), ("-0o12", -10), ("0o7_7", 63), ("0o_7", 7), ("0x1F", 31),
    ("+0x1f", 31), ("0x_f", 15), ("0b11", 3), ("-0b11", -3), ("0b_1", 1), ("9007199254740993", 9007199254740993),
    ("1e3", 1000.0), ("1E3", 1000.0), ("1.e3", 1000.0), ("1e+3", 1000.0), ("1e-3", 0.001), (".5", 0.5), ("+.5", 0.5),
    ("-.5", -0.5), (".5e+3", 500.0), ("1.", 1.0), ("1._", 1.0), ("1_0.5_0", 10.5), ("6.8523015e+5", 685230.15),
    (".inf", math.inf), ("+.inf", math.inf), ("-.INF", -math.inf),
    ("2024-05-01", date(2024, 5, 1)),
    ("2024-5-1 1:00:00", datetime.fromisoformat("2024-05-01T01:00")),
    ("2024-05-01t1:00:00.5", datetime.fromisoformat("2024-05-01T01:00:00.5")),
    ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10, tzinfo=UTC)),
    ("2024-05-01 10:00:00 +02:00", datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=2)))),
    ("2024-05-01 10:00:00-5", datetime(2024, 5, 1, 10, tzinfo=timezone(timedelta(hours=-5)))),
]  # fmt: skip


@pytest.mark.parametrize("text", TEXT)
def test_stays_text(text: str) -> None:
    assert resolve_plain(text) == text


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_becomes_a_value(text: str, value: object) -> None:
    found = resolve_plain(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text: str) -> None:
    assert math.isnan(resolve_plain(text))


@pytest.mark.parametrize("text", ["._", "-._"])
def test_what_only_looks_like_a_float_stays_text(text: str) -> None:
    assert resolve_plain(text) == text


def test_zero_keeps_its_sign() -> None:
    assert math.copysign(1, resolve_plain("-0.0")) == -1


@given(st.integers())
def test_any_integer_is_read_back(number: int) -> None:
    assert resolve_plain(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_read_back(number: float) -> None:
    found = resolve_plain(repr(number))
    assert isinstance(found, float)
    assert found == number


@given(st.text(alphabet="0123456789+-._eExXobTZ: tnulf", max_size=12))
def test_any_text_is_read_without_an_error(text: str) -> None:
    found = resolve_plain(text)
    assert found is None or isinstance(found, (str, bool, int, float, date))
