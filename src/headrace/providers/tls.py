"""Which certificates are trusted."""

from __future__ import annotations

import ssl
import sys
from importlib import import_module


def trusted_certificates(base_url: str) -> ssl.SSLContext | None:
    """The operating system's certificates, or those of ``SSL_CERT_FILE``; ``None`` where there is no TLS."""
    if not base_url.startswith("https:"):
        return None
    if sys.platform in ("darwin", "win32"):
        # OpenSSL does not see the certificate stores of these systems.
        context: ssl.SSLContext = import_module("truststore").SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return context
    return ssl.create_default_context()
