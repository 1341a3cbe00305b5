"""``Prompty`` and ``AsyncPrompty``: a prompty as a function (promptflow-format: 7.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Self

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import UserErrorException
from headrace.compat.model_calls import await_model, wait_for_model
from headrace.compat.translation import translated
from headrace.config import load_settings
from headrace.domain.connection import Connection
from headrace.domain.flow import ModelPrompt
from headrace.errors import HeadraceError, Problem, RemoteError, UsageError
from headrace.formats.flow_file import load_flow
from headrace.formats.prompty import CONFIGURATION_KEYS
from headrace.operations.workspace import Workspace
from headrace.providers.base import ModelClient
from headrace.providers.loading import load_by_name
from headrace.sdk.session import join_workspace
from headrace.tools.model_parameters import COMPLETION
from headrace.tools.project import caller_folder
from headrace.tools.prompty import PromptyTool, load_prompty_tool

PROMPTY_SUFFIX = ".prompty"
_COUNT = "headrace.sdk.token_count:count_tokens"


_KINDS = {
    "T202": "MissingRequiredInputError",
    "E605": "ChatAPIInvalidRoleError",
    "E602": "JinjaTemplateError",
    "F009": "JinjaTemplateError",
    "T201": "ChatAPIInvalidTools",
    "P709": "InvalidOutputKeyError",
    "C501": "ConnectionNotFound",
    "C502": "InvalidConnectionError",
    "C503": "RequiredEnvironmentVariablesNotSetError",
}
"""Problem code to the exception of ``promptflow.core._errors`` that projects catch."""


class Prompty:
    """A prompty that can be called with its inputs as keyword arguments.

    It may be called from tools of a running flow, from threads and from code with an event loop of its own.

    Attributes:
        name: The prompty's name.
        path: The file.
        code: Its folder.
    """

    def __init__(self, path: str | PathLike[str], **overrides: Any) -> None:
        self.path = caller_folder() / Path(path)
        self.code = self.path.parent
        with _known_errors():
            _check_path(self.path)
            self._flow = load_flow(
                self.path, environment=load_settings().environment, overrides=_plain_overrides(overrides)
            )
        self.name = self._name = self._flow.name
        self._tool: PromptyTool | None = None
        self._workspace: Workspace | None = None

    @classmethod
    def load(cls, source: str | PathLike[str], **kwargs: Any) -> Self:
        """Load a prompty from its file, relative to the working directory.

        Args:
            source: The file.
            kwargs: Taken for parts of the front matter: ``model``, ``inputs``, ``sample`` and so on. Mappings are
                merged into what is there; a model configuration takes the place of ``model["configuration"]``.

        Raises:
            UsageError: There is no such file.
            DefinitionError: The file is wrong.
        """
        return cls(source, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Ask the model and return its answer; of a stream, a generator of pieces.

        Raises:
            DefinitionError: An input is missing, or the configuration leads nowhere.
            NodeError: The prompt cannot be rendered.
            RemoteError: The service does not give a usable answer.
        """
        _refuse_positions(args, "called")
        with _known_errors():
            tool = self._load_tool()
            answer = wait_for_model(lambda context: tool.call(kwargs, context), self._open_client)
        return _package_object(self._prompt, answer)

    def render(self, *args: Any, **kwargs: Any) -> str:
        """The prompt for some inputs as text; of a chat, the list of its messages.

        Raises:
            DefinitionError: An input is missing, or the configuration leads nowhere.
            NodeError: The prompt cannot be rendered.
        """
        _refuse_positions(args, "rendered")
        with _known_errors():
            return str(self._load_tool().render(kwargs))

    def estimate_token_count(self, *args: Any, **kwargs: Any) -> int:
        """How many tokens the prompt for some inputs has, with ``max_tokens`` for the answer where it is set.

        The package ``tiktoken`` counts. It is not installed with headrace, and it has to have its encoding already: the
        network is never asked for it.

        Raises:
            UsageError: C505 when the package or its encoding is not there, T201 for ``max_tokens``.
            DefinitionError: An input is missing, or the configuration leads nowhere.
            NodeError: The prompt cannot be rendered.
        """
        _refuse_positions(args, "rendered")
        with _known_errors():
            prompt = self._load_tool().render(kwargs)
            count: int = load_by_name(_COUNT)(prompt, self._prompt.parameters.get("max_tokens"))
            return count

    @property
    def _prompt(self) -> ModelPrompt:
        if self._flow.prompt is None:
            raise TypeError
        return self._flow.prompt

    @property
    def _template(self) -> str:
        return self._prompt.template

    def _load_tool(self) -> PromptyTool:
        """The tool, loaded at the first call: until then nobody asks whether the configuration leads anywhere."""
        if self._tool is None:
            node = self._flow.nodes[0]
            self._tool = load_prompty_tool(node, self._flow, self.code, self._join_workspace().connections)
        return self._tool

    def _open_client(self, wanted: str | Connection) -> ModelClient:
        return self._join_workspace().open_client(wanted)

    def _join_workspace(self) -> Workspace:
        if self._workspace is None:
            self._workspace = join_workspace(self)
        return self._workspace


class AsyncPrompty(Prompty):
    """A prompty whose calls are awaited."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Ask the model on the running event loop and return its answer; of a stream, a generator of pieces.

        Raises:
            DefinitionError: An input is missing, or the configuration leads nowhere.
            NodeError: The prompt cannot be rendered.
            RemoteError: The service does not give a usable answer.
        """
        _refuse_positions(args, "called")
        with _known_errors():
            tool = self._load_tool()
            answer = await await_model(lambda context: tool.call(kwargs, context), self._open_client)
        return _package_object(self._prompt, answer)


@contextmanager
def _known_errors() -> Iterator[None]:
    """Let a project catch what goes wrong by the names that promptflow's prompties raise."""
    try:
        yield
    except HeadraceError as error:
        problem = error.problems[0]
        name = _KINDS.get(problem.code, "WrappedOpenAIError" if isinstance(error, RemoteError) else None)
        if problem.code == "T201" and {"functions", "function_call"}.intersection(problem.pointer):
            name = "ChatAPIInvalidFunctions"
        kind = exception_family("promptflow.core._errors")[name] if name else UserErrorException
        raise translated(error, kind) from error


def _check_path(path: Path) -> None:
    if not path.exists():
        what = f"{path} does not exist."
        raise UsageError(Problem(code="F001", what=what, fix="Check the path; capital letters count."))
    if path.suffix != PROMPTY_SUFFIX or not path.is_file():
        what = f"{path} is no .prompty file."
        raise UsageError(Problem(code="F004", what=what, fix="Name a file that ends in .prompty."))


def _refuse_positions(args: tuple[Any, ...], done: str) -> None:
    if args:
        what = f"A prompty is {done} with keyword arguments only."
        problem = Problem(code="T202", what=what, fix="Name every input: prompty(question=…).")
        raise translated(UsageError(problem), UserErrorException)


def _plain_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides with a model configuration written as the front matter would."""
    model = overrides.get("model")
    configuration = model.get("configuration") if isinstance(model, Mapping) else None
    if not isinstance(model, Mapping) or not dataclasses.is_dataclass(configuration):
        return dict(overrides)
    kinds = {"AzureOpenAIModelConfiguration": "azure_openai", "OpenAIModelConfiguration": "openai"}
    # An object takes the place of the whole configuration: what it does not set is not set.
    written = {
        **dict.fromkeys(CONFIGURATION_KEYS),
        "type": kinds.get(type(configuration).__name__),
        **{field.name: getattr(configuration, field.name) for field in dataclasses.fields(configuration)},
    }
    return {**overrides, "model": {**model, "configuration": written}}


def _package_object(prompt: ModelPrompt, answer: Any) -> Any:
    """What the openai package would return, where the prompty wants everything that the service answers."""
    if prompt.response != "all":
        return answer
    is_completion = prompt.api == COMPLETION
    if isinstance(answer, Iterator):
        return (_chunk(piece, is_completion=is_completion) for piece in answer)
    name = "openai.types:Completion" if is_completion else "openai.types.chat:ChatCompletion"
    return load_by_name(name).construct(**answer)


def _chunk(piece: str, *, is_completion: bool) -> Any:
    if is_completion:
        choice: dict[str, Any] = {"index": 0, "text": piece, "finish_reason": None}
        return load_by_name("openai.types:Completion").construct(choices=[choice], object="text_completion")
    choice = {"index": 0, "delta": {"content": piece, "role": "assistant"}, "finish_reason": None}
    name = "openai.types.chat:ChatCompletionChunk"
    return load_by_name(name).construct(choices=[choice], object="chat.completion.chunk")
