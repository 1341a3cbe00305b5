"""Which requests of a served flow are kept as lines, and how much is recorded of each for that.

Whether a request is in the share is decided by its trace id before it runs, so that those outside it cost nothing more.
A rule that looks at what came of a request has all of them recorded, and most of that forgotten again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headrace.domain.run import LineResult
from headrace.engine.line import NO_ATTRIBUTES, OnOutputs, OnPiece, run_line
from headrace.engine.runtime import PreparedFlow
from headrace.telemetry.sampling import TailRule
from headrace.telemetry.spans import enclosing_span, is_in_share, new_trace_id


class LineKeeper:
    """Runs the lines of one version of a flow, and hands on those that are to be kept.

    Args:
        flow: The version, of whose lines nothing is recorded.
        rule: Which are to be kept; of a request without a trace, a share by chance.
        take: Takes a line that is to be kept; never waits and never raises.
    """

    def __init__(self, flow: PreparedFlow, rule: TailRule, take: Callable[[LineResult], None]) -> None:
        self._flow = flow
        self._recorded = replace(flow, keeps_nodes=True)
        self._rule = rule
        self._take = take

    async def run(
        self,
        inputs: Mapping[str, Any],
        *,
        line_number: int,
        on_outputs: OnOutputs | None = None,
        on_piece: OnPiece | None = None,
        attributes: Mapping[str, Any] = NO_ATTRIBUTES,
    ) -> LineResult:
        """Run a line; see :func:`~headrace.engine.line.run_line`. One that is cancelled has no result to be kept."""
        rule, above = self._rule, enclosing_span.get()
        is_chosen = is_in_share(new_trace_id() if above is None else above.trace_id, rule.share)
        line = await run_line(
            self._recorded if is_chosen or rule.looks_back else self._flow,
            inputs,
            line_number=line_number,
            on_outputs=on_outputs,
            on_piece=on_piece,
            attributes=attributes,
        )
        took_ns = line.end_ns - line.start_ns
        if is_chosen or rule.fits_outcome(is_failed=line.problem is not None, took_ns=took_ns):
            self._take(line)
        return line
