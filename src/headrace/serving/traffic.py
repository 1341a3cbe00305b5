"""A served flow whose requests are split among arms.

The arm is chosen before its inputs are read, and the exposure is kept before the arm is asked: a request that does not
fit is no exposure. What came of it is kept when the answer ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from starlette.types import Scope

from headrace.domain.evidence import (
    ARM_FIELD,
    EXPOSURE_FIELD,
    Completion,
    Exposure,
    Role,
    in_header,
    unit_digest,
)
from headrace.domain.flow import ENDPOINT
from headrace.domain.run import LineResult
from headrace.engine.line import OnOutputs, OnPiece
from headrace.errors import UsageError
from headrace.planning.asked_facts import AskedFacts
from headrace.planning.assignment import Assignment
from headrace.planning.feedback import read_feedback, without_unit
from headrace.serving.admission import ENDED, SLOW
from headrace.serving.evidence_log import EvidenceLog
from headrace.serving.mirrors import Mirrors
from headrace.serving.request_id import REQUEST_ID, new_id
from headrace.serving.served import FLOW_VERSION, Fit, FlowCall, ServedFlow, ServedVersion
from headrace.serving.traffic_rules import TrafficRules
from headrace.telemetry import attributes as names
from headrace.telemetry.spans import enclosing_span

_TIMED_OUT = "E603"


class SplitFlow(ServedFlow):
    """A flow at one path whose requests are split. To everybody who asks what is served, it is its baseline.

    Args:
        path: What stands before ``/score``: empty, or ``/name``.
        rules: What holds; another one may be put in its place at any time.
        evidence: Keeps exposures, completions and feedback.
        mirrors: Runs shadow arms.
    """

    def __init__(self, path: str, rules: TrafficRules, evidence: EvidenceLog, mirrors: Mirrors) -> None:
        super().__init__(path, rules.baseline.version)
        self.rules = rules
        self.evidence = evidence
        self.mirrors = mirrors

    @property
    def version(self) -> ServedVersion:
        """The baseline's."""
        return self.rules.baseline.version

    @contextmanager
    def use(self) -> Iterator[ServedVersion]:
        """The baseline's version, which is kept open during the block."""
        with self.rules, self.rules.baseline.use() as version:
            yield version

    @contextmanager
    def call(self, scope: Scope, body: Any) -> Iterator[FlowCall]:
        """One request, and the arm that answers it; see :meth:`ServedFlow.call`."""
        rules = self.rules
        facts = AskedFacts(scope, body, rules.traffic, scope.get(REQUEST_ID) or new_id())
        assignment = rules.assign(facts)
        self.n_requests += 1
        with rules, rules.arms[assignment.arm].use() as version:
            yield SplitCall(self, rules, facts, assignment, version, scope)

    def shown_feedback(self, body: bytes) -> bytes:
        """Everything but who it is about; see :meth:`ServedFlow.shown_feedback`."""
        return without_unit(body)

    async def hear(self, body: bytes, headers: Any) -> None:
        """Keep what feedback says of requests and units of the test; see :meth:`ServedFlow.hear`."""
        for record in read_feedback(body, headers, self.rules.traffic.name):
            await self.evidence.keep(record)


class SplitCall(FlowCall):
    """One request on its way through the arm that it was given."""

    __slots__ = ("_assignment", "_began_s", "_exposure", "_facts", "_first_s", "_fit", "_is_logged", "_rules", "_scope",
                 "_split", "_unit")  # fmt: skip

    def __init__(
        self,
        split: SplitFlow,
        rules: TrafficRules,
        facts: AskedFacts,
        assignment: Assignment,
        version: ServedVersion,
        scope: Scope,
    ) -> None:
        super().__init__(version, split.n_requests)
        self._began_s = time.perf_counter()
        self._split = split
        self._rules = rules
        self._facts = facts
        self._assignment = assignment
        self._scope = scope
        self._unit = assignment.unit or facts.request_id
        self._exposure: Exposure | None = None
        self._first_s: float | None = None
        self._is_logged = False
        self.headers[ARM_FIELD] = in_header(assignment.arm)
        if facts.cookie:
            self.headers["set-cookie"] = facts.cookie
        self._note_span()

    def take(self, fit: Fit) -> None:
        """Take the inputs; see :meth:`FlowCall.take`."""
        self._fit = fit
        self.inputs = self._fitted(self.version)

    def _fitted(self, version: ServedVersion) -> Mapping[str, Any]:
        """The inputs for a version; one that runs elsewhere is sent what the baseline takes, with its defaults.

        Raises:
            UsageError: They do not fit.
        """
        flow = version.flow.plan.flow
        if flow.kind != ENDPOINT:
            return self._fit(flow)
        baseline = self._rules.baseline.version.flow.plan.flow
        if baseline.kind == ENDPOINT or not flow.inputs.keys() <= baseline.inputs.keys():
            return self._fit(flow)
        return {name: value for name, value in self._fit(baseline).items() if name in flow.inputs}

    async def run(
        self, *, on_outputs: OnOutputs | None = None, on_piece: OnPiece | None = None
    ) -> LineResult:
        """Run the line at the arm, and at the baseline where the arm fails and the test says so."""
        await self._expose()
        version = self.version
        try:
            line = await self._run_at(version, on_outputs, on_piece)
        except asyncio.CancelledError:
            await self._note_cut()
            raise
        if line.problem is None or not self._may_fall_back():
            await self._note(line, version, self._assignment.arm)
            return line
        took_s = time.perf_counter() - self._began_s
        try:
            answer, answered_by = await self._fall_back(line, on_outputs, on_piece)
        except asyncio.CancelledError:
            await self._note(line, version, "", took_s)
            raise
        await self._note(line, version, answered_by, took_s)
        return answer

    async def _run_at(
        self, version: ServedVersion, on_outputs: OnOutputs | None, on_piece: OnPiece | None
    ) -> LineResult:
        hear = None if on_piece is None else partial(self._hear, on_piece)
        return await version.run_line(
            self.inputs, line_number=self.line_number, on_outputs=on_outputs, on_piece=hear
        )

    def _hear(self, on_piece: OnPiece, name: str, piece: Any) -> None:
        if self._first_s is None and piece != "":
            self._first_s = time.perf_counter() - self._began_s
        on_piece(name, piece)

    def _may_fall_back(self) -> bool:
        traffic = self._rules.traffic
        return traffic.falls_back and self._assignment.arm != traffic.baseline and self._first_s is None

    async def _fall_back(
        self, line: LineResult, on_outputs: OnOutputs | None, on_piece: OnPiece | None
    ) -> tuple[LineResult, str]:
        """The baseline's answer, and who has answered; the arm's own where the baseline cannot take the request."""
        with self._rules.baseline.use() as version:
            try:
                inputs = self._fitted(version)
            except UsageError:
                return line, self._assignment.arm
            if on_outputs is not None:
                on_outputs({}, ())  # what the arm had to say is not said
            answer = await version.run_line(
                inputs, line_number=self.line_number, on_outputs=on_outputs, on_piece=on_piece
            )
        self.version = version
        self.headers[FLOW_VERSION] = version.header
        return answer, self._rules.traffic.baseline

    async def _expose(self) -> None:
        """Keep the exposure, and begin what the request is mirrored to; nothing of either where the test is over."""
        rules, assignment = self._rules, self._assignment
        if rules.revision.is_over:
            return
        self._is_logged = assignment.role == "assigned" and rules.log.takes(self._unit, self._facts)
        exposure = self._make_exposure(assignment.arm, assignment.role, assignment.propensity, self.version)
        if await self._split.evidence.try_keep(exposure):
            self._exposure = exposure
            self.headers[EXPOSURE_FIELD] = exposure.id
        for name in assignment.shadows:
            self._split.mirrors.start(partial(self._mirror, name), test=rules.traffic.name, arm=name)

    def _make_exposure(self, arm: str, role: Role, propensity: float, version: ServedVersion) -> Exposure:
        test, request_id = self._rules.traffic.name, self._facts.request_id
        span = enclosing_span.get()
        return Exposure(
            id=request_id if role != "shadow" else f"{request_id}:{arm}",
            test=test,
            revision=self._rules.revision.number,
            at_ns=time.time_ns(),
            unit=unit_digest(test, self._unit),
            arm=arm,
            version=version.header,
            propensity=propensity,
            role=role,
            request_id=request_id,
            trace_id="" if span is None else span.trace_id,
            attributes=self._assignment.attributes,
        )

    async def _mirror(self, name: str) -> None:
        """Run a shadow arm; what it says is recorded and shown to nobody."""
        rules, evidence, assignment = self._rules, self._split.evidence, self._assignment
        arm = rules.traffic.arm(name)
        share = (arm.shadow_share if arm else None) or 1.0
        with rules, rules.arms[name].use() as version:
            try:
                inputs = self._fitted(version)
            except UsageError:  # an arm with other inputs: it cannot be asked this
                return
            exposure = self._make_exposure(name, "shadow", share, version)
            if not await evidence.try_keep(exposure):
                return
            began_s = time.perf_counter()
            try:
                line = await version.run_line(inputs, line_number=self.line_number)
            except asyncio.CancelledError:
                await evidence.try_keep(
                    _cut(exposure, "", is_gone=True, took_s=time.perf_counter() - began_s)
                )
                raise
            took_s = time.perf_counter() - began_s
            await evidence.try_keep(self._complete(exposure, line, version, assignment.arm, took_s))

    async def _note(
        self, line: LineResult, version: ServedVersion, answered_by: str, took_s: float | None = None
    ) -> None:
        if self._exposure is None:
            return
        took_s = time.perf_counter() - self._began_s if took_s is None else took_s
        completion = self._complete(self._exposure, line, version, answered_by, took_s, self._first_s)
        await self._split.evidence.try_keep(completion)

    def _complete(
        self,
        exposure: Exposure,
        line: LineResult,
        version: ServedVersion,
        answered_by: str,
        took_s: float,
        first_s: float | None = None,
    ) -> Completion:
        usage, log, flow = line.usage, self._rules.log, version.flow.plan.flow
        is_known = (
            usage.knows_tokens and flow.kind != ENDPOINT
        )  # what runs elsewhere does not say what it took
        return Completion(
            exposure=exposure.id,
            test=exposure.test,
            at_ns=time.time_ns(),
            answered_by=answered_by,
            problem="" if line.problem is None else line.problem.code,
            latency_ms=took_s * 1000,
            first_token_ms=None if first_s is None else first_s * 1000,
            prompt_tokens=usage.prompt_tokens if is_known else None,
            completion_tokens=usage.completion_tokens if is_known else None,
            cost_usd=usage.cost_usd if usage.calls or flow.kind == ENDPOINT else 0.0,
            inputs=log.inputs(flow, line) if self._is_logged else None,
            outputs=log.outputs(version.flow, line, self.inputs) if self._is_logged else None,
            has_consent=self._is_logged and log.has_consent(self._facts),
        )

    async def _note_cut(self) -> None:
        """Keep that the arm did not come to an end: its failure where it took too long, else nobody's."""
        if self._exposure is None:
            return
        is_slow = self._scope.get(ENDED) == SLOW
        took_s = time.perf_counter() - self._began_s
        problem = _TIMED_OUT if is_slow else ""
        await self._split.evidence.try_keep(
            _cut(self._exposure, problem, is_gone=not is_slow, took_s=took_s, first_s=self._first_s)
        )

    def _note_span(self) -> None:
        """Say on the server span of this request which arm it was given."""
        span = enclosing_span.get()
        if span is None or self._rules.revision.is_over:
            return
        span.attributes |= {
            names.TEST: self._rules.traffic.name,
            names.REVISION: self._rules.revision.number,
            names.ARM: self._assignment.arm,
            names.ROLE: self._assignment.role,
            names.PROPENSITY: self._assignment.propensity,
        }


def _cut(
    exposure: Exposure, problem: str, *, is_gone: bool, took_s: float, first_s: float | None = None
) -> Completion:
    return Completion(
        exposure=exposure.id,
        test=exposure.test,
        at_ns=time.time_ns(),
        answered_by="" if is_gone else exposure.arm,
        problem=problem,
        is_gone=is_gone,
        latency_ms=took_s * 1000,
        first_token_ms=None if first_s is None else first_s * 1000,
    )
