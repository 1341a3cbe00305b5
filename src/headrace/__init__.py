"""headrace runs prompt flow projects, compares their arms and says which one to ship."""

__version__ = "0.1.0"

_LATER = {"compare": "headrace.sdk.compare", "plan": "headrace.sdk.plan"}
"""Public names and the modules that have them; imported when they are asked for, because they reach everything."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(__import__(_LATER[name], fromlist=[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])
