"""Costs of plans: by prices that were looked up, or said to be unknown; never made up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure.stand_in import StandIn
from tests.support.deployments import RUNTIME, a_deployment, an_endpoint

from headrace.config import load_settings, process_environment
from headrace.deploy.memory import MemoryTarget
from headrace.deploy.plan import plan_deployment
from headrace.deploy.price import price_plan
from headrace.domain.deployment import (
    AzurePlace,
    DeploymentState,
    DeployPlan,
    Endpoint,
    EndpointState,
    Scale,
    Size,
)

SETTINGS = load_settings({})
PLACE = AzurePlace(subscription="s", resource_group="rg", workspace="ws", location="West Europe")
MACHINE = Size(instance_type="Standard_DS3_v2")
CONTAINER = Size(cpu=0.5, memory_gib=1.0)


def machine_price(usd: float, **parts: str) -> dict[str, Any]:
    names = {"productName": "Virtual Machines DSv2 Series", "skuName": "DS3 v2", "unitOfMeasure": "1 Hour"}
    return {**names, "retailPrice": usd, **parts}


def app_price(meter: str, usd: float) -> dict[str, Any]:
    return {"meterName": meter, "skuName": "Standard", "unitOfMeasure": "1 Second", "retailPrice": usd}


MACHINES = (
    machine_price(0.293),
    machine_price(0.5, productName="Virtual Machines DSv2 Series Windows"),
    machine_price(0.02, skuName="DS3 v2 Spot"),
    machine_price(0.05, skuName="DS3 v2 Low Priority"),
    machine_price(1653.0, type="Reservation"),
)
APPS = (
    app_price("Standard vCPU Active Usage", 0.000024),
    app_price("Standard vCPU Idle Usage", 0.000003),
    app_price("Standard Memory Active Usage", 0.000003),
)


class List:
    """A price list that remembers what it was asked."""

    def __init__(self, items: Sequence[Mapping[str, Any]] | None) -> None:
        self.items = items
        self.asked: list[str] = []

    def __call__(self, rule: str) -> Sequence[Mapping[str, Any]]:
        self.asked.append(rule)
        if self.items is None:
            raise OSError
        return self.items


def a_plan(endpoint: Endpoint, state: EndpointState | None = None) -> DeployPlan:
    there = state or EndpointState()
    return plan_deployment(endpoint, there, runtime=RUNTIME, traits=MemoryTarget.traits)


def on_machines(**parts: Any) -> Endpoint:
    wish = a_deployment(size=MACHINE, scale=Scale(minimum=2, maximum=3))
    return replace(an_endpoint(wish, place=PLACE), target="azureml", **parts)


def test_machines_cost_what_their_hour_costs_for_the_least_and_the_most_copies(tmp_path: Path) -> None:
    prices = List(MACHINES)

    priced = price_plan(a_plan(on_machines()), SETTINGS, tmp_path / "prices.json", prices)

    assert priced.hourly_usd == pytest.approx(0.586)
    assert priced.most_hourly_usd == pytest.approx(0.879)
    assert "armSkuName eq 'Standard_DS3_v2'" in prices.asked[0]
    assert "armRegionName eq 'westeurope'" in prices.asked[0]
    assert any("looked up 20" in note for note in priced.notes)


def test_what_is_there_beside_it_and_stays_costs_as_well(tmp_path: Path) -> None:
    old = DeploymentState(
        name="blue",
        spec="old",
        health="healthy",
        is_ours=True,
        instance_type="Standard_DS3_v2",
        scale=Scale(minimum=1, maximum=1),
    )
    state = EndpointState(exists=True, deployments=(old,), traffic={"blue": 100})

    priced = price_plan(a_plan(on_machines(), state), SETTINGS, tmp_path / "prices.json", List(MACHINES))

    assert priced.hourly_usd == pytest.approx(3 * 0.293)


def test_where_the_file_names_no_location_that_of_the_endpoint_counts(tmp_path: Path) -> None:
    state = EndpointState(exists=True, location="westeurope")
    endpoint = on_machines(place=replace(PLACE, location=""))

    priced = price_plan(a_plan(endpoint, state), SETTINGS, tmp_path / "prices.json", List(MACHINES))

    assert priced.hourly_usd == pytest.approx(0.586)


def test_an_app_costs_its_cores_and_memory_and_nothing_while_it_sleeps(tmp_path: Path) -> None:
    wish = a_deployment(size=CONTAINER, scale=Scale(minimum=0, maximum=2))
    endpoint = replace(an_endpoint(wish, place=replace(PLACE, environment="cae")), target="aca")

    priced = price_plan(a_plan(endpoint), SETTINGS, tmp_path / "prices.json", List(APPS))

    assert priced.hourly_usd == 0
    assert priced.most_hourly_usd == pytest.approx(2 * 3600 * (0.5 * 0.000024 + 0.000003))


def test_the_price_of_the_file_wins_and_nobody_is_asked(tmp_path: Path) -> None:
    prices = List(MACHINES)

    priced = price_plan(a_plan(on_machines(hourly_usd=0.1)), SETTINGS, tmp_path / "prices.json", prices)

    assert (priced.hourly_usd, prices.asked) == (pytest.approx(0.2), [])


@pytest.mark.parametrize(
    ("items", "endpoint", "said"),
    [
        (None, on_machines(), "did not answer"),
        ((), on_machines(), "no price of Standard_DS3_v2 in westeurope is listed"),
        (MACHINES, on_machines(place=replace(PLACE, location="")), "names no location"),
        (({"productName": "without a price"},), on_machines(), "did not answer"),
    ],
)
def test_what_is_not_known_is_said_and_not_made_up(
    items: Sequence[Mapping[str, Any]] | None, endpoint: Endpoint, said: str, tmp_path: Path
) -> None:
    priced = price_plan(a_plan(endpoint), SETTINGS, tmp_path / "prices.json", List(items))

    assert priced.hourly_usd is None
    assert said in priced.notes[-1]


def test_prices_are_kept_and_old_ones_serve_where_there_are_no_new_ones(tmp_path: Path) -> None:
    cache, prices = tmp_path / "prices.json", List(MACHINES)
    price_plan(a_plan(on_machines()), SETTINGS, cache, prices)
    price_plan(a_plan(on_machines()), SETTINGS, cache, prices)
    assert len(prices.asked) == 1

    entries = json.loads(cache.read_text(encoding="utf-8"))
    for entry in entries.values():
        entry["at"] = 1.0
    cache.write_text(json.dumps(entries), encoding="utf-8")
    priced = price_plan(a_plan(on_machines()), SETTINGS, cache, List(None))
    assert priced.hourly_usd == pytest.approx(0.586)
    assert any("looked up 1970-01-01" in note for note in priced.notes)

    cache.write_text("nonsense", encoding="utf-8")
    assert price_plan(a_plan(on_machines()), SETTINGS, cache, List(MACHINES)).hourly_usd is not None


def test_a_target_on_this_machine_costs_nothing_that_is_known(tmp_path: Path) -> None:
    prices = List(MACHINES)

    priced = price_plan(a_plan(an_endpoint()), SETTINGS, tmp_path / "prices.json", prices)

    assert (priced.hourly_usd, priced.notes, prices.asked) == (None, (), [])


def test_the_list_is_asked_over_http_page_by_page(tmp_path: Path) -> None:
    with StandIn(tmp_path / "azure") as azure:
        fields = {"serviceName": "Virtual Machines", "armRegionName": "westeurope", "skuName": "DS3 v2"}
        for _ in range(100):
            azure.prices.add(0.1, armSkuName="Standard_DS3_v2", productName="Windows", **fields)
        azure.prices.add(0.293, armSkuName="Standard_DS3_v2", productName="Series", **fields)
        azure.prices.add(9.0, armSkuName="Standard_DS4_v2", productName="Series", **fields)
        settings = load_settings(azure.environment)

        with process_environment(azure.environment):
            priced = price_plan(a_plan(on_machines()), settings, tmp_path / "prices.json")

    assert priced.hourly_usd == pytest.approx(0.586)


def test_without_a_network_a_price_is_not_known(tmp_path: Path) -> None:
    settings = load_settings({"HTTPS_PROXY": "http://127.0.0.1:9"})

    priced = price_plan(a_plan(on_machines()), settings, tmp_path / "prices.json")

    assert "did not answer" in priced.notes[-1]
