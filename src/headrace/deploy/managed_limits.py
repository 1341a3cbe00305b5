"""What managed online endpoints of Azure Machine Learning can do, and what of a file has no effect there. Pure.

The limits are those of Microsoft's pages on quotas of Azure Machine Learning and on the YAML of managed online
deployments, as of January 2026. What no endpoint takes is refused as the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from headrace.deploy.base import Traits
from headrace.domain.deployment import Endpoint
from headrace.errors import Problem

TRAITS = Traits(
    can_mirror=True,
    replaces_in_place=False,
    most_deployments=20,
)


def check_managed(endpoint: Endpoint) -> Iterator[Problem]:
    """What of a deployment file no managed online endpoint takes, or has no effect there, with places.

    Yields:
        X251, a warning, for what has no effect.
    """
    for deployment in endpoint.deployments:
        if deployment.scale.requests_at_once is not None:
            pointer = (*deployment.pointer, "scale", "requests_at_once")
            what = (
                "A managed online deployment does not scale by requests in flight: Azure has no measure of those "
                "of one deployment, so requests_at_once has no effect."
            )
            fix = "Leave it out; set cpu_percent, and requests.at_once for how many one machine takes."
            span = endpoint.span(*pointer)
            yield Problem(code="X251", what=what, span=span, pointer=pointer, fix=fix, severity="warning")
