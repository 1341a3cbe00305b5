"""Judging runs: statistics, the comparison of arms, and the reports that show it.

``stats`` holds pure functions with their sources; ``comparison`` turns the lines of several arms
into one verdict per arm; ``report`` renders that verdict as Markdown, JSON or one HTML file. May
import ``domain`` and below; never the engine's callers, the store or the command line. Promises:
arms are paired by line id and never by position, no line is dropped without being reported, and no
number in a comparison is NaN or infinite.
"""
