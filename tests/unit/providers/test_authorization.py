"""How requests are let in: keys, none, or tokens of Microsoft Entra ID."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from azure.core.exceptions import ClientAuthenticationError

from headrace.domain.connection import Connection, Secret
from headrace.errors import AccessDeniedError, DefinitionError, UsageError
from headrace.providers.authorization import make_authorization
from headrace.providers.endpoint import make_endpoint
from headrace.providers.entra import EntraTokens
from headrace.providers.loading import load_optional

AZURE = "https://r.openai.azure.com"


def connection(kind: str, key: Secret | None, **configs: str) -> Connection:
    secrets = {} if key is None else {"api_key": key}
    return Connection(name="mine", type=kind, configs=configs, secrets=secrets, origin="mine.yaml")


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (connection("open_ai", Secret(value="k")), "bearer"),
        (connection("open_ai", None), "bearer"),
        (connection("open_ai", None, base_url="http://127.0.0.1:11434/v1"), "none"),
        (connection("open_ai", Secret(), base_url="http://127.0.0.1:11434/v1"), "bearer"),
        (connection("serverless", Secret(value="k"), api_base="https://h"), "bearer"),
        (connection("azure_open_ai", Secret(value="k"), api_base=AZURE), "api-key"),
        (connection("azure_open_ai", Secret(), api_base=AZURE), "api-key"),
        (connection("azure_open_ai", Secret(value="k"), api_base=f"{AZURE}/openai/v1"), "bearer"),
        (connection("azure_open_ai", None, api_base=AZURE), "entra"),
        (connection("azure_open_ai", Secret(value="k"), api_base=AZURE, auth_mode="meid_token"), "entra"),
    ],
)
def test_kind(made: Connection, kind: str) -> None:
    assert make_authorization(make_endpoint(made), lambda *_: None).kind == kind


@pytest.mark.parametrize(
    ("made", "fix"),
    [
        (connection("open_ai", Secret()), "mine.yaml"),
        (connection("open_ai", Secret()), "MINE_API_KEY"),
        (connection("open_ai", Secret(variable="MY_VARIABLE")), "MY_VARIABLE"),
        (Connection(name="openai", type="open_ai", origin="environment"), "OPENAI_API_KEY"),
    ],
)
def test_key_that_is_not_there(made: Connection, fix: str) -> None:
    authorization = make_authorization(make_endpoint(made), lambda *_: None)
    with pytest.raises(DefinitionError) as caught:
        asyncio.run(authorization.headers())
    assert caught.value.problems[0].code == "C503"
    assert fix in (caught.value.problems[0].fix or "")


@dataclass
class Token:
    token: str
    expires_on: int


@dataclass
class Credential:
    """Gives tokens that last an hour, and remembers what it was asked for."""

    now: float = 1_000.0
    scopes: list[str] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def get_token(self, *scopes: str) -> Token:
        self.scopes.extend(scopes)
        self.threads.add(threading.current_thread().name)
        return Token(f"token {len(self.scopes)}", int(self.now) + 3600)


def tokens(credential: Credential, api_base: str = AZURE) -> EntraTokens:
    endpoint = make_endpoint(connection("azure_open_ai", None, api_base=api_base))
    return EntraTokens(endpoint, open_credential=lambda: credential, clock=lambda: credential.now)


def test_token_is_kept_until_shortly_before_its_end() -> None:
    credential = Credential()
    source = tokens(credential)

    async def session() -> list[str]:
        found = [await source.token()]
        for later in (3_000.0, 299.0, 2.0):
            credential.now += later
            found.append(await source.token())
        return found

    assert asyncio.run(session()) == ["token 1", "token 1", "token 1", "token 2"]


def test_concurrent_requests_fetch_one_token_outside_the_event_loop() -> None:
    credential = Credential()
    source = tokens(credential)

    async def session() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(source.token())

    asyncio.run(session())
    assert len(credential.scopes) == 1
    assert "MainThread" not in credential.threads


@pytest.mark.parametrize(
    ("api_base", "scope"),
    [
        (AZURE, "https://cognitiveservices.azure.com/.default"),
        (f"{AZURE}/openai/v1/", "https://ai.azure.com/.default"),
    ],
)
def test_scope(api_base: str, scope: str) -> None:
    credential = Credential()
    asyncio.run(tokens(credential, api_base).token())
    assert credential.scopes == [scope]


def test_credential_that_gives_no_token() -> None:
    class Refusing(Credential):
        def get_token(self, *scopes: str) -> Token:
            raise ClientAuthenticationError(message="long text of the library")

    with pytest.raises(AccessDeniedError) as caught:
        asyncio.run(tokens(Refusing()).token())
    (problem,) = caught.value.problems
    assert (problem.code, "az login" in (problem.fix or "")) == ("P701", True)
    assert "long text" not in problem.what


def test_missing_package_names_its_extra() -> None:
    with pytest.raises(UsageError) as caught:
        load_optional("no_such_package.identity:DefaultAzureCredential", extra="azure")
    (problem,) = caught.value.problems
    assert problem.code == "C505"
    assert "headrace[azure]" in (problem.fix or "")
