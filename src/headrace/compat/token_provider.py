"""``promptflow._core.token_provider``: tokens of Microsoft Entra ID for code that calls Azure itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

from headrace.providers.loading import load_optional

_SCOPE = "https://cognitiveservices.azure.com/.default"


class TokenProviderABC(ABC):
    """Gives a token."""

    @abstractmethod
    def get_token(self) -> str:
        """A token that is valid now."""


class StaticTokenProvider(TokenProviderABC):
    """Gives the token that it was given."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self) -> str:
        """The token."""
        return self._token


class AzureTokenProvider(TokenProviderABC):
    """Gives tokens of the person or identity that is signed in; needs the extra ``azure``."""

    def __init__(self) -> None:
        self._credential = load_optional("azure.identity:DefaultAzureCredential", extra="azure")()

    def get_token(self) -> str:
        """A token for Azure AI services.

        Raises:
            azure.core.exceptions.ClientAuthenticationError: Nobody is signed in.
        """
        token: str = self._credential.get_token(_SCOPE).token
        return token
