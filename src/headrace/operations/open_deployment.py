"""Open what a deployment file wishes for, and the target that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from headrace import __version__
from headrace.deploy import base
from headrace.deploy.base import Target, TargetSetup, Tell
from headrace.deploy.places import settle_names
from headrace.domain.deployment import DeployPlan, Endpoint
from headrace.errors import HeadraceError, Problem, UsageError, raise_if_errors
from headrace.formats.deployment import FILE_NAME, read_deployment
from headrace.formats.paths import exists
from headrace.operations.deployed_flows import look_up_flows
from headrace.operations.pack_deployment import packing
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name, load_optional

RUNTIME = f"headrace {__version__}"
"""What serves the flows that we deploy; another one makes other copies."""

NEW = "new"
"""How people and pipelines call the version of a file without arms, whichever of the two places holds it."""

_FOLDER = "deploy"

_SAID = re.compile(r"headrace deploy (apply|destroy|invoke|logs|plan|rollback|status|traffic)(?![\w-])")
_TAKES_OPTION = frozenset({"traffic"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentChoice:
    """Which deployment a person means.

    Attributes:
        file: The deployment file or its folder.
        environment: Name of the overlay that is laid over it; ``None`` for none.
    """

    file: Path = Path(FILE_NAME)
    environment: str | None = None

    def command(self, verb: str, *words: str) -> str:
        """The command that does something with the same deployment.

        Args:
            verb: What, such as ``apply``.
            words: Its further arguments.
        """
        return " ".join((f"headrace deploy {verb}{self._place(verb)}", *words))

    def name_in(self, text: str) -> str:
        """A text for people in which each command is about the same deployment, whichever file that is of."""

        def complete(found: re.Match[str]) -> str:
            place = self._place(found[1])
            return found[0] if text.startswith(place, found.end()) else found[0] + place

        return _SAID.sub(complete, text)

    def name_in_plan(self, plan: DeployPlan) -> DeployPlan:
        """A plan whose notes and refusals say so as well."""
        unsafe = tuple((name, self._complete(problem)) for name, problem in plan.unsafe)
        return replace(plan, notes=tuple(map(self.name_in, plan.notes)), unsafe=unsafe)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let what is raised in the block say so as well."""
        try:
            yield
        except HeadraceError as error:
            error.problems = tuple(map(self._complete, error.problems))
            error.args = error.problems
            raise

    def _complete(self, problem: Problem) -> Problem:
        return replace(problem, fix=self.name_in(problem.fix)) if problem.fix else problem

    def _place(self, verb: str) -> str:
        flag = "--file " if verb in _TAKES_OPTION else ""
        file = "" if self.file == Path(FILE_NAME) else f" {flag}{quote(str(self.file))}"
        overlay = f" --environment {quote(self.environment)}" if self.environment else ""
        return file + overlay


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDeployment:
    """A deployment file that was read, and its target.

    Attributes:
        endpoint: As the file says; versions of flows are not looked up yet.
    """

    workspace: Workspace
    choice: DeploymentChoice
    endpoint: Endpoint
    target: Target

    def named(self, text: str) -> str:
        """The deployment that a person names, perhaps as the arm that it is: ``few_shot`` is ``few-shot`` at Azure.

        :data:`NEW` is the place of the file's version, in a file without arms.

        Raises:
            DefinitionError, UsageError, StateError: The version of the file is not known, or has no place.
            RemoteError: The target cannot be read.
        """
        if text == NEW and self.endpoint.is_alternating:
            endpoint, _ = look_up_flows(self.workspace, self.endpoint)
            return settle_names(endpoint, self.target.read_state(), RUNTIME).deployments[0].name
        is_name = self.endpoint.find(text) is not None
        arms = {item.arm: item.name for item in self.endpoint.deployments if item.name}
        return text if is_name else arms.get(text, text)


@contextmanager
def open_deployment(
    workspace: Workspace, choice: DeploymentChoice, tell: Tell = lambda _: None
) -> Iterator[OpenDeployment]:
    """Read a deployment file and open its target for the block.

    Args:
        workspace: For settings, connections, the store and the state folder.
        choice: Which file.
        tell: Takes lines about what is being waited for.

    Raises:
        DefinitionError: The file is wrong, or says what its target cannot do.
        UsageError: F001 without a file, or such an overlay; C505 when the target's extra is not installed.
    """
    if choice.file == Path(FILE_NAME) and not exists(choice.file):
        what = f"There is no {FILE_NAME} in this folder."
        fix = "Name the file, or write one: a name, a target and a flow are enough to begin with."
        raise UsageError(Problem(code="F001", what=what, fix=fix))
    endpoint = read_deployment(choice.file, choice.environment, workspace.settings.environment)
    name = _adapter(endpoint)
    extra = base.EXTRAS.get(endpoint.target)
    make = load_by_name(name) if extra is None else load_optional(name, extra=extra)
    with packing(workspace) as pack:
        setup = TargetSetup(
            endpoint=endpoint,
            settings=workspace.settings,
            pack=pack,
            tell=tell,
            state_folder=workspace.state_folder / _FOLDER,
        )
        target: Target = make(setup)
        try:
            problems = target.check(endpoint)
            raise_if_errors(problems)
            workspace.warn(problems)
            with choice.naming():
                yield OpenDeployment(workspace=workspace, choice=choice, endpoint=endpoint, target=target)
        finally:
            target.close()


def _adapter(endpoint: Endpoint) -> str:
    name = base.TARGETS.get(endpoint.target)
    if name is None:
        what = f"This headrace has no target {endpoint.target}."
        fix = f"Its targets are: {', '.join(sorted(base.TARGETS))}."
        span = endpoint.span("target")
        raise UsageError(Problem(code="C507", what=what, span=span, pointer=("target",), fix=fix))
    return name
