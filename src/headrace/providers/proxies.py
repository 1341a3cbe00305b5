"""Which HTTP proxy a request goes through, by the usual variables of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from headrace.errors import Problem, UsageError


def find_proxy(url: str, environment: Mapping[str, str]) -> str | None:
    """Address of the proxy for ``url``; ``None`` for a direct connection.

    Reads ``HTTPS_PROXY`` or ``HTTP_PROXY`` by the scheme of ``url``, then ``ALL_PROXY``, and the exceptions
    in ``NO_PROXY``; names in lower case win, as everywhere. ``HTTP_PROXY`` in upper case counts as well: we
    are not a CGI program, whose clients could set it. Addresses of this machine never go through a proxy.

    Raises:
        UsageError: C506 when a variable that counts names something else than an HTTP proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    if host in ("localhost", "::1") or host.startswith("127.") or _is_excepted(host, parts.port, environment):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        proxy = _variable(environment, name)
        if proxy:
            return _checked(name, proxy if "://" in proxy else f"http://{proxy}")
    return None


def _checked(name: str, proxy: str) -> str:
    """``proxy`` when it is an address; it may hold a password and is never shown."""
    try:
        parts = urlsplit(proxy)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if is_address:
        return proxy
    raise UsageError(
        Problem(
            code="C506",
            what=f"The environment variable {name.upper()} does not name an HTTP proxy.",
            fix=f"Set {name.upper()} to an address of the form http://host:port; proxies of another kind, such "
            "as SOCKS, are not supported.",
        )
    )


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
