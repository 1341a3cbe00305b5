"""A program that asks its arms itself: the same assignments and evidence as of a served flow."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from tests.support.split_elsewhere import (
    completions,
    exposures,
    feedbacks,
    recorded,
    splitting,
    write_traffic,
)

from headrace.ab import Split
from headrace.errors import DefinitionError, StateError, UsageError
from headrace.operations.ab_revisions import promote, stop
from headrace.planning.assignment import bucket
from headrace.store.opening import open_store

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def test_a_unit_keeps_the_arm_of_its_bucket(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        for number in range(200):
            unit = f"user {number}"
            place = bucket(split.traffic.seed, unit)
            (arm,) = (
                name
                for name, ranges in split.revision.ranges.items()
                if any(start <= place < end for start, end in ranges)
            )
            first, again = split.choose(unit), split.choose(unit)
            assert (first.arm, first.role, first.propensity) == (arm, "assigned", 0.5)
            assert again.arm == arm
            assert first.exposure_id != again.exposure_id


def test_a_number_is_the_unit_that_its_digits_are(tmp_path: Path) -> None:
    with splitting(tmp_path, more="target: [{field: age, at_least: 18}]\n") as split:
        for number in range(20):
            ours = split.choose(number, attributes={"age": 30})
            theirs = split.choose(str(number), attributes={"age": "30"})
            assert (ours.unit, ours.arm, ours.role) == (theirs.unit, theirs.arm, "assigned")
        split.feedback("helpful", 1, unit=17)
        split.feedback("helpful", 1, unit="17")
        first, second = feedbacks(recorded(split, tmp_path))
    assert first.unit == second.unit


def test_only_numbers_are_kept_of_what_a_program_says(tmp_path: Path) -> None:
    odd: dict[str, Any] = {
        "cost_usd": Decimal("0.25"),
        "prompt_tokens": 3.0,
        "completion_tokens": "many",
        "first_token_ms": float("nan"),
        "latency_ms": float("inf"),
        "problem": None,
        "answered_by": None,
    }
    with splitting(tmp_path) as split:
        with split.choose("17") as choice:
            choice.note(**odd)
        for value in ("good", 10**400, float("nan")):
            with pytest.raises(UsageError):
                split.feedback("helpful", value, unit="17")  # type: ignore[arg-type]
        split.feedback("helpful", Decimal("0.5"), unit="17")  # type: ignore[arg-type]
        records = recorded(split, tmp_path)
    (completion,), (feedback,) = completions(records), feedbacks(records)
    assert (completion.cost_usd, completion.prompt_tokens, completion.completion_tokens) == (0.25, 3, None)
    assert (completion.first_token_ms, completion.problem, completion.answered_by) == (None, "", choice.arm)
    assert 0.0 <= completion.latency_ms < 60_000.0
    assert feedback.value == 0.5


@pytest.mark.parametrize("number", [-1, 1e300, 1.7e308, 10**400, float("-inf")])
def test_numbers_that_no_request_can_have_are_not_known(tmp_path: Path, number: float) -> None:
    with splitting(tmp_path) as split:
        with split.choose("17") as choice:
            choice.note(cost_usd=number, prompt_tokens=number, first_token_ms=number)  # type: ignore[typeddict-item]
        (completion,) = completions(recorded(split, tmp_path))
    assert (completion.cost_usd, completion.prompt_tokens, completion.first_token_ms) == (None, None, None)


def test_an_arm_says_where_it_is(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        urls = {(choice.arm, choice.url) for choice in map(split.choose, map(str, range(50)))}
        assert urls == {("old", "http://127.0.0.1:9001/score"), ("new", "http://127.0.0.1:9002/score")}


def test_the_unit_may_stand_among_the_attributes(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        assert split.choose(attributes={"x-user": "17"}).unit == "17"
        assert split.choose(attributes={"header:x-user": "18"}).unit == "18"
        assert split.choose("19", attributes={"x-user": "17"}).unit == "19"
        assert split.choose().unit == ""


def test_conditions_look_at_the_attributes(tmp_path: Path) -> None:
    with splitting(tmp_path, more="target: [{header: x-plan, is: pro}]\n") as split:
        assert split.choose("17", attributes={"x-plan": "pro"}).role == "assigned"
        free = split.choose("17", attributes={"x-plan": "free"})
        assert (free.role, free.arm) == ("outside", "old")


def test_a_tester_is_no_evidence(tmp_path: Path) -> None:
    with splitting(tmp_path, more="force_header: x-arm\n") as split:
        forced = split.choose("17", forced="new")
        assert (forced.arm, forced.role, forced.propensity) == ("new", "forced", 1.0)


def test_a_request_and_its_end_come_into_the_store(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        choice = split.choose("17", request_id="r1")
        choice.complete(latency_ms=12.5, prompt_tokens=7, completion_tokens=3, cost_usd=0.25)
        choice.complete(problem="again")
        records = recorded(split, tmp_path)
    (exposure,), (completion,) = exposures(records), completions(records)
    assert (exposure.id, exposure.request_id, exposure.arm) == ("r1", "r1", choice.arm)
    assert "17" not in exposure.unit
    assert (completion.exposure, completion.answered_by, completion.problem) == ("r1", choice.arm, "")
    assert (completion.latency_ms, completion.prompt_tokens, completion.cost_usd) == (12.5, 7, 0.25)


def test_a_request_that_is_chosen_for_twice_counts_once(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        for _ in range(2):
            split.choose("17", request_id="r1").complete()
        records = recorded(split, tmp_path)
    assert (len(exposures(records)), len(completions(records))) == (1, 1)


def test_a_block_records_what_was_raised_in_it(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        choice = split.choose("17")
        choice.note(prompt_tokens=7)
        with pytest.raises(TimeoutError), choice:
            raise TimeoutError
        with split.choose("17"):
            pass
        with pytest.raises(GeneratorExit), split.choose("17"):
            raise GeneratorExit
        failed, good, gone = completions(recorded(split, tmp_path))
    assert (failed.problem, failed.is_gone, failed.prompt_tokens) == ("TimeoutError", False, 7)
    assert (good.problem, good.is_gone) == ("", False)
    assert (gone.problem, gone.is_gone) == ("", True)
    assert good.latency_ms >= 0


def test_the_baseline_may_answer_for_an_arm_that_failed(tmp_path: Path) -> None:
    with splitting(tmp_path, more="fall_back: true\nforce_header: x-arm\n") as split:
        choice = split.choose("17", forced="new")
        assert (choice.fallback, choice.fallback_url) == ("old", "http://127.0.0.1:9001/score")
        choice.complete(problem="http_502", answered_by="old")
        assert split.choose("17", forced="old").fallback_url is None
        (completion,) = completions(recorded(split, tmp_path))
    assert (completion.problem, completion.answered_by) == ("http_502", "old")


def test_nobody_answers_for_an_arm_where_the_file_does_not_say_so(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        assert {split.choose(str(number)).fallback for number in range(50)} == {None}


def test_feedback_is_about_a_request_or_a_unit(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        choice = split.choose("17")
        for _ in range(2):
            split.feedback("helpful", 1.0, exposure_id=choice.exposure_id, feedback_id="f1")
        split.feedback("helpful", 0.0, unit="17", text="no", feedback_id="f1")
        split.feedback("rating", 4.0, unit="17", feedback_id="f1")
        with pytest.raises(UsageError):
            split.feedback("helpful", 1.0)
        with pytest.raises(UsageError):
            split.feedback("helpful", 1.0, exposure_id="x", unit="17")
        with pytest.raises(UsageError):
            split.feedback("helpful", float("nan"), unit="17")
        records = recorded(split, tmp_path)
    of_request, of_unit, rating = feedbacks(records)
    assert (of_request.exposure, of_request.value) == (choice.exposure_id, 1.0)
    assert (rating.unit, rating.value) == (of_unit.unit, 4.0)
    assert (of_unit.unit, of_unit.text) == (exposures(records)[0].unit, "no")


def test_a_revision_is_followed(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        store = open_store(tmp_path / "store.sqlite")
        stop(store, "elsewhere", NOW, by="anna", arm="new")
        split.follow()
        assert {split.choose(str(number)).arm for number in range(50)} == {"old"}
        promote(store, "elsewhere", "new", NOW, by="anna")
        store.close()
        n_before = len(exposures(recorded(split, tmp_path)))
        split.follow()
        choice = split.choose("17")
        assert (choice.arm, choice.exposure_id) == ("new", "")
        choice.complete()
        assert len(exposures(recorded(split, tmp_path))) == n_before


def test_a_split_that_chooses_otherwise_than_the_latest_file_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with splitting(tmp_path) as split:
        (tmp_path / "other").mkdir()
        other = write_traffic(tmp_path / "other", more="seed: another\n")
        with Split.open(other, store=tmp_path / "store.sqlite", follow_s=3600):
            split.follow()
            split.follow()
        assert split.revision.number == 2
    assert caplog.text.count("get other arms here") == 1


def test_a_changed_file_is_followed_and_a_broken_one_is_not(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        write_traffic(tmp_path, more="force_header: x-arm\n")
        split.follow()
        assert (split.revision.number, split.revision.reason) == (2, "changed")
        assert split.choose("17", forced="new").role == "forced"
        write_traffic(tmp_path, more="nonsense: 1\n")
        with pytest.raises(DefinitionError):
            split.follow()
        assert split.choose("17", forced="new").role == "forced"
        split.follow()
        (tmp_path / "traffic.yaml").unlink()
        with pytest.raises(DefinitionError):
            split.follow()
        assert split.revision.number == 2


def test_a_file_without_the_arm_that_answers_everybody_is_not_followed(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        store = open_store(tmp_path / "store.sqlite")
        promote(store, "elsewhere", "new", NOW, by="anna")
        store.close()
        split.follow()
        path = tmp_path / "traffic.yaml"
        path.write_text(
            path.read_text(encoding="utf-8").replace("name: new", "name: newer"), encoding="utf-8"
        )
        with pytest.raises(UsageError, match="new answers everybody"):
            split.follow()
        split.follow()
        assert (split.choose("17").arm, split.revision.reason) == ("new", "promoted")
        assert split.traffic.arm("new") is not None


def test_changes_are_looked_for_in_the_background(tmp_path: Path) -> None:
    path = write_traffic(tmp_path)
    with Split.open(path, store=tmp_path / "store.sqlite", follow_s=0.01) as split:
        write_traffic(tmp_path, more="force_header: x-arm\n")
        while split.revision.number == 1:
            pass
        assert split.choose("17", forced="new").role == "forced"


def test_changes_are_looked_for_after_a_failure_that_nobody_thought_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_traffic(tmp_path)
    with Split.open(path, store=tmp_path / "store.sqlite", follow_s=0.01) as split:
        follow, failed = split.follow, Event()

        def fail_once() -> None:
            if not failed.is_set():
                failed.set()
                raise ZeroDivisionError
            follow()

        monkeypatch.setattr(split, "follow", fail_once)
        assert failed.wait(10)
        write_traffic(tmp_path, more="force_header: x-arm\n")
        end = monotonic() + 10
        while split.revision.number == 1:
            assert monotonic() < end
        assert "could not be followed" in caplog.text


def test_splits_of_one_store_choose_alike_and_count_together(tmp_path: Path) -> None:
    with splitting(tmp_path) as one:
        path = tmp_path / "traffic.yaml"
        with Split.open(path, store=tmp_path / "store.sqlite", follow_s=3600) as other:
            units = [f"user {number}" for number in range(100)]
            assert [one.choose(unit).arm for unit in units] == [other.choose(unit).arm for unit in units]
            assert other.revision.number == 1
            other.flush()
            assert len(exposures(recorded(one, tmp_path))) == 200


def test_what_was_not_moved_yet_is_moved_by_the_next_split(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        split.choose("17")
    with splitting(tmp_path) as split:
        assert len(exposures(recorded(split, tmp_path))) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_journal_that_cannot_be_written_is_no_reason_not_to_answer(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        (tmp_path / ".headrace").chmod(0o500)
        choice = split.choose("17")
        assert (choice.arm in ("old", "new"), choice.exposure_id, split.n_lost) == (True, "", 1)


def test_a_closed_split_still_chooses_and_refuses_feedback(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        pass
    split.close()
    assert split.choose("17").exposure_id == ""
    assert split.n_lost == 1
    with pytest.raises(StateError):
        split.feedback("helpful", 1.0, unit="17")


def test_a_wrong_file_begins_nothing(tmp_path: Path) -> None:
    path = write_traffic(tmp_path, more="nonsense: 1\n")
    for wrong in (path, tmp_path / "missing.yaml"):
        with pytest.raises(DefinitionError):
            Split.open(wrong, store=tmp_path / "store.sqlite")
