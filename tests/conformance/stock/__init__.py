"""The same flow and line give the same outputs under headrace and stock promptflow, for every flow in ``flows/``.

``test_recorded`` compares with what ``record`` kept of stock 1.18.5; ``test_live`` (``make conformance``) asks a
stock that is installed. Both run on a copy of ``flows/`` beside the frozen pages in ``corpus/``, because the project's
own pages, which ``flows/ask_docs`` reads, change.
"""
