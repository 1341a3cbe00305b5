"""Variants, models and arms: what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headrace.domain.remote import RemoteFlow
from headrace.domain.values import JsonValue
from headrace.source import Pointer

FactorKind: TypeAlias = Literal["variant", "model", "parameter", "input", "connection", "flow"]


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
        remote: An address that answers in its place.
        column_mapping: Input of this arm's flow to where its value comes from, in place of what the experiment maps;
            ``None`` for that.
        outputs: Name by which evaluators read an output to the name that this arm's flow has for it; names that are not
            among them are the flow's own.
        factors: Factor to the level that this arm has of it; empty where the arm is no cell of a design.
    """

    name: str
    variant: Variant | None = None
    model: ModelSpec | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    flow_path: str | None = None
    remote: RemoteFlow | None = None
    column_mapping: Mapping[str, str] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One of the values that a factor takes: what it gives an arm.

    Attributes:
        name: How it is called in the factor.
        choices: Node name to variant id.
        overrides, model, flow_path, remote, column_mapping, outputs: As an :class:`Arm` has them.
        pointer: Where the level stands in the experiment file.
    """

    name: str
    choices: Mapping[str, str] = field(default_factory=dict)
    model: ModelSpec | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    flow_path: str | None = None
    remote: RemoteFlow | None = None
    column_mapping: Mapping[str, str] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    pointer: Pointer = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One thing that is varied over the arms, everything else the same.

    Attributes:
        kind: What is varied.
        levels: The first one is that of the baseline, unless another arm is named.
        node: The node that it belongs to; ``*`` for every llm node; empty for models and flows.
        field_name: The parameter or the input; empty for the other kinds.
        pointer: Where the factor stands in the experiment file.
    """

    name: str
    kind: FactorKind
    levels: tuple[Level, ...]
    node: str = ""
    field_name: str = ""
    pointer: Pointer = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Which cells of all combinations of levels are arms.

    Attributes:
        n_full: How many combinations there are.
        n_arms: How many of them are arms.
        fraction: What ``design`` asks for, ``1/2`` for one half; ``None`` for all.
        resolution: Of a fraction: the fewest factors of which an effect can be mistaken for that of the mean; with 3,
            effects of single factors are mixed up with those of pairs only, with 4, not even with these. ``None`` for
            all combinations.
        n_included, n_excluded: Arms that were added and taken out one by one.
    """

    n_full: int
    n_arms: int
    fraction: str | None = None
    resolution: int | None = None
    n_included: int = 0
    n_excluded: int = 0
