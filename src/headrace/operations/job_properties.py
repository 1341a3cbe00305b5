"""Whether jobs run the lines of a run, and what is noted of it. Apart from the jobs, which most runs never load."""

from __future__ import annotations

from math import ceil
from typing import Any

START = "azureml://"
"""How the addresses of ``--on`` begin that mean jobs."""

ON_PROPERTY = "headrace.azureml.on"
SIZE_PROPERTY = "headrace.azureml.shard_size"
"""Properties of a run: where its jobs are, and how many lines each has. Whoever goes on with it keeps to both."""

CHECK_JOBS = "headrace.operations.job_runner:check_jobs"
REFUSE_CHOICE = "headrace.operations.job_runner:refuse_choice"
OPEN_JOBS = "headrace.operations.job_runner:open_jobs"
JOBS_WANTED = "headrace.operations.job_runner:JobsWanted"
"""The jobs, reached by name."""

_N_JOBS = 4


def is_jobs(on: str | None) -> bool:
    """Whether the value of ``--on`` means jobs."""
    return on is not None and on.startswith(START)


def job_properties(on: str, n_lines: int, n_jobs: int | None) -> dict[str, Any]:
    """What is noted of a run whose lines jobs run.

    Args:
        on: The address.
        n_lines: Of the run.
        n_jobs: How many are wanted.
    """
    return {ON_PROPERTY: on, SIZE_PROPERTY: ceil(max(n_lines, 1) / (n_jobs or _N_JOBS))}
