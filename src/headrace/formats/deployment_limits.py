"""What the places that flows are deployed to take: names, sizes, times.

Of managed online endpoints (learn.microsoft.com/azure/machine-learning/how-to-manage-quotas and
reference-yaml-deployment-managed-online) and of Container Apps (learn.microsoft.com/azure/container-apps/containers,
.../scale-app, .../ingress-overview, and the schema of Microsoft.App 2026-01-01).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headrace.domain.deployment import ACA, AZUREML, LOCAL, Probe, Size, TargetName


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLimits:
    """What one target takes.

    Attributes:
        called: Its name for people.
        name: What the name of an endpoint looks like.
        deployment: What the name of a deployment looks like.
        wanted: The former in words.
        deployment_wanted: The latter in words.
        longest_timeout_s: For one answer, seconds; ``None`` for no limit.
        most_copies: Of one deployment.
        fewest_copies: Of one deployment.
        most_deployments: Behind one endpoint.
        probe: Where the file says nothing of probes.
        most_failures: Of a probe, in a row; ``None`` for no limit.
        longest_delay_s: Of a probe, seconds; ``None`` for no limit.
    """

    called: str
    name: re.Pattern[str]
    deployment: re.Pattern[str]
    wanted: str
    deployment_wanted: str
    longest_timeout_s: float | None = None
    fewest_copies: int = 1
    most_copies: int
    most_deployments: int
    probe: Probe = field(default_factory=Probe)
    most_failures: int | None = None
    longest_delay_s: int | None = None


_DASHED = r"[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*"
_SMALL = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_WORDS = "letters, digits and single dashes, the first a letter and the last no dash"

LIMITS: Final[Mapping[TargetName, TargetLimits]] = {
    LOCAL: TargetLimits(
        called="This machine",
        name=re.compile(rf"(?=.{{1,63}}\Z){_DASHED}"),
        deployment=re.compile(rf"(?=.{{1,63}}\Z){_DASHED}"),
        wanted=f"at most 63 {_WORDS}",
        deployment_wanted=f"at most 63 {_WORDS}",
        most_copies=64,
        most_deployments=20,
    ),
    AZUREML: TargetLimits(
        called="Azure Machine Learning",
        name=re.compile(rf"(?=.{{3,32}}\Z){_SMALL}"),
        deployment=re.compile(rf"(?=.{{3,32}}\Z){_SMALL}"),
        wanted=f"3 to 32 small {_WORDS}",
        deployment_wanted=f"3 to 32 small {_WORDS}",
        longest_timeout_s=180.0,
        most_copies=50,
        most_deployments=20,
    ),
    ACA: TargetLimits(
        called="Container Apps",
        name=re.compile(rf"(?=.{{2,32}}\Z){_SMALL}"),
        deployment=re.compile(rf"(?=.{{1,28}}\Z){_SMALL}"),
        wanted=f"2 to 32 small {_WORDS}",
        deployment_wanted=f"at most 28 small {_WORDS}",
        longest_timeout_s=240.0,
        fewest_copies=0,
        most_copies=1_000,
        most_deployments=100,
        probe=Probe(failures=10),
        most_failures=10,
        longest_delay_s=60,
    ),
}

CONTAINER: Final = Size(cpu=0.5, memory_gib=1.0)
"""What a container gets where the file says nothing of it."""

CPU_STEPS: Final = tuple(step / 4 for step in range(1, 17))
"""Cores of a container on the plan Consumption; each has twice as many GiB of memory."""


def offered_name(text: str, target: TargetName) -> str | None:
    """The nearest name to a text that the deployments of a target can have; ``None`` without one."""
    dashed = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
    if dashed and not dashed[0].isalpha():
        dashed = f"v{dashed}"
    dashed = (dashed if target == LOCAL else dashed.lower())[:28].strip("-")
    return dashed if LIMITS[target].deployment.fullmatch(dashed) else None
