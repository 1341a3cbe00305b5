"""Versions that an experiment names: looked up once, recorded by their digests, and found again where a tag moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import Experiment
from headrace.domain.version import FlowVersion, NamedVersion, parse_version_name
from headrace.errors import DefinitionError, HeadraceError, Problem, StateError, UsageError
from headrace.operations.versions import find_version, is_version, write_version
from headrace.operations.workspace import Workspace
from headrace.source import Span

VERSIONS_KEY = "versions"
"""Where the judgement of a run keeps the versions that its experiment names."""


def settle_versions(workspace: Workspace, experiment: Experiment) -> Experiment:
    """The experiment with the flows of versions written to be run, and with what each name stands for.

    Args:
        workspace: For its store.
        experiment: As it was read, or settled already.

    Raises:
        DefinitionError: S831 or S834 for names in a file, each at its place.
        UsageError: The same without a file.
        StateError: S833 when files of a version are gone; S808 when they cannot be written.
    """
    places = _version_places(experiment)
    if not places:
        return experiment
    versions = dict(experiment.versions)
    paths: dict[str, str] = {}
    problems: list[Problem] = []
    for text, place in places.items():
        try:
            version = find_version(workspace, text)
            paths[text] = str(write_version(workspace, version))
            versions[text] = name_version(version)
        except HeadraceError as error:
            problems += (replace(item, span=item.span or place) for item in error.problems)
    if any(problem.code in ("S833", "S808") for problem in problems):
        raise StateError(*problems)
    if problems:
        raise DefinitionError(*problems) if experiment.file is not None else UsageError(*problems)
    arms = tuple(
        replace(arm, flow_path=paths.get(arm.flow_path or "", arm.flow_path)) for arm in experiment.arms
    )
    flow_path = paths.get(experiment.flow_path, experiment.flow_path)
    return replace(experiment, flow_path=flow_path, arms=arms, versions=versions)


def _version_places(experiment: Experiment) -> dict[str, Span | None]:
    """Names of versions in place of the paths of flows, and where each stands first."""
    found: dict[str, Span | None] = {}
    if is_version(Path(experiment.flow_path)):
        found[experiment.flow_path] = experiment.place("flow")
    levels = [level for factor in experiment.factors for level in factor.levels]
    for arm in experiment.arms:
        path = arm.flow_path
        if path is not None and path not in found and is_version(Path(path)):
            pointer = next((level.pointer for level in levels if level.flow_path == path), ())
            found[path] = experiment.place(*pointer, "path") or experiment.place(*pointer)
    return found


def name_version(version: FlowVersion) -> NamedVersion:
    """What is recorded of a version that a name stands for."""
    return NamedVersion(flow=version.flow, number=version.number, digest=version.digest)


def versions_as_plain(versions: Mapping[str, NamedVersion]) -> dict[str, Any]:
    """Names and versions as plain data."""
    return {name: asdict(version) for name, version in versions.items()}


def recorded_versions(judgement: Mapping[str, Any]) -> dict[str, NamedVersion]:
    """The versions that an experiment named, from its recorded judgement."""
    return {name: NamedVersion(**item) for name, item in judgement.get(VERSIONS_KEY, {}).items()}


def moved_tags(workspace: Workspace, versions: Mapping[str, NamedVersion]) -> tuple[Problem, ...]:
    """S832, as a warning, for every name that stands for another version by now, or for none.

    Args:
        workspace: For its store.
        versions: Names to what they stood for.
    """
    found = []
    for text, before in versions.items():
        name = parse_version_name(text)
        if name is None or name.tag is None:
            continue
        try:
            now = find_version(workspace, text)
        except UsageError:
            now = None
        if now is None or now.digest != before.digest:
            is_now = f"is on {now.name} now" if now is not None else "is on no version now"
            what = f"{text} was on {before.name} when this was run, and {is_now}."
            fix = f"What is said here is about {before.name}. Run it again to know about {text} as it is now."
            found.append(Problem(code="S832", what=what, fix=fix, severity="warning"))
    return tuple(found)


def refuse_moved(recorded: Mapping[str, Any], judgement: Mapping[str, Any]) -> None:
    """Refuse to go on with an experiment of which a name stands for another version by now.

    Args:
        recorded: The judgement of its runs.
        judgement: That of the experiment as it is asked for now.

    Raises:
        UsageError: S832 with both versions.
    """
    current = recorded_versions(judgement)
    for text, before in recorded_versions(recorded).items():
        now = current.get(text)
        if now is not None and now.digest != before.digest:
            what = f"{text} was on {before.name} when this experiment began, and is on {now.name} now."
            fix = f"Name {before.name} in the experiment, or begin a new one."
            raise UsageError(Problem(code="S832", what=what, fix=fix))


def settle_flow(workspace: Workspace, text: str) -> tuple[str, Mapping[str, NamedVersion]]:
    """The path of a flow that is given by its path or by the name of a version, and what that name stands for.

    Raises:
        UsageError: S831 or S834 for the name of a version.
        StateError: S833 when its files are gone; S808 when they cannot be written.
    """
    if not is_version(Path(text)):
        return text, {}
    version = find_version(workspace, text)
    return str(write_version(workspace, version)), {text: name_version(version)}
