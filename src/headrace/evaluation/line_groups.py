"""Lines that belong together: clusters, within which lines are not independent, and slices of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.domain.scores import ArmLines, LineFacts
from headrace.evaluation import wording

#: Slices of one column; those of the most lines are shown.
MAX_SLICES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """The cluster of every line.

    Attributes:
        of: Cluster by line id.
        n_without: Lines for which none is given; each of them is a cluster of its own.
    """

    of: Mapping[str, str]
    n_without: int

    def names(self, lines: Iterable[str]) -> list[str]:
        """The clusters of some lines, in their order."""
        return [self.of[line] for line in lines]


@dataclass(frozen=True, kw_only=True, slots=True)
class LineGroups:
    """How the lines of a comparison are grouped.

    Attributes:
        clusters: ``None`` where every line stands for itself.
        slices: Lines by column and value, columns as asked for, values by name.
        warnings: What a reader must know of the groups.
    """

    clusters: Clusters | None
    slices: Mapping[tuple[str, str], frozenset[str]]
    warnings: tuple[str, ...]


def group_lines(arms: Iterable[ArmLines], facts: Mapping[str, LineFacts]) -> LineGroups:
    """Group the lines that any arm has by what is known of them."""
    lines = dict.fromkeys(line for arm in arms for line, observations in arm.lines.items() if observations)
    known = {line: facts.get(line, LineFacts()) for line in lines}
    clusters, about_clusters = _find_clusters(known)
    slices, about_slices = _find_slices(known)
    return LineGroups(clusters=clusters, slices=slices, warnings=(*about_clusters, *about_slices))


def _find_clusters(known: Mapping[str, LineFacts]) -> tuple[Clusters | None, tuple[str, ...]]:
    given = {line: facts.cluster for line, facts in known.items() if facts.cluster is not None}
    if not given:
        return None, ()
    if len(set(given.values())) == len(given):
        return None, ("Every line is a cluster of its own, so lines count as independent.",)
    n_without = len(known) - len(given)
    # A separator that no name of a cluster begins with keeps lone lines apart from clusters of their name.
    of = {line: given.get(line, f"\0{line}") for line in known}
    if not n_without:
        return Clusters(of=of, n_without=0), ()
    lines = wording.count(n_without, "line")
    verb = "names" if n_without == 1 else "name"
    return Clusters(of=of, n_without=n_without), (
        f"{lines} {verb} no cluster: each counts as a cluster of its own.",
    )


def _find_slices(
    known: Mapping[str, LineFacts],
) -> tuple[dict[tuple[str, str], frozenset[str]], tuple[str, ...]]:
    columns = dict.fromkeys(column for facts in known.values() for column in facts.slices)
    slices: dict[tuple[str, str], frozenset[str]] = {}
    warnings = []
    for column in columns:
        found: dict[str, list[str]] = {}
        for line, facts in known.items():
            if column in facts.slices:
                found.setdefault(facts.slices[column], []).append(line)
        kept = sorted(found, key=lambda value: (-len(found[value]), value))[:MAX_SLICES]
        slices.update({(column, value): frozenset(found[value]) for value in sorted(kept)})
        if len(found) > len(kept):
            warnings.append(
                f"Column {column} has {len(found):,} values: the {MAX_SLICES} with the most lines are shown."
            )
    return slices, tuple(warnings)
