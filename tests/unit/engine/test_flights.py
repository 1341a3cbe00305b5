"""Equal calls in several processes: one is made, and nobody waits for one that nobody makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.cache import CachedResult
from headrace.engine.flights import ABANDONED, Asker, Flights, Landing

RESULT = CachedResult(key="k", output='"out"', run="r", line_number=0, node="n")


@dataclass
class Made:
    """What the run keeps."""

    results: dict[str, CachedResult] = field(default_factory=dict)

    def fresh(self, key: str) -> CachedResult | None:
        return self.results.get(key)

    def add_made(self, result: CachedResult) -> None:
        self.results[result.key] = result


@dataclass
class Heard:
    """The answers to some askers, in the order in which they came."""

    answers: list[tuple[Asker, Landing | None]] = field(default_factory=list)

    def to(self, asker: Asker) -> Callable[[Landing | None], None]:
        return lambda landing: self.answers.append((asker, landing))


def asked(n: int) -> tuple[Flights, Made, Heard, list[Asker]]:
    """Workers that are about to make the same call."""
    made, heard = Made(), Heard()
    flights = Flights(made)
    askers = [Asker(worker=f"worker {number}", number=7) for number in range(n)]
    for asker in askers:
        flights.ask("k", asker, heard.to(asker))
    return flights, made, heard, askers


def test_one_makes_the_call_and_the_others_get_its_result() -> None:
    flights, made, heard, askers = asked(3)
    assert heard.answers == [(askers[0], None)]
    landing = Landing(result=RESULT, is_new=True)
    flights.land("k", askers[0], landing)
    assert heard.answers[1:] == [(askers[1], landing), (askers[2], landing)]
    assert made.results == {"k": RESULT}
    late = Asker(worker="late", number=1)
    flights.ask("k", late, heard.to(late))
    assert heard.answers[-1] == (late, Landing(result=RESULT))


def test_what_the_store_had_is_not_kept_again() -> None:
    flights, made, heard, askers = asked(2)
    flights.land("k", askers[0], Landing(result=RESULT))
    assert heard.answers[-1] == (askers[1], Landing(result=RESULT))
    assert made.results == {}


def test_each_calls_for_itself_when_there_is_no_result_to_use() -> None:
    flights, _, heard, askers = asked(3)
    flights.land("k", askers[0], Landing())
    assert heard.answers[1:] == [(askers[1], Landing()), (askers[2], Landing())]


def test_the_next_one_makes_a_call_that_was_abandoned() -> None:
    flights, _, heard, askers = asked(3)
    flights.land("k", askers[1], ABANDONED)  # it does not wait any more
    assert heard.answers == [(askers[0], None)]
    flights.land("k", askers[0], ABANDONED)
    assert heard.answers[1:] == [(askers[2], None)]
    flights.land("k", askers[2], ABANDONED)
    flights.ask("k", askers[0], heard.to(askers[0]))
    assert heard.answers[-1] == (askers[0], None)


def test_the_next_one_makes_the_call_of_a_worker_that_is_gone() -> None:
    flights, _, heard, askers = asked(3)
    flights.lose(askers[1].worker)
    flights.lose(askers[0].worker)
    assert heard.answers == [(askers[0], None), (askers[2], None)]
    flights.land("k", askers[0], Landing(result=RESULT, is_new=True))  # was under way
    assert len(heard.answers) == 2


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "made", "failed", "abandoned", "lost"]), st.integers(0, 3)), max_size=60
)


@given(STEPS)
def test_somebody_makes_the_call_as_long_as_anybody_waits(steps: list[tuple[str, int]]) -> None:
    heard, flights = Heard(), Flights(Made())
    current: dict[object, Asker] = {}
    for number, (step, worker) in enumerate(steps):
        asker = current.get(worker)
        if step == "ask" and asker is None:
            asker = current[worker] = Asker(worker=worker, number=number)
            flights.ask("k", asker, heard.to(asker))
        elif step == "lost":
            current.pop(worker, None)
            flights.lose(worker)
        elif asker is not None and (asker, None) in heard.answers:
            ends = {"made": Landing(result=RESULT), "failed": Landing(), "abandoned": ABANDONED}
            flights.land("k", current.pop(worker), ends.get(step, ABANDONED))
        for other, landing in heard.answers:
            if landing is not None and current.get(other.worker) == other:
                del current[other.worker]
        leading = [asker for asker in current.values() if (asker, None) in heard.answers]
        assert len(leading) == bool(current)
