"""The ASGI middleware of a program that asks its arms itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.split_elsewhere import Asked, completions, exposures, feedbacks, recorded, splitting

from headrace.ab import Choice, SplitMiddleware
from headrace.domain.evidence import unit_digest


class Program:
    """Answers with what it was asked and by which arm."""

    def __init__(
        self, *, status: int = 200, pieces: int = 1, fails: bool = False, waits: bool = False
    ) -> None:
        self._status, self._pieces, self._fails, self._waits = status, pieces, fails, waits
        self.choice: Choice | None = None
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.choice = scope.get("headrace.choice")
        has_more = True
        while has_more:
            message = await receive()
            self.body += message["body"]
            has_more = message["more_body"]
        if self._fails:
            raise LookupError
        if self._waits:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.start", "status": self._status, "headers": [(b"x-own", b"1")]})
        for piece in range(self._pieces):
            more = piece + 1 < self._pieces
            await send({"type": "http.response.body", "body": b"x", "more_body": more})


def test_answers_name_the_arm_and_the_exposure(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        program = Program()
        asked = Asked(SplitMiddleware(program, split), headers={"x-user": "17", "x-request-id": "r1"})
        records = recorded(split, tmp_path)
    (exposure,), (completion,) = exposures(records), completions(records)
    assert program.choice is not None
    assert asked.headers == {
        "x-own": "1",
        "x-headrace-arm": program.choice.arm,
        "x-headrace-exposure-id": exposure.id,
    }
    assert (exposure.request_id, program.choice.unit) == ("r1", "17")
    assert (completion.exposure, completion.problem, completion.first_token_ms) == (exposure.id, "", None)


@pytest.mark.parametrize(("status", "problem"), [(200, ""), (404, ""), (500, "http_500"), (503, "http_503")])
def test_an_answer_of_500_and_more_is_a_failure_of_the_arm(tmp_path: Path, status: int, problem: str) -> None:
    with splitting(tmp_path) as split:
        Asked(SplitMiddleware(Program(status=status), split))
        (completion,) = completions(recorded(split, tmp_path))
    assert completion.problem == problem


@pytest.mark.parametrize(("noted", "problem"), [("slow", "slow"), ("", "")])
def test_what_the_program_has_noted_of_an_answer_counts(tmp_path: Path, noted: str, problem: str) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        scope["headrace.choice"].note(problem=noted)
        await Program(status=503)(scope, receive, send)

    with splitting(tmp_path) as split:
        Asked(SplitMiddleware(answer, split))
        (completion,) = completions(recorded(split, tmp_path))
    assert completion.problem == problem


def test_an_exception_is_a_failure_of_the_arm(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        with pytest.raises(LookupError):
            Asked(SplitMiddleware(Program(fails=True), split))
        (completion,) = completions(recorded(split, tmp_path))
    assert (completion.problem, completion.is_gone) == ("LookupError", False)


def test_a_stream_says_when_it_began(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        Asked(SplitMiddleware(Program(pieces=3), split))
        (completion,) = completions(recorded(split, tmp_path))
    assert completion.first_token_ms is not None
    assert 0 <= completion.first_token_ms <= completion.latency_ms


def test_a_client_that_goes_is_no_failure(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        Asked(SplitMiddleware(Program(waits=True), split), leaves=True)
        (completion,) = completions(recorded(split, tmp_path))
    assert (completion.is_gone, completion.problem) == (True, "")


def test_a_cancelled_request_is_no_failure(tmp_path: Path) -> None:
    async def cancelled(_scope: Any, _receive: Any, _send: Any) -> None:
        raise asyncio.CancelledError

    with splitting(tmp_path) as split:
        with pytest.raises(asyncio.CancelledError):
            Asked(SplitMiddleware(cancelled, split))
        (completion,) = completions(recorded(split, tmp_path))
    assert (completion.is_gone, completion.problem) == (True, "")


def test_a_field_of_the_body_may_be_the_unit(tmp_path: Path) -> None:
    body = [b'{"question": "why?", ', b'"user": 17}']
    with splitting(tmp_path, unit="{field: user}") as split:
        program = Program()
        Asked(SplitMiddleware(program, split), body=body)
    assert program.choice is not None
    assert (program.choice.unit, program.body) == ("17", b"".join(body))


def test_a_long_body_is_passed_on_whole(tmp_path: Path) -> None:
    body = [b"x" * 600_000, b"y" * 600_000, b"z"]
    with splitting(tmp_path, unit="{field: user}") as split:
        program = Program()
        Asked(SplitMiddleware(program, split), body=body)
    assert program.body == b"".join(body)


def test_a_browser_gets_a_unit_and_keeps_it(tmp_path: Path) -> None:
    with splitting(tmp_path, unit="{cookie: visitor}") as split:
        app = SplitMiddleware(Program(), split)
        first = Asked(app)
        cookie, _, rest = first.headers["set-cookie"].partition("; ")
        second = Asked(app, headers={"cookie": cookie})
        one, two = exposures(recorded(split, tmp_path))
    assert rest == "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"
    assert "set-cookie" not in second.headers
    assert one.unit == two.unit


def test_only_some_requests_may_be_split(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        program = Program()
        app = SplitMiddleware(program, split, is_split=lambda scope: scope["path"] == "/ask")
        asked = Asked(app, "/health")
        assert (program.choice, asked.headers) == (None, {"x-own": "1"})
        assert recorded(split, tmp_path) == []


def test_feedback_is_acknowledged_once_it_is_kept(tmp_path: Path) -> None:
    said = {"metric": "helpful", "value": True, "text": "good", "id": "f1", "at": "2026-11-29T12:00:00Z"}
    with splitting(tmp_path) as split:
        app = SplitMiddleware(Program(), split, feedback_path="/feedback")
        exposure_id = Asked(app).headers["x-headrace-exposure-id"]
        for _ in range(2):
            asked = Asked(app, "/feedback", body=[json.dumps({**said, "exposure_id": exposure_id}).encode()])
            assert asked.status == 200
        (feedback,) = feedbacks(recorded(split, tmp_path))
    assert (feedback.exposure, feedback.value) == (exposure_id, 1.0)
    assert (feedback.text, feedback.at_ns) == ("good", 1_795_953_600_000_000_000)


def test_a_number_is_the_unit_and_the_id_that_its_digits_are(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        app = SplitMiddleware(Program(), split, feedback_path="/feedback")
        for unit, given in ((17, 81), ("17", "81")):
            said = {"metric": "helpful", "value": 1, "unit_id": unit, "id": given}
            assert Asked(app, "/feedback", body=[json.dumps(said).encode()]).status == 200
        (feedback,) = feedbacks(recorded(split, tmp_path))
    assert feedback.unit == unit_digest("elsewhere", "17")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"value": 1}',
        b'{"metric": "helpful", "value": 1}',
        b'{"metric": "helpful", "value": "1", "unit_id": "17"}',
        b'{"metric": "helpful", "value": NaN, "unit_id": "17"}',
        b'{"metric": "helpful", "value": 1' + b"0" * 400 + b', "unit_id": "17"}',
        b'{"metric": "helpful", "value": 1, "unit_id": ["17"]}',
        b'{"metric": "helpful", "value": 1, "unit_id": "17", "at": "soon"}',
    ],
)
def test_feedback_that_says_nothing_is_refused(tmp_path: Path, body: bytes) -> None:
    with splitting(tmp_path) as split:
        app = SplitMiddleware(Program(), split, feedback_path="/feedback")
        assert Asked(app, "/feedback", body=[body]).status == 400
        assert recorded(split, tmp_path) == []


def test_feedback_that_cannot_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    with splitting(tmp_path) as split:
        app = SplitMiddleware(Program(), split, feedback_path="/feedback")
    body = [b'{"metric": "helpful", "value": 1, "unit_id": "17"}']
    assert Asked(app, "/feedback", body=body).status == 503


def test_a_record_that_is_forced_to_the_disk_does_not_hold_up_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_JOURNAL_SYNC", "true")
    with splitting(tmp_path) as split:
        assert split.is_synced
        asked = Asked(SplitMiddleware(Program(), split), headers={"x-user": "17"})
        records = recorded(split, tmp_path)
    assert "x-headrace-exposure-id" in asked.headers
    assert (len(exposures(records)), len(completions(records))) == (1, 1)
