"""Plans are applied step by step, and what is there is looked at again before traffic moves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.deployments import (
    RUNTIME,
    a_deployment,
    an_endpoint,
    open_memory_target,
    remember,
    remembered,
)

from headrace.deploy.apply import Applied, Applying, Progress, apply_plan
from headrace.deploy.memory import MemoryTarget, change_memory
from headrace.deploy.plan import plan_deployment
from headrace.deploy.safety import find_unsafe
from headrace.domain.deployment import DeployPlan, Endpoint, EndpointState
from headrace.errors import (
    AccessDeniedError,
    HeadraceError,
    Problem,
    RemoteError,
    RemoteRequestError,
    StateError,
)

SECOND = an_endpoint(a_deployment(version=2))


class Desk:
    """Applies to a remembered place, and notes what is heard."""

    def __init__(self, folder: Path, endpoint: Endpoint = SECOND, **options: Any) -> None:
        self.target = open_memory_target(folder, endpoint)
        self.endpoint = endpoint
        self.asked: list[str] = []
        self.heard: list[Progress] = []
        self.answer: HeadraceError | None = options.pop("answer", None)
        self.options = options

    def plan(self, state: EndpointState) -> DeployPlan:
        made = plan_deployment(self.endpoint, state, runtime=RUNTIME, traits=MemoryTarget.traits)
        return replace(made, unsafe=find_unsafe(made, MemoryTarget.traits))

    def ask(self, name: str, endpoint: Endpoint) -> None:
        assert endpoint.find(name) is not None
        self.asked.append(name)
        if self.answer is not None:
            raise self.answer

    def go(self, plan: DeployPlan | None = None) -> Applied:
        return apply_plan(
            plan or self.plan(self.target.read_state()),
            Applying(
                target=self.target,
                ask=self.ask,
                replan=self.plan,
                on_progress=self.heard.append,
                **self.options,
            ),
        )


def a_place(folder: Path, **parts: Any) -> Path:
    return remember(folder, {"blue": remembered(1)}, {"blue": 100}, **parts)


def test_a_canary_is_made_asked_and_given_its_share(tmp_path: Path) -> None:
    a_place(tmp_path)
    desk = Desk(tmp_path)

    done = desk.go()

    assert desk.asked == ["green"]
    assert desk.target.read_state().traffic == {"blue": 90, "green": 10}
    assert [change.action for change in done.changes] == [
        "prepare",
        "create deployment",
        "smoke test",
        "move traffic",
    ]
    assert [(item.moment, item.number, item.n_changes) for item in desk.heard[:3]] == [
        ("begun", 1, 4),
        ("done", 1, 4),
        ("begun", 2, 4),
    ]
    assert desk.go().changes == ()


def test_what_does_not_answer_its_sample_gets_no_requests(tmp_path: Path) -> None:
    a_place(tmp_path)
    said = RemoteRequestError(Problem(code="P705", what="It answered 400."))
    desk = Desk(tmp_path, answer=said)

    with pytest.raises(RemoteError) as caught:
        desk.go()

    (problem,) = caught.value.problems
    assert problem.code == "X148"
    assert problem.detail == ("P705: It answered 400.", "log: prepare", "log: create deployment")
    assert desk.target.read_state().traffic == {"blue": 100}
    assert desk.heard[-1].moment == "failed"


def test_what_could_not_be_asked_is_not_said_to_have_failed_to_answer(tmp_path: Path) -> None:
    a_place(tmp_path)
    denied = AccessDeniedError(Problem(code="X203", what="No key.", fix="Give the role."))
    desk = Desk(tmp_path, answer=denied)

    with pytest.raises(AccessDeniedError) as caught:
        desk.go()

    assert caught.value is denied
    assert desk.target.read_state().traffic == {"blue": 100}


def test_what_has_requests_and_does_not_answer_is_said_to_have_them(tmp_path: Path) -> None:
    remember(tmp_path, {"few-shot": remembered(1)}, {"few-shot": 100})
    arms = an_endpoint(a_deployment("few-shot", version=2, traffic_percent=100))
    said = RemoteRequestError(Problem(code="P705", what="It answered 400."))
    desk = Desk(tmp_path, arms, answer=said, allowed=("in-place",))
    plan = desk.plan(desk.target.read_state())

    with pytest.raises(RemoteError) as caught:
        desk.go(plan)

    assert plan.notes == (
        "few-shot answers 100 % of the requests while it is changed, and is tried out afterwards.",
    )
    (problem,) = caught.value.problems
    assert "it answers 100 % of the requests" in problem.what
    assert "headrace deploy traffic few-shot=0" in (problem.fix or "")


def test_nobody_is_asked_where_that_is_overridden(tmp_path: Path) -> None:
    a_place(tmp_path)
    desk = Desk(tmp_path, allowed=("untested",))

    desk.go()

    assert desk.asked == []
    assert [item.moment for item in desk.heard if item.change.action == "smoke test"] == ["begun", "skipped"]


def test_an_unsafe_plan_is_not_begun(tmp_path: Path) -> None:
    a_place(tmp_path)
    desk = Desk(tmp_path, replace(SECOND, canary_percent=80))

    with pytest.raises(StateError) as caught:
        desk.go()

    assert caught.value.problems[0].code == "X161"
    assert desk.heard == []


def test_no_traffic_moves_when_somebody_else_has_moved_it(tmp_path: Path) -> None:
    file = a_place(tmp_path)
    desk = Desk(tmp_path)
    plan = desk.plan(desk.target.read_state())
    change_memory(file, lambda memory: memory["endpoint"].update(traffic={}))

    with pytest.raises(StateError) as caught:
        desk.go(plan)

    assert caught.value.problems[0].code == "X146"
    assert desk.target.read_state().traffic == {}


def test_no_traffic_moves_to_what_somebody_else_has_changed_or_what_has_died(tmp_path: Path) -> None:
    file = a_place(tmp_path)
    desk = Desk(tmp_path)

    def break_green(name: str, endpoint: Endpoint) -> None:
        change_memory(file, lambda memory: memory["deployments"]["green"].update(health="failed"))

    def change_blue(name: str, endpoint: Endpoint) -> None:
        change_memory(file, lambda memory: memory["deployments"]["blue"].update(tags={}))

    for ask, code in ((break_green, "X147"), (change_blue, "X146")):
        desk.ask = ask  # type: ignore[method-assign]
        with pytest.raises(StateError) as caught:
            desk.go()
        assert caught.value.problems[0].code == code
        assert desk.target.read_state().traffic == {"blue": 100}


def test_after_waiting_it_is_planned_again(tmp_path: Path) -> None:
    file = remember(
        tmp_path,
        {"blue": remembered(1), "green": remembered(2, health="starting", is_busy=True)},
        {"blue": 100},
        faults=[{"action": "wait", "deployment": "green", "kind": "fail"}],
    )
    desk = Desk(tmp_path)

    with pytest.raises(RemoteError):
        desk.go()
    assert desk.target.read_state().find("green").health == "failed"  # type: ignore[union-attr]
    desk.go()

    assert [item.change.action for item in desk.heard if item.moment == "done"] == [
        "prepare",
        "update deployment",
        "smoke test",
        "move traffic",
    ]
    change_memory(file, lambda memory: memory["endpoint"].update(busy=True))
    assert [change.action for change in desk.go().changes] == ["wait"]


def test_what_never_ends_is_given_up(tmp_path: Path) -> None:
    file = a_place(tmp_path, is_busy=True)
    desk = Desk(tmp_path)

    def replan(state: EndpointState) -> DeployPlan:
        change_memory(file, lambda memory: memory["endpoint"].update(busy=True))
        return desk.plan(desk.target.read_state())

    with pytest.raises(StateError) as caught:
        apply_plan(
            desk.plan(desk.target.read_state()), Applying(target=desk.target, ask=desk.ask, replan=replan)
        )

    assert caught.value.problems[0].code == "X151"


def test_an_interrupt_says_what_goes_on_and_how_to_continue(tmp_path: Path) -> None:
    a_place(tmp_path, faults=[{"action": "create deployment", "kind": "interrupt"}])
    desk = Desk(tmp_path, again="headrace deploy apply prod.yaml")

    with pytest.raises(KeyboardInterrupt) as caught:
        desk.go()

    what, how = caught.value.__notes__
    assert "'create deployment green: triage@2' goes on at the target" in what
    assert how == "Go on with: headrace deploy apply prod.yaml"


@pytest.mark.parametrize("action", ["prepare", "create deployment", "move traffic"])
@pytest.mark.parametrize("kind", ["drop", "fail"])
def test_whatever_fails_applying_again_completes_it(action: str, kind: str, tmp_path: Path) -> None:
    a_place(tmp_path, faults=[{"action": action, "kind": kind}])
    desk = Desk(tmp_path)

    with pytest.raises(RemoteError):
        desk.go()
    desk.go()

    state = desk.target.read_state()
    assert state.traffic == {"blue": 90, "green": 10}
    assert desk.go().changes == ()


def test_traffic_that_has_moved_already_is_not_moved_again(tmp_path: Path) -> None:
    a_place(tmp_path)
    desk = Desk(tmp_path)
    plan = desk.plan(desk.target.read_state())
    desk.go()

    apply_plan(
        replace(plan, changes=plan.changes[-1:]),
        Applying(target=desk.target, ask=desk.ask, replan=desk.plan, on_progress=desk.heard.append),
    )

    assert desk.heard[-1].moment == "skipped"


def test_a_sample_that_was_not_answered_in_place_is_asked_again_until_it_is(tmp_path: Path) -> None:
    remember(tmp_path, {"few-shot": remembered(1)}, {"few-shot": 100})
    arms = an_endpoint(a_deployment("few-shot", version=2, traffic_percent=100))
    said = RemoteRequestError(Problem(code="P705", what="It answered 400."))
    for allowed in (("in-place",), ()):
        failing = Desk(tmp_path, arms, answer=said, allowed=allowed)
        with pytest.raises(RemoteError) as caught:
            failing.go()
        assert caught.value.problems[0].code == "X148"
    mended = Desk(tmp_path, arms)

    mended.go()

    assert mended.asked == ["few-shot"]
    assert mended.plan(mended.target.read_state()).changes == ()


def test_a_change_in_place_that_was_killed_before_its_sample_is_tried_out(tmp_path: Path) -> None:
    remember(tmp_path, {"few-shot": remembered(1)}, {"few-shot": 100})
    arms = an_endpoint(a_deployment("few-shot", version=2, traffic_percent=100))
    cut = Desk(tmp_path, arms, answer=KeyboardInterrupt(), allowed=("in-place",))
    with pytest.raises(KeyboardInterrupt):
        cut.go()
    again = Desk(tmp_path, arms)

    again.go()

    assert again.asked == ["few-shot"]
