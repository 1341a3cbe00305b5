"""Pack a flow to be served elsewhere: ``flow build`` (promptflow-format: 10).

What is written depends on the version of the flow, headrace and the packages that are installed here, and on nothing
else: the same build is the same bytes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.domain.flow import DAG, Flow
from headrace.domain.variant import Arm, Variant
from headrace.errors import DefinitionError, Problem, UsageError, raise_if_errors
from headrace.formats.arms import parse_model
from headrace.formats.flow_file import load_flow, read_flow
from headrace.formats.flow_identity import IDENTITY, FlowIdentity
from headrace.formats.positions import read_text, read_yaml
from headrace.formats.requirements import parse_requirement
from headrace.operations.built_forms import (
    ASSET,
    DOCKER,
    FLOW_ONLY,
    FORMATS,
    RUNTIME,
    PackedParts,
    write_form,
)
from headrace.operations.check_flow import check_flow
from headrace.operations.image_files import ImageWishes
from headrace.operations.installed_packages import find_installed, own_requirements
from headrace.operations.new_files import cannot_write
from headrace.operations.packed_flow import pack_flow
from headrace.operations.packed_needs import (
    connection_variables,
    flow_requirements,
    needs_entra,
    packed_connections,
)
from headrace.operations.read_version import flow_digest
from headrace.operations.served_sources import find_served_file
from headrace.operations.versions import chosen_flow
from headrace.operations.workspace import Workspace
from headrace.planning.select import apply_arm, parse_variant

__all__ = ["ASSET", "DOCKER", "FLOW_ONLY", "FORMATS", "RUNTIME", "BuildRequest", "BuiltFlow", "build_flow"]

_OLDER_BUILD = {"flow", "Dockerfile", "start.sh"}
_TIME_S = 315532800
"""The first of January 1980, the earliest time that archives know: that of every file."""


_MOST_SCRIPT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What ``headrace flow build`` was asked for.

    Attributes:
        source: Flow folder or file, or the name of a stored version.
        output: Folder to write.
        kind: One of :data:`FORMATS`, or :data:`FLOW_ONLY` for only the flow, straight into ``output``; what is deployed
            is also packed as :data:`RUNTIME` and :data:`ASSET`.
        variant: ``${node.variant}``; default: the default variants.
        model: ``connection/model`` for every llm node; default: what the flow says.
        extras: Extras of headrace that are wanted besides those that the connections need.
        is_dry: Write nothing.
    """

    source: Path
    output: Path
    kind: str = DOCKER
    variant: str | None = None
    model: str | None = None
    extras: Sequence[str] = ()
    is_dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFlow:
    """What was packed.

    Attributes:
        folder: Where it is.
        version: Name of the flow's version: the flow and the first 12 digits of its id.
        files: Path below ``folder`` to size in bytes, in order.
        settings: Variables that the server needs.
        left_out: Files of the flow that were not packed, because they hold secrets.
        ignored: What was not packed, because the flow's ``.amlignore`` says so.
        unnamed: Folders of data, and flows of their own, that were packed although nothing in the flow names them.
        emptied: Files of the flow in which keys were replaced.
        replaced: Requirements that are not installed, because headrace brings their names.
        unpinned: Requirements that are not installed here, so that nobody knows which version was evaluated.
        warnings: Findings that did not stop it.
    """

    folder: Path
    version: str
    files: Mapping[str, int]
    settings: tuple[str, ...]
    left_out: tuple[str, ...]
    ignored: tuple[str, ...]
    unnamed: tuple[str, ...]
    emptied: tuple[str, ...]
    replaced: tuple[str, ...]
    unpinned: tuple[str, ...]
    warnings: tuple[Problem, ...]


def build_flow(workspace: Workspace, request: BuildRequest) -> BuiltFlow:
    """Write everything that serves a flow: an earlier build in the folder is replaced.

    Args:
        workspace: For stored versions, and for the connections that the flow names.
        request: What to write.

    Raises:
        DefinitionError: Everything that is wrong with the flow; a secret that is not set here is no obstacle.
        UsageError: V301 or V302 for the variant, S806 when the folder holds something else, S831 or S834 for the name
            of a version, C505 when headrace is not installed.
        StateError: S808 when it cannot be written.
    """
    file = find_served_file(chosen_flow(workspace, request.source))
    choices = dict([parse_variant(request.variant)]) if request.variant else {}
    problems = tuple(item for item in check_flow(workspace, file) if item.code != "C503")
    flow, _ = read_flow(file)
    if flow is None:  # then there was an error
        raise DefinitionError(*problems)
    problems = tuple(_as_packed(item, flow, choices) for item in problems)
    raise_if_errors(problems)
    _refuse_code_outside(flow)
    model = parse_model(request.model) if request.model else None
    if model is not None:
        _refuse_other_kinds(flow)
    arm = Arm(name="build", variant=Variant(name="build", choices=choices), model=model)

    def connection_type(name: str) -> str | None:
        connection = workspace.connections.find(name)
        return connection.type if connection is not None else None

    chosen = apply_arm(flow, arm, connection_type)
    earlier = _earlier_build(request.output)
    with tempfile.TemporaryDirectory(prefix="headrace-build-") as name:
        stage = Path(name) / "build"
        try:
            packed = _pack(workspace, request, flow, chosen, file, stage / "flow", choices)
            write_form(stage, packed, request.kind)
            written = _even_out(stage)
            if not request.is_dry:
                _replace(earlier, stage, request.output)
        except OSError as error:
            raise cannot_write(request.output, error) from error
    return BuiltFlow(
        folder=request.output,
        version=packed.identity.version,
        files=written,
        settings=packed.settings if request.kind not in (FLOW_ONLY, ASSET) else (),
        left_out=packed.flow.left_out,
        ignored=packed.flow.ignored,
        unnamed=packed.flow.unnamed,
        emptied=packed.flow.emptied,
        replaced=packed.requirements.replaced,
        unpinned=packed.installed.missing,
        warnings=problems,
    )


def _as_packed(problem: Problem, flow: Flow, choices: Mapping[str, str]) -> Problem:
    """What is wrong with a variant that is not packed only warns: it never runs there."""
    others = (
        node.pointer
        for name, offer in flow.node_variants.items()
        for variant, node in offer.variants.items()
        if variant != choices.get(name, offer.default)
    )
    is_left_out = any(problem.pointer[: len(pointer)] == pointer for pointer in others)
    return replace(problem, severity="warning") if is_left_out else problem


def _refuse_code_outside(flow: Flow) -> None:
    """Stop where the code of a flex flow lies elsewhere, so that it would not be found where the flow is unpacked.

    Raises:
        DefinitionError: F001.
    """
    if not (Path(flow.folder) / flow.code).resolve().is_relative_to(Path(flow.folder).resolve()):
        what = f"The folder of the code, {flow.code}, lies outside the folder of the flow and is not packed."
        fix = "Put the flow file into the folder of the code and leave code away, or move the code below the flow file."
        span = flow.source_map.span(("code",))
        raise DefinitionError(Problem(code="F001", what=what, span=span, pointer=("code",), fix=fix))


def _refuse_other_kinds(flow: Flow) -> None:
    """Stop where another model cannot be written into the packed flow.

    Raises:
        UsageError: V304.
    """
    if flow.kind != DAG or flow.prompt is not None:
        what = f"Another model cannot be packed into {flow.name}, which is no graph of nodes."
        fix = "Say the model in the flow itself, as a version of its own."
        raise UsageError(Problem(code="V304", what=what, span=flow.source_map.span(()), fix=fix))


def _earlier_build(output: Path) -> tuple[Path, ...]:
    """What an earlier build has written into the folder; what lies beside that is none of our business.

    Raises:
        UsageError: S806 when the folder holds anything and no earlier build.
    """
    if not output.exists():
        return ()
    inside = {path.name: path for path in output.iterdir()} if output.is_dir() else {output.name: output}
    own = _written_names(output)
    if not own and set(inside) >= _OLDER_BUILD:
        own = {*_OLDER_BUILD, "connections", "settings.json", "README.md"}
    if inside and not own:
        what = f"{output} holds something that is no earlier build."
        raise UsageError(Problem(code="S806", what=what, fix="Name an empty folder with --output."))
    return tuple(path for name, path in inside.items() if name in own)


def _written_names(output: Path) -> set[str]:
    """The names in the folder that its last build says it has written."""
    try:
        names = json.loads((output / IDENTITY).read_text(encoding="utf-8"))["holds"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def _replace(earlier: Collection[Path], stage: Path, output: Path) -> None:
    for path in earlier:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(stage.iterdir()):
        shutil.move(path, output / path.name)


def _pack(
    workspace: Workspace,
    request: BuildRequest,
    flow: Flow,
    chosen: Flow,
    file: Path,
    target: Path,
    choices: Mapping[str, str],
) -> PackedParts:
    """Pack the flow into a folder, and find out what belongs to it."""
    packed = pack_flow(flow, file, target, choices, chosen if request.model else None)
    wishes = _environment(file)
    connections = packed_connections(workspace, chosen)
    extras = tuple(sorted({*request.extras, *(("azure",) if needs_entra(connections) else ())}))
    requirements = flow_requirements(target / wishes.get("python_requirements_txt", "requirements.txt"))
    own = [item for line in own_requirements(("serve", *extras)) if (item := parse_requirement(line))]
    digest = flow_digest(flow)
    return PackedParts(
        flow=packed,
        identity=FlowIdentity(
            flow=flow.name,
            digest=digest,
            packed_digest=flow_digest(load_flow(target / file.name)),
            variants={name: choices.get(name, offer.default) for name, offer in flow.node_variants.items()},
        ),
        connections=connections,
        settings=connection_variables(connections),
        requirements=requirements,
        installed=find_installed([*own, *requirements.parsed]),
        own_needs=tuple(sorted({item.name for item in own})),
        extras=extras,
        wishes=ImageWishes(
            base=wishes.get("image", ""),
            setup=wishes.get("setup_sh", ""),
            has_conda_file="conda_file" in wishes,
        ),
    )


def _environment(file: Path) -> dict[str, str]:
    """The block ``environment`` of the flow file."""
    if file.suffix not in (".yaml", ".yml"):
        return {}
    data, _, _ = read_yaml(read_text(file), str(file))
    found = data.get("environment") if isinstance(data, dict) else None
    return {key: str(value) for key, value in found.items() if value} if isinstance(found, dict) else {}


def _even_out(stage: Path) -> dict[str, int]:
    """Give all files and folders the same time and modes; returns the sizes of the files by path."""
    sizes = {}
    for path in sorted(stage.rglob("*")):
        if path.is_file():
            data = path.read_bytes() if path.stat().st_size < _MOST_SCRIPT_BYTES else b""
            path.chmod(0o755 if data.startswith(b"#!") else 0o644)
            sizes[path.relative_to(stage).as_posix()] = path.stat().st_size
        else:
            path.chmod(0o755)
        os.utime(path, (_TIME_S, _TIME_S))
    return sizes
