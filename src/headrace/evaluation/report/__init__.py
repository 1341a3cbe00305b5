"""Reports of a comparison: pure functions from a ``Comparison`` and its context to text.

``markdown`` for pull requests, ``as_json`` for programs, ``html`` for people: one file without
external resources. All three take their words from ``board`` and ``methods``, so they cannot
disagree. Nothing here computes a statistic or touches a file.
"""
