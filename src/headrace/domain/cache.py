"""Results of nodes that are kept, to be used again where the same work would be done once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.domain.run import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChoice:
    """Whether a run uses the cache.

    Attributes:
        is_on: ``None`` where nobody has said; then the setting decides, and after that what is run.
        left_out: Nodes that run every time all the same.
    """

    is_on: bool | None = None
    left_out: frozenset[str] = frozenset()


Changed = Callable[[], Sequence[str]]
"""Names of what is not any more what it was."""


def nothing_changed() -> Sequence[str]:
    """Everything is what it was."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What the code of a tool is made of.

    Attributes:
        parts: Digest of every file by its path below the project, version of every package by its name.
        variables: Environment variables that it asks for by name.
        is_steady: Nothing that it imports suggests that the same arguments may give different results.
        changed: Tells which files among the parts are not any more what they were.
    """

    parts: Mapping[str, str]
    variables: tuple[str, ...] = ()
    is_steady: bool = True
    changed: Changed = field(default=nothing_changed, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What the result of a node's call depends on.

    Attributes:
        key: SHA-256 over everything, 64 hexadecimal digits. Results of equal keys are the same.
        parts: A short digest of each part, by which two calls can be compared: code, inputs, model, connection,
            environment, repeat and engine, as far as the node has them.
    """

    key: str
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedResult:
    """The result of a node that was completed.

    Attributes:
        key: Of its fingerprint.
        output: As JSON text in ASCII, so that whoever takes it gets a copy of its own; see ``engine/kept_values.py``.
        logs: What the tool printed.
        usage: What was spent on it.
        run: The run that made it, which may have been deleted since.
        line_number, node: Of which line and node of it.
        duration_ns: How long it took.
        made_ns: When, in nanoseconds since the Unix epoch.
    """

    key: str
    output: str
    run: str
    line_number: int
    node: str
    logs: Mapping[str, str] = field(default_factory=dict)
    usage: Usage = Usage()
    duration_ns: int = 0
    made_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChanges:
    """What some lines have added to the cache and taken out of it.

    Attributes:
        made: New results.
        used: How often a result was used, by its key.
        used_ns: When, in nanoseconds since the Unix epoch.
    """

    made: tuple[CachedResult, ...] = ()
    used: Mapping[str, int] = field(default_factory=dict)
    used_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSummary:
    """How much a store keeps.

    Attributes:
        n_results: Results kept.
        n_bytes: Size of their outputs and logs.
        n_uses: How often they were used in place of a call, since they were made.
        usage: What was spent to make them.
        saved_tokens: What their uses would have taken.
        oldest_ns, newest_ns: When the first and the last of them were made; 0 for an empty cache.
    """

    n_results: int = 0
    n_bytes: int = 0
    n_uses: int = 0
    usage: Usage = Usage()
    saved_tokens: int = 0
    oldest_ns: int = 0
    newest_ns: int = 0
