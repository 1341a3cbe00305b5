"""Answers as they are shown to a person who labels them, and what that person may say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from headrace.cli.terminal import Ink, pad
from headrace.operations.label_answers import GRADES, SCALES, Answer

SKIP, UNDO, QUIT = "s", "u", "q"
_MOST_LINES = 60
_NAME_WIDTH = 12
_WORDS = {"p": "pass", "f": "fail"}


def render_answer(
    answer: Answer, *, place: int, count: int, metric: str, ink: Ink, width: int, has_unicode: bool
) -> str:
    """An answer with what was asked and what is known to be right, never with whose it is.

    Args:
        answer: What is shown.
        place: Which of ``count`` answers it is, from 1.
        count: How many there are.
        metric: What is asked about.
        ink: Colours.
        width: Of the terminal.
        has_unicode: Whether lines can be drawn.
    """
    rule = "\N{BOX DRAWINGS LIGHT HORIZONTAL}" if has_unicode else "-"
    title = f"{rule * 2} {place} of {count} {rule} {metric} "
    lines = ["", ink.paint(title + rule * max(width - len(title), 0), "dim")]
    for name, value in answer.inputs.items():
        lines += _field(name, value, ink, width)
    if answer.reference:
        lines += _field("reference", answer.reference, ink, width)
    lines.append("")
    if len(answer.outputs) == 1:
        lines += _field("answer", next(iter(answer.outputs.values())), ink, width, is_main=True)
    else:
        for name, value in answer.outputs.items():
            lines += _field(name, value, ink, width, is_main=True)
    return "\n".join([*lines, ""])


def render_question(scale: str, ink: Ink) -> str:
    """What the person may say."""
    choices = "1 worst … 5 best" if scale == GRADES else "p pass · f fail"
    return ink.paint(f"{choices}, s skip, u undo, q quit", "dim") + " > "


def read_choice(text: str, scale: str) -> float | str | None:
    """A score, or one of :data:`SKIP`, :data:`UNDO` and :data:`QUIT`; ``None`` for what is none of these."""
    word = text.strip().lower()
    scores = SCALES[scale]
    if word in scores:
        return scores[word]
    for key, name in (*_WORDS.items(), (SKIP, "skip"), (UNDO, "undo"), (QUIT, "quit")):
        if word in (key, name):
            return scores.get(key, key if key in (SKIP, UNDO, QUIT) else None)
    return None


def choice_name(text: str) -> str:
    """What is shown for a key that was pressed."""
    key = text.strip().lower()
    return {**_WORDS, SKIP: "skip", UNDO: "undo", QUIT: "quit"}.get(key, key)


def _field(name: str, value: Any, ink: Ink, width: int, *, is_main: bool = False) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    room = max(width - _NAME_WIDTH, 20)
    rows = [row for line in _printable(text).split("\n") for row in wrap(line, room) or [""]]
    if len(rows) > _MOST_LINES:
        rows = [*rows[:_MOST_LINES], f"… {len(rows) - _MOST_LINES} more lines"]
    style = ("bold",) if is_main else ()
    head = pad(name[: _NAME_WIDTH - 1], _NAME_WIDTH)
    return [
        ink.paint(head, "cyan") + ink.paint(rows[0], *style),
        *(" " * _NAME_WIDTH + ink.paint(row, *style) for row in rows[1:]),
    ]


def _printable(text: str) -> str:
    """Without what would move the cursor or change colours."""
    kept = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(character for character in kept if character.isprintable() or character == "\n")


def count_labels(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How many labels each run, metric and person has, and how many of them count as random."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["run"], row["metric"], row["labeller"])
        counts = found.setdefault(
            key, {"run": key[0], "metric": key[1], "labeller": key[2], "labels": 0, "random": 0, "mean": 0.0}
        )
        counts["mean"] = (counts["mean"] * counts["labels"] + row["value"]) / (counts["labels"] + 1)
        counts["labels"] += 1
        counts["random"] += bool(row["is_random"])
    return list(found.values())
