"""The forms that a packed flow takes: the context of an image, an archive, a wheel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from headrace import __version__
from headrace.domain.connection import Connection
from headrace.formats.archives import wheel_bytes, wheel_name, zip_bytes
from headrace.formats.connection_file import render_connection
from headrace.formats.cyclonedx import Component, render_sbom
from headrace.formats.flow_identity import IDENTITY, FlowIdentity
from headrace.formats.requirements import parse_requirement
from headrace.operations.image_files import TEMPLATES, ImageWishes, dockerfile, dockerignore, image_name
from headrace.operations.installed_packages import PYTHON, InstalledPackages
from headrace.operations.packed_flow import PackedFlow
from headrace.operations.packed_needs import FlowRequirements
from headrace.operations.serving_wheel import VERSION, WHEEL, serving_wheel

DOCKER, ZIP, WHEEL_FORM, FLOW_ONLY = "docker", "zip", "wheel", "flow"
FORMATS = (DOCKER, ZIP, WHEEL_FORM)
RUNTIME, ASSET = "runtime", "asset"
"""Halves of the context of an image: what serves, without a flow; and the flow, which says itself which version it is.
A deployment that gets the flow beside its image needs a new one only where packages or connections change."""

_SETUP = "setup.sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedParts:
    """A flow that lies packed in a folder, and what belongs to it.

    Attributes:
        flow: What became of its files.
        identity: Which version it is.
        connections: What it names.
        settings: Variables that they read.
        requirements: What it wants installed.
        installed: What is installed here of that, and of what headrace needs.
        own_needs: Names of the packages that headrace itself asks for.
        extras: Extras of headrace that are wanted.
        wishes: What it asks of an image.
    """

    flow: PackedFlow
    identity: FlowIdentity
    connections: tuple[Connection, ...]
    settings: tuple[str, ...]
    requirements: FlowRequirements
    installed: InstalledPackages
    own_needs: tuple[str, ...]
    extras: tuple[str, ...]
    wishes: ImageWishes


def write_form(stage: Path, packed: PackedParts, kind: str) -> None:
    """Write what stands around a packed flow, and make one file of it all where that is the form.

    Args:
        stage: Folder that holds it, in ``flow``.
        packed: What belongs to it.
        kind: One of :data:`FORMATS`, :data:`FLOW_ONLY`, :data:`RUNTIME` or :data:`ASSET`.

    Raises:
        UsageError: C505 when headrace is only importable and not installed.
        OSError: Something cannot be written.
    """
    if kind in (FLOW_ONLY, ASSET):
        for path in sorted((stage / "flow").iterdir()):
            path.rename(stage / path.name)
        (stage / "flow").rmdir()
        if kind == ASSET:
            _write(stage, {IDENTITY: _identity(packed, _names(stage))})
        return
    for connection in packed.connections:
        path = stage / "connections" / f"{connection.name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(render_connection(connection, show_secrets=True), encoding="utf-8")
    if kind == RUNTIME:
        _write(stage, dict(_runtime_files(stage / "flow", packed)))
        shutil.rmtree(stage / "flow")
        return
    files = _wheel_files(stage, packed) if kind == WHEEL_FORM else dict(_files_around(packed, kind))
    if kind == DOCKER:
        _write(stage, {**files, IDENTITY: _identity(packed, {*files, *_names(stage)})})
        return
    if kind == ZIP:
        inside = {**_read(stage), **files}
        inside[IDENTITY] = _identity(packed, {path.partition("/")[0] for path in inside})
        files = {f"{_archive_stem(packed)}.zip": zip_bytes(inside)}
    for name in _names(stage):
        shutil.rmtree(stage / name)
    _write(stage, {**files, IDENTITY: _identity(packed, files)})


def _runtime_files(flow: Path, packed: PackedParts) -> Iterator[tuple[str, bytes]]:
    """The files of an image that is given its flow when it runs; they are the same for flows with the same needs."""
    wishes = packed.wishes
    if wishes.setup:
        yield _SETUP, (flow / wishes.setup).read_bytes()
        wishes = replace(wishes, setup=_SETUP)
    yield WHEEL, serving_wheel(packed.extras)
    yield "app.py", (TEMPLATES / "app.txt").read_bytes()
    yield "start.sh", (TEMPLATES / "start.sh").read_bytes()
    yield "settings.json", _settings(packed)
    yield "requirements.txt", _requirements(packed)
    yield "constraints.txt", packed.installed.constraints().encode()
    yield "Dockerfile", dockerfile(wishes, setup_folder=".").encode()
    yield ".dockerignore", dockerignore(_SETUP).encode()


def _files_around(packed: PackedParts, kind: str) -> Iterator[tuple[str, bytes]]:
    """The files beside the flow and its connections."""
    yield WHEEL, serving_wheel(packed.extras)
    yield "app.py", (TEMPLATES / "app.txt").read_bytes()
    yield "start.sh", (TEMPLATES / "start.sh").read_bytes()
    yield "README.md", _readme(packed, "README.md", DOCKER if kind == DOCKER else "plain").encode()
    yield "settings.json", _settings(packed)
    yield "requirements.txt", _requirements(packed)
    yield "constraints.txt", packed.installed.constraints().encode()
    yield "sbom.cdx.json", _sbom(packed)
    if kind == DOCKER:
        identity = packed.identity
        text = dockerfile(
            packed.wishes, title=identity.flow, version=identity.version, digest=identity.digest
        )
        yield "Dockerfile", text.encode()
        yield ".dockerignore", dockerignore().encode()


def _wheel_files(stage: Path, packed: PackedParts) -> dict[str, bytes]:
    """A wheel that holds the flow as the data of a package, the wheel that serves it, and what to do with them."""
    distribution, package = _archive_stem(packed), _archive_stem(packed).replace("-", "_")
    inside = {**_read(stage), "__init__.py": (TEMPLATES / "app.txt").read_bytes()}
    inside |= {IDENTITY: _identity(packed, {*inside}), "sbom.cdx.json": _sbom(packed)}
    version = f"0+{packed.identity.digest[:12]}"
    metadata = {
        "Summary": f"The flow {packed.identity.version}, ready to be served.",
        "Requires-Python": f">={PYTHON}",
        "Requires-Dist": [f"headrace=={VERSION}", *filter(parse_requirement, packed.requirements.lines)],
    }
    files = {f"{package}/{path}": data for path, data in inside.items()}
    return {
        wheel_name(distribution, version): wheel_bytes(distribution, version, files, metadata),
        WHEEL: serving_wheel(packed.extras),
        "README.md": _readme(packed, "wheel.md", "").encode(),
        "settings.json": _settings(packed),
        "constraints.txt": packed.installed.constraints().encode(),
        "sbom.cdx.json": _sbom(packed),
    }


def _archive_stem(packed: PackedParts) -> str:
    return f"headrace-flow-{image_name(packed.identity.flow)}"


def _readme(packed: PackedParts, name: str, more: str) -> str:
    values = {
        "name": image_name(packed.identity.flow),
        "version": packed.identity.version,
        "python": PYTHON,
        "wheel": WHEEL,
        "distribution": _archive_stem(packed),
        "package": _archive_stem(packed).replace("-", "_"),
        "variables": f": {', '.join(packed.settings)}" if packed.settings else "",
    }
    options = {**values, "variables": "".join(f" --env {name}=…" for name in packed.settings)}
    inner = (TEMPLATES / f"{more}.md").read_text(encoding="utf-8").format(**options) if more else ""
    return (TEMPLATES / name).read_text(encoding="utf-8").format(**values, more=inner)


def _settings(packed: PackedParts) -> bytes:
    return (json.dumps(dict.fromkeys(packed.settings, ""), indent=2) + "\n").encode()


def _requirements(packed: PackedParts) -> bytes:
    lines = [f"./{WHEEL}", *packed.requirements.lines]
    lines += [f"# headrace brings its names: {line}" for line in packed.requirements.replaced]
    return ("\n".join(lines) + "\n").encode()


def _identity(packed: PackedParts, holds: Collection[str]) -> bytes:
    data = {
        **packed.identity.to_json(),
        "headrace": __version__,
        "python": PYTHON,
        "holds": sorted({*holds, IDENTITY}),
    }
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


def _sbom(packed: PackedParts) -> bytes:
    identity, known = packed.identity, packed.installed.components
    own = Component(name="headrace", version=VERSION, license="MIT", requires=packed.own_needs)
    unknown = [Component(name=name, version="") for name in packed.installed.missing]
    subject = Component(
        name=identity.flow,
        version=identity.version.partition("@")[2],
        requires=("headrace", *(item.name for item in packed.requirements.parsed)),
    )
    return render_sbom(subject, identity.digest, [own, *known, *unknown]).encode()


def _names(stage: Path) -> list[str]:
    return sorted(path.name for path in stage.iterdir())


def _read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)
