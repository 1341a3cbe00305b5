"""``PFClient().flows``: trying, checking and describing flows (promptflow-format: 9.12)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from headrace.compat.files import AttrDict
from headrace.domain.flow import DAG, FLEX
from headrace.domain.run import COMPLETED
from headrace.errors import DefinitionError, Problem, UsageError, raise_if_errors
from headrace.formats.lines import read_dataset
from headrace.operations.check_flow import check_flow
from headrace.operations.save_flow import describe_entry, save_flow, save_function
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import Workspace, at_work
from headrace.planning.chat import find_chat_ports
from headrace.sdk.entry import find_flow
from headrace.sdk.failures import FlowFailedError, as_sdk_errors
from headrace.sdk.runs import in_free_thread
from headrace.source import pointer_text


class ValidationResult:
    """What is wrong with a flow.

    Attributes:
        problems: All findings, warnings included.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems

    @property
    def passed(self) -> bool:
        """Whether nothing keeps the flow from running."""
        return not any(problem.severity == "error" for problem in self.problems)

    @property
    def error_messages(self) -> dict[str, str]:
        """Place in the flow file to what is wrong there."""
        errors = [problem for problem in self.problems if problem.severity == "error"]
        return {pointer_text(problem.pointer) or str(problem.span or "*"): problem.what for problem in errors}

    def __repr__(self) -> str:
        data: dict[str, Any] = {"result": "Succeeded" if self.passed else "Failed"}
        if self.problems:
            data["errors"] = [problem.to_json() for problem in self.problems]
        return json.dumps(data, indent=2)


class FlowOperations:
    """Flows as files. Made by :class:`PFClient`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def test(
        self,
        flow: Any,
        *,
        inputs: Mapping[str, Any] | str | PathLike[str] | None = None,
        variant: str | None = None,
        node: str | None = None,
        environment_variables: Mapping[str, Any] | None = None,
        init: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        """Run a flow, or one of its nodes, once.

        Args:
            flow: Flow folder or file, ``module:callable``, or a function, class or object to call.
            inputs: Flow inputs (or the node's), or the path of a JSON file, or of one whose first line counts.
            variant: ``${node.variant}``.
            node: Run only this node.
            environment_variables: Set while the flow runs.
            init: Arguments for the constructor of a flex flow's class.

        Returns:
            The outputs; of a single node and of a flex flow what it returned. An output of a chat flow that
            streams is a generator of its pieces.

        Raises:
            UserErrorException: The flow or an input is wrong, or the flow failed.
        """
        with as_sdk_errors():
            path, giving = find_flow(flow)
            request = TestRequest(
                flow=path,
                inputs=_read_inputs(inputs),
                variant=variant,
                node=node,
                environment_variables={
                    name: str(item) for name, item in (environment_variables or {}).items()
                },
                init=init or {},
            )
            with at_work(self._workspace), giving:
                # Prompt flow's client asks models for their answers piece by piece, whoever listens.
                heard = _Pieces()
                result = in_free_thread(lambda: run_test(self._workspace, request, heard.hear))
            if result.line.status != COMPLETED and result.line.problem is not None:
                raise FlowFailedError(result.line.problem)
            if result.flow.kind == DAG and node is None and find_chat_ports(result.flow)[0] is not None:
                return heard.give(result.outputs)
            is_named = result.flow.kind == FLEX and isinstance(result.outputs, dict)
            return AttrDict(result.outputs) if is_named else result.outputs  # it may stand for a dataclass

    def validate(
        self,
        flow: str | PathLike[str],
        *,
        raise_error: bool = False,
        **_: Any,
    ) -> ValidationResult:
        """Everything that is wrong with a flow.

        Raises:
            UserErrorException: Something is, and ``raise_error`` is set.
        """
        problems = check_flow(self._workspace, Path(flow))
        if raise_error:
            with as_sdk_errors():
                raise_if_errors(problems)
        return ValidationResult(problems)

    def infer_signature(self, entry: Any, **_: Any) -> dict[str, dict[str, Any]]:
        """Inputs, outputs and constructor parameters of a function or class, in the form of a flow file.

        Raises:
            UserErrorException: It cannot be called, or takes what data cannot give.
        """
        with as_sdk_errors():
            path, giving = find_flow(entry)
            with giving:
                return describe_entry(path.name, path.parent)

    def save(
        self,
        entry: str | Callable[..., Any],
        code: str | PathLike[str] | None = None,
        path: str | PathLike[str] | None = None,
        *,
        python_requirements_txt: str | None = None,
        image: str | None = None,
        signature: Mapping[str, Any] | None = None,
        sample: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write the file of a flex flow around a function or class.

        Args:
            entry: The function or class, or ``module:name`` together with ``code``.
            code: Folder that the module is imported from; a function brings its own.
            path: Folder for the flow, new or empty; default: beside the code.
            python_requirements_txt: Noted in the flow file.
            image: Noted in the flow file.
            signature: More about inputs, outputs and constructor parameters, in the form of a flow file.
            sample: What the flow is tried with, noted in the flow file.

        Raises:
            UserErrorException: The entry cannot be one, ``code`` is missing or too much, or ``path`` holds something.
        """
        notes = {"python_requirements_txt": python_requirements_txt, "image": image}
        environment = {name: value for name, value in notes.items() if value}
        more = {"environment": environment, "sample": sample or {}, **(signature or {})}
        target = None if path is None else Path(path)
        with as_sdk_errors():
            if callable(entry) and code is None:
                save_function(entry, target, more=more)
            elif not callable(entry) and code is not None:
                save_flow(entry, Path(code), target, more=more)
            else:
                what = "An entry in words needs code, and a function brings its own."
                fix = "Give code together with module:name only."
                raise UsageError(Problem(code="C507", what=what, fix=fix))


class _Pieces:
    """What outputs gave piece by piece, to be given out in the same way."""

    def __init__(self) -> None:
        self._of: dict[str, list[Any]] = {}

    def hear(self, name: str, piece: Any) -> None:
        """Keep a piece of an output."""
        self._of.setdefault(name, []).append(piece)

    def give(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs, with a generator for each that came in pieces."""
        return {
            name: (piece for piece in self._of[name]) if name in self._of else value
            for name, value in outputs.items()
        }


def _read_inputs(inputs: Mapping[str, Any] | str | PathLike[str] | None) -> Mapping[str, Any]:
    if inputs is None or isinstance(inputs, Mapping):
        return inputs or {}
    path = Path(inputs)
    if path.suffix != ".json":
        return dict(read_dataset(path).first.columns)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DefinitionError(
            Problem(code="D401", what=f"{path} is not JSON.", fix="Write one object.")
        ) from error
    if not isinstance(data, dict):
        raise UsageError(Problem(code="C507", what="Inputs are an object of names and values."))
    return data
