"""What an answer took and how long it is: from the run itself."""

from __future__ import annotations

import sys
from typing import Any

from headrace.evaluation.evaluators.base import Judge, Scores, only, unscorable
from headrace.evaluation.evaluators.text import as_text, multilingual_tokens


def make_latency() -> Judge:
    """Wall time of the line in seconds, as if every node were called."""

    def judge(duration_ms: Any = None) -> Scores:
        return only(_number("latency", "duration", duration_ms) / 1000)

    return judge


def make_cost() -> Judge:
    """Cost of the line in US dollars, as if every node were called."""

    def judge(cost_usd: Any = None) -> Scores:
        return only(_number("cost", "cost", cost_usd))

    return judge


def make_length(*, unit: str) -> Judge:
    """Length of the answer in words of any language, in characters, or in lines that are not blank."""

    def judge(prediction: Any = None) -> Scores:
        text = as_text(prediction)
        if unit == "characters":
            return only(float(len(text)))
        if unit == "lines":
            return only(float(len([line for line in text.splitlines() if line.strip()])))
        return only(float(len(multilingual_tokens(text))))

    return judge


def _number(evaluator: str, name: str, value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= sys.float_info.max:
        fix = (
            "Give the price of the model in the experiment file." if name == "cost" else "Run the line again."
        )
        msg = f"{evaluator} cannot score the line: its {name} is not known."
        raise unscorable(msg, fix)
    return float(value)
