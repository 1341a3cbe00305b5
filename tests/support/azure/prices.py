"""Azure Retail Prices (``prices.azure.com``), which asks for no token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tests.support.azure.messages import Refusal, Request, Response, reply

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

PRICES_HOST = "prices.azure.com"
_PAGE = 100
_TERM = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*")


class Prices:
    """All there are.

    Attributes:
        items: As the service answers them.
    """

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def add(self, usd: float, *, unit: str = "1 Hour", **fields: Any) -> None:
        """Add one; ``fields`` are those of an item: ``armSkuName``, ``armRegionName``, ``serviceName``, …"""
        self.items.append(
            {
                "currencyCode": "USD",
                "tierMinimumUnits": 0.0,
                "retailPrice": usd,
                "unitPrice": usd,
                "effectiveStartDate": "2026-01-01T00:00:00Z",
                "unitOfMeasure": unit,
                "type": "Consumption",
                "isPrimaryMeterRegion": True,
                **fields,
            }
        )

    def answer(self, request: Request) -> Response:
        """One page of the items that a filter of terms ``field eq 'value' and …`` lets through."""
        if request.path != "/api/retail/prices":
            raise Refusal(404, "NotFound", "Not found.")
        asked = request.query.get("$filter", "")
        terms = []
        for part in re.split(r"\s+and\s+", asked) if asked else []:
            match = _TERM.fullmatch(part.strip("() "))
            if match is None:
                raise Refusal(400, "BadRequest", f"Invalid OData filter: {part}")
            terms.append((match[1], match[2]))
        found = [item for item in self.items if all(str(item.get(name)) == value for name, value in terms)]
        skip = int(request.query.get("$skip", 0))
        page = found[skip : skip + _PAGE]
        is_last = skip + _PAGE >= len(found)
        more = (
            None if is_last else f"https://{PRICES_HOST}{request.path}?$filter={asked}&$skip={skip + _PAGE}"
        )
        return reply(
            {
                "BillingCurrency": "USD",
                "CustomerEntityId": "Default",
                "CustomerEntityType": "Retail",
                "Items": page,
                "NextPageLink": more,
                "Count": len(page),
            }
        )


def register(azure: StandIn) -> None:
    """Add it, as ``azure.prices``."""
    azure.prices = Prices()
    azure.add_host(PRICES_HOST, azure.prices.answer)
