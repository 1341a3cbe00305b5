"""``flow.endpoint.yaml`` → :class:`~headrace.domain.flow.Flow`: a flow that runs elsewhere and answers at an address.

::

    name: live
    url: https://my-endpoint.westeurope.inference.ml.azure.com/score
    connection: live_endpoint        # its key is sent as Authorization: Bearer
    auth: entra                      # in place of a connection: a token of whoever is signed in
    scope: api://my-app/.default     # what it is for; needed unless the address is one of Azure Machine Learning
    deployment: blue                 # azureml-model-deployment
    timeout_s: 60
    headers: {x-tenant: "${env:TENANT}"}
    inputs: [question]
    outputs: {answer: result.text}   # else the answer as it is
    cache: off

An experiment file says the same of a level of the factor ``flow``. There, and in a traffic file, a deployment file may
stand in place of an address and a key::

    deployed: deployment.yaml        # its target says where, at run time
    environment: prod                # overlay
    arm: blue                        # else the traffic of the endpoint decides

A flow file that was written for such a level has both, and ``version``, what was deployed there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from headrace.domain.flow import ENDPOINT, Flow, FlowInput, FlowOutput, Node, ToolSource
from headrace.domain.reference import Reference
from headrace.domain.remote import ENTRA, DeployedPlace, RemoteFlow, is_private, scope_of
from headrace.domain.values import ANY
from headrace.formats.paths import exists
from headrace.formats.positions import dump_yaml
from headrace.formats.shape import Block

_ASKED = ("timeout_s", "headers", "inputs", "outputs", "cache")
_PLACE = ("deployed", "environment", "arm")
KEYS = ("name", "url", "connection", "auth", "scope", "deployment", *_ASKED)
DEPLOYED_KEYS = ("name", *_PLACE, *_ASKED)
_FLOW_KEYS = (*KEYS, *_PLACE, "version", "$schema", "description", "display_name", "tags")
REFERENCE = re.compile(r"\$\{(?:env:([A-Za-z_]\w*)|([^{}.:]+)\.([^{}.:]+))\}")
"""A value that is kept elsewhere: a variable of the environment, or a field of a connection."""
SECRET_NAME = re.compile(
    r"(?i)authorization|proxy-authorization|cookie|code|sig|.*(key|token|secret|password).*"
)
"""Names of headers and of parts of an address whose values are keys."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = ("content-length", "content-type", "host", "transfer-encoding", "traceparent", "accept")


def is_remote(data: Mapping[str, Any]) -> bool:
    """Whether a flow file describes a flow that runs elsewhere."""
    return "url" in data and "nodes" not in data and "entry" not in data


def read_endpoint(root: Block, file: Path) -> Flow | None:
    """Read the mapping of a flow that runs elsewhere; findings go to the block. ``None`` without a usable address."""
    root.check_keys(_FLOW_KEYS, "A flow behind an address", severity="error")
    remote = read_remote(root)
    if remote is None:
        return None
    if not remote.inputs and "inputs" not in root:
        root.missing("inputs", "The flow")
    folder = file.resolve().parent
    return Flow(
        name=root.text("name") or folder.name,
        kind=ENDPOINT,
        file=str(file),
        folder=str(folder),
        inputs={name: FlowInput(name=name, type=ANY) for name in remote.inputs},
        outputs={name: FlowOutput(name=name, type="object", value=None) for name in remote.outputs},
        nodes=(_node(remote),),
        node_variants={},
        environment_variables={},
        additional_includes=(),
        source_map=root.findings.source_map,
        remote=remote,
    )


def _node(remote: RemoteFlow) -> Node:
    inputs = {name: Reference(text=f"${{inputs.{name}}}", kind="input", name=name) for name in remote.inputs}
    return Node(
        name="score",
        type=ENDPOINT,
        source=ToolSource(type="code"),
        inputs=inputs,
        connection=remote.connection,
        pointer=("url",),
    )


def read_remote(block: Block) -> RemoteFlow | None:
    """What a mapping says of an address; F005, F006 and F022 go to the block. ``None`` without a usable address."""
    url = block.required_text("url", "The flow")
    if url is None or not _check_url(block, url):
        return None
    timeout_s = _read_timeout(block)
    auth = _read_auth(block, url)
    return RemoteFlow(
        url=url,
        deployed=_read_place(block, None),
        version=block.text("version") or "",
        connection=block.text("connection"),
        auth=auth,
        scope=block.text("scope"),
        deployment=block.text("deployment"),
        timeout_s=timeout_s,
        headers=_read_headers(block.block("headers")),
        inputs=_read_inputs(block),
        outputs=_read_outputs(block),
        is_steady=_read_cache(block),
    )


def read_deployed(block: Block, file: Path) -> RemoteFlow | None:
    """What a mapping says of something that is deployed; findings go to the block. ``None`` without a file.

    Args:
        block: The mapping.
        file: The file that it stands in; paths are relative to its folder.
    """
    place = _read_place(block, file)
    if place is None:
        return None
    return RemoteFlow(
        url="",
        deployed=place,
        timeout_s=_read_timeout(block),
        headers=_read_headers(block.block("headers")),
        inputs=_read_inputs(block),
        outputs=_read_outputs(block),
        is_steady=_read_cache(block),
    )


def _read_place(block: Block, file: Path | None) -> DeployedPlace | None:
    text = block.text("deployed")
    if text is None:
        return None
    path = Path(text) if file is None else file.parent / text
    if file is not None and not exists(path):
        what = f"There is no deployment file {text}."
        block.findings.add(
            "F001", block.at("deployed"), what, "Correct the path; it is relative to this file."
        )
    return DeployedPlace(file=str(path), environment=block.text("environment"), arm=block.text("arm"))


def remote_file(remote: RemoteFlow, name: str) -> str:
    """The text of a flow file that says this; it holds no secrets, because none can be given."""
    said = {
        "name": name,
        "url": remote.url,
        "deployed": remote.deployed.file if remote.deployed is not None else None,
        "environment": remote.deployed.environment if remote.deployed is not None else None,
        "arm": remote.deployed.arm if remote.deployed is not None else None,
        "version": remote.version or None,
        "connection": remote.connection,
        "auth": remote.auth,
        "scope": remote.scope,
        "deployment": remote.deployment,
        "timeout_s": remote.timeout_s,
        "headers": dict(remote.headers) or None,
        "inputs": list(remote.inputs),
        "outputs": dict(remote.outputs) or None,
        "cache": "on" if remote.is_steady else None,
    }
    return dump_yaml({key: value for key, value in said.items() if value is not None})


def _check_url(block: Block, url: str) -> bool:
    """Report F005 for what is no address, and F022 for a key in it; whether it is an address."""
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and parts.port != 0 and parts.netloc.isascii()
    except ValueError:
        parts, has_host = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not has_host or any(mark.isspace() for mark in url):
        what, fix = "url should be an address.", "Write https://host/score."
        block.findings.add("F005", block.at("url"), what, fix)
        return False
    names = [name for name, _ in parse_qsl(parts.query) if SECRET_NAME.fullmatch(name)]
    if parts.username or parts.password or names:
        what = f"The address holds a key ({', '.join(names) or 'a user name'}), which would be recorded with every run."
        fix = "Name a connection that holds it, or send it as a header: headers: {x-functions-key: '${env:NAME}'}."
        block.findings.add("F022", block.at("url"), what, fix)
    return True


def _read_timeout(block: Block) -> float | None:
    timeout_s = block.number("timeout_s")
    if timeout_s is not None and timeout_s <= 0:
        block.findings.add("F005", block.at("timeout_s"), "timeout_s should be above 0.", "Write seconds.")
    return timeout_s


def _read_auth(block: Block, url: str) -> str | None:
    auth = block.word("auth", (ENTRA,), hints={"aad": ENTRA, "aad_token": ENTRA, "meid_token": ENTRA})
    if auth is None:
        return None
    if block.data.get("connection") is not None:
        what = "Requests are let in by a token or by the key of a connection, not by both."
        block.findings.add("G985", block.at("auth"), what, "Keep one of auth and connection.", at_key=True)
    if not is_private(url):
        what = "A token would go over the network for everybody to read."
        block.findings.add("F005", block.at("url"), what, "Write https:// in place of http://.")
    if block.data.get("scope") is None and scope_of(url) is None:
        what = "Nothing says what the token is for: the address is none of Azure Machine Learning."
        fix = "Write scope: api://APPLICATION/.default, as the application behind the address is registered."
        block.findings.add("F006", block.at("auth"), what, fix)
    return auth


def _read_headers(block: Block) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in block.data.items():
        text = str(value) if isinstance(value, (str, int, float)) else ""
        if not _HEADER.fullmatch(name) or name.lower() in _OURS or not text.isprintable() or not text:
            what = f"The header {name!r} cannot be set like this."
            block.findings.add(
                "F005", block.at(name), what, "Write a header's name with one line of text.", at_key=True
            )
            continue
        if SECRET_NAME.fullmatch(name) and not REFERENCE.search(text):
            what = f"The header {name} holds a key, which would be recorded with every run."
            fix = f"Write {name}: '${{env:NAME}}' and set the variable, or name a connection: '${{NAME.api_key}}'."
            block.findings.add("F022", block.at(name), what, fix)
        found[name] = text
    return found


def _read_inputs(block: Block) -> tuple[str, ...]:
    found = []
    for pointer, value in block.items("inputs"):
        if isinstance(value, str) and value:
            found.append(value)
        else:
            block.findings.add("F005", pointer, "Here should be the name of an input.", "Write a name.")
    return tuple(dict.fromkeys(found))


def _read_outputs(block: Block) -> Mapping[str, str]:
    outputs = block.block("outputs")
    return {name: outputs.text(name) or name for name in outputs.data}


def _read_cache(block: Block) -> bool:
    value = block.data.get("cache")
    if value is None or isinstance(value, bool):
        return bool(value)
    return block.word("cache", ("on", "off")) == "on"
