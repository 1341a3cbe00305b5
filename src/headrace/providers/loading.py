"""Reaching code by its name, so that what is not used is never imported."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from headrace.errors import Problem, UsageError


def load_by_name(import_string: str) -> Any:
    """The object that ``package.module:name`` stands for.

    Raises:
        ImportError: When the module cannot be imported.
    """
    module, _, name = import_string.partition(":")
    return getattr(import_module(module), name)


def load_left_out(import_string: str) -> Any:
    """The object that ``package.module:name`` stands for, from a part of headrace that images do not hold.

    Raises:
        UsageError: C505 in such an image.
    """
    try:
        return load_by_name(import_string)
    except ModuleNotFoundError as error:
        what = "Only the part of headrace that serves is installed here, and it finds nothing by a deployment file."
        fix = "Name url and connection in place of deployed, or install headrace as a whole."
        raise UsageError(Problem(code="C505", what=what, fix=fix)) from error


def load_optional(import_string: str, *, extra: str) -> Any:
    """The object that ``package.module:name`` stands for, from a package that an extra of headrace installs.

    Raises:
        UsageError: C505 when the package is not installed.
    """
    try:
        return load_by_name(import_string)
    except ModuleNotFoundError as error:
        raise UsageError(
            Problem(
                code="C505",
                what=f"The Python package {error.name} is not installed.",
                fix=f'Install it with the extra "{extra}": pip install "headrace[{extra}]".',
            )
        ) from error
