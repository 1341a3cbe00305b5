"""A digest of what a comparison was made of."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from headrace.domain.scores import ArmLines
from headrace.evaluation.line_scores import usable_score


def data_digest(arms: Sequence[ArmLines], metrics: Sequence[str]) -> str:
    """SHA-256, hexadecimal, over arms, line ids and what their executions scored on the metrics.

    Neither the order of the arms nor that of the lines matters; that of a line's repeats does.
    """
    digest = sha256()
    for arm in sorted(arms, key=lambda item: item.arm):
        parts = [repr(arm.arm)]
        for line_id in sorted(arm.lines):
            scores = [
                None if observation.is_failed else [usable_score(observation.scores.get(m)) for m in metrics]
                for observation in arm.lines[line_id]
            ]
            if scores:
                parts.append(f"{line_id!r} {scores}")
        digest.update("\n".join(parts).encode("utf-8", "backslashreplace") + b"\n\n")
    return digest.hexdigest()
