"""Who we are to Azure: the usual chain of ``azure-identity`` (extra ``azure``), with a report of what was tried.

The chain is that of ``DefaultAzureCredential``: variables of the environment, workload identity, managed identity
(``AZURE_CLIENT_ID`` names a user-assigned one), then the tools that people sign in with.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from headrace.errors import AccessDeniedError, Problem
from headrace.providers.azure_network import SIGN_IN, connection_fault
from headrace.providers.loading import load_optional

_LONGEST = 240
_PLAIN_NAMES = {
    "EnvironmentCredential": "variables AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET",
    "WorkloadIdentityCredential": "workload identity",
    "ManagedIdentityCredential": "managed identity",
    "SharedTokenCacheCredential": "shared token cache",
    "VisualStudioCodeCredential": "Visual Studio Code",
    "AzureCliCredential": "az login",
    "AzurePowerShellCredential": "Connect-AzAccount",
    "AzureDeveloperCliCredential": "azd auth login",
    "BrokerCredential": "account of the system",
}
_TRACE = re.compile(r"\s*(?:Trace|Correlation) ID:.*", re.DOTALL)
_ADVERT = re.compile(
    r"\b(?:[Vv]isit|refer to|aka\.ms|learn\.microsoft\.com)\b|^\w+ authentication unavailable\.$"
)
_SENTENCE_END = re.compile(r"(?<=[.!])\s+|\n+")
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w.-]+|(?<![\w/.-])[\w~+=.-]{40,}(?![\w/-])")
_USER = re.compile(r"//[^/\s]*@")
_ADVICE = (
    (
        r"AADSTS7000215|AADSTS7000222",
        "Make a new secret for the application, and set AZURE_CLIENT_SECRET to its value.",
    ),
    (
        r"AADSTS90002|AADSTS700016|AADSTS900023|tenant .* not found|acquire tokens for tenant|Unable to get authority",
        "Set AZURE_TENANT_ID to the tenant of the application; AZURE_CLIENT_ID is its application id.",
    ),
    (
        r"AADSTS50076|AADSTS50079|AADSTS700082|AADSTS50173|AADSTS530\d\d",
        "Sign in again: az login --tenant TENANT",
    ),
    (
        r"Identity not found|No identity has been assigned",
        "Assign the identity to this machine; for a user-assigned one set AZURE_CLIENT_ID to its client id.",
    ),
)
LOGGER = logging.getLogger("headrace.azure")
"""Hears, as information, of what was tried for the first token of a credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One way to a token that was tried.

    Attributes:
        name: Class of ``azure-identity``.
        said: Why it gave none, without anything secret; empty where it gave one.
        advice: What to do, where the network is in the way.
    """

    name: str
    said: str = ""
    advice: str = ""

    @property
    def gave_token(self) -> bool:
        """Whether it worked."""
        return not self.said

    def __str__(self) -> str:
        plain = _PLAIN_NAMES.get(self.name)
        return f"{self.name}{f' ({plain})' if plain else ''}: {self.said or 'gave a token'}"


class AzureCredential:
    """A credential for Azure's packages that knows how it came by its tokens.

    Attributes:
        attempts: What was tried, in order, until one way gave the first token, or when none did at last.
    """

    def __init__(self) -> None:
        """Open the chain; nothing is asked for yet.

        Raises:
            UsageError: C505 when the extra ``azure`` is not installed.
            AccessDeniedError: X201 when the environment holds what no chain can be made with.
        """
        chain = load_optional("azure.identity:DefaultAzureCredential", extra="azure")
        # The chain writes all that failed to the log, which would go to the terminal: we say it ourselves.
        logging.getLogger("azure").addHandler(logging.NullHandler())
        self.attempts: list[Attempt] = []
        try:
            self._chain = chain()
        except (ValueError, OSError) as error:
            raise AccessDeniedError(_unmade(error)) from error
        self._chain.credentials = tuple(_Noted(item, self.attempts) for item in self._chain.credentials)

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """A token for one service; blocks.

        Raises:
            AccessDeniedError: X201 when nobody gives one.
        """
        return self._fetch(self._chain.get_token, scopes, options)

    def get_token_info(self, *scopes: str, **options: Any) -> Any:
        """The same in the newer form of Azure's packages."""
        return self._fetch(self._chain.get_token_info, scopes, options)

    def report(self) -> tuple[str, ...]:
        """A line for each way that was tried; nothing in them is secret."""
        return tuple(str(attempt) for attempt in self.attempts)

    @property
    def source(self) -> str:
        """The way that worked; empty before there was a token."""
        return next((str(item).partition(":")[0] for item in self.attempts if item.gave_token), "")

    def close(self) -> None:
        """Close its connections."""
        self._chain.close()

    def __enter__(self) -> AzureCredential:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch(self, fetch: Any, scopes: Sequence[str], options: dict[str, Any]) -> Any:
        before = tuple(self.attempts)
        self.attempts.clear()
        try:
            token = fetch(*scopes, **options)
        except (_azure_error(), ValueError, OSError) as error:
            raise AccessDeniedError(self._no_token()) from error
        if any(attempt.gave_token for attempt in before):
            self.attempts[:] = before  # later on the chain asks only the one that worked
        else:
            for line in self.report():
                LOGGER.info("%s", line)
        return token

    def _no_token(self) -> Problem:
        said = "\n".join(attempt.said for attempt in self.attempts)
        found = (advice for pattern, advice in _ADVICE if re.search(pattern, said, re.IGNORECASE))
        # Only the last one was refused; those before had nothing to try with, as no metadata service.
        last = self.attempts[-1].advice if self.attempts else ""
        fix = last or next(found, SIGN_IN)
        return Problem(
            code="X201", what="Nobody gave a token for Azure.", fix=fix, detail=("Tried:", *self.report())
        )


class _Noted:
    """One member of the chain; what it says is noted."""

    def __init__(self, inner: Any, attempts: list[Attempt]) -> None:
        self._inner = inner
        self._attempts = attempts
        self._name = getattr(inner, "_credential_name", type(inner).__name__)

    def get_token(self, *scopes: str, **options: Any) -> Any:
        return self._fetch(self._inner.get_token, scopes, options)

    def get_token_info(self, *scopes: str, **options: Any) -> Any:
        return self._fetch(self._inner.get_token_info, scopes, options)

    def _fetch(self, fetch: Any, scopes: Sequence[str], options: dict[str, Any]) -> Any:
        try:
            token = fetch(*scopes, **options)
        except (_azure_error(), ValueError, OSError) as error:
            fault = connection_fault(str(error))
            said = f"{fault[0]}." if fault else tidy(str(error))
            advice = fault[1] if fault else ""
            self._attempts.append(Attempt(name=self._name, said=said or type(error).__name__, advice=advice))
            raise
        self._attempts.append(Attempt(name=self._name))
        return token

    def __enter__(self) -> _Noted:
        self._inner.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._inner.__exit__(*details)


def _unmade(error: Exception) -> Problem:
    said = tidy(_USER.sub("//******@", str(error))) or type(error).__name__
    what = f"The variables for signing in to Azure cannot be used: {said}"
    fix = (
        "Correct or unset the one that is meant: AZURE_TENANT_ID, AZURE_AUTHORITY_HOST, AZURE_CLIENT_CERTIFICATE_PATH "
        "or AZURE_TOKEN_CREDENTIALS."
    )
    return Problem(code="X201", what=what, fix=fix)


def tidy(text: str) -> str:
    """One line of what an identity service says: without trace ids, links, or what may be a token."""
    sentences = _SENTENCE_END.split(_TRACE.sub("", text).strip())
    kept = [sentence.strip() for sentence in sentences if not _ADVERT.search(sentence)]
    text = _TOKEN.sub("******", re.sub(r"\s+", " ", " ".join(kept or sentences[:1]))).strip()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _azure_error() -> Any:
    """Root of the errors of Azure's packages; only called once one of them has been loaded."""
    return import_module("azure.core.exceptions").AzureError
