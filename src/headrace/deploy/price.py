"""What the copies of a plan cost in an hour, by the retail prices that Azure publishes. Nothing is made up.

Source: the Azure Retail Prices API, ``https://prices.azure.com/api/retail/prices``, which asks nobody who they are
(learn.microsoft.com, rest/api/cost-management/retail-prices). Prices are in US dollars, without taxes and discounts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from headrace.config import Settings
from headrace.deploy.azure_faults import region_name
from headrace.domain.deployment import ACA, AZUREML, LOCAL, DeployPlan, Endpoint, Scale, Size
from headrace.providers.proxies import find_proxy
from headrace.providers.tls import trusted_certificates

URL = "https://prices.azure.com/api/retail/prices"
_TIMEOUT_S = 5.0
_MOST_PAGES = 5
_KEPT_S = 7 * 24 * 3600.0
_SECONDS = 3600
_API_VERSION = "2023-01-01-preview"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hourly:
    """What one copy costs in an hour, US dollars."""

    usd: float
    note: str = ""


Fetch = Callable[[str], Sequence[Mapping[str, Any]]]
"""Takes a filter of the API and gives the items that fit; raises ``OSError`` where there is no answer."""


def price_plan(plan: DeployPlan, settings: Settings, cache: Path, fetch: Fetch | None = None) -> DeployPlan:
    """A plan with its cost per hour, as far as it is known, and a note about what is not.

    Args:
        plan: The plan.
        settings: For proxies.
        cache: File that answers are kept in for a week, with their date.
        fetch: What asks for prices; that of the API unless given.

    Returns:
        The plan; it never fails for a price.
    """
    endpoint = plan.endpoint
    if endpoint.target == LOCAL and endpoint.hourly_usd is None:
        return plan
    prices = _Prices(cache, fetch or _asking(settings))
    least = most = 0.0
    notes: list[str] = []
    for copy in _copies(plan):
        if not copy.scale.maximum:
            continue
        found = _hourly(endpoint, copy, _region(plan), prices)
        if isinstance(found, str):
            return replace(plan, notes=(*plan.notes, f"The cost of {copy.name} is not known: {found}"))
        least += found.usd * copy.scale.minimum
        most += found.usd * copy.scale.maximum
        if found.note:
            notes.append(found.note)
    return replace(plan, hourly_usd=least, most_hourly_usd=most, notes=(*plan.notes, *dict.fromkeys(notes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """What copies of one deployment are like; a size of ``None`` is not known."""

    name: str
    scale: Scale
    size: Size | None


def _copies(plan: DeployPlan) -> Iterator[_Copy]:
    """All that will stand behind the endpoint: what the file wishes for, and what is there beside it and stays."""
    for wish in plan.endpoint.deployments:
        yield _Copy(name=wish.name, scale=wish.scale, size=wish.size)
    gone = {change.deployment for change in plan.changes if change.action == "delete deployment"}
    for item in plan.state.deployments:
        if plan.endpoint.find(item.name) is None and item.name not in gone and item.health != "stopped":
            scale = item.scale or Scale(minimum=item.n_copies or 0, maximum=item.n_copies or 0)
            size = Size(instance_type=item.instance_type) if item.instance_type else None
            yield _Copy(name=item.name, scale=scale, size=size)


def _region(plan: DeployPlan) -> str:
    """Where machines are paid for: as the file says, else as the target does."""
    said = plan.endpoint.place.location if plan.endpoint.place is not None else ""
    return region_name(said or plan.state.location)


def _hourly(endpoint: Endpoint, copy: _Copy, region: str, prices: _Prices) -> Hourly | str:
    """What a copy costs, or why that is not known."""
    if endpoint.hourly_usd is not None:
        return Hourly(usd=endpoint.hourly_usd)
    if not region:
        return "the file names no location. Write azure: {location: …}, or price_usd_per_hour."
    if copy.size is None:
        return "the target does not say what it runs on."
    if endpoint.target == AZUREML:
        return _machine(copy.size.instance_type, region, prices)
    if endpoint.target == ACA:
        return _container(copy.size, region, prices)
    return "its target has no price list."


def _machine(instance_type: str, region: str, prices: _Prices) -> Hourly | str:
    """A managed online endpoint costs what its virtual machines cost."""
    sku = instance_type if instance_type.lower().startswith("standard_") else f"Standard_{instance_type}"
    rule = f"serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and armSkuName eq '{sku}'"
    found = prices.find(rule)
    if isinstance(found, str):
        return found
    fitting = [
        float(item["retailPrice"])
        for item in found
        if _is_paid_by_use(item)
        and item.get("unitOfMeasure") == "1 Hour"
        and not any(word in _words(item) for word in ("windows", "spot", "low priority"))
    ]
    if not fitting:
        return f"no price of {sku} in {region} is listed."
    return Hourly(usd=max(fitting), note=f"Prices are retail prices in US dollars, looked up {prices.date}.")


def _container(size: Size, region: str, prices: _Prices) -> Hourly | str:
    """An app on the consumption plan costs its cores and its memory for every second in which it works."""
    rule = f"serviceName eq 'Azure Container Apps' and armRegionName eq '{region}'"
    found = prices.find(rule)
    if isinstance(found, str):
        return found
    cpu = _active(found, "vcpu")
    memory = _active(found, "memory")
    if cpu is None or memory is None or size.cpu is None or size.memory_gib is None:
        return f"no prices of Container Apps in {region} are listed."
    usd = (size.cpu * cpu + size.memory_gib * memory) * _SECONDS
    note = f"Prices are retail prices in US dollars of copies that are at work, looked up {prices.date}; "
    return Hourly(usd=usd, note=note + "idle copies cost less, and some seconds of each month nothing.")


def _active(items: Sequence[Mapping[str, Any]], what: str) -> float | None:
    """What a second of a core, or of a GiB of memory, costs while it is used."""
    prices = [
        float(item["retailPrice"])
        for item in items
        if _is_paid_by_use(item)
        and what in _words(item)
        and "active" in _words(item)
        and "second" in str(item.get("unitOfMeasure", "")).lower()
        and float(item["retailPrice"]) > 0
    ]
    return max(prices) if prices else None


def _is_paid_by_use(item: Mapping[str, Any]) -> bool:
    """Whether it is neither a reservation, whose price is one of years, nor for tests of subscribers only."""
    return item.get("type") in ("", "Consumption")


def _words(item: Mapping[str, Any]) -> str:
    return " ".join(str(item.get(key, "")) for key in ("productName", "skuName", "meterName")).lower()


class _Prices:
    """Answers of the API, kept for a while.

    Attributes:
        date: When the last answer that was given was looked up, as people write it.
    """

    def __init__(self, cache: Path, fetch: Fetch, clock: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._fetch = fetch
        self._clock = clock
        self.date = ""

    def find(self, rule: str) -> Sequence[Mapping[str, Any]] | str:
        """The items that fit a filter, or why they are not known."""
        kept = self._read()
        entry = kept.get(rule)
        is_new = entry is not None and self._clock() - entry["at"] < _KEPT_S
        if not is_new:
            try:
                entry = {"at": self._clock(), "items": [_slim(item) for item in self._fetch(rule)]}
            except (OSError, ValueError, KeyError, TypeError):
                if entry is None:
                    return "the price list of Azure did not answer."
            else:
                self._keep({**kept, rule: entry})
        self.date = time.strftime("%Y-%m-%d", time.gmtime(entry["at"])) if entry is not None else ""
        return entry["items"] if entry is not None else ()

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self._cache.read_text(encoding="utf-8"))
            return {
                rule: entry
                for rule, entry in data.items()
                if isinstance(entry["at"], (int, float)) and isinstance(entry["items"], list)
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _keep(self, entries: Mapping[str, Any]) -> None:
        try:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            part = self._cache.with_suffix(".part")
            part.write_text(json.dumps(entries), encoding="utf-8")
            part.replace(self._cache)
        except OSError:
            return  # it is looked up again next time


def _slim(item: Mapping[str, Any]) -> dict[str, Any]:
    """What of an item counts.

    Raises:
        KeyError, ValueError, TypeError: It has no price.
    """
    names = ("productName", "skuName", "meterName", "unitOfMeasure", "armSkuName", "type")
    return {**{name: item.get(name, "") for name in names}, "retailPrice": float(item["retailPrice"])}


def _asking(settings: Settings) -> Fetch:
    def fetch(rule: str) -> Sequence[Mapping[str, Any]]:
        certificates = trusted_certificates(URL)
        verify: dict[str, Any] = {} if certificates is None else {"verify": certificates}
        proxy = find_proxy(URL, settings.environment)
        items: list[Mapping[str, Any]] = []
        try:
            with httpx2.Client(proxy=proxy, trust_env=False, timeout=_TIMEOUT_S, **verify) as client:
                parameters = {"api-version": _API_VERSION, "$filter": rule}
                answer = client.get(URL, params=parameters)
                for _ in range(_MOST_PAGES):
                    page = answer.raise_for_status().json()
                    items += page["Items"]
                    link = page.get("NextPageLink")
                    if not link or not str(link).startswith(f"{URL}?"):
                        break
                    answer = client.get(str(link))
        except httpx2.HTTPError as error:
            raise OSError(type(error).__name__) from error
        return items

    return fetch
