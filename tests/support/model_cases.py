"""What goes wrong with deployments of models, against the stand-in, for the cases of problem codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.azure.cognitive_services import model, sku

from headrace.domain.model_deployment import ModelWish
from headrace.errors import Problem
from headrace.operations.deploy_models import ModelPlace, deploy_model

_TODAY = date(2026, 11, 29)


def model_problems(folder: Path, case: Mapping[str, Any]) -> Sequence[Problem]:
    """The problems of the ``wish`` of a case: what is raised, else warnings.

    ``account`` names the account, ``fault`` is what happens to the request, and ``offer`` is what the region says
    of a model ``next`` beside those that it has.
    """
    with StandIn(folder) as azure, pytest.MonkeyPatch.context() as patch:
        azure.enter(patch)
        if "fault" in case:
            azure.faults.add(method="PUT", path="deployments/", **case["fault"])
        if "offer" in case:
            usage = "OpenAI.GlobalStandard.next"
            azure.cognitive_services.limits[usage] = 2000
            azure.cognitive_services.models += model(
                "next", "1", skus=[sku("GlobalStandard", usage)], **case["offer"]
            )
        place = ModelPlace(subscription=azure.subscription, account=case.get("account", ""))
        wish = ModelWish(name="chat", **case["wish"])
        return deploy_model(place, wish, lambda _: None, today=_TODAY, is_dry=False).warnings
