"""The metrics and guardrails of a traffic file."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final, cast, get_args

from headrace.domain.traffic import Direction, MetricKind, OnlineGuardrail, OnlineMetric
from headrace.errors import nearest
from headrace.formats.experiment_parts import no_mapping, read_items, refuse
from headrace.formats.shape import Block, Findings, is_number
from headrace.formats.traffic_parts import read_duration, read_limited
from headrace.source import Pointer

FAILURES: Final = "failures"
MEASURED: Final[Mapping[str, tuple[MetricKind, Direction]]] = {
    FAILURES: ("rate", "lower"),
    "latency_ms": ("mean", "lower"),
    "first_token_ms": ("mean", "lower"),
    "cost_usd": ("mean", "lower"),
    "total_tokens": ("mean", "lower"),
}
"""What is known of every request with its answer: what it is, and which way is better."""

METRIC_KEYS: Final = ("name", "from", "kind", "direction", "range", "window", "missing", "margin", "offline")
GUARDRAIL_KEYS: Final = ("metric", "max_ratio", "margin", "alpha")
_SHORTEST, _WIDEST = 1e-100, 1e100

MAX_RATIO: Final = 1000
"""A guardrail that accepts more guards nothing, and near 1e12 no evidence can be computed any more."""

_KINDS, _DIRECTIONS = get_args(MetricKind), get_args(Direction)


def read_metrics(root: Block) -> tuple[OnlineMetric, ...]:
    """The metrics in the order of the file."""
    metrics = read_items(root, "metrics", _read_metric)
    names: set[str] = set()
    for number, metric in enumerate(metrics):
        if metric.name in names:
            what = f"Two metrics are called {metric.name!r}."
            root.findings.add("F003", (*root.at("metrics"), number), what, "Give each a name of its own.")
        names.add(metric.name)
    return tuple(metrics)


def read_guardrails(
    root: Block, metrics: tuple[OnlineMetric, ...]
) -> tuple[tuple[OnlineGuardrail, ...], tuple[OnlineMetric, ...]]:
    """The guardrails, and the metrics with the share of failures added where only a guardrail names it."""
    known = {metric.name: metric for metric in metrics}
    failures = OnlineMetric(name=FAILURES, source=FAILURES, kind="rate", direction="lower")
    names: set[str] = set()

    def read(pointer: Pointer, value: Any, findings: Findings) -> OnlineGuardrail | None:
        found = _read_guardrail(pointer, value, findings, {FAILURES: failures, **known})
        if found is not None and found.metric in names:
            what = f"The guardrail {found.metric!r} stands here twice."
            findings.add("F003", (*pointer, "metric"), what, "Name each metric once.")
        if found is not None:
            names.add(found.metric)
        return found

    guardrails = tuple(read_items(root, "guardrails", read))
    is_added = FAILURES in names and FAILURES not in known
    return guardrails, (*metrics, failures) if is_added else metrics


def _read_metric(pointer: Pointer, value: Any, findings: Findings) -> OnlineMetric | None:
    if isinstance(value, str) and value:
        value = {"name": value}
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "the name of a metric, or a mapping with name")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(METRIC_KEYS, "A metric", severity="error")
    name = block.required_text("name", "The metric")
    if name is None:
        return None
    source = block.text("from") or name
    usual_kind, usual_direction = MEASURED.get(source, ("rate", "higher"))
    kind = block.word("kind", _KINDS) or usual_kind
    direction = block.word("direction", _DIRECTIONS) or usual_direction
    if source in MEASURED and kind in _KINDS and kind != usual_kind:
        refuse(block, "kind", f"{usual_kind}, because that is what {source} is")
    low, high = _read_range(block, kind)
    _check_window(block, source)
    margin = _read_margin(block, high - low)
    missing = block.number("missing")
    if missing is not None and not low <= missing <= high:
        refuse(block, "missing", f"a number from {low:g} to {high:g}")
    return OnlineMetric(
        name=name,
        source=source,
        kind=cast("MetricKind", kind),
        direction=cast("Direction", direction),
        low=low,
        high=high,
        window_s=read_duration(block, "window", default=0.0),
        missing=None if missing is None else float(missing),
        margin=margin,
        offline=block.text("offline") or "",
    )


def _read_range(block: Block, kind: str) -> tuple[float, float]:
    ends = block.data.get("range")
    if kind != "mean":
        if kind == "rate" and ends is not None:
            what = "A rate lies from 0 to 1, so it needs no range."
            block.findings.add(
                "G985", block.at("range"), what, "Remove range, or write kind: mean.", at_key=True
            )
        return 0.0, 1.0
    if ends is None:
        what = "A mean has no limits for its values, so there is no evidence about it."
        fix = "Add range: [LOW, HIGH]; values beyond are taken for these."
        block.findings.add("G983", block.pointer, what, fix)
    elif not _is_range(ends):
        refuse(block, "range", f"two numbers, the smaller first, {_SHORTEST:g} to {_WIDEST:g} apart")
    else:
        return float(ends[0]), float(ends[1])
    return -inf, inf


def _is_range(value: Any) -> bool:
    """Whether these are two numbers, the smaller first, whose distance and its square can be computed with."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        return False
    low, high = map(float, value)
    return low < high and _SHORTEST <= high - low <= _WIDEST


def _read_margin(block: Block, span: float) -> float | None:
    """The margin; F005 for one as wide as the range of the metric, which no difference exceeds.

    It is a mistake of units then, as of milliseconds beside a range in seconds.
    """
    wanted = (
        "a number above zero"
        if span == inf
        else f"a number above zero and below {span:g}, the width of the range"
    )
    return read_limited(block, "margin", default=0.0, low=0.0, high=span, wanted=wanted, is_open=True) or None


def _check_window(block: Block, source: str) -> None:
    if source in MEASURED or block.data.get("window") is not None:
        return
    what = f"{source} is said after the answer, and nothing says how long that may take."
    fix = (
        "Add window: how long after its first request what is said of a unit counts, for example 1h. "
        f"Known without a window: {', '.join(MEASURED)}."
    )
    block.findings.add("G983", block.pointer, what, fix)


def _read_guardrail(
    pointer: Pointer, value: Any, findings: Findings, metrics: Mapping[str, OnlineMetric]
) -> OnlineGuardrail | None:
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "a mapping with metric and max_ratio or margin")
        return None
    block = Block(value, pointer, findings)
    block.check_keys(GUARDRAIL_KEYS, "A guardrail", severity="error")
    name = block.required_text("metric", "The guardrail")
    ratio = block.number("max_ratio")
    if ratio is not None and not 1 <= ratio <= MAX_RATIO:
        refuse(block, "max_ratio", f"a number from 1 to {MAX_RATIO}")
    metric = metrics.get(name or "")
    margin = _read_margin(block, inf if metric is None else metric.high - metric.low)
    alpha = read_limited(
        block, "alpha", default=0.01, low=0.0, high=1.0, wanted="a number between 0 and 1", is_open=True
    )
    if name is None:
        return None
    if metric is None:
        near = nearest(name, list(metrics))
        what = f"The guardrail is about {name!r}, which is no metric of this test."
        fix = f'Did you mean "{near}"?' if near else "Add it to metrics, with its range or window."
        findings.add("F006", block.at("metric"), what, fix)
    else:
        _check_limit(block, metric)
    return OnlineGuardrail(
        metric=name, max_ratio=None if ratio is None else float(ratio), margin=margin, alpha=alpha
    )


def _check_limit(block: Block, metric: OnlineMetric) -> None:
    """Report G985 where the limit does not fit the metric, and F006 where there is none."""
    is_bad_event = metric.kind == "rate" and metric.direction == "lower"
    has_ratio, has_margin = (block.data.get(key) is not None for key in ("max_ratio", "margin"))
    if has_ratio and not is_bad_event:
        what = f"max_ratio is about the rate of something bad, which {metric.name} is not."
        fix = "Write margin: how much worse is still accepted, in units of the metric."
        block.findings.add("G985", block.at("max_ratio"), what, fix, at_key=True)
    elif has_ratio and has_margin:
        what = "The guardrail has max_ratio, so it cannot have margin as well."
        block.findings.add("G985", block.at("margin"), what, "Keep one of them.", at_key=True)
    elif not has_ratio and not has_margin:
        what = "The guardrail does not say how much worse is still accepted."
        both = "max_ratio, at least 1, or margin" if is_bad_event else "margin, in units of the metric"
        block.findings.add("F006", block.pointer, what, f"Add {both}.")
