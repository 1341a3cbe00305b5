"""Numbers and names as readers see them in verdicts, warnings and reports."""

from __future__ import annotations

from headrace.domain.comparison import Estimate, Family, Interval

MINUS = "\N{MINUS SIGN}"


def number(value: float) -> str:
    """A score: three decimals below 10, three or more significant digits above, as a power of ten from 1e12 on."""
    size = abs(value)
    if size >= 1e12:
        text = f"{size:.1e}"
    elif size >= 1000.0:
        text = f"{size:,.0f}"
    elif size >= 10.0:
        text = f"{size:.1f}"
    elif size >= 0.0005 or size == 0.0:
        text = f"{size:.3f}"
    else:
        text = f"{size:.1e}"
    return f"{MINUS}{text}" if value < 0.0 else text


def signed(value: float) -> str:
    """A difference, with its sign; zero has none."""
    return f"+{number(value)}" if value > 0.0 else number(value)


def p_value(p: float) -> str:
    """A p value: three decimals, "< 0.001" below that."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_name(family: Family) -> str:
    """What p is called: it is adjusted unless the family of comparisons says otherwise."""
    return "p" if family == "none" else "adjusted p"


def span(interval: Interval) -> str:
    """An interval as "low to high", signed."""
    return f"{signed(interval.low)} to {signed(interval.high)}"


def level(interval: Interval) -> str:
    """The level of an interval, e.g. "95%"."""
    return f"{interval.level * 100:g}%"


def count(n: int, singular: str) -> str:
    """A count with its noun: "1 line", "2 lines", "1,200 lines"."""
    return f"{n:,} {singular}" if n == 1 else f"{n:,} {singular}s"


def duration(duration_ms: float) -> str:
    """A duration in the unit that suits it."""
    if duration_ms < 10.0:
        return f"{duration_ms:.1f} ms"
    if duration_ms < 1000.0:
        return f"{duration_ms:.0f} ms"
    if duration_ms < 60_000.0:
        return f"{duration_ms / 1000.0:.2f} s"
    return f"{duration_ms / 60_000.0:.1f} min"


def cost(cost_usd: float) -> str:
    """A price in US dollars, never rounded to nothing."""
    if cost_usd == 0.0 or cost_usd >= 1.0:
        return f"${cost_usd:,.2f}"
    return f"${cost_usd:.2g}" if cost_usd < 0.0001 else f"${cost_usd:.4f}"


def ratio(estimate: Estimate) -> str:
    """A ratio with its interval, e.g. 1.23 times (1.10 to 1.38)."""
    text = f"{estimate.value:.2f}\N{MULTIPLICATION SIGN}"
    if estimate.interval is None:
        return text
    return f"{text} ({estimate.interval.low:.2f} to {estimate.interval.high:.2f})"
