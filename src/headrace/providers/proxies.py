"""Which HTTP proxy a request goes through, by the usual variables of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit


def find_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """Address of the proxy for ``url``; ``None`` for a direct connection.

    Reads ``HTTPS_PROXY`` or ``HTTP_PROXY`` by the scheme of ``url``, then ``ALL_PROXY``, and the exceptions
    in ``NO_PROXY``; names in lower case win, as everywhere. ``HTTP_PROXY`` in upper case counts as well: we
    are not a CGI program, whose clients could set it. Addresses of this machine never go through a proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if host in ("localhost", "::1") or host.startswith("127.") or _is_excepted(host, parts.port, environment):
        return None
    proxy = _variable(environment, f"{parts.scheme}_proxy") or _variable(environment, "all_proxy")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(host: str, port: int | None, environment: Mapping[str, str]) -> bool:
    for entry in _variable(environment, "no_proxy").lower().split(","):
        name, _, only_port = entry.strip().partition(":")
        if name == "*":
            return True
        suffix = name.removeprefix("*").removeprefix(".")
        is_host = bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))
        if is_host and (not only_port or only_port == str(port)):
            return True
    return False


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""
