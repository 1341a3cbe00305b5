"""Frozen types and their small pure rules: flows, connections, data, runs, comparisons.

No I/O, no clock, no environment, standard library only. Only the owner named in docs/architecture/1_overview.md
creates or changes the state of a type; everyone above may read it.
"""
