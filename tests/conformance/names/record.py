"""Lists the names of stock promptflow: ``VENV/bin/python tests/conformance/names/record.py`` writes ``inventory.json``.

Run it with an interpreter that has promptflow 1.18.5 and promptflow-tools 1.6.1; it needs nothing else. Every module is
listed. A module that projects import is listed with its names: those of ``__all__`` where it has one, else what it
defines itself; for a package without ``__all__``, and for a module that defines nothing, what it passes on.
"""

import importlib
import json
import os
import sys
from pathlib import Path

PRIVATE_MODULES = """
_constants _version _core._errors _core.cache_manager _core.connection_manager _core.metric_logger
_core.operation_context _core.token_provider _core.tool _core.tool_meta_generator _core.tools_manager _internal
_sdk._configuration _sdk._constants _sdk._errors _sdk._load_functions _sdk._pf_client _sdk._run_functions
_sdk._visualize_functions _sdk.entities _sdk.entities._connection _sdk.entities._flows _sdk.entities._run
_sdk.operations _sdk.operations._connection_operations _sdk.operations._flow_operations
_sdk.operations._local_storage_operations _sdk.operations._run_operations _sdk.operations._tool_operations
_utils._errors _utils.async_utils _utils.context_utils _utils.credential_scrubber _utils.dataclass_serializer
_utils.exception_utils _utils.load_data _utils.logger_utils _utils.multimedia_utils _utils.thread_utils
_utils.user_agent_utils _utils.utils _utils.yaml_utils batch._errors batch._result contracts._errors core._connection
core._errors core._flow core._model_configuration core._prompty_utils executor._errors executor._result
storage._run_storage tracing._constants tracing._context_utils tracing._experimental
tracing._integrations._openai_injector tracing._operation_context tracing._start_trace tracing._thread_local_singleton
tracing._trace tracing._tracer tracing._utils
"""
"""Modules below ``promptflow`` that real projects import although their names begin with an underscore."""


def module_names(root):
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts[-1] != "__main__" and not path.is_relative_to(root / "tools" / "yamls"):
            yield ".".join(parts)


def kind_of(value):
    if isinstance(value, type) and issubclass(value, BaseException):
        return f"exception {value.__bases__[0].__name__}"
    if isinstance(value, type):
        return "class"
    return "function" if callable(value) else "value"


def is_own(module, name, value):
    return not name.startswith("_") and (
        getattr(value, "__module__", None) == module or (name.isupper() and not callable(value))
    )


def is_passed_on(name, value):
    return not name.startswith("_") and str(getattr(value, "__module__", "")).startswith("promptflow")


def names_of(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:  # wants a package that stock does not bring
        return {}
    listed = getattr(module, "__all__", None)
    if listed is None:
        items = [(item, value) for item, value in vars(module).items() if not isinstance(value, type(sys))]
        listed = [item for item, value in items if is_own(name, item, value)]
        if not listed or hasattr(module, "__path__"):
            listed += [item for item, value in items if is_passed_on(item, value)]
    if name == "promptflow":  # passes these on when they are asked for
        parts = [importlib.import_module(f"promptflow.{part}") for part in ("core", "client")]
        listed = [item for part in parts for item in part.__all__ if hasattr(module, item)]
        listed += ["__version__", "log_flow_metric"]
    return {item: kind_of(getattr(module, item)) for item in sorted(set(listed))}


def main():
    root = Path(importlib.import_module("promptflow").__file__).parent
    wanted = {f"promptflow.{item}" for item in PRIVATE_MODULES.split()}
    found = {}
    for name in sorted(set(module_names(root))):
        is_public = not any(part.startswith("_") for part in name.split("."))
        if is_public or name in wanted:
            found[name] = names_of(name)
        else:
            found[name] = {}
    missing = wanted - found.keys()
    assert not missing, missing
    lines = [f" {json.dumps(name)}: {json.dumps(names, sort_keys=True)}" for name, names in found.items()]
    target = Path(os.path.realpath(__file__)).with_name("inventory.json")
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"{len(found)} modules, {sum(map(len, found.values()))} names\n")


if __name__ == "__main__":
    main()
