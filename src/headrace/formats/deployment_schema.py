"""The JSON Schema of deployment files, for editors: it completes keys and underlines what cannot be read.

What a schema cannot say is left to the reader: whether paths exist, whether a variable is set, what each target takes,
and what arms have to say together. A test reads and checks many files by both.
"""

from __future__ import annotations

from typing import Any, get_args

from headrace.domain.deployment import Authentication, TargetName
from headrace.formats.deployment_parts import IMAGE
from headrace.formats.deployment_settings import VARIABLE
from headrace.formats.schema_parts import (
    ABOVE_ZERO,
    COUNT,
    DIALECT,
    NAME,
    NUMBER_FROM_ZERO,
    TEXT,
    VALUE,
    Schema,
    a_list,
    an_object,
    any_of,
    at_least,
    described,
    reference,
)

_VARIABLE = r"\$\{env:[A-Za-z_]\w*\}"
_PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_FLAG: Schema = {"type": "boolean"}
_MODEL: Schema = {"type": "string", "pattern": rf"^\s*baseline\s*$|^\s*[^/]+/.+$|{_VARIABLE}"}
_IDENTITY: Schema = {
    "type": "string",
    "pattern": r"^/[Ss]ubscriptions/[^/\s]+/.+/[Uu]ser[Aa]ssigned[Ii]dentities/[^/\s]+$|" + _VARIABLE,
}
_ENVIRONMENT_ID = (
    r"^/[Ss]ubscriptions/[^/\s]+/[Rr]esource[Gg]roups/[^/\s]+/.+/[Mm]anaged[Ee]nvironments/[^/\s]+$"
)


def deployment_schema() -> dict[str, Any]:
    """The schema as plain data, of JSON Schema's draft 2020-12."""
    copy = _copy_properties()
    return {
        "$schema": DIALECT,
        "title": "headrace deployment",
        "description": "Where a flow runs for everybody: the target, its copies, and who gets which of them.",
        **an_object({**_properties(), **copy}, required=("name", "target")),
        "$defs": {
            "variable": _variable(),
            "connection": _connection(),
            "probe": _probe(),
            "arm": _arm(copy),
        },
    }


def _properties() -> Schema:
    return {
        "$schema": {"type": "string"},
        "name": described(
            {"type": "string", "minLength": 1}, "Name of the endpoint, the app or the local server."
        ),
        "description": described({}, "A note for people."),
        "target": described(
            {"enum": list(get_args(TargetName))},
            "local: this machine; azureml: a managed online endpoint; aca: Azure Container Apps.",
        ),
        "azure": described(_place(), "Where in Azure it lives; the target local needs none."),
        "authentication": described(
            {"enum": list(get_args(Authentication))}, "What lets callers in; default key."
        ),
        "identities": described(
            a_list(_IDENTITY), "Resource ids of user-assigned identities; default: the system's own."
        ),
        "network": described(
            an_object({"public": _FLAG, "egress": _FLAG}),
            "Whether it is reached from outside of the virtual network, and reaches what is outside; default true. "
            "This machine is reached by others only where public is said.",
        ),
        "canary": described(
            _PERCENT, "Percent of the requests that a new version gets at first, without arms; default 10."
        ),
        "max_shift": described(
            {"type": "integer", "minimum": 1, "maximum": 100},
            "How far a share may move at once, percentage points; default 50.",
        ),
        "gate": described(
            TEXT, "Stored comparison, or file with the result of a gate, that has to be passed."
        ),
        "price_usd_per_hour": described(at_least(0), "What one copy costs in an hour; default: looked up."),
        "arms": described(
            {**a_list(any_of(NAME, reference("arm"))), "minItems": 1},
            "The deployments; without them versions take turns in two places, blue and green.",
        ),
        "experiment": described(TEXT, "Experiment file that says what arms of its names run."),
        "traffic": described(TEXT, "Traffic file of an online test, whose arms and weights are deployed."),
    }


def _copy_properties() -> Schema:
    """What a file says of all deployments, and an arm of one."""
    size = an_object({"instance_type": TEXT, "cpu": ABOVE_ZERO, "memory_gib": ABOVE_ZERO})
    cpu_percent = {"type": "integer", "minimum": 1, "maximum": 100}
    scale = an_object(
        {"min": NUMBER_FROM_ZERO, "max": COUNT, "requests_at_once": COUNT, "cpu_percent": cpu_percent}
    )
    probes = an_object({"liveness": reference("probe"), "readiness": reference("probe")})
    return {
        "flow": described(TEXT, "The flow: a path relative to this file, or the name of a version."),
        "variant": described(TEXT, "Variant of a node: ${node.variant}."),
        "model": described(_MODEL, "connection/model in place of what the flow says."),
        "sample": described(TEXT, "File with the inputs of the smoke test; default: the sample of the flow."),
        "image": described(
            {"type": "string", "pattern": rf"{IMAGE}|{_VARIABLE}"},
            "Image by digest that is run in place of one that is built.",
        ),
        "size": described(size, "What one copy gets: instance_type, or cpu and memory_gib."),
        "scale": described(scale, "How many copies there are."),
        "requests": described(
            an_object({"timeout_s": ABOVE_ZERO, "at_once": COUNT}), "Limits of one copy for requests."
        ),
        "probes": described(probes, "When a copy counts as alive and as ready."),
        "environment": described(_mapping_of("variable"), "Variables of the environment."),
        "connections": described(_mapping_of("connection"), "Keys of the connections that the flow uses."),
        "collect": described(_SHARE, "Share of the requests that the data collector keeps; default 0."),
        "tags": described(
            {
                "type": "object",
                "additionalProperties": VALUE,
                "propertyNames": {"pattern": r"^(?![Hh][Ee][Aa][Dd][Rr][Aa][Cc][Ee])[^<>%&\\?/]{1,256}$"},
            },
            "Tags for people.",
        ),
    }


def _mapping_of(definition: str) -> Schema:
    return {"type": "object", "additionalProperties": reference(definition)}


def _place() -> Schema:
    name = {"type": "string", "minLength": 1, "pattern": r"^[^/\s]+$"}
    properties = {
        "subscription": described(name, "Id of the subscription."),
        "resource_group": name,
        "workspace": described(name, "Of Azure Machine Learning, for the target azureml."),
        "environment": described(
            {"type": "string", "minLength": 1, "pattern": rf"^[^/\s]+$|{_ENVIRONMENT_ID}"},
            "Of Container Apps, for the target aca: its name, or its resource id where it is in another group.",
        ),
        "location": described(name, "Region; default: that of the workspace or the environment."),
        "registry": described(name, "Container registry that images are built in and taken from."),
    }
    return an_object(properties, required=("subscription", "resource_group"))


def _variable() -> Schema:
    return any_of(
        VALUE,
        an_object(
            {"keyvault": {"type": "string", "pattern": rf"^https://.+/secrets/.+|{_VARIABLE}"}},
            required=("keyvault",),
        ),
        an_object({"connection": TEXT, "field": TEXT}, required=("connection",)),
        an_object({"env": {"type": "string", "pattern": rf"{VARIABLE}|{_VARIABLE}"}}, required=("env",)),
    )


def _connection() -> Schema:
    """A source, of the key; or fields with a value or a source each."""
    forms = [form for form in _variable()["anyOf"] if form.get("type") == "object"]
    names = {"propertyNames": {"not": {"enum": ["keyvault", "connection", "env"]}}}
    return any_of(*forms, {**_mapping_of("variable"), **names})


def _probe() -> Schema:
    keys = {"initial_delay_s": NUMBER_FROM_ZERO, "period_s": COUNT, "timeout_s": COUNT, "successes": COUNT}
    return an_object({**keys, "failures": COUNT})


def _arm(copy: Schema) -> Schema:
    properties = {
        "name": described(TEXT, "As experiments and traffic files call it."),
        "deployment": described(
            TEXT, "As the target calls it; default: the name, with dashes for what that cannot hold."
        ),
        **copy,
        "traffic": described(_PERCENT, "Percent of the requests; all arms say it, or none."),
        "mirror": described(
            _PERCENT, "Percent of the requests that are copied to it, for one arm without traffic."
        ),
    }
    return an_object(properties, required=("name",))
