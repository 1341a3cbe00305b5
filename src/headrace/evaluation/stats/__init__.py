"""Statistics with the standard library alone: pure functions, no I/O, no clock, seeded draws.

Every function names the source of its formula. Programmer errors raise ``ValueError``; data that
cannot answer a question gives ``None``, never NaN.
"""
