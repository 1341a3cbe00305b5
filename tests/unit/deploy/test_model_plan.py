"""Plans for deployments of models: what changes, and what is refused with a way out. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.deploy.model_plan import plan_deletion, plan_model
from headrace.domain.model_deployment import (
    AccountContents,
    ModelAccount,
    ModelDeployment,
    ModelQuota,
    ModelWish,
    OfferedModel,
    OfferedSku,
)
from headrace.errors import UsageError

TODAY = date(2026, 11, 29)
STANDARD = OfferedSku(name="GlobalStandard", usage="std", minimum=1, maximum=1000, step=1, default=10)
PROVISIONED = OfferedSku(name="GlobalProvisionedManaged", usage="ptu", minimum=15, maximum=500, step=5)
OFFERS = (
    OfferedModel(model_format="OpenAI", name="gpt-4o", version="2024-08-06", skus=(STANDARD,)),
    OfferedModel(
        model_format="OpenAI",
        name="gpt-4o",
        version="2024-11-20",
        is_default=True,
        lifecycle="GenerallyAvailable",
        skus=(PROVISIONED, STANDARD),
    ),
    OfferedModel(
        model_format="OpenAI",
        name="gpt-4",
        version="0613",
        lifecycle="Deprecated",
        replacement="gpt-4o 2024-11-20",
    ),
    OfferedModel(
        model_format="Mistral AI", name="Mistral-Large", version="1", skus=(replace(STANDARD, usage="m"),)
    ),
)
CHAT = ModelDeployment(
    name="chat",
    model_format="OpenAI",
    model="gpt-4o",
    version="2024-08-06",
    sku="GlobalStandard",
    capacity=30,
    upgrade="NoAutoUpgrade",
    content_filter="Microsoft.DefaultV2",
    state="Succeeded",
)
CONTENTS = AccountContents(
    account=ModelAccount(name="ai", group="rg", location="westeurope", kind="AIServices"),
    deployments=(CHAT, replace(CHAT, name="spare", spillover="chat", capacity=5)),
    offers=OFFERS,
    quotas=(ModelQuota(name="std", label="Tokens a minute", used=35, limit=100),),
    policies=("Microsoft.DefaultV2", "strict"),
)


def refusal(wish: ModelWish, contents: AccountContents = CONTENTS) -> list[tuple[str, str, str]]:
    with pytest.raises(UsageError) as caught:
        plan_model(wish, contents, TODAY)
    return [(problem.code, problem.what, problem.fix or "") for problem in caught.value.problems]


def test_a_new_deployment_is_as_usual_where_nothing_is_said() -> None:
    plan = plan_model(ModelWish(name="new", model="GPT-4o"), CONTENTS, TODAY)
    assert plan.before is None
    assert plan.changes == {
        "model_format": (None, "OpenAI"),
        "model": (None, "gpt-4o"),
        "version": (None, "2024-11-20"),
        "sku": (None, "GlobalStandard"),
        "capacity": (None, 10),
    }
    assert plan.warnings == ()


def test_what_is_not_named_stays_and_nothing_is_done_twice() -> None:
    plan = plan_model(ModelWish(name="Chat", capacity=40), CONTENTS, TODAY)
    assert plan.after == replace(CHAT, capacity=40, state="")
    assert plan.changes == {"capacity": (30, 40)}
    assert not plan_model(ModelWish(name="chat"), CONTENTS, TODAY).is_needed
    assert not plan_model(ModelWish(name="chat", model="gpt-4o", capacity=30), CONTENTS, TODAY).is_needed
    assert plan_model(ModelWish(name="spare", spillover=""), CONTENTS, TODAY).changes == {
        "spillover": ("chat", "")
    }


@pytest.mark.parametrize("state", ["Failed", "Creating"])
def test_one_that_failed_is_made_again_and_one_that_is_made_is_waited_for(state: str) -> None:
    contents = replace(CONTENTS, deployments=(replace(CHAT, state=state),))
    assert plan_model(ModelWish(name="chat"), contents, TODAY).changes == {"state": (state, "Succeeded")}


def test_another_sku_has_its_own_units() -> None:
    plan = plan_model(
        ModelWish(name="chat", version="2024-11-20", sku="globalprovisionedmanaged"), CONTENTS, TODAY
    )
    assert plan.after is not None
    assert (plan.after.sku, plan.after.capacity) == ("GlobalProvisionedManaged", 15)


@pytest.mark.parametrize(
    ("wish", "code", "what", "fix"),
    [
        (ModelWish(name="new"), "C507", "no model is named", "--model"),
        (ModelWish(name="new", model="gtp-4o"), "X301", "no model 'gtp-4o'", 'Did you mean "gpt-4o"?'),
        (ModelWish(name="new", model="claude"), "X301", "no model 'claude'", "It offers: Mistral-Large, gpt-4, gpt-4o."),
        (ModelWish(name="new", model="gpt-4o", model_format="Meta"), "X301", "no model", "Did you mean"),
        (ModelWish(name="new", model="gpt-4o", version="2024-11-02"), "X302", "version '2024-11-02'", 'Did you mean "2024-11-20"?'),
        (ModelWish(name="new", model="gpt-4o", sku="GlobalStandart"), "X303", "as GlobalStandart", 'Did you mean "GlobalStandard"?'),
        (ModelWish(name="new", model="Mistral-Large", capacity=1001), "X304", "1001 units", "Choose from 1 to 1000."),
        (ModelWish(name="new", model="gpt-4o", sku="GlobalProvisionedManaged", capacity=17), "X304", "17 units", "Choose 15 or 20"),
        (ModelWish(name="new", model="gpt-4"), "X305", "is retired", "Take gpt-4o 2024-11-20."),
        (ModelWish(name="new", model="gpt-4o", capacity=70), "X306", "35 of 100 are used, 65 are left, 70 more", "--capacity 65 or less"),
        (ModelWish(name="chat", capacity=100), "X306", "65 are left, 70 more are needed", "--capacity 95 or less"),
        (ModelWish(name="chat", spillover="spar"), "X307", "no deployment to spill over to", 'Did you mean "spare"?'),
        (ModelWish(name="chat", spillover="chat"), "X307", "spill over", "spare"),
        (ModelWish(name="chat", content_filter="strickt"), "X307", "content filter policy", 'Did you mean "strict"?'),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused_with_what_is(wish: ModelWish, code: str, what: str, fix: str) -> None:
    ((found, said, way),) = refusal(wish)
    assert found == code
    assert what in said
    assert fix in way


def test_all_that_is_wrong_is_said_at_once() -> None:
    wish = ModelWish(name="chat", capacity=2000, spillover="nobody", content_filter="none")
    assert [code for code, _, _ in refusal(wish)] == ["X304", "X306", "X307", "X307"]


@pytest.mark.parametrize(
    ("offer", "sku", "warned"),
    [
        ({"retires": TODAY + timedelta(days=30)}, {}, "gpt-4o 2024-08-06 retires on 2026-12-29."),
        (
            {"retires": TODAY + timedelta(days=30), "is_tentative": True},
            {},
            "is planned to retire on 2026-12-29.",
        ),
        ({"retires": TODAY + timedelta(days=300)}, {}, None),
        ({"lifecycle": "Deprecating"}, {}, "is on its way out"),
        ({"lifecycle": "Deprecated"}, {}, "is retired"),
        ({}, {"retires": TODAY}, "GlobalStandard of gpt-4o 2024-08-06 is not offered from 2026-11-29 on."),
    ],
)
def test_what_ends_soon_is_warned_of(
    offer: dict[str, object], sku: dict[str, object], warned: str | None
) -> None:
    changed = replace(OFFERS[0], skus=(replace(STANDARD, **sku),), **offer)  # type: ignore[arg-type]
    contents = replace(CONTENTS, offers=(changed, *OFFERS[1:]))
    warnings = plan_model(ModelWish(name="chat"), contents, TODAY).warnings
    if warned is None:
        assert warnings == ()
        return
    (warning,) = warnings
    assert (warning.code, warning.severity) == ("X309", "warning")
    assert warned in warning.what
    assert "OnceCurrentVersionExpired" in (warning.fix or "")


def test_a_deletion_says_what_goes_and_who_still_needs_it() -> None:
    assert plan_deletion("spare", CONTENTS).changes["capacity"] == (5, None)
    assert not plan_deletion("nobody", CONTENTS).is_needed
    with pytest.raises(UsageError) as caught:
        plan_deletion("CHAT", CONTENTS)
    assert (
        caught.value.problems[0].what == "spare spill over to chat, and would be refused where they are busy."
    )


@given(
    st.sampled_from(["chat", "new"]), st.sampled_from(["", "gpt-4o"]), st.sampled_from(["", "2024-08-06", "2024-11-20"]),
    st.one_of(st.none(), st.integers(1, 200)), st.sampled_from([None, "", "spare"]),
    st.sampled_from(["", "NoAutoUpgrade", "OnceCurrentVersionExpired"]),
)  # fmt: skip
def test_a_plan_that_was_carried_out_is_not_needed_again(
    name: str, model: str, version: str, capacity: int | None, spillover: str | None, upgrade: str
) -> None:
    wish = ModelWish(
        name=name, model=model, version=version, capacity=capacity, spillover=spillover, upgrade=upgrade
    )
    try:
        plan = plan_model(wish, CONTENTS, TODAY)
    except UsageError:
        return
    assert plan.after is not None
    others = [item for item in CONTENTS.deployments if item.name != plan.after.name]
    contents = replace(CONTENTS, deployments=(*others, replace(plan.after, state="Succeeded")))
    assert not plan_model(wish, replace(contents, quotas=()), TODAY).is_needed
