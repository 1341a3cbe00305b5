"""Requirements of Python distributions: the lines of ``requirements.txt`` and of a distribution's own metadata."""

from __future__ import annotations

import operator
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_REQUIREMENT = re.compile(
    r"\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[^\]]*)\])?"
    r"(?P<versions>[^;]*)(?:;(?P<marker>.*))?"
)
_TERM = re.compile(r"""\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*["']([^"']*)["']\s*""")
_SIGNS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_COMMENT = re.compile(r"(^|\s)#.*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One distribution that is wanted.

    Attributes:
        name: Canonical name.
        extras: Extras of it that are wanted.
        marker: Where it is wanted; empty means everywhere.
    """

    name: str
    extras: frozenset[str]
    marker: str

    def applies(self, environment: Mapping[str, str], extras: Collection[str] = ()) -> bool:
        """Whether it is wanted in an environment by somebody with these extras.

        Terms that are not understood hold: a requirement too many does less harm than one too few.
        """
        alternatives = re.split(r"\bor\b", self.marker) if "(" not in self.marker else [self.marker]
        return any(
            all(_holds(term, environment, extras) for term in re.split(r"\band\b", alternative))
            for alternative in alternatives
        )


def canonical_name(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirement(text: str) -> Requirement | None:
    """A requirement; ``None`` for an option, an address, a path or nothing."""
    text = _COMMENT.sub("", text).strip()
    match = _REQUIREMENT.fullmatch(text)
    if match is None or "/" in match["versions"].partition("@")[0] or "://" in text.partition("@")[0]:
        return None
    extras = (match["extras"] or "").split(",")
    return Requirement(
        name=canonical_name(match["name"]),
        extras=frozenset(canonical_name(extra.strip()) for extra in extras if extra.strip()),
        marker=(match["marker"] or "").strip(),
    )


def _holds(term: str, environment: Mapping[str, str], extras: Collection[str]) -> bool:
    match = _TERM.fullmatch(term.replace("(", " ").replace(")", " "))
    if match is None:
        return True
    name, sign, wanted = match.groups()
    if name == "extra":
        return (canonical_name(wanted) in extras) == (sign == "==")
    found = environment.get(name)
    if found is None:
        return True
    if "version" in name:
        return bool(_SIGNS[sign](_comparable(found), _comparable(wanted)))
    return bool(_SIGNS[sign](found, wanted))


def _comparable(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
