"""Suggestions as people and programs read them."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Any

from headrace.cli.session import Session
from headrace.domain.comparison import PairedEffect
from headrace.evaluation import wording
from headrace.operations.example_candidates import RANDOM
from headrace.operations.suggest_examples import Suggestion


def suggestion_to_json(found: Suggestion) -> dict[str, Any]:
    """A suggestion as plain data."""
    choice = found.choice
    return {
        "folder": str(found.folder),
        "node": found.node,
        "baseline": found.baseline,
        "chosen": choice.best,
        "candidates": [
            {
                "name": item.name,
                "kind": item.kind,
                "gain": choice.gains.get(item.name),
                "lines": [example.line.number for example in item.examples],
            }
            for item in found.candidates
        ],
        "choice": {
            "lines": choice.n_lines,
            "baseline": choice.baseline_mean,
            "gain": choice.gain,
            "shrunken": None if choice.shrunken is None else choice.shrunken.value,
        },
        "held_out": {
            "lines": found.split.n_held_out,
            "against_baseline": _effect_to_json(found.effect),
            "against_control": _effect_to_json(found.over_control),
            "suggestions_before": found.n_before,
            "experiment": found.held_out.experiment,
        },
        "train": {
            "lines": len(found.split.pool) + len(found.split.choice),
            "same": found.split.n_same,
            "left_out": found.n_left_out,
            "wrong": found.n_wrong,
        },
    }


def render_suggestion(found: Suggestion, session: Session) -> str:
    """What was chosen and by which lines, what it seems to gain there, and what it gains on lines held out."""
    return "\n".join(_lines(found, session))


def _lines(found: Suggestion, session: Session) -> Iterator[str]:
    choice, split = found.choice, found.split
    metric = found.held_out.comparison.metrics[0].spec.name
    n = len(choice.gains)
    shots = len(found.candidates[0].examples)
    yield (
        f"Chosen for {found.node}: {choice.best}, {wording.count(shots, 'example')}, the best of "
        f"{wording.count(n, 'selection')} on {wording.count(choice.n_lines, 'train line')}."
    )
    yield ""
    yield f"  {metric} against {found.baseline}"
    yield f"  {_row('on the lines it was chosen by', choice.gain)}   as the best of {n}, too high on average"
    if choice.shrunken is not None:
        yield f"  {_row('the same, corrected for the choice', choice.shrunken.value)}{_range(choice.shrunken.interval)}"
    yield f"  {_held_out(f'on {split.n_held_out:,} lines held out', found.effect)}"
    yield f"  {_held_out('there, against random examples', found.over_control)}"
    yield ""
    randoms = [
        choice.gains[item.name]
        for item in found.candidates
        if item.kind == RANDOM and item.name in choice.gains
    ]
    if randoms:
        low, high = wording.signed(min(randoms)), wording.signed(max(randoms))
        yield f"{wording.count(len(randoms), 'random selection')} gained {low} to {high} on the lines to choose by."
    pool = wording.count(len(split.pool), "train line")
    yield f"Examples come from {pool}, {found.n_wrong} of which {found.baseline} got wrong."
    if found.n_left_out:
        left = wording.count(found.n_left_out, "line")
        yield f"{left} cannot be shown: in the prompt already, empty, or like a role of the chat."
    if split.n_same:
        yield f"{wording.count(split.n_same, 'train line')} had the inputs of another and did not count."
    if found.n_before:
        yield (
            f"These held-out lines have measured {wording.count(found.n_before, 'suggestion')} before: "
            "the more are tried on them, the less a good one says."
        )
    yield ""
    yield f"written: {session.shorten(found.folder)}"
    yield f"again: headrace compare {quote(str(session.shorten(found.folder / 'experiment.yaml')))}"


def _row(label: str, value: float) -> str:
    return f"{label:<36} {wording.signed(value)}"


def _held_out(label: str, effect: PairedEffect) -> str:
    if effect.difference is None:
        return f"{label:<36} no scores"
    return (
        f"{_row(label, effect.difference.value)}{_range(effect.difference.interval)}   {effect.verdict.word}"
    )


def _range(interval: Any) -> str:
    if interval is None:
        return ""
    return f"   {interval.level * 100:g}% {wording.signed(interval.low)} to {wording.signed(interval.high)}"


def _effect_to_json(effect: PairedEffect) -> dict[str, Any]:
    difference = effect.difference
    interval = None if difference is None else difference.interval
    return {
        "difference": None if difference is None else difference.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "p": effect.p_adjusted,
        "verdict": effect.verdict.word,
        "lines": effect.n_pairs,
    }
