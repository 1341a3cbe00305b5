"""Applying a deployment file to Container Apps over and over: cut off at any request, it is completed by the next time.

``python -m tests.support.deadly_app FOLDER N before|after [ARM]`` applies once and is killed at its N-th request; it prints
``done`` where it made fewer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from requests.adapters import HTTPAdapter
from tests.support.azure import StandIn
from tests.support.container_app_target import APP, Ground

from headrace.deploy.apply import Applying, apply_plan
from headrace.deploy.container_app import ContainerApp
from headrace.deploy.plan import plan_deployment
from headrace.domain.deployment import Deployment, DeployPlan, Endpoint, EndpointState, Scale

IMAGES = {
    version: f"myacr.azurecr.io/headrace/triage@sha256:{digit * 64}"
    for version, digit in (("v1", "1"), ("v2", "2"))
}
RUNTIME = "headrace"


def wish(ground: Ground, version: str, arm: str = "", **more: Any) -> Endpoint:
    """A file that asks for a version: without arms, or with one that has all requests."""
    if arm:
        more["traffic_percent"] = 100
    deployment: Deployment = ground.deployment(
        arm, version, image=IMAGES[version], scale=Scale(minimum=0, maximum=2), **more
    )
    return ground.endpoint(deployment)


def apply(ground: Ground, endpoint: Endpoint, target: ContainerApp | None = None) -> DeployPlan:
    """Plan and apply; smoke tests look at who is asked only."""
    place = target or ground.open(endpoint)

    def plan(state: EndpointState) -> DeployPlan:
        return plan_deployment(endpoint, state, runtime=RUNTIME, traits=place.traits)

    def ask(name: str, _: Endpoint) -> None:
        place.address(name)

    made = plan(place.read_state())
    return apply_plan(made, Applying(target=place, ask=ask, replan=plan)).plan


def check_traffic(azure: StandIn) -> None:
    """Whatever happened: requests go to revisions that are there and healthy, all of them."""
    if not azure.apps.by_id:
        return
    app = azure.apps.find(APP)
    if app.resource.tags.get("headrace-unmoved") == "true":
        return  # nobody was sent there on purpose
    entries = [item for item in app.traffic if item.get("weight")]
    assert sum(item["weight"] for item in entries) == 100
    for item in entries:
        state = azure.apps.look(app, app.revisions[item["revisionName"]])
        assert state["healthState"] == "Healthy", (item, state)


def outcome(azure: StandIn) -> Any:
    """What was reached, without names of attempts."""
    app = azure.apps.find(APP)
    shares = {item.get("label"): item.get("weight") for item in app.traffic}
    specs = {
        item["label"]: next(
            variable["value"]
            for variable in app.revisions[item["revisionName"]].template["containers"][0]["env"]
            if variable["name"] == "HEADRACE_DEPLOYMENT_SPEC"
        )
        for item in app.traffic
        if item.get("label")
    }
    needed = {item["revisionName"] for item in app.traffic}
    stray = [item.name for item in app.revisions.values() if item.is_active and item.name not in needed]
    secrets = sorted(item["name"] for item in app.resource.hidden["secrets"])
    return shares, specs, stray, secrets


def run_and_die(azure: StandIn, ground: Ground, number: int, moment: str, *arms: str) -> bool:
    """Apply v2 in a process that is killed at a request; whether it came that far."""
    command = [sys.executable, "-m", "tests.support.deadly_app", str(ground.folder), str(number), moment]
    command += arms
    environment = {
        **os.environ,
        **azure.environment,
        "IDENTITY": ground.identity,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if finished.returncode == -signal.SIGKILL:
        return True
    assert finished.stdout == "done\n", finished.stderr
    return False


def die_at(number: int, moment: str) -> None:
    """Kill this process at one of its requests to Azure, before it is sent or when its answer is there."""
    send: Callable[..., Any] = HTTPAdapter.send
    count = 0

    def counted(*given: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == number and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = send(*given, **more)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    HTTPAdapter.send = counted  # type: ignore[method-assign]


def main() -> None:
    folder, number, moment, *arms = sys.argv[1:]
    place = SimpleNamespace(
        subscription=os.environ["AZURE_SUBSCRIPTION_ID"], group=os.environ["AZURE_RESOURCE_GROUP"]
    )
    ground = Ground(azure=place, folder=Path(folder), identity=os.environ["IDENTITY"])  # type: ignore[arg-type]
    die_at(int(number), moment)
    apply(ground, wish(ground, "v2", *arms))
    ground.close()
    sys.stdout.write("done\n")


if __name__ == "__main__":
    main()
