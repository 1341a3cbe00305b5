"""What is kept of the inputs and outputs of live requests: of a share of the units, with consent, without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.domain.flow import Flow
from headrace.domain.run import LineResult
from headrace.domain.traffic import Traffic
from headrace.domain.values import without_fields
from headrace.engine.masking import mask_content, secret_inputs
from headrace.engine.runtime import PreparedFlow
from headrace.planning.assignment import RequestFacts, condition_test, hash_share


class RequestLogRule:
    """Which requests of a test are kept with what went in and came out.

    Args:
        traffic: The rules.
    """

    __slots__ = ("_is_met", "_log", "_seed")

    def __init__(self, traffic: Traffic) -> None:
        self._log = traffic.log
        self._seed = f"{traffic.seed}:log"
        self._is_met = None if traffic.log.consent is None else condition_test(traffic.log.consent)

    def takes(self, unit: str, facts: RequestFacts) -> bool:
        """Whether the request of a unit is kept."""
        log = self._log
        if not log.share or (log.share < 1 and hash_share(self._seed, unit) >= log.share):
            return False
        return self._is_met is None or self.has_consent(facts)

    def has_consent(self, facts: RequestFacts) -> bool:
        """Whether the request says that it may be used."""
        consent = self._log.consent
        return (
            consent is not None and self._is_met is not None and self._is_met(facts.find(consent.attribute))
        )

    def inputs(self, flow: Flow, line: LineResult) -> dict[str, Any]:
        """The inputs that are kept: none that the flow calls secret, and nothing that is redacted at any depth."""
        secret = {name for name, item in flow.inputs.items() if item.type == "secret"}
        kept: dict[str, Any] = without_fields(line.inputs, {*secret, *self._log.redact})
        return kept

    def outputs(
        self, flow: PreparedFlow, line: LineResult, inputs: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The outputs that are kept; ``None`` of a line that failed.

        Args:
            flow: What ran.
            line: What came of it.
            inputs: What it was given: an answer may quote what is secret in it.
        """
        if line.problem is not None:
            return None
        secrets = (*flow.secrets(), *secret_inputs(flow.plan.flow, inputs))
        kept: dict[str, Any] = without_fields(mask_content(line.outputs, secrets), self._log.redact)
        return kept
