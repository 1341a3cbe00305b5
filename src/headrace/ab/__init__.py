"""Splits requests that headrace does not serve: ``headrace.ab``, for programs whose arms are endpoints elsewhere.

::

    from headrace.ab import Split

    with Split.open("traffic.yaml") as split:
        with split.choose("customer-17") as choice:
            answer = ask(choice.url, question)
        split.feedback("helpful", 1.0, exposure_id=choice.exposure_id)

Assignments, evidence and revisions are those of ``headrace flow serve --traffic``, so that both can share a test.
"""

from headrace.ab.choice import Choice, Ending
from headrace.ab.middleware import SplitMiddleware
from headrace.ab.split import Split

__all__ = ["Choice", "Ending", "Split", "SplitMiddleware"]
