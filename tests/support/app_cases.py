"""What goes wrong with apps of Container Apps, made from the plain data of a problem's case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import StandIn
from tests.support.azure.subscriptions import add_identity
from tests.support.container_app_target import Ground, bring, made, make_ground, step, write_flow

from headrace.domain.deployment import Deployment, Endpoint, Scale, Setting
from headrace.errors import Problem
from headrace.formats.positions import load_yaml

IMAGE = "myacr.azurecr.io/headrace/triage@sha256:" + "1" * 64


def app_case(folder: Path, case: Mapping[str, Any]) -> Sequence[Problem]:
    """The problems of a file, or of what is done with it.

    Args:
        folder: For the stand-in; holds ``deployment.yaml``, which places are in.
        case: ``check`` only looks at the file; otherwise ``deployment`` is brought, with ``requirements`` of its flow, an
            ``identity`` that may not pull, or a ``fault`` and ``patience``; or ``move`` says what traffic is moved.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        azure = stack.enter_context(StandIn(folder))
        azure.enter(patch)
        ground = make_ground(azure, folder)
        stack.callback(ground.close)
        endpoint = _endpoint(ground, folder, case)
        target = ground.open(endpoint, **case.get("patience", {}))
        if case.get("check"):
            return target.check(endpoint)
        if "fault" in case:
            azure.faults.add(**case["fault"])
        deployment = endpoint.deployments[0]
        if case.get("prepare"):
            target.apply(step("prepare", "blue", made(deployment)), endpoint)
        azure.apps.is_pretending = True
        azure.apps.are_ill = bool(case.get("ill"))
        azure.registries.add_image(IMAGE)
        if case.get("create endpoint"):
            target.apply(step("create endpoint"), endpoint)
        bring(target, endpoint, [deployment])
        target.apply(step("move traffic", after=case.get("move", {"blue": 100})), endpoint)
        return ()


def _endpoint(ground: Ground, folder: Path, case: Mapping[str, Any]) -> Endpoint:
    text = (folder / "deployment.yaml").read_text(encoding="utf-8")
    data, source_map = load_yaml(text, str(folder / "deployment.yaml"))
    given = data.get("environment") or {}
    settings = tuple(
        Setting(name=name, value=value, span=source_map.span(("environment", name)))
        for name, value in given.items()
    )
    scale = Scale(**case.get("scale", {}))
    image = "" if case.get("prepare") else IMAGE
    deployment: Deployment = ground.deployment("blue", image=image, settings=settings, scale=scale)
    if "requirements" in case:
        flow = write_flow(Path(deployment.flow.source), "v1")
        (flow / "requirements.txt").write_text(case["requirements"], encoding="utf-8")
    endpoint = ground.endpoint(deployment, source_map=source_map, path="deployment.yaml")
    if "identity" in case:
        identities = (add_identity(ground.azure, case["identity"]).id,) if case["identity"] else ()
        endpoint = replace(endpoint, identities=identities)
        if not identities:
            endpoint = replace(endpoint, deployments=(replace(deployment, image=""),))
    if "authentication" in data:
        endpoint = replace(endpoint, authentication=data["authentication"])
    environment = (data.get("azure") or {}).get("environment")
    if environment and endpoint.place is not None:
        endpoint = replace(endpoint, place=replace(endpoint.place, environment=environment))
    return endpoint
