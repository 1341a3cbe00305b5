from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.progress import Bars, PlainProgress, Tally, label_run, show_count, show_progress
from headrace.cli.session import Session
from headrace.cli.terminal import Terminal
from headrace.domain.run import COMPLETED, FAILED, Usage
from headrace.engine.events import LineFinished, OnEvent, RunFinished, RunHeldUp, RunStarted


def a_run(on_event: OnEvent, name: str, n_lines: int, *, arm: str | None = None, failing: int = 0) -> None:
    on_event(RunStarted(run=name, arm=arm, n_lines=n_lines))
    for number in range(n_lines):
        status = FAILED if number < failing else COMPLETED
        usage = Usage(calls=1, prompt_tokens=10)
        on_event(LineFinished(run=name, line_number=number, status=status, usage=usage, duration_ms=1.0))
    on_event(RunFinished(run=name, status=COMPLETED))


def test_a_log_gets_one_line_per_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(tmp_path, {})
    with show_progress(session) as on_event:
        a_run(on_event, "first", 3, failing=1)
        a_run(on_event, "second", 2, arm="few_shot")
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "first: Completed, 3 lines, 1 failed",
        "few_shot: Completed, 2 lines",
    ]
    assert captured.out == ""
    assert session.started_runs == ["first", "second"]


def test_a_long_run_reports_its_quarters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(Session(tmp_path, {})) as on_event:
        a_run(on_event, "long", 1000)
    assert capsys.readouterr().err.splitlines() == [
        "long: 250 of 1,000 lines",
        "long: 500 of 1,000 lines",
        "long: 750 of 1,000 lines",
        "long: Completed, 1,000 lines",
    ]


@pytest.mark.parametrize("is_terminal", [False, True])
def test_lines_that_were_recorded_before_are_done(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_terminal: bool,
) -> None:
    session = Session(tmp_path, {"NO_COLOR": "1"})
    monkeypatch.setattr("headrace.cli.terminal._is_tty", lambda _: is_terminal)
    session.drop_color()
    with show_progress(session) as on_event:
        on_event(RunStarted(run="r", arm=None, n_lines=20, n_finished=16, resume_from="r"))
        for number in range(16, 20):
            usage = Usage(calls=1)
            on_event(
                LineFinished(run="r", line_number=number, status=COMPLETED, usage=usage, duration_ms=1.0)
            )
        on_event(RunFinished(run="r", status=COMPLETED))
    told = capsys.readouterr().err
    assert told.startswith("16 of 20 lines are recorded already.")
    assert ("20/20" if is_terminal else "r: Completed, 20 lines") in told


def test_lines_that_are_taken_over_from_another_run_are_told_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(tmp_path, {})
    with show_progress(session) as on_event:
        on_event(RunStarted(run="r", arm=None, n_lines=2, n_finished=2, resume_from="other"))
        for number in range(2):
            on_event(
                LineFinished(run="r", line_number=number, status=COMPLETED, usage=Usage(), duration_ms=1.0)
            )
        on_event(RunFinished(run="r", status=COMPLETED))
    assert capsys.readouterr().err.splitlines()[-1] == "r: Completed, 2 lines"


def held_up(run: str, n_waiting: int = 20, model: str = "gpt", refused: int = 0) -> RunHeldUp:
    return RunHeldUp(run=run, n_waiting=n_waiting, service="host", model=model, refused=refused, since_s=10.0)


def test_a_log_says_what_a_run_is_held_up_by_and_ever_more_seldom(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    progress = PlainProgress(Session(tmp_path, {}), clock=lambda: now)
    progress(RunStarted(run="r", arm="few_shot", n_lines=30))
    said_at = []
    for _ in range(720):  # two hours
        progress(held_up("r", refused=int(now / 10)))
        lines = capsys.readouterr().err.splitlines()
        if lines:
            said_at.append((now, *lines))
        now += 10.0
    begin = "few_shot: 0 of 30 lines; 20 requests wait for the quota of gpt at host"
    assert said_at[:2] == [(0.0, begin), (60.0, f"{begin}, which has refused 6 requests")]
    assert [at for at, _ in said_at] == [0, 60, 180, 420, 900, 1800, 2700, 3600, 4500, 5400, 6300]
    progress(RunStarted(run="other", arm=None, n_lines=1))
    progress(held_up("other", 1, "", 1))
    told = "other: 0 of 1 line; 1 request waits for the quota of host, which has refused 1 request\n"
    assert capsys.readouterr().err == told.replace("other", "few_shot, other", 1)


def test_quiet_shows_nothing_but_learns_the_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(tmp_path, {})
    session.is_quiet = True
    with show_progress(session) as on_event:
        a_run(on_event, "first", 3)
    assert capsys.readouterr() == ("", "")
    assert session.started_runs == ["first"]


def test_a_count_is_seen_at_a_terminal_and_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(tmp_path, {})
    with show_count(session, "runs", 3) as count:
        count()
    assert capsys.readouterr() == ("", "")
    session.terminal = Terminal(has_tty_err=True)
    with show_count(session, "runs", 3) as count:
        count()
        count()
    out, err = capsys.readouterr()
    assert (out, "2/3" in err) == ("", True)


class _Display:
    """What the bars ask of rich's display."""

    def __init__(self) -> None:
        self.tasks: list[dict[str, object]] = []

    def add_task(self, description: str, **fields: object) -> int:
        self.tasks.append({"description": description, "visible": True, **fields})
        return len(self.tasks) - 1

    def update(self, task: int, **fields: object) -> None:
        self.tasks[task].update(fields)

    def stop_task(self, task: int) -> None:
        self.tasks[task]["is_stopped"] = True


def test_bars_follow_the_lines_and_old_ones_leave(tmp_path: Path) -> None:
    display = _Display()
    bars = Bars(Session(tmp_path, {}), display)
    for number in range(10):
        a_run(bars, f"run {number}", 4, arm=f"arm {number}", failing=number % 2)
    assert [task["description"] for task in display.tasks[:2]] == ["arm 0", "arm 1"]
    assert all(task["completed"] == task["total"] == 4 and task["is_stopped"] for task in display.tasks)
    assert display.tasks[1]["note"] == "1 failed  40 tokens"
    assert [task["visible"] for task in display.tasks] == [False] * 2 + [True] * 8


@pytest.mark.parametrize(
    ("run", "arm", "last_arm", "label"),
    [
        ("x_20260102_030405_678901", "few_shot", None, "few_shot"),
        ("answer_variant_0_20260102_030405_678901", None, "few_shot", "few_shot, answer"),
        ("first", None, None, "first"),
        ("flow_variant_0_20260102_030405_678901", None, None, "flow"),
    ],
)
def test_runs_are_called_by_what_a_person_knows(
    run: str, arm: str | None, last_arm: str | None, label: str
) -> None:
    assert label_run(RunStarted(run=run, arm=arm, n_lines=1), last_arm) == label


def test_a_tally_counts() -> None:
    tally = Tally(label="x", n_lines=2)
    usage = Usage(calls=1, prompt_tokens=3, completion_tokens=4)
    tally.add(LineFinished(run="x", line_number=0, status=FAILED, usage=usage, duration_ms=1))
    assert (tally.n_done, tally.n_failed, tally.tokens) == (1, 1, 7)


def test_bars_say_what_is_cached_and_what_waits_for_a_quota(tmp_path: Path) -> None:
    display = _Display()
    bars = Bars(Session(tmp_path, {}), display)
    bars(RunStarted(run="r", arm=None, n_lines=2))
    for number in range(2):
        usage = Usage(calls=1, prompt_tokens=10, cost_usd=0.25)
        line = LineFinished(
            run="r", line_number=number, status=COMPLETED, usage=usage, duration_ms=1, n_cached=3, n_waiting=5
        )
        bars(line)
        waits = "  5 waiting for quota" if number == 0 else ""
        assert str(display.tasks[0]["note"]).endswith(
            f"${0.25 * (number + 1):.4f}  {3 * (number + 1)} cached{waits}"
        )


def test_real_bars_write_to_standard_error_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(tmp_path, {"NO_COLOR": "1"})
    monkeypatch.setattr("headrace.cli.terminal._is_tty", lambda _: True)
    session.drop_color()
    with show_progress(session) as on_event:
        a_run(on_event, "first", 3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "first" in captured.err
    assert "3/3" in captured.err
