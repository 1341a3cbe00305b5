"""``promptflow.tools.open_model_llm``: models behind an online or serverless endpoint (promptflow-format: 3.6).

Only endpoints that a custom connection describes are called. The other forms look endpoints up in Azure's management
interface, which headrace does not do. Annotations are real ones here: a tool's are looked at, and text stands for any.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from headrace.compat.exception_families import fail_tool
from headrace.domain.connection import Connection
from headrace.domain.remote import PIN
from headrace.errors import UsageError
from headrace.formats.template import load_template
from headrace.providers.web import WebAnswer, WebError, request
from headrace.sdk.failures import as_sdk_errors
from headrace.sdk.session import join_workspace
from headrace.tools.declaration import ToolProvider, tool
from headrace.tools.value_types import PromptTemplate

DELAYS_S = (1.0, 2.0, 4.0, 8.0)
"""Waits before an endpoint that is busy or broken is asked again, seconds."""

_LOCAL = "localconnection"
_CLOUD = ("connection", "onlineendpoint", "serverlessendpoint")
_CONFIGS = ("endpoint_url", "model_family")
_KEY = "endpoint_api_key"
_SERVERLESS_HOST = ".inference.ai.azure.com"
_SERVERLESS_MODEL = "llama-2-7b-hf"  # what prompt flow names; the endpoint has one model
_RETRIED = frozenset((408, 424, 429))
_FIRST_SERVER_ERROR = 500
_OK = range(200, 300)
_ROLE = re.compile(r"^[^\S\n]*(system|assistant|user)[^\S\n]*:[^\S\n]*\n", re.IGNORECASE | re.MULTILINE)


class ModelFamily(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """What an endpoint wants to be sent."""

    LLAMA = "LLaMa"
    DOLLY = "Dolly"
    GPT2 = "GPT-2"
    FALCON = "Falcon"


class API(str, Enum):  # noqa: UP042
    """How a model is asked."""

    CHAT = "chat"
    COMPLETION = "completion"


class OpenModelLLM(ToolProvider):
    """A model of Azure's catalogue behind an endpoint of one's own."""

    @tool
    def call(
        self,
        prompt: PromptTemplate,
        api: API,
        endpoint_name: str,
        deployment_name: str | None = None,
        temperature: float | None = 1.0,
        max_new_tokens: int | None = 500,
        top_p: float | None = 1.0,
        model_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> str:
        """Ask the model.

        Args:
            prompt: A template; ``kwargs`` are its variables.
            api: ``chat`` or ``completion``.
            endpoint_name: ``localConnection/NAME``: a custom connection with the configs ``endpoint_url`` and
                ``model_family`` and the secret ``endpoint_api_key``.
            deployment_name: One of several deployments of the endpoint.
            temperature: How freely words are chosen.
            max_new_tokens: How long the answer may be.
            top_p: From how much of the probability words are chosen.
            model_kwargs: Further parameters.
            **kwargs: Variables of the template.

        Raises:
            OpenModelLLMUserError: The endpoint's name, or the prompt, is wrong.
            OpenModelLLMKeyValidationError: The connection lacks something.
            OpenModelLLMOnlineEndpointError: The endpoint did not give an answer.
        """
        endpoint = _find_endpoint(self, endpoint_name)
        parameters = {
            **(model_kwargs or {}),
            "temperature": temperature,
            "top_p": top_p,
            "max_new_tokens": max_new_tokens,
        }
        with as_sdk_errors():
            text = load_template(str(prompt), "<prompt>").render(kwargs)
        body = _make_body(endpoint, API(api), text, parameters)
        headers = {
            "Authorization": f"Bearer {endpoint.key}",
            "x-ms-user-agent": f"PromptFlow/OpenModelLLM/{endpoint.family.value}",
        }
        if deployment_name and deployment_name != "default":
            headers[PIN] = deployment_name
        answer = _ask(endpoint.address(API(api)), headers, body)
        return _read_answer(endpoint, API(api), answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    url: str
    family: ModelFamily
    key: str

    @property
    def is_serverless(self) -> bool:
        return (urlsplit(self.url).hostname or "").endswith(_SERVERLESS_HOST)

    def address(self, api: API) -> str:
        if not self.is_serverless:
            return self.url
        host = self.url.split("/v1/", 1)[0].rstrip("/")
        return f"{host}/v1/chat/completions" if api is API.CHAT else f"{host}/v1/completions"


def _find_endpoint(owner: object, endpoint_name: str) -> _Endpoint:
    kind, _, name = endpoint_name.partition("/")
    if kind.lower() in _CLOUD:
        fail_tool(
            "OpenModelLLMUserError",
            f"{kind}/… is looked up in Azure's management interface, which headrace does not call. Keep address, "
            f"family and key of the endpoint in a custom connection, and write localConnection/NAME.",
        )
    if kind.lower() != _LOCAL or not name:
        fail_tool(
            "OpenModelLLMUserError", f"Invalid endpoint connection type: {kind}. Write localConnection/NAME."
        )
    known = join_workspace(owner).connections
    with as_sdk_errors():
        connection = known.find(name)
        if connection is None:
            raise UsageError(known.unknown(name))
        key = known.secret(connection, _KEY)
    return _read_endpoint(connection, key)


def _read_endpoint(connection: Connection, key: str | None) -> _Endpoint:
    for name in _CONFIGS:
        if not connection.configs.get(name):
            _refuse_key(name, "key", _CONFIGS)
    if not key:
        _refuse_key(_KEY, "secret key", (_KEY,))
    word = connection.configs["model_family"]
    for family in ModelFamily:
        if word.lower() in (family.value.lower(), family.name.lower()):
            return _Endpoint(url=connection.configs["endpoint_url"], family=family, key=key or "")
    known = ",".join(family.name for family in ModelFamily)
    return fail_tool(
        "OpenModelLLMKeyValidationError",
        f"Given model_family {word!r} not recognized.\nSupported models are: {known}.",
    )


def _refuse_key(name: str, kind: str, needed: tuple[str, ...]) -> None:
    what = f"Required {kind} `{name}` not found in given custom connection."
    fail_tool("OpenModelLLMKeyValidationError", f"{what}\nRequired keys are: {','.join(needed)}.")


def _make_body(endpoint: _Endpoint, api: API, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    if endpoint.is_serverless:
        limits = {"n": 1, **parameters, "max_tokens": parameters["max_new_tokens"]}
        if api is API.CHAT:
            return {"model": _SERVERLESS_MODEL, "messages": _messages(text), **limits}
        return {"prompt": text, **limits}
    if endpoint.family is ModelFamily.LLAMA:
        asked = _messages(text) if api is API.CHAT else [text]
        sampled = {"do_sample": True, **parameters}
        return {"input_data": {"input_string": asked, "parameters": sampled}}
    return {"input_data": {"input_string": [text]}, "parameters": dict(parameters)}


def _messages(text: str) -> list[dict[str, str]]:
    """The prompt cut at lines that hold a role."""
    before, *parts = _ROLE.split(text)
    if before.strip():
        fail_tool(
            "OpenModelLLMUserError",
            "The chat prompt does not begin with a role. Write system:, user: or assistant: on a line of its own "
            "before each message, or use the api completion.",
        )
    messages = [
        {"role": role.lower(), "content": content.strip()}
        for role, content in zip(parts[::2], parts[1::2], strict=True)
    ]
    if any(not message["content"] for message in messages):
        fail_tool("OpenModelLLMUserError", "A message of the chat prompt is empty.")
    return messages


def _ask(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> WebAnswer:
    """Send the request; what may pass is asked again."""
    for delay_s in (*DELAYS_S, None):
        try:
            answer = request(url, headers=headers, body=body)
        except WebError as error:
            reason = str(error)
        else:
            if answer.status in _OK:
                return answer
            reason = f"HTTP status {answer.status}"
            if answer.status not in _RETRIED and answer.status < _FIRST_SERVER_ERROR:
                break
        if delay_s is not None:
            time.sleep(delay_s)
    return fail_tool("OpenModelLLMOnlineEndpointError", f"Exception hit calling Online Endpoint: {reason}")


def _read_answer(endpoint: _Endpoint, api: API, answer: WebAnswer) -> str:
    try:
        data = answer.json()
        if endpoint.is_serverless:
            choice = data["choices"][0]
            return str(choice["message"]["content"] if api is API.CHAT else choice["text"])
        if endpoint.family is ModelFamily.LLAMA and api is API.CHAT:
            return str(data["output"])
        return str(data[0]["0"])
    except (ValueError, KeyError, IndexError, TypeError):
        return fail_tool("OpenModelLLMOnlineEndpointError", "Unexpected response format of the endpoint.")
