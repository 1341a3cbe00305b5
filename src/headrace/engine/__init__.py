"""One asyncio engine: a pure step machine, one node attempt, one line, one batch, one aggregation.

It serves a single test, a batch run and an evaluation alike. ``steps`` is pure and may not import asyncio; ``line``
is one of the few modules that may catch everything, to turn it into a recorded Problem; cancellation always passes.
"""
