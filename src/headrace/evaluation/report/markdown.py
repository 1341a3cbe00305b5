"""A comparison as Markdown, for pull requests and chat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from headrace.domain.comparison import Comparison, Estimate, MetricComparison, PairedEffect
from headrace.domain.race import RaceResult
from headrace.domain.report import ReportContext, SampleLine
from headrace.evaluation import wording
from headrace.evaluation.report.board import (
    MARKS,
    UNKNOWN,
    BoardRow,
    Cell,
    board_rows,
    interaction_heads,
    interaction_title,
    interval_level,
    known_p,
    p_head,
    rank_for_reading,
    shown_score,
    signed_estimate,
)
from headrace.evaluation.report.headline import headline
from headrace.evaluation.report.methods import method_sentences, metric_facts, tries_sentence
from headrace.evaluation.report.race import RACE_HEADER, race_rows, race_sentences, recommend
from headrace.evaluation.report.visible import visible

MAX_LENGTH = 65_000
"""Characters of the text; GitHub takes 65,536 in a comment."""

MAX_SAMPLE_LINES = 10
"""Lines shown with the answers of the arms."""

_MAX_TEXT = 300
_MAX_WORST = 5
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_SCORE_COLUMNS = 5
_HEADER = (
    "Arm",
    "{metric} ({level} interval)",
    "Difference",
    "{p}",
    "Verdict",
    "Tokens",
    "Cost",
    "p50",
    "p95",
    "Failed",
)


def render_markdown(comparison: Comparison, context: ReportContext) -> str:
    """Render a comparison as GitHub-flavoured Markdown that fits a comment; all texts of the user are escaped.

    What does not fit is left away from the end, and the text says so.
    """
    recommendation = recommend(comparison, context)
    blocks = [
        f"# {_escaped(context.title)}",
        f"**{_escaped(headline(comparison, recommendation))}.** {_escaped(recommendation.reason)}",
        _facts(comparison, context),
    ]
    if context.model_note:
        blocks.append(f"> {_escaped(context.model_note)}")
    if comparison.primary is not None:
        blocks += _metric_blocks(comparison, comparison.primary, context)
    if comparison.metrics[1:]:
        blocks += ["## Every metric", _every_metric(comparison)]
    if context.race is not None:
        blocks += ["## The race", _race(context.race), _bullets(race_sentences(context.race))]
    if comparison.warnings:
        blocks += ["## Before you trust this", _bullets(comparison.warnings)]
    if context.commands:
        blocks += ["## Make it again", _fenced("\n".join(context.commands))]
    methods = _details("How the numbers were made", [_bullets(method_sentences(comparison))])
    return _fit([*blocks, methods], list(_further(comparison, context)))


def _further(comparison: Comparison, context: ReportContext) -> Iterator[str]:
    """Blocks that are left away where there is no room, the last ones first."""
    metric = comparison.primary
    if metric is not None and metric.slices:
        yield _details("Slices", _slices(comparison, metric))
    if metric is not None and metric.main_effects:
        yield _details("Single factors", [_main_effects(comparison, metric)])
    if metric is not None and metric.interaction:
        yield _details(interaction_title(metric), [_interaction(comparison, metric)])
    for item in comparison.metrics:
        if item.judge is not None:
            yield _details(f"Judges of {item.spec.name}", [_judge(item)])
    for item in comparison.metrics[1:]:
        yield _details(f"{item.spec.name} in full", list(_metric_blocks(comparison, item, context)))
    shown = context.sample_lines[:MAX_SAMPLE_LINES]
    if shown:
        total = len(context.sample_lines)
        note = [f"{len(shown)} of {total} lines are shown."] if len(shown) < total else []
        yield _details("Lines that differ", [*note, *map(_sample, shown)])


def _fit(needed: Sequence[str], further: Sequence[str]) -> str:
    """Needed blocks, then as many further ones as there is room for."""
    text = "\n\n".join(needed)
    note = "\n\nMore did not fit here; the HTML report shows all."
    left = MAX_LENGTH - len(note) - 1
    has_all = True
    for block in further:
        if len(text) + len(block) + 2 <= left:
            text += f"\n\n{block}"
        else:
            has_all = False
    if len(text) > left:  # even what is needed is too long: hundreds of arms
        text, has_all = text[:left].rpartition("\n")[0], False
    return text + ("" if has_all else note) + "\n"


def _details(summary: str, blocks: Sequence[str]) -> str:
    """Folded blocks; the empty lines make GitHub read Markdown inside."""
    inner = "\n\n".join(block for block in blocks if block)
    text = " ".join(summary.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<details><summary>{text}</summary>\n\n{inner}\n\n</details>"


def _facts(comparison: Comparison, context: ReportContext) -> str:
    facts = {
        "Flow": context.flow,
        "Data": context.dataset,
        "Baseline": comparison.baseline,
        "Created": f"{context.created_at:%Y-%m-%d %H:%M} UTC",
    }
    return " \N{MIDDLE DOT} ".join(f"{name}: {_escaped(value)}" for name, value in facts.items() if value)


def _metric_blocks(comparison: Comparison, metric: MetricComparison, context: ReportContext) -> Iterator[str]:
    is_primary = metric is comparison.primary
    if is_primary:
        yield f"## {_escaped(metric.spec.name)} (decides)"
    note = context.metric_notes.get(metric.spec.name, "")
    yield " ".join(_escaped(text) for text in (note, metric_facts(metric)) if text)
    yield _table(comparison, metric, n_columns=len(_HEADER) if is_primary else _SCORE_COLUMNS)
    best = [score.arm for score in metric.scores if score.in_best_set]
    if best:
        yield f"May be the best: {', '.join(map(_escaped, best))}."
    tries = tries_sentence(metric)
    if tries:
        yield _escaped(tries)
    if metric.effects:
        reasons = "\n".join(_reason(effect) for effect in metric.effects)
        yield _details("Why", [reasons]) if is_primary else reasons


def _table(comparison: Comparison, metric: MetricComparison, *, n_columns: int) -> str:
    words = {"metric": metric.spec.name, "level": interval_level(comparison), "p": p_head(comparison)}
    names = [_escaped(name.format(**words)) for name in _HEADER]
    found = {row.arm: row for row in board_rows(comparison, metric)}
    rows = [_cells(found[arm])[:n_columns] for arm in rank_for_reading(metric, comparison.baseline)]
    return _grid(names[:n_columns], ["---", "---:", "---:", "---:", "---", *["---:"] * 5][:n_columns], rows)


def _grid(names: Sequence[str], rules: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, rules, *rows))


def _cells(row: BoardRow) -> list[str]:
    scores = (row.score, row.difference, row.p)
    usage = (row.tokens, row.cost, row.p50, row.p95, row.failed)
    mark = f"{MARKS[row.verdict]} " if row.verdict in MARKS else ""
    return [_escaped(row.arm), *map(_cell, scores), f"{mark}**{row.verdict}**", *map(_cell, usage)]


def _cell(cell: Cell) -> str:
    text = _escaped(cell.value)
    return f"{text} ({_escaped(cell.note)})" if cell.note else text


def _every_metric(comparison: Comparison) -> str:
    names = ["Arm", *(_escaped(metric.spec.name) for metric in comparison.metrics)]
    rows = [
        [
            _escaped(arm),
            *(_marked(metric.score_of(arm).mean, metric.effect_of(arm)) for metric in comparison.metrics),
        ]
        for arm in rank_for_reading(comparison.metrics[0], comparison.baseline)
    ]
    marks = ", ".join(f"{mark} {word}" for word, mark in MARKS.items())
    return f"{_grid(names, ['---', *['---:'] * len(comparison.metrics)], rows)}\n\n{marks}"


def _marked(mean: Estimate | None, effect: PairedEffect | None) -> str:
    text = UNKNOWN if mean is None else wording.number(mean.value)
    return text if effect is None else f"{MARKS[effect.verdict.word]} {text}"


def _race(race: RaceResult) -> str:
    rows = [[_escaped(text) for text in row] for row in race_rows(race)]
    return _grid(RACE_HEADER, [":---", *["---:"] * (len(RACE_HEADER) - 1)], rows)


def _slices(comparison: Comparison, metric: MetricComparison) -> list[str]:
    arms = rank_for_reading(metric, comparison.baseline)
    rows = []
    for item in metric.slices:
        cells = [_marked(item.mean_of(arm), item.effect_of(arm)) for arm in arms]
        rows.append([f"{_escaped(item.column)} {_escaped(item.value)}", f"{item.n_lines:,}", *cells])
    names = ["Slice", "Lines", *map(_escaped, arms)]
    return [_grid(names, ["---", *["---:"] * (len(names) - 1)], rows)]


def _main_effects(comparison: Comparison, metric: MetricComparison) -> str:
    rows = [
        [
            _escaped(item.factor),
            _escaped(item.level),
            _escaped(item.baseline_level),
            UNKNOWN if item.difference is None else _escaped(signed_estimate(item.difference)),
            _escaped(known_p(item.p_adjusted)),
        ]
        for item in metric.main_effects
    ]
    heads = ["Factor", "Level", "Over", "Gain", p_head(comparison)]
    return _grid(heads, ["---", "---", "---", "---:", "---:"], rows)


def _interaction(comparison: Comparison, metric: MetricComparison) -> str:
    rows = [
        [
            _escaped(item.variant),
            _escaped(item.model),
            UNKNOWN if item.difference is None else _escaped(signed_estimate(item.difference)),
            _escaped(known_p(item.p_adjusted)),
        ]
        for item in metric.interaction
    ]
    return _grid(interaction_heads(comparison, metric), ["---", "---", "---:", "---:"], rows)


def _judge(metric: MetricComparison) -> str:
    judge = metric.judge
    if judge is None:
        return ""
    lines = [f"Scores come from {', '.join(judge.versions) or judge.evaluator}."]
    for item in judge.agreements:
        numbers = (("kappa", item.kappa), ("weighted kappa", item.weighted_kappa), ("alpha", item.alpha))
        texts = [f"{name} {value:.2f}" for name, value in numbers if value is not None]
        same = [] if item.exact is None else [f"the same in {item.exact * 100:.0f}%"]
        lines.append(f"{item.between}, {wording.count(item.n, 'answer')}: {', '.join([*same, *texts])}.")
    return _bullets([*lines, *([judge.note] if judge.note else [])])


def _reason(effect: PairedEffect) -> str:
    text = f"- **{_escaped(effect.arm)}**: {_escaped(effect.verdict.reason)}"
    if effect.n_pairs:
        text += f" Won {effect.wins:,}, lost {effect.losses:,}, tied {effect.ties:,}."
    if effect.without_failed is not None:
        text += f" Without failed lines: {_escaped(signed_estimate(effect.without_failed))}."
    if effect.corrected is not None:
        text += f" Corrected by human labels: {_escaped(signed_estimate(effect.corrected))}."
    if effect.worst_lines:
        worst = ", ".join(_escaped(line.line_id) for line in effect.worst_lines[:_MAX_WORST])
        text += f" Largest losses: {worst}."
    return text


def _sample(line: SampleLine) -> str:
    parts = [f"**{_escaped(line.line_id)}** {_short(line.inputs)}", ""]
    if line.reference is not None:
        parts.append(f"- reference: {_short(line.reference)}")
    for output in line.outputs:
        text = f"error: {output.error}" if output.error is not None else output.text
        score = shown_score(output)
        score = f" ({score})" if score else ""
        parts.append(f"- {_escaped(output.arm)}{score}: {_short(text)}")
    return "\n".join(parts)


def _short(text: str) -> str:
    return _escaped(text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}\N{HORIZONTAL ELLIPSIS}")


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(sentence)}" for sentence in sentences)


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", visible(" ".join(text.split())))
