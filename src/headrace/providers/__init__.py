"""Model services and the connections that lead to them: protocol, registry, one file per adapter.

Adapters are reached by name through ``registry`` and never imported by another module, so that a package that is
not needed costs nothing. No exception type of a client library leaves this package: adapters translate to
``RemoteError``. May import: formats and below, never store or telemetry.
"""
