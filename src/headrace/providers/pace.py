"""How fast one budget of a model service may be used: pure arithmetic on a clock that is given.

A budget is a pair of buckets, one of requests and one of tokens, that fill at the rate that the service allows.
The rate is configured, read from the headers of answers, or, where the service does not say, learned from its
refusals. See docs/decisions/0012.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from headrace.providers.allowance import Allowance, Allowances

MARGIN = 0.97
"""Share of a known limit that is used. The rest is for clocks and networks that are not exact."""

SLACK = 0.02
"""What may be sent at once to make up for a late timer, as a share of what a minute allows."""

_CAUTION = 0.98
_GROWTH = 0.005
_FEWEST = 130.0
"""Requests from which on a rate is known well, and after which it is raised at the earliest."""

_FEWEST_OF_ALL = 2.0
_MANY = 10
_DOUBTFUL = 25.0
_PATIENT = 3.0
_DECREASE = 0.9
_FALL = 4.0
"""By how much a rate is lowered at most when nothing at all was let in."""

_FARTHEST = 10.0
_STEEP = 3.0
_BACKOFF = 1 / 120
_SHORT_BACKOFF = 1 / 2000
_LONGEST_BACKOFF = 1 / 8
_LONGEST_TURNAROUND = 1 / 12
"""Share of a minute that a refusal may take to come back: for twice as long one request goes ahead of the others."""

_GUESSED = 0.05
"""Share of the time between two refusals that a pause may at most have been too long."""

_STALE = 10.0
_UNUSED = 0.1
"""Share of a minute's tokens that is left over only where the service gives back more than was thought."""

_INEXACT = 1.5
"""How many times as many tokens as we think a service may count for a request."""

_LOWEST = 1.0
"""Requests per minute that no estimate falls below: a few refusals in a row would stop a budget for hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What does not change while a budget is used.

    Attributes:
        requests_per_minute: The configured limit, if any.
        tokens_per_minute: The configured limit, if any.
        minute_s: How long a minute is, seconds; tests have shorter ones.
    """

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    minute_s: float = 60.0


@dataclass(slots=True, kw_only=True)
class Bucket:
    """Requests or tokens. Everything is a number, so that it can be kept in a file.

    Attributes:
        limit: Per minute, as the service says; 0 when it does not.
        level: What may be used now; negative when too much was.
        taken: Sum of everything ever used.
        is_window: 1 when the service gives back everything at one moment, 0 when little by little.
    """

    limit: float = 0.0
    level: float = 0.0
    taken: float = 0.0
    is_window: float = 0.0


@dataclass(slots=True, kw_only=True)
class Ticket:
    """Leave to send one request.

    Attributes:
        sent_at: When it was given, seconds of the budget's clock.
        tokens: What the request was thought to cost.
        taken: Requests and tokens that were ever used when it was given, this one included.
        place: Which of the requests in flight it was, from 1; 0 when it is over.
        is_last: Whether that place was the last one, and requests had to wait for it.
        is_counted: Whether the service said after it how many tokens are left.
        is_too_large: Whether these were too few for it.
    """

    sent_at: float
    tokens: float
    taken: tuple[float, float]
    place: int = 0
    is_last: bool = False
    is_counted: bool = False
    is_too_large: bool = False


@dataclass(slots=True, kw_only=True)
class Pace:
    """The state of one budget. Times are seconds of a clock that only goes forward.

    Attributes:
        is_limited: 1 as soon as there is any reason to count.
        at: When the buckets were last filled.
        has_demand: 1 when somebody has been told to wait since the last request was let in.
        hold_until: Nothing is sent before.
        is_strict: 1 when nothing may be saved up for a burst: after a refusal, or where the limit is configured.
        probe: After a refusal 2 until one request is sent, 1 until it is known not to be refused.
        refusals: Refusals in a row.
        refused_at: When the latest refusal was acted upon.
        guessed_s: How long nothing is sent since then, unless the service said how long.
        turnaround_s: How long a refusal takes to come back.
        cycle_at: Beginning of the stretch over which ``cycle_n`` is counted, moved on by the time without demand.
        cycle_n: Requests that were let in since.
        has_to_learn: 1 when the rate is to be taken from that stretch at its end.
        is_doubtful: 1 when the number in flight may be why requests were refused in that stretch.
        learned: Requests per second that were let in; 0 when nothing was learned.
        learned_from: Requests that this was learned from.
        is_sure: How many estimates from few requests may not yet lower what was learned from many by much.
        clean: Requests since then that were held up by that rate and let in.
        keeps_asked: 1 when the service counts what requests ask for, whatever their answers take.
    """

    is_limited: float = 0.0
    at: float = 0.0
    has_demand: float = 0.0
    hold_until: float = 0.0
    is_strict: float = 0.0
    probe: float = 0.0
    refusals: float = 0.0
    refused_at: float = -math.inf
    guessed_s: float = 0.0
    turnaround_s: float = 0.0
    cycle_at: float = 0.0
    cycle_n: float = 0.0
    has_to_learn: float = 0.0
    is_doubtful: float = 0.0
    learned: float = 0.0
    learned_from: float = 0.0
    is_sure: float = 0.0
    clean: float = 0.0
    keeps_asked: float = 0.0
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)


def begin(rules: Rules, now: float) -> Pace:
    """A budget of which nothing is known yet but what is configured."""
    pace = Pace(at=now, cycle_at=now)
    if rules.requests_per_minute or rules.tokens_per_minute:
        pace.is_limited = pace.is_strict = 1.0
        pace.requests.level = request_room(pace, rules)
        pace.tokens.level = token_room(pace, rules)
    return pace


def is_stale(pace: Pace, rules: Rules, now: float) -> bool:
    """Whether the state says nothing any more: too old, or of a clock that has begun anew since."""
    return not pace.at - rules.minute_s <= now <= max(pace.at, pace.hold_until) + _STALE * rules.minute_s


def is_old_refusal(pace: Pace, rules: Rules, now: float) -> bool:
    """Whether the service has refused nothing for so long that it may have changed its mind."""
    return now - pace.refused_at > _STALE * rules.minute_s


def lift(pace: Pace, now: float) -> None:
    """Wait no longer for what the service has asked for: one request goes ahead. A time without any says no rate."""
    pace.hold_until = min(pace.hold_until, now)
    pace.probe, pace.has_to_learn = 2.0, 0.0


def request_limit(pace: Pace, rules: Rules) -> float:
    """Requests per minute that are allowed, as configured or stated; infinity when nobody says."""
    return min(rules.requests_per_minute or math.inf, pace.requests.limit or math.inf)


def token_limit(pace: Pace, rules: Rules) -> float:
    """Tokens per minute, likewise."""
    return min(rules.tokens_per_minute or math.inf, pace.tokens.limit or math.inf)


def request_rate(pace: Pace, rules: Rules) -> float:
    """Requests per second that are sent at most; infinity when nothing limits them."""
    rate = MARGIN * request_limit(pace, rules) / rules.minute_s
    if not pace.learned:
        return rate
    return min(rate, pace.learned * (1 + _GROWTH * (pace.clean / _step(pace, rules)) ** 3))


def _step(pace: Pace, rules: Rules) -> float:
    """Requests after which a learned rate is raised a little; few where it was learned from few."""
    return min(max(pace.learned * rules.minute_s / 2, _FEWEST), max(2 * pace.learned_from, _FEWEST_OF_ALL))


def token_rate(pace: Pace, rules: Rules) -> float:
    """Tokens per second, likewise."""
    return MARGIN * token_limit(pace, rules) / rules.minute_s


def request_room(pace: Pace, rules: Rules) -> float:
    """How many requests may be saved up."""
    if pace.is_strict or math.isinf(request_limit(pace, rules)):
        return max(1.0, SLACK * request_rate(pace, rules) * rules.minute_s)
    return request_limit(pace, rules)


def token_room(pace: Pace, rules: Rules) -> float:
    """How many tokens may be saved up."""
    limit = token_limit(pace, rules)
    return SLACK * limit if pace.is_strict else limit


def take(pace: Pace, rules: Rules, tokens: float, now: float) -> Ticket | float:
    """Leave to send a request of ``tokens`` now, or the seconds after which to ask again."""
    if pace.is_limited:
        wait_s = _wait_s(pace, rules, tokens, now)
        if wait_s > 0:
            pace.has_demand = 1.0
            return wait_s
        _let_in(pace, rules, now)
        pace.requests.level -= 1
        pace.tokens.level -= tokens
        pace.has_demand = 0.0
    elif now - pace.cycle_at > rules.minute_s:
        # Nothing is refused: only the last minute or so says how fast requests are let in.
        pace.cycle_at, pace.cycle_n = now - rules.minute_s / 2, pace.cycle_n / 2
    pace.at = now
    pace.cycle_n += 1
    pace.requests.taken += 1
    pace.tokens.taken += tokens
    return Ticket(sent_at=now, tokens=tokens, taken=(pace.requests.taken, pace.tokens.taken))


def _wait_s(pace: Pace, rules: Rules, tokens: float, now: float) -> float:
    if now < pace.hold_until:
        return pace.hold_until - now
    _fill(pace, rules, now)
    wait_s = 0.0
    rate = request_rate(pace, rules)
    if not math.isinf(rate):
        wait_s = (1 - pace.requests.level) / rate
    rate = token_rate(pace, rules)
    if not math.isinf(rate):
        # A request that is larger than the bucket is sent when the bucket is full, and paid off afterwards.
        wait_s = max(wait_s, (min(tokens, token_room(pace, rules)) - pace.tokens.level) / rate)
    return wait_s if wait_s > 1e-9 else 0.0


def _fill(pace: Pace, rules: Rules, now: float) -> None:
    elapsed_s = max(0.0, now - pace.at)
    rate = request_rate(pace, rules)
    if not math.isinf(rate):
        level, room = pace.requests.level + rate * elapsed_s, request_room(pace, rules)
        if level > room and not pace.has_demand and pace.at >= pace.hold_until:
            pace.cycle_at = min(now, pace.cycle_at + min(elapsed_s, (level - room) / rate))
        pace.requests.level = max(pace.requests.level, min(level, room))
    else:
        pace.requests.level = 0.0  # nothing is counted, so there is no debt either when a rate is learned
    rate = token_rate(pace, rules)
    if not math.isinf(rate):
        level = pace.tokens.level  # may be above the room by what answers have not taken
        pace.tokens.level = max(level, min(level + rate * elapsed_s, token_room(pace, rules)))
    pace.at = now


def _let_in(pace: Pace, rules: Rules, now: float) -> None:
    """Count a request that is sent, and go through the steps after a refusal."""
    if pace.probe == 2:
        pace.probe = 1
        pace.hold_until = now + max(2 * pace.turnaround_s, rules.minute_s / 1000)
    elif pace.probe == 1:
        pace.probe, pace.refusals = 0.0, 0.0
        if pace.has_to_learn:
            elapsed_s = now - pace.cycle_at
            missed_s = _missed_s(pace, rules, elapsed_s)
            _estimate(pace, rules, _CAUTION * pace.cycle_n / max(elapsed_s - missed_s, 1e-3))
            if missed_s:  # what could have been sent in it is made up for
                pace.requests.level = max(pace.requests.level, request_rate(pace, rules) * missed_s)
        pace.cycle_at, pace.cycle_n, pace.has_to_learn, pace.is_doubtful = now, 0.0, 0.0, 0.0
    elif pace.learned and (pace.has_demand or pace.requests.level < request_room(pace, rules)):
        pace.clean += 1
        step = _step(pace, rules)
        is_long = pace.cycle_n > 2 * _FEWEST and now - pace.cycle_at > 2 * rules.minute_s
        if pace.clean > _STEEP * step and pace.clean % step < 1 and is_long:
            # The rate has become another one since the stretch began: let what was then count less.
            pace.cycle_at, pace.cycle_n = now - (now - pace.cycle_at) / 2, pace.cycle_n / 2
        if pace.clean > _FARTHEST * step:
            rate, pace.learned_from = request_rate(pace, rules), pace.learned_from + pace.clean
            _learn(pace, rules, rate)


def _missed_s(pace: Pace, rules: Rules, elapsed_s: float) -> float:
    """How much too long the last pause was, when nobody had said how long it had to be: half of it, as a guess.

    Of few requests it would make too much.
    """
    if pace.cycle_n < _FEWEST or elapsed_s < rules.minute_s / 4:
        return 0.0
    return min(pace.guessed_s / 2, _GUESSED * elapsed_s)


def _estimate(pace: Pace, rules: Rules, measured: float) -> None:
    """Take over the rate at which requests were let in between two refusals."""
    if pace.cycle_n >= _MANY:
        # What is let in before the first refusal of all may have been saved up for long.
        pace.is_sure = _PATIENT if pace.has_to_learn == 2 else 0.0
        # A window is full more than once within seconds: what was known from many is not given up for the few between.
        pace.learned_from = max(pace.cycle_n, math.sqrt(pace.cycle_n * pace.learned_from))
    elif pace.is_sure:
        pace.is_sure -= 1
        measured = max(measured, _DECREASE * request_rate(pace, rules))
    else:
        pace.learned_from = pace.cycle_n
        if pace.cycle_n < 1:  # says nothing: all were late refusals
            measured = max(measured, pace.learned / _FALL)
    if pace.is_doubtful:  # then it is raised within a minute or so, and right again if it was too low
        few = max(measured * rules.minute_s / _MANY, _FEWEST_OF_ALL)
        pace.learned_from = min(pace.learned_from, few, _DOUBTFUL)
    _learn(pace, rules, measured)


def _learn(pace: Pace, rules: Rules, rate: float) -> None:
    pace.learned = max(rate, _LOWEST / rules.minute_s)
    pace.clean = 0.0
    if pace.learned >= MARGIN * request_limit(pace, rules) / rules.minute_s:
        pace.learned = 0.0  # the stated limit is the lower one
    pace.requests.level = min(pace.requests.level, request_room(pace, rules))


def refuse(
    pace: Pace,
    rules: Rules,
    ticket: Ticket,
    asked_s: float | None,
    now: float,
    *,
    is_doubtful: bool = False,
) -> None:
    """A request was answered with 429.

    Args:
        pace: The budget.
        rules: Its rules.
        ticket: Of the request.
        asked_s: Seconds that the service asks to wait; ``None`` when it does not say.
        now: When the answer came.
        is_doubtful: Whether too many requests in flight may be why.
    """
    pace.cycle_n = max(0.0, pace.cycle_n - 1)
    if asked_s:
        pace.hold_until = max(pace.hold_until, now + asked_s)
    if ticket.sent_at <= pace.refused_at:
        return  # sent before it could be known
    if not pace.probe or not is_doubtful:
        pace.is_doubtful = float(is_doubtful)
    if not pace.probe:
        is_stated = not math.isinf(request_limit(pace, rules))
        pace.has_to_learn = 2.0 if pace.is_strict else 0.0 if is_stated else 1.0
    if ticket.is_too_large:
        pace.has_to_learn, pace.keeps_asked = 0.0, pace.is_strict
    # A service that says when to come back is taken at its word, but not again and again at once.
    backoff = (_SHORT_BACKOFF if asked_s else _BACKOFF) * 2.0 ** min(pace.refusals, 16)
    pause_s = min(backoff, _LONGEST_BACKOFF) * rules.minute_s
    pace.guessed_s = 0.0 if asked_s else pause_s
    pace.hold_until = max(pace.hold_until, now + pause_s)
    pace.is_limited = pace.is_strict = 1.0
    pace.probe = 2.0
    pace.refusals += 1
    pace.refused_at = pace.at = now
    pace.turnaround_s = min(now - ticket.sent_at, _LONGEST_TURNAROUND * rules.minute_s)
    pace.requests.level = min(pace.requests.level, 0.0)


def hold(pace: Pace, asked_s: float | None, now: float) -> None:
    """A request was refused, but not for the rate: ``asked_s`` is how long the service asks to wait, if it does."""
    pace.cycle_n = max(0.0, pace.cycle_n - 1)
    if asked_s:
        pace.is_limited = 1.0
        pace.hold_until = max(pace.hold_until, now + asked_s)


def hear(pace: Pace, rules: Rules, ticket: Ticket, stated: Allowances, now: float) -> None:
    """An answer, of whatever status, stated limits."""
    if not pace.is_limited:
        pace.is_limited, pace.at = 1.0, now
    _fill(pace, rules, now)
    age_s = now - ticket.sent_at
    if _follow(pace, rules, pace.requests, stated.requests, now):
        level = _counted(stated.requests, request_rate(pace, rules) * age_s, pace.requests, ticket.taken[0])
        # What a service says is left may be wrong where it has refused: then it only ever takes away.
        most = pace.requests.level if pace.is_strict else request_room(pace, rules)
        pace.requests.level = min(level, most)
    if _follow(pace, rules, pace.tokens, stated.tokens, now):
        ticket.is_counted = True
        ticket.is_too_large = _is_left(stated.requests, 1) and not _is_left(
            stated.tokens, _INEXACT * ticket.tokens
        )
        level = _counted(stated.tokens, token_rate(pace, rules) * age_s, pace.tokens, ticket.taken[1])
        if pace.is_strict:
            # A window gives back what was taken a minute ago, in the bursts in which it was: these are smoothed out.
            _compare(pace, rules, level, now)
        else:
            pace.tokens.level = min(level, token_room(pace, rules))


def _compare(pace: Pace, rules: Rules, said: float, now: float) -> None:
    """What a service says is left of the tokens, beside what is left by our own account of them."""
    if said - pace.tokens.level > _UNUSED * pace.tokens.limit and now - pace.refused_at > 2 * rules.minute_s:
        pace.keeps_asked = 0.0
    pace.tokens.level = min(pace.tokens.level, said)


def _is_left(said: Allowance, wanted: float) -> bool:
    return said.remaining is None or said.remaining >= wanted


def _counted(said: Allowance, given_back: float, bucket: Bucket, taken: float) -> float:
    """What is left now: the service counted when the request arrived, and since then others were sent."""
    return (said.remaining or 0.0) + given_back - (bucket.taken - taken)


def _follow(pace: Pace, rules: Rules, bucket: Bucket, said: Allowance, now: float) -> bool:
    """Take over the limit, and how it is given back; whether the answer says what is left."""
    if said.remaining is None:
        bucket.limit = said.limit or bucket.limit
        return False
    # Azure may leave the limit away; the most that was ever left is close to it.
    bucket.limit = said.limit or max(bucket.limit, said.remaining + 1)
    if said.reset_s is not None:
        used = bucket.limit - said.remaining
        if 0 < used < bucket.limit / 2:
            expected_s = used / bucket.limit * rules.minute_s
            tolerance_s = expected_s / 4 + rules.minute_s / 60
            bucket.is_window = 1.0 if abs(said.reset_s - expected_s) > tolerance_s else 0.0
        if said.remaining < 1 and bucket.is_window:
            pace.hold_until = max(pace.hold_until, now + said.reset_s)
    return True


def settle(pace: Pace, ticket: Ticket, tokens: float) -> None:
    """A request turned out to cost ``tokens``.

    Where its answer stated what is left, that says more; but while nothing may be saved up, our own account counts.
    """
    back = ticket.tokens - tokens
    if ticket.is_counted and not pace.is_strict:
        return
    if ticket.is_counted and back > 0 and pace.keeps_asked:
        return
    pace.tokens.level += back
    pace.tokens.taken -= back
