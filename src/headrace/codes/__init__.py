"""The catalogue of problem codes: one entry each, in families by letter. Pure data.

Codes are forever: a number is never used again, and the meaning of one never changes. A new code stands at the end
of its family and comes with a case in ``tests/conformance/problems``.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.connections import CONNECTION_CODES
from headrace.codes.deploying import DEPLOY_CODES
from headrace.codes.entry import Entry
from headrace.codes.evaluators import EVALUATOR_CODES
from headrace.codes.evidence import EVIDENCE_CODES
from headrace.codes.flows import FLOW_CODES
from headrace.codes.gates import GATE_CODES
from headrace.codes.judging import JUDGE_CODES
from headrace.codes.moving import MOVING_CODES
from headrace.codes.online import ONLINE_CODES
from headrace.codes.races import RACE_CODES
from headrace.codes.runs import RUN_CODES
from headrace.codes.simulation import SIMULATION_CODES
from headrace.codes.suggestions import SUGGESTION_CODES
from headrace.codes.traffic import TRAFFIC_CODES
from headrace.codes.versions import VERSION_CODES

CATALOGUE: Mapping[str, Entry] = {
    **FLOW_CODES,
    **RUN_CODES,
    **EVALUATOR_CODES,
    **CONNECTION_CODES,
    **MOVING_CODES,
    **JUDGE_CODES,
    **GATE_CODES,
    **RACE_CODES,
    **VERSION_CODES,
    **SUGGESTION_CODES,
    **ONLINE_CODES,
    **TRAFFIC_CODES,
    **SIMULATION_CODES,
    **EVIDENCE_CODES,
    **DEPLOY_CODES,
}
