"""Codes of gates and of plans, of the family G."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

GATE_CODES: Mapping[str, Entry] = {
    "G961": Entry(
        "gate-without-baseline",
        "A gate without a baseline",
        "A gate compares an arm with another: of the same comparison, of a stored one, of a recorded experiment, or "
        "of a version or branch that was run.",
    ),
    "G962": Entry(
        "bad-gate",
        "A gate that asks nothing that can be answered",
        "A budget has a limit and no margin, other tests have a margin and no limit, and cost, latency, tokens and "
        "failures are for guardrails and budgets.",
    ),
    "G963": Entry(
        "unreadable-baseline",
        "A stored comparison that cannot be used as a baseline",
        "It is no JSON of headrace compare or headrace gate, lacks what the gate asks about, or is about other lines.",
    ),
    "G964": Entry(
        "gate-on-chosen-lines",
        "A gate on lines that were used to choose",
        "An arm that was chosen by its answers to some lines looks better on them than it is.",
    ),
    "G965": Entry(
        "nothing-to-plan-from",
        "A plan without anything to plan from",
        "How many lines are needed follows from how much differences vary: seen in a pilot, or assumed.",
    ),
    "G966": Entry(
        "no-runs-of-baseline",
        "A version or branch without scores to compare with",
        "An arm is compared with a version, or with a branch, by what that has answered to the same version of the "
        "data, scored by the same evaluators.",
    ),
}
