"""Which traces leave or are kept: by a share of all when they begin, and by what came of them when they end. Pure.

The store keeps every span of a run over data, and metrics count every span, whatever leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.domain.span import SpanRecord
from headrace.errors import Problem, UsageError
from headrace.telemetry.spans import is_in_share

HEAD_VARIABLE: Final = "OTEL_TRACES_SAMPLER"
SHARE_VARIABLE: Final = "OTEL_TRACES_SAMPLER_ARG"
TAIL_VARIABLE: Final = "HEADRACE_TRACE_KEEP"
_SAMPLERS = ("always_on", "always_off", "traceidratio")
_PARENT_BASED = "parentbased_"
RULE_FORM: Final = (
    "Write errors, slow=SECONDS and share=NUMBER, which is from 0 to 1, separated by commas, "
    "such as errors,slow=2,share=0.1."
)
"""How to write a rule, as a fix."""

_MAX_SPANS = 50_000
_MAX_AGE_NS = 120 * 10**9
_MAX_DECIDED = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSampler:
    """Says of a trace when it begins whether it leaves.

    Attributes:
        share: So many of all, by their ids as OpenTelemetry's SDKs do it, so that all services keep the same traces.
        follows_caller: Whether a caller's decision counts first.
    """

    share: float = 1.0
    follows_caller: bool = True

    def keeps(self, trace_id: str, caller: bool | None) -> bool:  # noqa: FBT001 - what the caller has decided
        """Whether a trace leaves, given what its caller has decided."""
        return caller if self.follows_caller and caller is not None else is_in_share(trace_id, self.share)


def head_sampler(environment: Mapping[str, str]) -> HeadSampler:
    """The sampler that OpenTelemetry's variables name; without them every trace leaves that its caller keeps.

    Raises:
        UsageError: C506 for a sampler or a share that does not exist.
    """
    name = environment.get(HEAD_VARIABLE, "").strip().lower() or "parentbased_always_on"
    base = name.removeprefix(_PARENT_BASED)
    if base not in _SAMPLERS:
        known = ", ".join([*_SAMPLERS, *(_PARENT_BASED + item for item in _SAMPLERS)])
        what = f"The environment variable {HEAD_VARIABLE} must be one of: {known}."
        raise UsageError(Problem(code="C506", what=what, fix=f"Set {HEAD_VARIABLE} to one of them."))
    share = {"always_on": 1.0, "always_off": 0.0}.get(base)
    if share is None:
        share = _share(environment.get(SHARE_VARIABLE, "").strip() or "1", SHARE_VARIABLE)
    return HeadSampler(share=share, follows_caller=name.startswith(_PARENT_BASED))


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRule:
    """Which traces leave, or are kept, once they have ended; a trace that fits one of them is.

    Attributes:
        errors: Those with a span that failed.
        slow_s: Those that took at least so long, seconds; ``None`` keeps none for it.
        share: So many of all, by their ids.
    """

    errors: bool = False
    slow_s: float | None = None
    share: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no trace ever fits."""
        return not self.looks_back and self.share <= 0.0

    @property
    def looks_back(self) -> bool:
        """Whether a trace that is not in the share may fit by what comes of it."""
        return self.errors or self.slow_s is not None

    def fits_outcome(self, *, is_failed: bool, took_ns: int) -> bool:
        """Whether a trace fits by what came of it, whatever its id."""
        if self.errors and is_failed:
            return True
        return self.slow_s is not None and took_ns >= self.slow_s * 1e9


def tail_rule(environment: Mapping[str, str]) -> TailRule | None:
    """The rule in ``HEADRACE_TRACE_KEEP``, such as ``errors,slow=2,share=0.1``; ``None`` keeps every trace.

    Raises:
        UsageError: C506 for a rule of another form.
    """
    text = environment.get(TAIL_VARIABLE, "").strip()
    if not text:
        return None
    rule = read_rule(text)
    if rule is None:
        what = f"The environment variable {TAIL_VARIABLE} has a rule of the wrong form."
        raise UsageError(Problem(code="C506", what=what, fix=RULE_FORM))
    return rule


def read_rule(text: str) -> TailRule | None:
    """A rule such as ``errors,slow=2,share=0.1``; ``None`` for a text of another form."""
    given: dict[str, str] = {}
    for entry in text.split(","):
        name, _, value = entry.strip().partition("=")
        given[name.strip()] = value.strip()
    if set(given) - {"errors", "slow", "share"} or given.get("errors"):
        return None
    try:
        slow_s = float(given["slow"].removesuffix("s")) if "slow" in given else None
        share = float(given.get("share", "0"))
    except ValueError:
        return None
    is_share = 0.0 <= share <= 1.0
    return TailRule(errors="errors" in given, slow_s=slow_s, share=share) if is_share else None


@dataclass(slots=True)
class _Held:
    began_ns: int
    spans: list[SpanRecord] = field(default_factory=list)


class TailSampler:
    """Holds the spans of a trace until its root has ended, and lets go of all or of none of them.

    A trace that takes too long, or comes when too many are held, is decided by what is known of it. A caller's trace
    may have several roots here, one for each request: once it is kept, all of it is.

    Attributes:
        n_left_out: Spans that do not leave.
    """

    def __init__(self, rule: TailRule, *, max_spans: int = _MAX_SPANS) -> None:
        self.n_left_out = 0
        self._rule = rule
        self._max_spans = max_spans
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._n_held = 0
        self._decided: OrderedDict[str, bool] = OrderedDict()

    def add(self, span: SpanRecord) -> list[SpanRecord]:
        """Take one span; gives the spans that leave now."""
        if self._decided.get(span.trace_id):
            return [span]
        held = self._held.setdefault(span.trace_id, _Held(span.start_ns))
        held.spans.append(span)
        self._n_held += 1
        if _is_root(span):
            return self._decide(span.trace_id)
        leaving: list[SpanRecord] = []
        while self._n_held > self._max_spans or (
            self._held and span.end_ns - next(iter(self._held.values())).began_ns > _MAX_AGE_NS
        ):
            leaving += self._decide(next(iter(self._held)))
        return leaving

    def flush(self) -> list[SpanRecord]:
        """Decide everything that is held."""
        return [span for trace_id in list(self._held) for span in self._decide(trace_id)]

    def _decide(self, trace_id: str) -> list[SpanRecord]:
        spans = self._held.pop(trace_id).spans
        self._n_held -= len(spans)
        keeps = self._decided.get(trace_id, False) or self._fits(trace_id, spans)
        self._decided[trace_id] = keeps
        if len(self._decided) > _MAX_DECIDED:
            self._decided.popitem(last=False)
        if keeps:
            return spans
        self.n_left_out += len(spans)
        return []

    def _fits(self, trace_id: str, spans: list[SpanRecord]) -> bool:
        is_failed = any(span.status == "error" for span in spans)
        took_ns = max(span.end_ns for span in spans) - min(span.start_ns for span in spans)
        rule = self._rule
        return rule.fits_outcome(is_failed=is_failed, took_ns=took_ns) or is_in_share(trace_id, rule.share)


def _is_root(span: SpanRecord) -> bool:
    return span.parent_id is None or span.kind == "server"


def _share(text: str, variable: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        what = f"The environment variable {variable} must name a share from 0 to 1."
        raise UsageError(Problem(code="C506", what=what, fix="Write a number such as 0.1."))
    return share
