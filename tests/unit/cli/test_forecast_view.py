from __future__ import annotations

from headrace.cli.forecast_view import render_forecasts, total
from headrace.cli.terminal import Ink
from headrace.domain.forecast import Forecast


def a_forecast(**changes: object) -> Forecast:
    fields = {
        "label": "a", "n_lines": 10, "calls": 20.0, "prompt_tokens": 1234.4, "completion_tokens": 50.0,
        "cost_usd": 0.5, "duration_s": 2.0, "source_run": "pilot",
    }  # fmt: skip
    return Forecast(**{**fields, **changes})  # type: ignore[arg-type]


def test_rows_and_their_total() -> None:
    text = render_forecasts([a_forecast(), a_forecast(label="b")], ink=Ink(has_color=False), width=None)
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["a", "10", "20", "0", "1,234", "50", "$0.5000", "2.00", "s", "pilot"],
        ["b", "10", "20", "0", "1,234", "50", "$0.5000", "2.00", "s", "pilot"],
        ["total", "20", "40", "0", "2,469", "100", "$1.0000", "4.00", "s"],
    ]


def test_what_is_not_known_of_one_is_not_known_of_all() -> None:
    unknown = a_forecast(completion_tokens=None, cost_usd=None, duration_s=None, source_run=None)
    assert (total([a_forecast(), unknown]).cost_usd, total([a_forecast(), unknown]).calls) == (None, 40)
    text = render_forecasts([unknown], ink=Ink(has_color=False), width=None)
    assert "–" in text
    assert "run a few lines first" in text
