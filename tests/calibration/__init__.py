"""Do intervals cover, and tests err, as they promise? Exact where it can be enumerated, else simulated; minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.calibration import arms, choices, clusters, equal_arms, graded, labels, online, plans, races, rates
from tests.calibration.study import Study

#: In the order of the page; the ones that take longest come last.
STUDIES: Mapping[str, Callable[[], Study]] = {
    "one_rate": rates.one_rate,
    "paired_difference": rates.paired_difference,
    "paired_tests": rates.paired_tests,
    "graded_difference": graded.graded_difference,
    "graded_tests": graded.graded_tests,
    "repeated_answers": graded.repeated_answers,
    "clustered_rate": clusters.clustered_rate,
    "clustered_difference": clusters.clustered_difference,
    "unequal_clusters": clusters.unequal_clusters,
    "labelled_rate": labels.labelled_rate,
    "labelled_difference": labels.labelled_difference,
    "best_set": arms.best_set,
    "winners": arms.winners,
    "chances": arms.chances,
    "choices": choices.choices,
    "plans": plans.plans,
    "race_costs": races.costs,
    "race_near_ties": races.near_ties,
    "race_populations": races.populations,
    **online.studies(),
    **equal_arms.studies(),
}
