"""Why Azure could not be reached, in plain words, whatever package says so; and how to sign in to it."""

from __future__ import annotations

import re

SIGN_IN = (
    "Sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; for a user-assigned "
    "identity set AZURE_CLIENT_ID to its client id."
)
"""What to do when there is no token, and nothing better is known."""

_REASONS = (
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "the certificate of the other side is not trusted",
        "Set REQUESTS_CA_BUNDLE and SSL_CERT_FILE to the certificates of the proxy that looks into connections here.",
    ),
    (
        r"RemoteDisconnected|Connection aborted|ConnectionReset|reset by peer|IncompleteRead|ChunkedEncoding",
        "the connection was closed before there was an answer",
        "Check the network and HTTPS_PROXY.",
    ),
    (
        r"Unable to connect to proxy|Tunnel connection failed|ProxyError",
        "the proxy does not let it through, or is not there",
        "Check HTTPS_PROXY, and NO_PROXY for what needs none.",
    ),
    (
        r"getaddrinfo|Name or service not known|NameResolutionError|Failed to resolve|nodename nor servname",
        "the name of the host is not known",
        "Check the network, and the DNS zones of private endpoints.",
    ),
    (
        r"Read timed out|ReadTimeout|ConnectTimeout|timed out",
        "no answer came in time",
        "Check the network, and whether a firewall is in the way.",
    ),
    (
        r"Connection refused|NewConnectionError|Failed to establish",
        "the connection was refused",
        "Check the network and HTTPS_PROXY.",
    ),
)


def connection_fault(text: str) -> tuple[str, str] | None:
    """What went wrong with a connection, and what to do; ``None`` where a text is about something else.

    Args:
        text: Of an error of ``azure-core``, ``msal`` or ``requests``.
    """
    for pattern, what, fix in _REASONS:
        if re.search(pattern, text):
            return what, fix
    return None
