"""What a run is expected to take, before it is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of one run. Numbers are totals of all its lines; ``None`` where nothing is known.

    Attributes:
        label: The arm, or the flow where there is none; what judges an arm is named after both.
        n_lines: Lines that the run would do.
        calls: Model calls, without those whose results are used again.
        cached_calls: Model calls whose results are in the cache; 0 where the cache is off.
        prompt_tokens, completion_tokens: Tokens of these calls.
        cost_usd: Cost of these calls, US dollars; ``None`` also where the price is not known.
        duration_s: Time from start to end, seconds.
        source_run: The earlier run of the same flow and arm whose lines this is made from; ``None`` when the prompts
            were counted: then tokens of what other nodes put into them, and answers, are missing.
    """

    label: str
    n_lines: int
    calls: float | None
    prompt_tokens: float | None
    completion_tokens: float | None
    cost_usd: float | None
    duration_s: float | None
    cached_calls: float = 0.0
    source_run: str | None = None
