"""Who may do what: tokens for the right service, and what is refused although the token is good."""

from __future__ import annotations

import re
from dataclasses import dataclass

import jwt
from tests.support.azure.directory import Directory, Principal
from tests.support.azure.messages import Refusal, Request


@dataclass(frozen=True, kw_only=True)
class Denial:
    """Something that is not allowed.

    Attributes:
        action: Regular expression for the whole action, ``Microsoft.App/containerApps/write``.
        scope: Id of the resource or group that it begins at.
        client_id: Of whom it is refused; empty for everybody.
    """

    action: str = ".*"
    scope: str = "/"
    client_id: str = ""

    def meets(self, action: str, scope: str, client_id: str) -> bool:
        """Whether it is about that."""
        return (
            self.client_id in ("", client_id)
            and scope.lower().startswith(self.scope.lower())
            and re.fullmatch(self.action, action, re.IGNORECASE) is not None
        )


class Access:
    """Looks at tokens, and at what was denied with :meth:`deny`; all else is allowed."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.denials: list[Denial] = []

    def deny(self, action: str = ".*", scope: str = "/", client_id: str = "") -> Denial:
        """Refuse something from now on; take it out of :attr:`denials` to allow it again."""
        denial = Denial(action=action, scope=scope, client_id=client_id)
        self.denials.append(denial)
        return denial

    def identify(self, request: Request, *audiences: str) -> Principal:
        """Who asks.

        Args:
            request: With a token.
            audiences: That the token may be for, without a slash at the end.

        Raises:
            Refusal: 401, for none, a bad one or one for another service.
        """
        if not request.bearer:
            challenge = {"WWW-Authenticate": self.challenge(audiences[0])}
            message = "Authentication failed. The 'Authorization' header is missing."
            raise Refusal(401, "AuthenticationFailed", message, headers=challenge)
        try:
            claims = self._directory.read_token(request.bearer)
        except jwt.ExpiredSignatureError:
            raise Refusal(401, "ExpiredAuthenticationToken", "The access token expiry is reached.") from None
        except jwt.InvalidTokenError:
            raise Refusal(401, "InvalidAuthenticationToken", "The access token is invalid.") from None
        if str(claims["aud"]).rstrip("/") not in audiences:
            message = (
                "The access token has been obtained for wrong audience or resource "
                f"'{claims['aud']}'. It should exactly match with one of the allowed audiences "
                f"'{','.join(audiences)}'."
            )
            raise Refusal(401, "InvalidAuthenticationTokenAudience", message)
        for principal in self._directory.principals:
            if principal.client_id == claims["appid"]:
                return principal
        raise Refusal(401, "InvalidAuthenticationToken", "The access token is of somebody unknown.")

    def challenge(self, audience: str) -> str:
        """``WWW-Authenticate`` of a service."""
        authority = f"https://login.microsoftonline.com/{self._directory.tenant}"
        return f'Bearer authorization="{authority}", resource="{audience}"'

    def authorize(self, principal: Principal, action: str, scope: str) -> None:
        """Refuse what was denied.

        Raises:
            Refusal: 403 ``AuthorizationFailed`` with Azure's words.
        """
        if any(denial.meets(action, scope, principal.client_id) for denial in self.denials):
            message = (
                f"The client '{principal.client_id}' with object id '{principal.object_id}' does not have "
                f"authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. "
                "If access was recently granted, please refresh your credentials."
            )
            raise Refusal(403, "AuthorizationFailed", message)
