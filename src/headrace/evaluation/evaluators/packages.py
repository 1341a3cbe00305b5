"""Libraries of metrics, imported when an evaluator asks for them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from headrace.errors import DefinitionError, Problem
from headrace.providers.loading import load_by_name


def load_evaluator_package(import_string: str, evaluator: str) -> Any:
    """The object that ``package.module:name`` stands for.

    Args:
        import_string: What is wanted.
        evaluator: Who wants it.

    Raises:
        DefinitionError: G924 when the package is not installed.
    """
    try:
        return load_by_name(import_string)
    except ModuleNotFoundError as error:
        what = f"The evaluator {evaluator} needs the Python package {error.name}, which is not installed."
        fix = 'Install it: pip install "headrace[evaluators]".'
        raise DefinitionError(Problem(code="G924", what=what, fix=fix)) from error


def package_version(package: str) -> str | None:
    """Version of an installed distribution; ``None`` where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
