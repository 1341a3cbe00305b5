"""Where runs, line results and spans are kept: protocol, opening, one file per adapter, SQL and migrations.

A line is done when its result is committed. Adapters are reached by name through ``opening`` and never
imported by another module. May import: formats and below, never providers or telemetry.
"""
