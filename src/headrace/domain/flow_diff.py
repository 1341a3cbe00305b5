"""What differs between two versions of a flow, by what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "<absent>"})()
"""Stands for a value that one of the two versions does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference.

    Attributes:
        kind: prompt, code, parameter, model, connection, wiring, variant, node, input, output, environment,
            requirements, data, include or setting.
        node: The node that it is about, ``node.variant`` for a variant; empty for what concerns the whole flow.
        what: Which parameter, file or key.
        before, after: Plain values; :data:`ABSENT` where there is none. Both absent for a change of text.
        text: The lines of a unified diff, for texts.
    """

    kind: str
    node: str
    what: str
    before: Any = ABSENT
    after: Any = ABSENT
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowParts:
    """A version of a flow, read.

    Attributes:
        name: What it is called.
        digest: Its id.
        data: What its flow file holds, without keys and passwords.
        body: The prompt of a prompty.
        file: Path of the flow file.
        files: Path to kind, digest and, of a file that is kept and is text, its text.
    """

    name: str
    digest: str
    data: Any
    body: str
    file: str
    files: dict[str, tuple[str, str, str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowDiff:
    """All differences between two versions, nodes in the order of the newer file.

    Attributes:
        before, after: What the two are called.
        before_digest, after_digest: Their ids; equal ids mean that nothing differs that can change an answer.
    """

    before: str
    after: str
    before_digest: str
    after_digest: str
    changes: tuple[Change, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs that can change an answer."""
        return self.before_digest == self.after_digest
