"""Pack what is deployed, as targets ask for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from headrace.deploy.base import Pack, Package, PackageForm
from headrace.domain.deployment import Deployment
from headrace.operations.build_flow import ASSET, DOCKER, RUNTIME, BuildRequest, build_flow
from headrace.operations.workspace import Workspace
from headrace.telemetry.setup import sending_extras

_KINDS: Mapping[PackageForm, str] = {"flow": ASSET, "runtime": RUNTIME, "image": DOCKER}


@contextmanager
def packing(workspace: Workspace) -> Iterator[Pack]:
    """What packs deployments during the block, each form of each once; what it packed is gone afterwards.

    Calling it raises what :func:`~headrace.operations.build_flow.build_flow` raises.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-deploy-") as name:
        packed: dict[tuple[str, ...], Package] = {}

        def pack(deployment: Deployment, form: PackageForm) -> Package:
            flow = deployment.flow
            # What a target puts in for a secret is known only there; that there is something is enough.
            variables = {item.name: item.value or item.name for item in deployment.settings}
            checks_tokens = "HEADRACE_SERVE_ISSUER" in variables
            extras = (*(("entra",) if checks_tokens else ()), *sending_extras(variables))
            key = (flow.source, flow.digest, flow.variant, flow.model, form, *extras)
            if key not in packed:
                folder = Path(name) / str(len(packed)) / form
                request = BuildRequest(
                    source=Path(flow.source),
                    output=folder,
                    kind=_KINDS[form],
                    variant=flow.variant or None,
                    model=flow.model or None,
                    extras=extras,
                )
                built = build_flow(workspace, request)
                workspace.warn(built.warnings)
                packed[key] = Package(folder=folder, digest=folder_digest(folder), settings=built.settings)
            return packed[key]

        yield pack


def folder_digest(folder: Path) -> str:
    """SHA-256 over the paths and contents of all files below a folder, hexadecimal."""
    digest = sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_file():
            data = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()
