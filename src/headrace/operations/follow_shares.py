"""The weights of a target follow those of an online test: each revision becomes shares of its deployments.

A target assigns every request anew, so it keeps no unit with its arm. Whatever moves traffic in the test, a rollback by
a watch above all, reaches the target within one look. The store and the target remember all that there is: whoever
goes on after a restart sees what is left to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from headrace.domain.deployment import EndpointState
from headrace.domain.traffic import Revision, Traffic
from headrace.domain.whole_shares import revision_percents
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.evaluation.report.revisions import say_revision
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import arms_out, settle_revision
from headrace.operations.apply_deployment import ApplyChoice, apply_prepared
from headrace.operations.open_deployment import OpenDeployment
from headrace.operations.plan_deployment import PreparedPlan, prepare_traffic

Tell = Callable[[str, Sequence[Problem]], None]
"""Hears what happened, and the problems behind it."""


def find_test(opened: OpenDeployment, file: Path | None) -> Traffic:
    """The rules of the test whose weights count.

    Args:
        opened: The deployment file and its target.
        file: The traffic file; ``None`` for that of the deployment file.

    Raises:
        UsageError: C507 where neither names one.
        DefinitionError: The traffic file is wrong.
    """
    path = file or (Path(opened.endpoint.traffic_file) if opened.endpoint.traffic_file else None)
    if path is None:
        what = "Nothing says which online test the shares are taken from."
        fix = "Name its file: --from-test traffic.yaml, or write traffic: traffic.yaml into the deployment file."
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    return read_traffic(path)


class SharesOfTest:
    """What the revision of a test that holds wants of a target.

    Args:
        opened: The target.
        traffic: Rules of the test.
        read_at: When they were read from their file, in UTC.
    """

    def __init__(self, opened: OpenDeployment, traffic: Traffic, read_at: datetime) -> None:
        self._opened = opened
        self._traffic = traffic
        self._read_at = read_at

    def revision(self) -> Revision:
        """What holds now; the test begins, or takes the step of a ramp, where that is due.

        Raises:
            StateError: The store is away.
            UsageError: S842 for a changed file without the arm that answers everybody.
        """
        workspace = self._opened.workspace
        return settle_revision(workspace.store, self._traffic, workspace.now(), read_at=self._read_at)

    def prepare(self, revision: Revision, state: EndpointState | None = None) -> PreparedPlan:
        """The plan that gives deployments the shares of their arms, whole percents.

        Where arms are out of the test and only its baseline gets more, traffic goes back: neither the limit of a shift
        nor the gate holds that up.

        Raises:
            UsageError: X143 or X150 for what is not there.
            RemoteError: The target cannot be read.
        """
        opened = self._opened
        there = opened.target.read_state() if state is None else state
        shares = {opened.named(arm): percent for arm, percent in revision_percents(revision).items()}
        growing = {name for name, percent in shares.items() if percent > there.traffic.get(name, 0)}
        is_left = revision.is_over or bool(arms_out(opened.workspace.store.list_revisions(revision.test)))
        is_back = is_left and growing <= {opened.named(self._traffic.baseline)}
        return prepare_traffic(opened, shares, there, is_rollback=is_back)


@dataclass(slots=True)
class _Heard:
    """What was said last, so that it is said once."""

    revision: int = 0
    problems: tuple[Problem, ...] = ()


class SharesFollower:
    """Gives a target the shares of every new revision of a test.

    Args:
        wanted: What the test wants.
        opened: The target.
        choice: How plans are applied.
        tell: Hears of shares that were given, and of what is in the way.
    """

    def __init__(self, wanted: SharesOfTest, opened: OpenDeployment, choice: ApplyChoice, tell: Tell) -> None:
        self._wanted = wanted
        self._opened = opened
        self._choice = choice
        self._tell = tell
        self._heard = _Heard()

    def run(self, is_over: threading.Event, every_s: float) -> None:
        """Look every ``every_s`` seconds until ``is_over`` is set; a plan that is being applied is ended first."""
        while not is_over.is_set():
            self.step()
            is_over.wait(every_s)

    def step(self) -> None:
        """Look once. A revision that the target has is not enforced again, so that people may move shares by hand."""
        try:
            revision = self._wanted.revision()
            if revision.number == self._heard.revision:
                return
            self._give(revision)
        except HeadraceError as error:
            if error.problems != self._heard.problems:
                self._tell("The shares stay as they are; it is tried again.", error.problems)
            self._heard.problems = error.problems
            return
        self._heard.revision = revision.number
        self._heard.problems = ()

    def _give(self, revision: Revision) -> None:
        prepared = self._wanted.prepare(revision)
        if prepared.plan.changes:
            again = self._wanted.prepare
            apply_prepared(self._opened, prepared, self._choice, lambda state: again(revision, state))
        shares = revision_percents(revision)
        said = ", ".join(f"{arm} {percent} %" for arm, percent in shares.items())
        done = "has" if prepared.plan.changes else "had"
        self._tell(f"{say_revision(revision)} {self._opened.endpoint.name} {done} {said}.", ())
