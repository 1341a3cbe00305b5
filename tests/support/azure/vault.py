"""Key Vault's secrets (``{vault}.vault.azure.net``)."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.azure.messages import Refusal, Request, Response, reply

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

SUFFIX = ".vault.azure.net"
AUDIENCE = "https://vault.azure.net"
GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"


@dataclass(frozen=True, kw_only=True)
class _Version:
    version: str
    value: str
    is_enabled: bool


class Vaults:
    """All vaults: ``azure.vaults.add("kv", "name", "value")`` makes the vault as well."""

    def __init__(self, azure: StandIn) -> None:
        self._azure = azure
        self._lock = threading.Lock()
        self._secrets: dict[tuple[str, str], list[_Version]] = {}

    def add(self, vault: str, name: str, value: str, *, is_enabled: bool = True) -> str:
        """A new version of a secret; its address with the version."""
        made = _Version(version=uuid.uuid4().hex, value=value, is_enabled=is_enabled)
        with self._lock:
            self._secrets.setdefault((vault, name.lower()), []).append(made)
        return f"https://{vault}{SUFFIX}/secrets/{name}/{made.version}"

    def answer(self, request: Request) -> Response:
        """The hosts of all vaults."""
        vault = request.host.removesuffix(SUFFIX)
        if not any(known == vault for known, _ in self._secrets):
            return reply({"error": {"code": "VaultNotFound", "message": "No such vault."}}, 404)
        principal = self._azure.access.identify(request, AUDIENCE)
        scope = f"/{request.host}{request.path}"
        if any(d.meets(GET_SECRET, scope, principal.client_id) for d in self._azure.access.denials):
            return self._forbid(principal.object_id, vault)
        parts = request.path.strip("/").split("/")
        if parts[0] != "secrets" or not request.api_version:
            raise Refusal(400, "BadParameter", "The request is not supported.")
        if request.method == "PUT" and len(parts) == 2:
            self.add(vault, parts[1], request.json()["value"])
            return reply(self._body(vault, parts[1], ""))
        if request.method != "GET":
            raise Refusal(405, "MethodNotAllowed", "The stand-in reads and sets secrets only.")
        if len(parts) == 1:
            names = sorted(name for known, name in self._secrets if known == vault)
            value = [
                {"id": f"https://{vault}{SUFFIX}/secrets/{name}", "attributes": {"enabled": True}}
                for name in names
            ]
            return reply({"value": value, "nextLink": None})
        return reply(self._body(vault, parts[1], parts[2] if len(parts) > 2 else ""))

    def _body(self, vault: str, name: str, version: str) -> dict[str, Any]:
        with self._lock:
            versions = self._secrets.get((vault, name.lower()), [])
        found = [item for item in versions if version in ("", item.version)]
        if not found:
            message = (
                f"A secret with (name/id) {name}{'/' + version if version else ''} was not found in this key vault. "
                "If you recently deleted this secret you may be able to recover it using the correct recovery command."
            )
            raise Refusal(404, "SecretNotFound", message)
        if not found[-1].is_enabled:
            message = "Operation get is not allowed on a disabled secret."
            raise Refusal(403, "Forbidden", message)
        return {
            "value": found[-1].value,
            "id": f"https://{vault}{SUFFIX}/secrets/{name}/{found[-1].version}",
            "attributes": {"enabled": True, "created": 1767225600, "updated": 1767225600},
        }

    def _forbid(self, object_id: str, vault: str) -> Response:
        message = (
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or "
            "role definitions were changed recently, please observe propagation time.\r\n"
            f"Caller: oid={object_id}\r\nAction: '{GET_SECRET}'\r\nVault: {vault};location={self._azure.location}\r\n"
        )
        inner = {"code": "ForbiddenByRbac"}
        return reply({"error": {"code": "Forbidden", "message": message, "innererror": inner}}, 403)


def register(azure: StandIn) -> None:
    """Add it, as ``azure.vaults``."""
    azure.vaults = Vaults(azure)
    azure.add_host("*" + SUFFIX, azure.vaults.answer)
