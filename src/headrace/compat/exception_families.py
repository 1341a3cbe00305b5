"""Makes the exception classes of ``exception_names`` when a project asks for one.

``getattr(module, "promptflow._sdk._errors.RunNotFoundError")`` is such a class; ``served_names`` asks like that. Each
is made once, and stands in a traceback under the name that projects know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn

from headrace.compat import exceptions
from headrace.compat.exception_names import EXCEPTION_FAMILIES
from headrace.compat.exceptions import ErrorTarget, PromptflowException


@cache
def exception_family(module: str) -> Mapping[str, type[PromptflowException]]:
    """The exception classes of a module of promptflow, by name."""
    target, kinds = EXCEPTION_FAMILIES[module]
    made: dict[str, type[PromptflowException]] = {}
    for above, names in kinds.items():
        parent = made.get(above) or getattr(exceptions, above)
        for name in names.split():
            members = {
                "__module__": module,
                "__doc__": f"A kind of {above}.",
                "DEFAULT_TARGET": ErrorTarget[target],
            }
            made[name] = type(name, (parent,), members)
    return made


def fail_tool(name: str, message: str) -> NoReturn:
    """Raise one of the exceptions of ``promptflow.tools.exception``."""
    raise exception_family("promptflow.tools.exception")[name](message)


def __getattr__(name: str) -> Any:
    module, _, kind = name.rpartition(".")
    if module in EXCEPTION_FAMILIES and kind in exception_family(module):
        return exception_family(module)[kind]
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
