from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.support.evidence import a_traffic, a_trial
from tests.support.runs import a_time
from tests.support.web_server import web_server

from headrace.config import load_settings
from headrace.domain.traffic import (
    AllocationRule,
    DecisionRule,
    OnlineGuardrail,
    OnlineMetric,
    RampStep,
    Revision,
    Traffic,
)
from headrace.errors import Problem, StateError
from headrace.operations.ab_revisions import promote, settle_revision, stop
from headrace.operations.ab_webhook import KEY_VARIABLE, Deliveries, Outbox
from headrace.operations.follow_ab import AbFollower
from headrace.operations.watch_ab import RunningWatch, Watch, look_once
from headrace.operations.workspace import open_workspace
from headrace.store.base import RunStore
from headrace.store.memory import MemoryStore
from headrace.store.opening import open_store

RULES: dict[str, Any] = {
    "metrics": (
        OnlineMetric(name="thumbs", source="thumbs", window_s=10),
        OnlineMetric(name="failures", source="failures", direction="lower"),
    ),
    "guardrails": (OnlineGuardrail(metric="failures", max_ratio=1.0),),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    opened = open_store("tests.sqlite", tmp_path)
    yield opened
    opened.close()


class Heard:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.problems: list[Problem] = []
        self.has_heard = Event()

    def __call__(self, text: str, problems: Sequence[Problem] = ()) -> None:
        self.texts.append(text)
        self.problems += problems
        self.has_heard.set()


def reasons(store: RunStore) -> list[str]:
    return [revision.reason for revision in store.list_revisions("checkout")]


def test_an_arm_that_fails_more_often_is_rolled_back_at_the_next_look_with_its_evidence(
    store: RunStore,
) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    heard = Heard()
    watch = Watch(store, ["checkout"], heard)
    watch.step(a_time(0.1))
    store.append_evidence(a_trial(60, failing=3))
    early = watch.step(a_time(0.2))
    due = watch.step(a_time(0.7))

    assert (early, due) == ((), ("checkout",))
    assert reasons(store) == ["started", "rolled back"]
    rolled = store.list_revisions("checkout")[-1]
    assert (rolled.arm, rolled.by, rolled.share("a")) == ("b", "guardrail failures", 1.0)
    guardrail = rolled.evidence["guardrail"]
    assert isinstance(guardrail, dict)
    assert guardrail["is_breached"] is True
    assert rolled.evidence["place"] == 360
    assert heard.texts == ["checkout, revision 2: rolled back: b. 50% of all units move from b to a."]


def test_an_arm_that_keeps_its_guardrails_stays(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    store.append_evidence(a_trial(200))
    watch = Watch(store, [], Heard())

    assert watch.step(a_time(1)) == ("checkout",)
    assert reasons(store) == ["started"]


def test_nothing_is_promoted_however_clear_the_evidence_is(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    store.append_evidence(a_trial(400, is_liked=True))
    watch = Watch(store, [], Heard())
    watch.step(a_time(5))
    (view,) = watch.views()

    assert view.report.decision.arm == "b"
    assert reasons(store) == ["started"]


def test_two_watches_of_one_test_roll_back_once(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    watches = [Watch(store, ["checkout"], Heard()) for _ in range(2)]
    store.append_evidence(a_trial(60, failing=3))
    views = [AbFollower(store, "checkout").look(a_time(1)) for _ in watches]
    for watch in watches:
        watch.step(a_time(1))

    assert all(view.report.rollbacks for view in views)
    assert reasons(store) == ["started", "rolled back"]


def test_what_was_read_once_is_not_read_again(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    store.append_evidence(a_trial(50))
    piecewise = AbFollower(store, "checkout")
    piecewise.look(a_time(1))
    store.append_evidence(a_trial(50, first=50))
    whole = AbFollower(store, "checkout", keeps_looks=True)

    assert piecewise.look(a_time(2)).report == whole.look(a_time(2)).report


def test_the_course_of_a_test_is_there_again_after_a_restart(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    store.append_evidence(a_trial(400))
    looks = AbFollower(store, "checkout", keeps_looks=True).look(a_time(5)).looks

    assert len(looks) == 6
    assert [look.arm("b").units for look in looks] == sorted(look.arm("b").units for look in looks)
    assert looks[0].at_ns < looks[-1].at_ns


def test_another_file_is_measured_from_the_first_record_on(store: RunStore) -> None:
    settle_revision(store, a_traffic(), a_time())
    store.append_evidence(a_trial(80, failing=4))
    follower = AbFollower(store, "checkout")
    before = follower.look(a_time(1))
    settle_revision(store, a_traffic(digest="e" * 64, **RULES), a_time(2))
    after = follower.look(a_time(3))

    assert before.report.guardrails == ()
    assert after.report.arm("b").units == 80
    assert after.report.rollbacks[0].arm == "b"


class Away(MemoryStore):
    """A store that can be taken away."""

    is_away = False

    def latest_revision(self, test: str) -> Revision | None:
        if self.is_away:
            raise StateError(Problem(code="S803", what="The store cannot be read."))
        return super().latest_revision(test)


def test_a_store_that_is_away_is_waited_for_and_said_once() -> None:
    store, heard = Away(), Heard()
    settle_revision(store, a_traffic(**RULES), a_time())
    watch = Watch(store, ["checkout"], heard)
    watch.step(a_time(0))
    store.is_away = True
    assert [watch.step(a_time(minute)) for minute in (1, 2, 3)] == [(), (), ()]
    store.is_away = False
    store.append_evidence(a_trial(60, failing=3))
    watch.step(a_time(4))

    assert [problem.code for problem in heard.problems] == ["S803"]
    assert heard.texts.count("The watch waits: what it looks at cannot be read.") == 1
    assert "The watch goes on." in heard.texts
    assert reasons(store) == ["started", "rolled back"]


def test_a_test_that_cannot_be_read_does_not_hold_up_the_others(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())

    assert Watch(store, ["gone", "checkout"], Heard()).step(a_time(1)) == ("checkout",)


def test_a_watch_takes_the_steps_of_a_ramp(store: RunStore) -> None:
    ramp = (RampStep(after_s=0, coverage=0.1), RampStep(after_s=60, coverage=1.0))
    settle_revision(store, a_traffic(ramp=ramp, **RULES), a_time())
    watch = Watch(store, [], Heard())
    watch.step(a_time(0.5))
    watch.step(a_time(1.5))

    assert reasons(store) == ["started", "ramped"]


def test_a_bandit_gives_the_better_arm_more_as_often_as_it_may(store: RunStore) -> None:
    rule = AllocationRule(method="thompson", floor=0.1, every_s=600)
    settle_revision(store, a_traffic(allocation=rule, **RULES), a_time())
    store.append_evidence(a_trial(200, is_liked=True))
    watches = [Watch(store, [], Heard()) for _ in range(2)]
    for minute in (5, 11, 12, 15):
        for watch in watches:
            watch.step(a_time(minute))

    assert reasons(store) == ["started", "allocated"]
    allocated = store.list_revisions("checkout")[-1]
    assert allocated.share("b") == pytest.approx(0.9, abs=0.01)


def test_a_bandit_moves_nobody_between_arms_that_are_as_good_as_each_other(store: RunStore) -> None:
    rule = AllocationRule(method="thompson", every_s=60)
    settle_revision(store, a_traffic(allocation=rule, **RULES), a_time())
    watch = Watch(store, [], Heard())
    for minute in range(1, 40):
        store.append_evidence(a_trial(10, first=10 * minute))
        watch.step(a_time(minute))

    assert reasons(store) == ["started"]


def test_a_test_that_is_over_is_still_read_but_moves_nothing(store: RunStore) -> None:
    settle_revision(store, a_traffic(**RULES), a_time())
    stop(store, "checkout", a_time(1), by="ann")
    store.append_evidence(a_trial(60, failing=3))
    watch = Watch(store, [], Heard())
    watch.step(a_time(2))

    assert reasons(store) == ["started", "stopped"]
    assert watch.views()[0].report.arm("b").units == 60


def test_between_the_looks_of_a_fixed_horizon_there_is_no_verdict(store: RunStore) -> None:
    decision = DecisionRule(horizon="fixed", n_units=400, looks=2)
    settle_revision(store, a_traffic(decision=decision, **RULES), a_time())
    follower = AbFollower(store, "checkout")
    store.append_evidence(a_trial(90, is_liked=True))
    early = follower.look(a_time(5)).report
    store.append_evidence(a_trial(20, is_liked=True, first=90))
    planned = follower.look(a_time(6)).report

    assert early.horizon is not None
    assert planned.horizon is not None
    assert (early.horizon.looks_done, early.decision.arm) == (0, None)
    assert (planned.horizon.looks_done, planned.decision.arm) == (1, "b")


def an_outbox(store: RunStore, folder: Path, heard: Heard, **variables: str) -> Outbox:
    return Outbox(store, folder / "ab" / "webhooks.json", variables.get, heard)


def begin(store: RunStore, address: str) -> Traffic:
    traffic = a_traffic(webhook=address, **RULES)
    settle_revision(store, traffic, a_time())
    return traffic


def test_a_webhook_hears_of_every_revision_once_and_knows_who_asks(store: RunStore, tmp_path: Path) -> None:
    with web_server() as server:
        begin(store, server.url)
        outbox = an_outbox(store, tmp_path, Heard(), **{KEY_VARIABLE: "s3cret-of-the-hook"})
        assert outbox.deliver("checkout", a_time(1))
        promote(store, "checkout", "b", a_time(2), by="ann")
        assert outbox.deliver("checkout", a_time(3))
        assert an_outbox(store, tmp_path, Heard()).deliver("checkout", a_time(4))

    bodies = [json.loads(asked.body) for asked in server.asked]
    assert [(body["revision"], body["reason"], body["arm"]) for body in bodies] == [
        (1, "started", None),
        (2, "promoted", "b"),
    ]
    assert server.asked[0].headers["authorization"] == "Bearer s3cret-of-the-hook"
    assert server.asked[1].headers["x-headrace-revision"] == "2"


def test_a_webhook_that_was_away_hears_of_everything_in_order_and_is_left_alone_meanwhile(
    store: RunStore, tmp_path: Path
) -> None:
    heard = Heard()
    with web_server() as server:
        server.answers = [(503, ""), (503, ""), (200, "")]
        begin(store, server.url)
        outbox = an_outbox(store, tmp_path, heard)
        assert not outbox.deliver("checkout", a_time(0))
        assert not outbox.deliver("checkout", a_time(0.01))
        assert len(server.asked) == 1
        stop(store, "checkout", a_time(0.02), by="ann")
        assert not outbox.deliver("checkout", a_time(0.1))
        assert outbox.deliver("checkout", a_time(1))

    assert [json.loads(asked.body)["revision"] for asked in server.asked] == [1, 1, 1, 2]
    assert len(heard.texts) == 1
    assert "status 503" in heard.texts[0]


def test_a_webhook_is_not_followed_elsewhere_and_not_asked_without_encryption(
    store: RunStore, tmp_path: Path
) -> None:
    heard = Heard()
    with web_server() as other, web_server() as server:
        server.answers = [(302, other.url)]
        begin(store, server.url)
        assert not an_outbox(store, tmp_path, heard).deliver("checkout", a_time(1))
        server.answers = [(200, "")]
        assert an_outbox(store, tmp_path, heard).deliver("checkout", a_time(2))
        settle_revision(store, a_traffic(webhook="http://hooks.example/x", digest="e" * 64), a_time(3))
        assert not an_outbox(store, tmp_path, heard).deliver("checkout", a_time(4))
        assert other.asked == []

    assert "may not be asked" in heard.texts[0]
    assert "https" in heard.texts[1]


def test_the_address_of_a_webhook_may_stand_in_a_variable(store: RunStore, tmp_path: Path) -> None:
    with web_server() as server:
        begin(store, "${env:HOOK}")
        heard = Heard()
        assert not an_outbox(store, tmp_path, heard).deliver("checkout", a_time(1))
        assert an_outbox(store, tmp_path, Heard(), HOOK=server.url).deliver("checkout", a_time(1))
        assert "HOOK is not set" in heard.texts[0]

    assert server.url not in str(store.list_revisions("checkout")[0].definition)
    assert len(server.asked) == 1


def test_a_webhook_that_was_away_from_the_start_hears_of_what_is_old_by_then(
    store: RunStore, tmp_path: Path
) -> None:
    with web_server() as server:
        server.answers = [(503, "")]
        begin(store, server.url)
        assert not an_outbox(store, tmp_path, Heard()).deliver("checkout", a_time(1))
    with web_server() as server:
        settle_revision(store, a_traffic(webhook=server.url, digest="e" * 64), a_time(100))
        assert an_outbox(store, tmp_path, Heard()).deliver("checkout", a_time(200))
    assert [asked.headers["x-headrace-revision"] for asked in server.asked] == ["1", "2"]


def test_marks_that_are_something_else_are_made_anew(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "webhooks.json").write_text("[1]", encoding="utf-8")
    with web_server() as server:
        begin(store, server.url)
        assert an_outbox(store, tmp_path, Heard()).deliver("checkout", a_time(1))
    assert len(server.asked) == 1


def test_a_webhook_hears_of_a_test_whose_name_is_not_ascii(store: RunStore, tmp_path: Path) -> None:
    with web_server() as server:
        settle_revision(store, a_traffic(name="тест", webhook=server.url), a_time())
        assert an_outbox(store, tmp_path, Heard()).deliver("тест", a_time(1))
    assert server.asked[0].headers["x-headrace-test"] == "%D1%82%D0%B5%D1%81%D1%82"


def test_a_new_watch_does_not_repeat_what_is_long_known(store: RunStore, tmp_path: Path) -> None:
    with web_server() as server:
        begin(store, server.url)
        stop(store, "checkout", a_time(119), by="ann")
        assert an_outbox(store, tmp_path, Heard()).deliver("checkout", a_time(120))

    assert [json.loads(asked.body)["revision"] for asked in server.asked] == [2]


def test_a_webhook_hears_of_a_test_that_was_deleted_and_has_begun_anew(
    store: RunStore, tmp_path: Path
) -> None:
    with web_server() as server:
        outbox = an_outbox(store, tmp_path, Heard())
        begin(store, server.url)
        stop(store, "checkout", a_time(1), by="ann")
        outbox.deliver("checkout", a_time(2))
        store.delete_ab_test("checkout")
        begin(store, server.url)
        outbox.deliver("checkout", a_time(3))

    assert [json.loads(asked.body)["revision"] for asked in server.asked] == [1, 2, 1]


def test_deliveries_are_sent_before_they_are_closed(store: RunStore, tmp_path: Path) -> None:
    with web_server() as server:
        begin(store, server.url)
        deliveries = Deliveries(an_outbox(store, tmp_path, Heard()), lambda: a_time(1))
        deliveries.ask("checkout")
        deliveries.close(10)

    assert len(server.asked) == 1


def test_one_look_from_a_scheduler_rolls_back_and_tells_the_hook(tmp_path: Path) -> None:
    with (
        web_server() as server,
        open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace,
    ):
        settle_revision(workspace.store, a_traffic(webhook=server.url, **RULES), workspace.now())
        workspace.store.append_evidence(a_trial(60, failing=3))
        look_once(workspace, Watch(workspace.store, [], Heard()), Heard())

    assert [json.loads(asked.body)["reason"] for asked in server.asked] == ["started", "rolled back"]


def test_a_watch_that_is_closed_ends_after_what_it_is_at(tmp_path: Path) -> None:
    heard = Heard()
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace:
        settle_revision(workspace.store, a_traffic(**RULES), workspace.now())
        workspace.store.append_evidence(a_trial(60, failing=3))
        running = RunningWatch(workspace, Watch(workspace.store, ["checkout"], heard), heard)
        running.start()
        running.close(10)
        assert reasons(workspace.store) == ["started", "rolled back"]


class Broken(Watch):
    """A watch with a mistake in it."""

    def step(self, now: datetime) -> tuple[str, ...]:
        raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watch_that_ends_by_a_mistake_says_so(tmp_path: Path) -> None:
    heard = Heard()
    with open_workspace(load_settings({"HOME": str(tmp_path)}), tmp_path) as workspace:
        running = RunningWatch(workspace, Broken(workspace.store, [], heard), heard)
        running.start()
        assert heard.has_heard.wait(10)
        running.close(10)

    assert heard.texts == [
        "The watch has ended by an error. Guardrails roll nothing back until it is started again."
    ]


def test_of_a_long_test_every_other_look_is_forgotten(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.operations.follow_ab.MAX_LOOKS", 4)
    settle_revision(store, a_traffic(**RULES), a_time())
    store.append_evidence(a_trial(600))
    looks = AbFollower(store, "checkout", keeps_looks=True).look(a_time(5)).looks

    assert 3 <= len(looks) <= 4
    assert looks[-1].arm("b").units == 600
