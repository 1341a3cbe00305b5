"""Talk with a chat flow: one flow, loaded once, and a history that grows with every turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headrace.domain.flow import DAG, Flow
from headrace.domain.multimedia import media_values
from headrace.domain.run import COMPLETED
from headrace.engine.runtime import PreparedFlow
from headrace.errors import DefinitionError, Problem, raise_if_errors
from headrace.operations.prepare_flow import FlowSession, loaded_flow
from headrace.operations.test_flow import (
    MAX_THREADS,
    TestRequest,
    TestResult,
    make_arm,
    run_once,
    span_attributes,
)
from headrace.operations.workspace import Workspace
from headrace.planning.chat import (
    ChatPorts,
    find_chat_ports,
    make_turn,
    read_answer,
    read_message,
    with_history,
)
from headrace.planning.convert import make_inputs


class Chat:
    """A conversation. Made by :func:`open_chat`.

    Attributes:
        flow: The flow.
        warnings: Findings that do not keep it from running.
    """

    def __init__(
        self,
        flow: PreparedFlow,
        ports: ChatPorts,
        runner: asyncio.Runner,
        given: Mapping[str, Any],
        warnings: tuple[Problem, ...],
    ) -> None:
        self.flow: Flow = flow.plan.flow
        self.warnings = warnings
        self._prepared = flow
        self._ports = ports
        self._runner = runner
        self._given = given
        values, _ = make_inputs(self.flow, given)
        self._history: list[Any] = list(values.get(ports.history) or ())

    def say(self, message: str, on_text: Callable[[str], None] | None = None) -> TestResult:
        """Take one turn; it becomes part of the history when the flow completes.

        Args:
            message: What the person says.
            on_text: Hears the pieces of an answer that streams.

        Raises:
            DefinitionError: T201 when the message does not fit the chat input.
        """
        said = read_message(self.flow, self._ports, message)
        turn = {self._ports.message: said, self._ports.history: list(self._history)}
        values, problems = make_inputs(self.flow, {**self._given, **turn})
        raise_if_errors(problems)

        def hear(name: str, piece: Any) -> None:
            if on_text is not None and (self.flow.kind != DAG or name == self._ports.answer):
                on_text(str(piece))

        line, aggregation = self._runner.run(run_once(self._prepared, values, hear))
        if line.status == COMPLETED:
            outputs = media_values(line.outputs)
            self._history += make_turn(self.flow, self._ports, values[self._ports.message], outputs)
        return TestResult(
            flow=self.flow,
            line=line,
            outputs=read_answer(self._ports, line.outputs),
            metrics=aggregation.metrics,
            aggregation=aggregation.nodes,
            warnings=self.warnings,
            aggregation_problem=aggregation.problem,
        )


@contextmanager
def open_chat(workspace: Workspace, request: TestRequest) -> Iterator[Chat]:
    """Load a flow and talk with it during the block, in its folder and with its environment variables.

    The inputs of the request are those of every turn; a history among them is what the chat begins with.

    Raises:
        DefinitionError: The flow is wrong, F013 when it is no chat flow, T201 or T202 for an input.
        UsageError: The variant or model does not exist.
    """
    arm = make_arm(request.variant, request.model)
    with loaded_flow(
        workspace,
        request.flow,
        arm=arm,
        environment_variables=request.environment_variables,
        init=request.init,
    ) as loaded:
        ports, problems = find_chat_ports(loaded.flow)
        if ports is None:
            raise DefinitionError(*problems)
        rest = {name: value for name, value in request.inputs.items() if name != ports.message}
        given = with_history(loaded.flow, rest)
        problems = _check_given(loaded.flow, ports, given)
        raise_if_errors(problems)
        attributes = span_attributes(request)
        session = FlowSession(workspace, loaded, max_threads=MAX_THREADS, attributes=attributes)
        with asyncio.Runner() as runner:
            flow = runner.run(session.__aenter__())
            try:
                yield Chat(flow, ports, runner, given, (*loaded.warnings, *problems))
            finally:
                runner.run(session.__aexit__())


def _check_given(flow: Flow, ports: ChatPorts, given: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with the inputs of every turn; the message has no value before the first."""
    _, problems = make_inputs(flow, given)
    return tuple(
        problem
        for problem in problems
        if not (problem.code == "T202" and problem.pointer == ("inputs", ports.message))
    )
