"""``PFClient``: what scripts and notebooks run flows with (promptflow-format: 9.12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from headrace.compat.constants import MAX_SHOW_DETAILS_RESULTS
from headrace.errors import Problem, UsageError
from headrace.formats.pf_config import CONNECTION_PROVIDER
from headrace.formats.run_file import apply_settings, read_run_file
from headrace.sdk.connections import ConnectionOperations
from headrace.sdk.failures import as_sdk_errors
from headrace.sdk.flows import FlowOperations
from headrace.sdk.run import Run
from headrace.sdk.runs import RunOperations
from headrace.sdk.session import join_workspace


class PFClient:
    """Runs flows, and reads what they left, in the workspace of the working directory.

    Args:
        config: Settings of prompt flow that win over its files: ``run.output_path``, and ``connection.provider``:
            ``local``, or the workspace that keeps the connections.

    Attributes:
        runs: See :class:`RunOperations`.
        connections: See :class:`ConnectionOperations`.
        flows: See :class:`FlowOperations`.
    """

    def __init__(self, *, config: Mapping[str, Any] | None = None, **_: Any) -> None:
        provider = (config or {}).get(CONNECTION_PROVIDER)
        self._workspace = join_workspace(self)
        if provider:
            with as_sdk_errors():
                self._workspace = self._workspace.with_connection_provider(str(provider))
        self.runs = RunOperations(self._workspace, config or {})
        self.connections = ConnectionOperations(self._workspace)
        self.flows = FlowOperations(self._workspace)

    def run(
        self,
        flow: Any = None,
        *,
        data: str | PathLike[str] | None = None,
        run: Run | str | None = None,
        column_mapping: Mapping[str, Any] | None = None,
        variant: str | None = None,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        environment_variables: Mapping[str, Any] | None = None,
        name: str | None = None,
        display_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        resume_from: Run | str | None = None,
        code: str | PathLike[str] | None = None,
        init: Mapping[str, Any] | None = None,
        stream: bool = False,
        **more: Any,
    ) -> Run:
        """Run a flow over every line of its data, and return the finished run.

        Args:
            flow: Flow folder or file; ``module:callable``; or a function, a class or an object that can be called.
            data: Data file or folder.
            run: The run whose outputs are read, for an evaluation.
            column_mapping: Flow input to ``${data.x}``, ``${run.inputs.x}``, ``${run.outputs.x}`` or a value.
            variant: ``${node.variant}``.
            connections: Node to ``{"connection": …, "deployment_name": …}``; a connection by name or as an object.
            environment_variables: Set while the flow runs.
            name: Unique; made up where none is given.
            display_name: Title.
            tags: Words by name.
            resume_from: The run to go on with; flow, data and choices are its own.
            code: The folder in which ``module:callable`` is found.
            init: Arguments for the constructor of a flex flow's class.
            stream: Write every line as soon as it is finished, and a summary at the end.
            **more: ``description`` and ``properties``; anything else is ignored, as by prompt flow.

        Raises:
            ValueError: Neither data nor a run; or ``resume_from`` together with what it settles.
            FileNotFoundError: There is no such data.
            UserErrorException: Flow, data or mapping are wrong; RunExistsError for a name that is taken.
        """
        if code is not None and isinstance(flow, str):
            flow = Path(code) / flow
        settled = {"flow": flow, "data": data, "run": run, "column_mapping": column_mapping, "variant": variant,
                   "connections": connections, "init": init}  # fmt: skip
        _check_sources(settled, resume_from)
        request = Run(
            **settled,
            name=name,
            display_name=display_name,
            tags=tags,
            environment_variables={key: str(value) for key, value in (environment_variables or {}).items()},
            resume_from=resume_from,
            description=more.get("description"),
            properties=more.get("properties"),
        )
        return self.runs.create_or_update(request, stream=stream)

    def test(self, flow: Any, **arguments: Any) -> Any:
        """As :meth:`FlowOperations.test`."""
        return self.flows.test(flow, **arguments)

    def stream(self, run: Run | str, raise_on_error: bool = True) -> Run:  # noqa: FBT001, FBT002 - as projects call it
        """As :meth:`RunOperations.stream`."""
        return self.runs.stream(run, raise_on_error)

    def get_details(
        self,
        run: Run | str,
        max_results: int = MAX_SHOW_DETAILS_RESULTS,
        all_results: bool = False,  # noqa: FBT001, FBT002 - as projects call it
    ) -> Any:
        """As :meth:`RunOperations.get_details`."""
        return self.runs.get_details(run, max_results, all_results)

    def get_metrics(self, run: Run | str) -> dict[str, Any]:
        """As :meth:`RunOperations.get_metrics`."""
        return self.runs.get_metrics(run)

    def visualize(self, runs: Run | str | Iterable[Run | str]) -> None:
        """As :meth:`RunOperations.visualize`."""
        self.runs.visualize(runs)


def load_run(
    source: str | PathLike[str], params_override: Iterable[Mapping[str, Any]] | None = None, **_: Any
) -> Run:
    """The run that a run file describes, not made yet; give it to ``PFClient().runs.create_or_update``.

    Args:
        source: A run file; paths in it are relative to it.
        params_override: Mappings of keys to values that win over the file.

    Raises:
        UserErrorException: The file is missing or wrong, or a key is none of a run.
    """
    changed = {key: value for item in params_override or () for key, value in item.items()}
    with as_sdk_errors():
        file = read_run_file(Path(source))
        texts = {key: str(value) for key, value in changed.items() if not isinstance(value, Mapping)}
        file = apply_settings(file, texts)
    given: dict[str, Any] = {**file.texts, **file.mappings}
    given |= {key: value for key, value in changed.items() if isinstance(value, Mapping)}
    for key in ("flow", "data"):
        if key in given and ":" not in str(given[key]):
            given[key] = file.path(given[key]).resolve()
    return Run(**given)


def _check_sources(settled: Mapping[str, Any], resume_from: Run | str | None) -> None:
    if resume_from is not None:
        beside = {key: value for key, value in settled.items() if value is not None}
        if beside:
            message = f"'resume_from' is not supported together with: {', '.join(beside)}"
            raise ValueError(message)
        return
    if settled["data"] is None and settled["run"] is None:
        message = "at least one of data or run must be provided"
        raise ValueError(message)
    data = settled["data"]
    if data is not None and not any(sign in str(data) for sign in "*?[") and not Path(data).exists():
        message = f"data path {data} does not exist"
        raise FileNotFoundError(message)


def _refuse(what: str, fix: str) -> NoReturn:
    with as_sdk_errors():
        raise UsageError(Problem(code="C507", what=what, fix=fix))
