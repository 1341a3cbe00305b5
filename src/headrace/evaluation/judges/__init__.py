"""Graders: prompty files, each with a version, by which models judge answers.

:mod:`.graders` reads the files, :mod:`.replies` what judges reply, :mod:`.cases` decides what needs no model,
:mod:`.asking` asks one judge once, :mod:`.panel` makes a score of several judges and repeats, and :mod:`.entry` holds
the classes that evaluation runs call.
"""
