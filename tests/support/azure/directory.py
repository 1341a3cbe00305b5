"""Microsoft Entra ID and the metadata service of virtual machines: who there is, and tokens for them.

Tokens are real ones, signed with RS256 by a key that ``/{tenant}/discovery/v2.0/keys`` publishes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from tests.support.azure.messages import Request, Response, reply

AUTHORITY = "login.microsoftonline.com"
METADATA_HOST = "169.254.169.254"
KEY_ID = "stand-in"


@cache
def signing_key() -> rsa.RSAPrivateKey:
    """The key that signs all tokens of this process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Somebody who can have tokens.

    Attributes:
        client_id: Application id.
        object_id: What role assignments name.
        secret: Of an application; empty for a managed identity.
        resource_id: Of a user-assigned identity.
    """

    client_id: str
    object_id: str
    secret: str = field(default="", repr=False)
    resource_id: str = ""


class Directory:
    """One tenant.

    Attributes:
        tenant: Its id.
        principals: All there are.
        has_metadata_service: Whether ``169.254.169.254`` is there, as on a virtual machine.
        machine: The system-assigned identity that the metadata service gives tokens for; ``None`` for none.
        lifetime_s: Of tokens, seconds.
    """

    def __init__(self, tenant: str, clock: Callable[[], float] = time.time) -> None:
        self.tenant = tenant
        self.principals: list[Principal] = []
        self.has_metadata_service = False
        self.machine: Principal | None = None
        self.lifetime_s = 3600
        self._clock = clock

    def add(self, *, secret: str = "", resource_id: str = "") -> Principal:
        """Somebody new."""
        principal = Principal(
            client_id=str(uuid.uuid4()), object_id=str(uuid.uuid4()), secret=secret, resource_id=resource_id
        )
        self.principals.append(principal)
        return principal

    def make_token(self, principal: Principal, audience: str) -> str:
        """A token for a resource, e.g. ``https://management.azure.com``."""
        now = int(self._clock())
        claims = {
            "aud": audience,
            "iss": f"https://{AUTHORITY}/{self.tenant}/v2.0",
            "iat": now,
            "nbf": now - 60,
            "exp": now + self.lifetime_s,
            "appid": principal.client_id,
            "azp": principal.client_id,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": self.tenant,
            "idtyp": "app",
            "ver": "2.0",
        }
        return jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": KEY_ID})

    def read_token(self, token: str) -> dict[str, Any]:
        """What a token says.

        Raises:
            jwt.InvalidTokenError: It is not one of ours, or not valid any more.
        """
        claims: dict[str, Any] = jwt.decode(
            token, signing_key().public_key(), algorithms=["RS256"], options={"verify_aud": False}
        )
        return claims

    def answer(self, request: Request) -> Response:
        """The host ``login.microsoftonline.com``."""
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["common", "discovery"]:
            return self._discover_instance()
        if parts[0] not in (self.tenant, "common", "organizations"):
            text = f"AADSTS90002: Tenant '{parts[0]}' not found. Check to make sure you have the correct tenant ID."
            return _oauth_error(400, "invalid_tenant", 90002, text)
        if parts[-1] == "openid-configuration":
            return self._describe()
        if parts[-1] == "keys":
            jwk = RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
            return reply({"keys": [{**jwk, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]})
        if parts[-1] == "token" and request.method == "POST":
            return self._give_token(request)
        return reply({"error": "invalid_request"}, 404)

    def answer_metadata(self, request: Request) -> Response:
        """The host ``169.254.169.254``."""
        if not self.has_metadata_service:
            return Response(status=403, body=b"A socket operation was attempted to an unreachable network.")
        if request.headers.get("metadata", "").lower() != "true":
            return reply({"error": "bad_request_102", "error_description": "Required metadata header"}, 400)
        wanted = request.query.get("client_id") or request.query.get("mi_res_id")
        wanted = wanted or request.query.get("msi_res_id") or request.query.get("object_id")
        found = self.machine if not wanted else self._find(wanted)
        if found is None:
            return reply({"error": "invalid_request", "error_description": "Identity not found"}, 400)
        resource = request.query.get("resource", "")
        return reply(
            {
                "access_token": self.make_token(found, resource),
                "client_id": found.client_id,
                "expires_in": str(self.lifetime_s),
                "expires_on": str(int(self._clock()) + self.lifetime_s),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def _find(self, wanted: str) -> Principal | None:
        for item in self.principals:
            if wanted.lower() in (item.client_id, item.object_id, item.resource_id.lower()):
                return item
        return None

    def _discover_instance(self) -> Response:
        aliases = [AUTHORITY, "login.windows.net", "login.microsoft.com", "sts.windows.net"]
        return reply(
            {
                "tenant_discovery_endpoint": f"https://{AUTHORITY}/{self.tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [
                    {
                        "preferred_network": AUTHORITY,
                        "preferred_cache": "login.windows.net",
                        "aliases": aliases,
                    }
                ],
            }
        )

    def _describe(self) -> Response:
        base = f"https://{AUTHORITY}/{self.tenant}"
        return reply(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code", "id_token", "code id_token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def _give_token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        found = self._find(form.get("client_id", ""))
        if found is None:
            text = f"AADSTS700016: Application with identifier '{form.get('client_id')}' was not found in the directory."
            return _oauth_error(400, "unauthorized_client", 700016, text)
        if form.get("client_secret") != found.secret and "client_assertion" not in form:
            text = f"AADSTS7000215: Invalid client secret provided for app '{found.client_id}'."
            return _oauth_error(401, "invalid_client", 7000215, text)
        scope = form.get("scope", "").split(" ")[0]
        resource = scope.removesuffix(".default").removesuffix("/")
        return reply(
            {
                "token_type": "Bearer",
                "expires_in": self.lifetime_s,
                "ext_expires_in": self.lifetime_s,
                "access_token": self.make_token(found, resource),
            }
        )


def _oauth_error(status: int, error: str, number: int, text: str) -> Response:
    body = {
        "error": error,
        "error_description": f"{text} Trace ID: {uuid.uuid4()}",
        "error_codes": [number],
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return reply(body, status)
