"""Variants, models and arms: what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.domain.values import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a model costs, US dollars per million tokens."""

    input_usd: float
    output_usd: float

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Cost of one call in US dollars."""
        return (prompt_tokens * self.input_usd + completion_tokens * self.output_usd) / 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A model that every llm node of a flow is pointed at.

    Attributes:
        name: How the arm is called after it.
        connection: Connection name.
        model: Model name, or the deployment name on Azure.
        parameters: Model parameters that replace those of the nodes, e.g. ``{"temperature": 0}``.
        price: ``None`` when unknown; then the cost is unknown too, not zero.
    """

    name: str
    connection: str
    model: str
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One choice of a variant for each of some nodes; nodes not named keep their default.

    Attributes:
        name: How the arm is called after it.
        choices: Node name to variant id.
    """

    name: str
    choices: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """The thing compared offline and split online. ``None`` means as the flow file says.

    Attributes:
        overrides: ``node.field`` to value, as :func:`headrace.planning.override.apply_overrides` reads them; they come
            after the variant and the model.
        flow_path: The flow that this arm runs where several compete; ``None`` for that of the experiment.
        url: An HTTP endpoint that answers in place of a flow.
        factors: Factor to the level that this arm has of it; empty where the arm is no cell of a design.
    """

    name: str
    variant: Variant | None = None
    model: ModelSpec | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    flow_path: str | None = None
    url: str | None = None
    factors: Mapping[str, str] = field(default_factory=dict)
