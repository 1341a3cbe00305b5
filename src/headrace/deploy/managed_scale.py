"""How many machines a managed online deployment has: settings of Azure Monitor, which ``azure-ai-ml`` does not know.

Reached from :mod:`headrace.deploy.managed_endpoint` only. A setting belongs to the resource id of one deployment; its
metric is named by Microsoft's page on the metrics of ``onlineEndpoints/deployments``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from azure.mgmt.monitor.models import (
    AutoscaleProfile,
    AutoscaleSettingResource,
    MetricTrigger,
    ScaleAction,
    ScaleCapacity,
    ScaleRule,
)

from headrace import __version__
from headrace.domain.deployment import OWNER_TAG, Scale

CPU_METRIC = "CpuUtilizationPercentage"
USUAL_PERCENT = 70
"""Load above which another machine starts where the file says none."""

_USUAL_TAG = "headrace-usual-load"
_GRAIN, _WINDOW, _COOLDOWN = timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=5)


def is_fixed(scale: Scale) -> bool:
    """Whether a number of machines is all that there is to say."""
    return scale.minimum == scale.maximum and scale.cpu_percent is None


def setting_name(deployment_id: str) -> str:
    """The name of the setting of a deployment, the same whatever the capitals of its resource id."""
    return f"headrace-{hashlib.sha256(deployment_id.lower().encode()).hexdigest()[:16]}"


def make_setting(deployment_id: str, location: str, scale: Scale) -> AutoscaleSettingResource:
    """The setting that keeps a deployment between two numbers of machines by the load of its processors.

    Args:
        deployment_id: Resource id.
        location: Region of the workspace.
        scale: What is wished for.
    """
    percent = scale.cpu_percent if scale.cpu_percent is not None else USUAL_PERCENT
    rules = [
        _rule(deployment_id, "GreaterThan", percent, "Increase"),
        _rule(deployment_id, "LessThan", percent // 2, "Decrease"),
    ]
    capacity = ScaleCapacity(
        minimum=str(scale.minimum), maximum=str(scale.maximum), default=str(scale.minimum)
    )
    return AutoscaleSettingResource(
        location=location,
        tags={OWNER_TAG: __version__, **({_USUAL_TAG: "true"} if scale.cpu_percent is None else {})},
        profiles=[AutoscaleProfile(name="by-load", capacity=capacity, rules=rules)],
        enabled=True,
        name_properties_name=setting_name(deployment_id),
        target_resource_uri=deployment_id,
    )


def _rule(deployment_id: str, operator: str, threshold: int, direction: str) -> ScaleRule:
    trigger = MetricTrigger(
        metric_name=CPU_METRIC,
        metric_resource_uri=deployment_id,
        time_grain=_GRAIN,
        statistic="Average",
        time_window=_WINDOW,
        time_aggregation="Average",
        operator=operator,
        threshold=threshold,
    )
    action = ScaleAction(direction=direction, type="ChangeCount", value="1", cooldown=_COOLDOWN)
    return ScaleRule(metric_trigger=trigger, scale_action=action)


def read_scales(settings: Iterable[Any]) -> dict[str, Scale]:
    """What settings of a resource group say: resource id of their target in small letters to its scale."""
    found: dict[str, Scale] = {}
    for item in settings:
        target = str(getattr(item, "target_resource_uri", None) or "").lower()
        if target and getattr(item, "profiles", None) and getattr(item, "enabled", True):
            found[target] = _scale(item)
    return found


def _scale(setting: Any) -> Scale:
    profile = setting.profiles[0]
    loads = [
        round(rule.metric_trigger.threshold)
        for rule in profile.rules or ()
        if rule.metric_trigger.metric_name == CPU_METRIC and rule.scale_action.direction == "Increase"
    ]
    is_usual = _USUAL_TAG in (setting.tags or {})
    return Scale(
        minimum=int(profile.capacity.minimum),
        maximum=int(profile.capacity.maximum),
        cpu_percent=loads[0] if loads and not is_usual else None,
    )
