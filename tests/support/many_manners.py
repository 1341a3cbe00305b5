"""Ways in which Azure may answer, each with a name, and what a flow and a model go through with each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import pytest
from azure.core.pipeline.transport import RequestsTransport
from tests.support.azure import StandIn, manners, rough_manners
from tests.support.azure.stand_in import Manner
from tests.support.container_app_target import write_flow
from tests.support.deadly_deploy import Killed, deadly_send
from tests.support.served_places import Served

from headrace.cli.main import run_command_line

_MODELS = "Microsoft.CognitiveServices/accounts/deployments"

_CHANGES = "PUT PATCH POST DELETE"

MANNERS: Mapping[str, Callable[[StandIn], Sequence[Manner]]] = {
    "operations have a location only": lambda _: [manners.OnlyLocation()],
    "changes are answered with 202": lambda _: [manners.accepted],
    "operations have no address": lambda _: [manners.no_address],
    "operations are at another host": lambda _: [manners.elsewhere],
    "operations say come again at once": lambda _: [manners.retry_after("0")],
    "operations do not say when to come again": lambda _: [manners.retry_after(None)],
    "operations say a date": lambda _: [manners.retry_after("date")],
    "operations say ten minutes": lambda _: [manners.retry_after("600")],
    "operations are not known at first": lambda _: [manners.LateOperations()],
    "operations are not known for long": lambda _: [manners.LateOperations(3)],
    "states are in small letters": lambda _: [manners.spelled(str.lower)],
    "states are in capitals": lambda _: [manners.spelled(str.upper)],
    "states lag behind": lambda _: [manners.LaggingState()],
    "states lag behind in another word": lambda _: [manners.LaggingState(2, "InProgress")],
    "reads lag behind": lambda _: [manners.LaggingReads(1)],
    "reads lag behind for long": lambda _: [manners.LaggingReads(3)],
    "revisions lag behind": lambda _: [manners.LaggingRevisions()],
    "pages are odd": lambda _: [manners.odd_pages],
    "answers say more": lambda _: [manners.extra_fields],
    "answers say less": lambda _: [manners.sparse],
    "answers say null": lambda _: [manners.nulls],
    "ids are spelled otherwise": lambda _: [manners.other_case],
    "bodies are looked at": lambda _: [manners.strict_bodies, manners.extra_fields],
    "traffic is looked at": lambda azure: [manners.ActiveWeights(azure)],
    "tokens are challenged": lambda _: [manners.Challenges()],
    "tokens last two seconds": lambda azure: setattr(azure.directory, "lifetime_s", 2) or [],  # type: ignore[func-returns-value]
    "requests are throttled": lambda _: [manners.Throttling(4)],
    "requests are throttled without a word": lambda _: [manners.Throttling(5, {})],
    "addresses are not known at first": lambda _: [manners.SlowStart(404, 404)],
    "servers start slowly": lambda _: [manners.SlowStart(503, 503, 502)],
    "gateways give up at first": lambda _: [manners.SlowStart(504, 408)],
    "addresses cannot be reached at first": lambda _: [rough_manners.NoAnswerAtFirst()],
    "resources have versions": lambda _: [rough_manners.ETags()],
    "resources have versions, and reads lag behind": lambda _: [
        rough_manners.ETags(),
        manners.LaggingReads(2),
    ],
    "something else is under way": lambda _: [
        rough_manners.Refusing(2, 409, "Conflict", "Another operation is in progress.", methods=_CHANGES)
    ],
    "something else is under way, without a word": lambda _: [
        rough_manners.Refusing(2, 409, methods=_CHANGES)
    ],
    "resources are locked by others": lambda _: [
        rough_manners.Refusing(3, 423, "Locked", "Locked by another operation.", methods=_CHANGES)
    ],
    "gateways answer with pages": lambda _: [rough_manners.Refusing(5, 502)],
    "gateways answer too late": lambda _: [rough_manners.Refusing(4, 504)],
    "requests take too long": lambda _: [rough_manners.Refusing(5, 408, "RequestTimeout", "Too long.")],
    "services fail now and then": lambda _: [rough_manners.Refusing(4, 500, "InternalServerError", "Oops.")],
    "connections are lost": lambda _: [rough_manners.Dropping(5)],
    "answers are lost": lambda _: [rough_manners.Dropping(5, "after")],
    "answers are cut": lambda _: [rough_manners.Dropping(5, "within")],
    "regions are spelled out": lambda _: [rough_manners.display_regions],
    "the last page says null of the next": lambda _: [rough_manners.link(None)],
    "the last page says nothing of the next": lambda _: [rough_manners.link("")],
    "operations are gone when they have ended": lambda _: [rough_manners.Expiring()],
    "operations are gone for good at first": lambda _: [manners.LateOperations(1, 410)],
    "deletions lag behind": lambda _: [rough_manners.LaggingDeletes(4)],
    "secrets are not said": lambda _: [rough_manners.bare_secrets],
    "states have other words": lambda _: [rough_manners.other_words],
    "much at once": lambda _: [manners.LaggingReads(3), manners.LateOperations(2), manners.Throttling(4)],
    "all at once": lambda _: [
        manners.Throttling(5, {}),
        manners.LaggingReads(3),
        manners.LateOperations(3),
        manners.LaggingState(2),
    ],
}
"""What is tried one by one."""

TOGETHER: Mapping[str, Callable[[StandIn], Sequence[Manner]]] = {
    "strict": lambda azure: [
        manners.Challenges(),
        manners.strict_bodies,
        manners.LaggingRevisions(),
        manners.ActiveWeights(azure),
        manners.elsewhere,
        manners.odd_pages,
        manners.extra_fields,
        rough_manners.ETags(),
    ],
    "slow": lambda _: [
        manners.Throttling(7, {}),
        rough_manners.Refusing(3, 409, methods=_CHANGES),
        rough_manners.LaggingDeletes(),
        manners.SlowStart(404, 503),
        manners.LaggingReads(3),
        manners.OnlyLocation(),
    ],
    "terse": lambda _: [
        manners.LateOperations(),
        manners.accepted,
        manners.retry_after("date"),
        manners.spelled(str.upper),
        manners.nulls,
        manners.other_case,
        rough_manners.bare_secrets,
        rough_manners.display_regions,
        rough_manners.link(""),
    ],
}
"""What is tried at once."""


def flow_life(made: Served) -> None:
    """A flow comes, is followed by two further versions, is taken back, and goes."""
    made.run("plan", "--allow", "dirty")
    made.apply()
    made.apply()  # where reads lag behind, the first one may see that there is less than there is
    assert "Nothing to do" in made.apply()
    made.write(2)
    made.apply()
    state = made.state()
    assert state["traffic"] == {"blue": 90, "green": 10}
    assert {item["health"] for item in state["deployments"]} == {"healthy"}
    made.run("invoke", "--deployment", "green", "--inputs", "text=yo")
    assert "asked" in made.run("logs", "--deployment", "green")
    made.run("traffic", "green=100", "--allow", "shift")
    made.run("rollback", "--allow", "shift")
    assert made.state()["traffic"] == {"blue": 90, "green": 10}
    made.run("traffic", "green=100", "--allow", "shift")
    made.write(3)
    made.apply()
    assert made.state()["traffic"] == {"blue": 10, "green": 90}
    made.run("destroy", "--yes")
    assert "Nothing to do" in made.run("destroy", "--yes")
    assert not made.azure.unanswered


_ARMS = """\
arms:
- {name: plain, traffic: 80}
- {name: kind, flow: kind, traffic: 20}
- {name: quiet, flow: kind, traffic: 0MIRROR}
"""
_CHANGED_ARMS = """\
arms:
- {name: plain, traffic: 50}
- {name: kind, flow: kind, traffic: 50}
"""
_ALLOWED = ("--allow", "dirty", "--allow", "shift", "--allow", "in-place")


def write_arms(made: Served, arms: str = _ARMS) -> None:
    """Let the file of a project have arms, one of which gets copies of requests where the target can."""
    file = made.folder / "deployment.yaml"
    text = file.read_text("utf-8").partition("arms:")[0].replace("canary: 10\n", "")
    mirror = ", mirror: 50" if made.name == "azureml" else ""
    file.write_text(text + arms.replace("MIRROR", mirror), "utf-8")
    write_flow(made.folder / "kind", "kind")


def arms_life(made: Served) -> None:
    """A file with arms is applied; an arm that has requests changes, one goes, and all of it goes."""
    write_arms(made)
    made.apply()
    made.apply()
    assert "Nothing to do" in made.apply()
    state = made.state()
    assert state["traffic"] == {"plain": 80, "kind": 20}
    assert state["mirror"] == ({"quiet": 50} if made.name == "azureml" else {})
    write_flow(made.folder / "kind", "kinder")
    made.run("apply", *_ALLOWED)
    assert made.state()["traffic"] == {"plain": 80, "kind": 20}
    write_arms(made, _CHANGED_ARMS)
    made.run("apply", *_ALLOWED)
    made.run("apply", *_ALLOWED)
    state = made.state()
    assert state["traffic"] == {"plain": 50, "kind": 50}
    assert [item["name"] for item in state["deployments"]] == ["kind", "plain"]
    made.run("destroy", "--yes")
    assert not made.azure.unanswered


def killed_arms_life(made: Served, n_writes: int) -> None:
    """The process dies after a number of writes, before anybody has seen the answer to the last; then it is applied again."""
    write_arms(made)
    _die(made, n_writes)
    made.apply()
    made.apply()  # where reads lag behind, the first one may see that there is less than there is
    assert made.state()["traffic"] == {"plain": 80, "kind": 20}
    write_flow(made.folder / "kind", "kinder")
    _die(made, n_writes // 2)
    made.run("apply", *_ALLOWED)
    made.run("apply", *_ALLOWED)
    assert made.state()["traffic"] == {"plain": 80, "kind": 20}
    assert "Nothing to do" in made.apply()


def _die(made: Served, n_writes: int) -> None:
    def die() -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        patch.setattr(RequestsTransport, "send", deadly_send(n_writes, die))
        run_command_line(["deploy", "apply", *_ALLOWED])
    made.capsys.readouterr()


def model_life(made: Served) -> None:
    """A model comes, changes and goes."""
    made.run("model", "chat", "--model", "gpt-4o-mini", "--capacity", "20")
    for _ in range(3):  # lists may lag behind
        made.run("models")
    made.run("model", "chat", "--capacity", "30")
    (kept,) = made.azure.resources.of_type(_MODELS)
    assert (kept.rest["sku"]["capacity"], kept.provisioning_state) == (30, "Succeeded")
    assert "chat" in made.run("models")
    made.run("model", "chat", "--delete", "--yes")
    assert not made.azure.resources.of_type(_MODELS)
