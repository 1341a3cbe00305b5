"""An online test at one moment, as it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.ab_report import AbReport
from headrace.domain.offline_beside import JoinedResults
from headrace.domain.traffic import Revision, Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class AbView:
    """An online test at one moment.

    Attributes:
        traffic: The rules that hold.
        history: Revisions, oldest first; at least one.
        report: The look.
        looks: Looks so far, oldest first, this one last.
        offline: What an experiment said of the arms; ``None`` where the rules name none.
    """

    traffic: Traffic
    history: tuple[Revision, ...]
    report: AbReport
    looks: tuple[AbReport, ...]
    offline: JoinedResults | None = None
