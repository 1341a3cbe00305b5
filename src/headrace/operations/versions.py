"""Find versions of flows by what people call them, tag them, and write their files back."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from headrace.domain.version import (
    FlowVersion,
    Manifest,
    SkippedFile,
    TagMove,
    VersionName,
    is_tag,
    parse_version_name,
)
from headrace.errors import HeadraceError, Problem, StateError, UsageError, nearest
from headrace.formats.flow_file import load_flow
from headrace.formats.paths import exists
from headrace.operations.new_files import cannot_write
from headrace.operations.read_version import flow_digest
from headrace.operations.workspace import Workspace

VERSIONS_FOLDER = "versions"
"""Below ``.headrace``: where versions lie that are run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionView:
    """A version as lists show it.

    Attributes:
        tags: Tags that are on it now.
        runs: Names of runs that ran it, newest first.
    """

    version: FlowVersion
    tags: tuple[str, ...]
    runs: tuple[str, ...]


def list_versions(workspace: Workspace, flow: str | None = None) -> tuple[VersionView, ...]:
    """Versions of a flow or of all, by flow and number.

    Args:
        workspace: For its store.
        flow: Name of the flow, or its path.

    Raises:
        UsageError: S831 when the flow has none.
    """
    name = None if flow is None else _flow_name(workspace, flow)
    versions = workspace.store.list_flow_versions(name)
    if name is not None and not versions:
        raise UsageError(_no_versions(name, _known_flows(workspace)))
    tags = current_tags(workspace.store.list_tag_moves(name))
    runs: dict[tuple[str, int | None], list[str]] = {}
    for run in workspace.store.list_runs():
        runs.setdefault((run.spec.flow_name, run.spec.flow_version), []).append(run.spec.name)
    return tuple(
        VersionView(
            version=version,
            tags=tuple(
                sorted(
                    tag
                    for (owner, tag), move in tags.items()
                    if owner == version.flow and move.number == version.number
                )
            ),
            runs=tuple(runs.get((version.flow, version.number), ())),
        )
        for version in versions
    )


def current_tags(moves: Iterable[TagMove]) -> dict[tuple[str, str], TagMove]:
    """Where each tag is now, by flow and tag."""
    return {(move.flow, move.tag): move for move in moves}


def find_version(workspace: Workspace, text: str, *, expects: str | None = None) -> FlowVersion:
    """The version that a person means: ``ask_docs@7``, ``ask_docs@prod``, ``@prod``, a digest's start, or a run's name.

    Args:
        workspace: For its store.
        text: What it is called.
        expects: The digest, or its start, that it should have.

    Raises:
        UsageError: S831 unknown; S834 when it could be several; S832 when it is not what is expected; S801 when it is
            neither a version nor a run.
    """
    name = parse_version_name(text)
    found = _run_version(workspace, text) if name is None else _named_version(workspace, name)
    if expects is not None and not found.digest.startswith(expects):
        is_number = name is not None and name.number is not None
        said = f"{text} has" if is_number else f"{text} is {found.name} with"
        what = f"{said} the digest {found.digest[:12]}, and not {expects[:12]}."
        why = "Find the version with that digest" if is_number else "See where it was before"
        fix = f"{why} with: headrace flow versions {found.flow}"
        raise UsageError(Problem(code="S832", what=what, fix=fix))
    return found


def chosen_flow(workspace: Workspace, path: Path) -> Path:
    """The path of the flow that a person names: the path itself, or where a version was written to be run again.

    Args:
        workspace: For its store; versions are written below its ``.headrace``.
        path: A path, or the name of a version.

    Raises:
        UsageError: S831 or S834 for the name of a version.
        StateError: S833 when its files are gone; S808 when they cannot be written.
    """
    return write_version(workspace, find_version(workspace, str(path))) if is_version(path) else path


def is_version(path: Path) -> bool:
    """Whether what is given as the path of a flow names a version: it has the form of one, and nothing lies there."""
    return not exists(path) and parse_version_name(str(path)) is not None


def write_version(workspace: Workspace, version: FlowVersion) -> Path:
    """Write a version to be run, unless it is there already.

    Returns:
        Path of the flow file, or of the flow's entry, below ``.headrace``.

    Raises:
        StateError: S833 when its files are gone; S808 when they cannot be written.
    """
    manifest = version.manifest
    root = workspace.state_folder / VERSIONS_FOLDER / version.digest[:16]
    flow = root / manifest.place / (manifest.file or manifest.entry)
    if not _is_whole(flow, version):
        contents = _read_contents(workspace, version)
        unfinished = root.with_name(f"{root.name}.{token_hex(4)}")
        try:
            _write(unfinished / manifest.place, unfinished, manifest, contents)
            shutil.rmtree(root, ignore_errors=True)
            unfinished.rename(root)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            if not _is_whole(flow, version):  # another process may have written it meanwhile
                raise cannot_write(root, error) from error
    workspace.warn(_not_whole(version))
    return flow


def restore_version(workspace: Workspace, text: str, folder: Path, *, expects: str | None = None) -> Path:
    """Write the files of a version into a folder that is empty or does not exist.

    Files from elsewhere than the flow's folder need places around it: then the flow lies further inside.

    Args:
        workspace: For its store.
        text: What the version is called.
        folder: Where to write it.
        expects: The digest that it should have.

    Returns:
        Path of the flow file, or of the flow's entry.

    Raises:
        UsageError: As :func:`find_version`; S806 when the folder holds something.
        StateError: S833 when files of it are gone; S808 when the folder cannot be written.
    """
    version = find_version(workspace, text, expects=expects)
    if exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        what = f"{folder} holds something already."
        raise UsageError(
            Problem(code="S806", what=what, fix="Name a folder that is empty or does not exist.")
        )
    contents = _read_contents(workspace, version)
    manifest = version.manifest
    is_wide = any(file.path.startswith("../") for file in manifest.files)
    place = folder / manifest.place if is_wide else folder
    try:
        _write(place, folder, manifest, contents)
    except OSError as error:
        raise cannot_write(folder, error) from error
    workspace.warn(_not_whole(version))
    return place / (manifest.file or manifest.entry)


def move_tag(workspace: Workspace, text: str, tag: str, *, is_moving: bool = False) -> TagMove:
    """Put a tag on a version.

    Args:
        workspace: For its store.
        text: What the version is called.
        tag: A word, such as ``prod``.
        is_moving: It may be taken from another version.

    Raises:
        UsageError: C507 for a tag that cannot be one; S832 when it is on another version; as :func:`find_version`.
    """
    if not is_tag(tag):
        what = f"{tag!r} cannot be a tag."
        fix = (
            "Begin with a letter; letters, digits, dots, dashes and underscores may follow, up to 64 in all."
        )
        raise UsageError(Problem(code="C507", what=what, fix=fix))
    version = find_version(workspace, text)
    moves = [move for move in workspace.store.list_tag_moves(version.flow) if move.tag == tag]
    if moves and moves[-1].digest == version.digest:
        return moves[-1]
    if moves and not is_moving:
        raise UsageError(_tag_elsewhere(version, moves[-1]))
    move = TagMove(
        flow=version.flow, tag=tag, number=version.number, digest=version.digest, at=workspace.now()
    )
    if not workspace.store.move_tag(move, n_moves=len(moves)):
        last = [item for item in workspace.store.list_tag_moves(version.flow) if item.tag == tag][-1]
        raise UsageError(_tag_elsewhere(version, last))
    return move


def read_files(workspace: Workspace, version: FlowVersion) -> dict[str, bytes]:
    """The kept files of a version by their paths.

    Raises:
        StateError: S833 when one is gone or damaged.
    """
    contents = _read_contents(workspace, version)
    return {file.path: contents[file.content] for file in version.manifest.files if file.content is not None}


def _flow_name(workspace: Workspace, text: str) -> str:
    """The name of a flow that is given by name or path."""
    if text in _known_flows(workspace) or not exists(Path(text)):
        return text
    return load_flow(Path(text)).name


def _known_flows(workspace: Workspace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(version.flow for version in workspace.store.list_flow_versions()))


def _run_version(workspace: Workspace, text: str) -> FlowVersion:
    spec = workspace.store.read_run(text).spec
    found = workspace.store.find_flow_version(spec.flow_name, spec.flow_digest)
    if found is None:
        what = f"No version of the flow is kept of the run {text!r}; an older headrace made it."
        raise UsageError(Problem(code="S831", what=what, fix="Name a version, or a newer run."))
    return found


def _named_version(workspace: Workspace, name: VersionName) -> FlowVersion:
    versions = workspace.store.list_flow_versions(name.flow)
    if not versions:
        raise UsageError(_no_versions(name.flow or "", _known_flows(workspace)))
    if name.number is not None:
        found = [version for version in versions if version.number == name.number]
        offer = [f"{version.flow}@{version.number}" for version in versions]
    elif name.digest is not None:
        found = [version for version in versions if version.digest.startswith(name.digest)]
        offer = [f"{version.flow}@{version.digest[:12]}" for version in versions]
    else:
        tags = current_tags(workspace.store.list_tag_moves(name.flow))
        places = {(move.flow, move.number) for (_, tag), move in tags.items() if tag == name.tag}
        found = [version for version in versions if (version.flow, version.number) in places]
        offer = [f"{flow if name.flow else ''}@{tag}" for flow, tag in tags]
    return _only(name, found, offer)


def _only(name: VersionName, found: Sequence[FlowVersion], offer: Collection[str]) -> FlowVersion:
    if len(found) == 1:
        return found[0]
    if found:
        what = f"{name.text} could be {' or '.join(version.name for version in found)}."
        raise UsageError(Problem(code="S834", what=what, fix=f"Say which: {found[0].name}"))
    close = nearest(name.text, tuple(offer))
    flow = f" {name.flow}" if name.flow else ""
    fix = f'Did you mean "{close}"?' if close else f"List them with: headrace flow versions{flow}"
    raise UsageError(Problem(code="S831", what=f"There is no version {name.text}.", fix=fix))


def _no_versions(flow: str, known: Sequence[str]) -> Problem:
    close = nearest(flow, known)
    fix = "Versions are kept when runs are made: headrace run create --flow …"
    if close:
        fix = f'Did you mean "{close}"?'
    elif known:
        fix = f"Flows with versions: {', '.join(known)}."
    what = (
        f"The store keeps no version of a flow named {flow!r}."
        if flow
        else "The store keeps no versions yet."
    )
    return Problem(code="S831", what=what, fix=fix)


def _tag_elsewhere(version: FlowVersion, last: TagMove) -> Problem:
    return Problem(
        code="S832",
        what=f"The tag {last.tag} is on {last.flow}@{last.number}, not on {version.name}.",
        fix=f"Take it from there with: headrace flow tag {version.name} {last.tag} --move",
    )


def _is_whole(path: Path, version: FlowVersion) -> bool:
    """Whether what lies at a path is the version, as far as it can be kept."""
    if not exists(path if version.manifest.file else path.parent):
        return False
    try:
        return flow_digest(load_flow(path)) == version.digest
    except (HeadraceError, OSError):
        return False


def _read_contents(workspace: Workspace, version: FlowVersion) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    lost = []
    for file in version.manifest.files:
        if file.content is None or file.content in contents:
            continue
        data = workspace.store.read_file(file.content)
        if data is None or sha256(data).hexdigest() != file.content:
            lost.append(f"{file.path} is {'gone' if data is None else 'damaged'}")
        else:
            contents[file.content] = data
    if lost:
        what = f"The version {version.name} cannot be read from the store: {', '.join(lost)}."
        fix = "Bring the store back from a copy, or make the version again by a run of the flow as it was."
        raise StateError(Problem(code="S833", what=what, fix=fix))
    return contents


def _write(place: Path, root: Path, manifest: Manifest, contents: dict[str, bytes]) -> None:
    """Write files around ``place``, where the flow's folder is; nothing leaves ``root``."""
    place.mkdir(parents=True, exist_ok=True)
    for file in manifest.files:
        if file.content is None:
            continue
        target = (place / file.path).resolve()
        if not target.is_relative_to(root.resolve()):
            what = f"The version names a file outside of its folder: {file.path}."
            raise StateError(
                Problem(code="S833", what=what, fix="Make the version again by a run of the flow.")
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(contents[file.content])


def _not_whole(version: FlowVersion) -> tuple[Problem, ...]:
    skipped: tuple[SkippedFile, ...] = version.manifest.skipped
    if not skipped:
        return ()
    named = ", ".join(f"{item.path} ({item.reason})" for item in skipped)
    return (
        Problem(
            code="S836",
            what=f"The version {version.name} is not kept whole: {named}.",
            fix="Put back what the flow needs of it.",
            severity="warning",
        ),
    )
