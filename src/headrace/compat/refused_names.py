"""The ``promptflow`` names that headrace does not serve, with what to do instead.

A module stands for everything below it that ``served_names`` does not have, unless a longer entry says more; an entry
with a colon is one name. Every name of stock promptflow is either served or found here; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping

_INSIDE = "It is a part of prompt flow's own engine, which headrace replaces."
_SDK = "Use PFClient of promptflow.client, which headrace serves."
_RUN_FLOW = "Run flows with PFClient or load_flow of promptflow.client, which headrace serves."
_TOOL = "Declare tools with `tool` and `ToolProvider` of promptflow.core, which headrace serves."
_OTEL = "Use `trace` and `start_trace` of promptflow.tracing, and OpenTelemetry's own interface for anything more."
_WRITE = "Write what you need of it in your own code."
_AZURE = "It talks to the Azure service that retires in April 2027."
_DATABASE = "It is the database of prompt flow, which headrace does not use."

REFUSED: Mapping[str, tuple[str, str]] = {
    "promptflow.azure": (_AZURE, "Run the flow here: " + _SDK),
    "promptflow.evals": (
        "It is the package promptflow-evals, which azure-ai-evaluation has replaced.",
        "Install azure-ai-evaluation, or judge runs with an evaluation flow.",
    ),
    "promptflow.rag": (
        "It is the package promptflow-rag, which builds indexes in the retiring service.",
        "Build the index with the library of your search service.",
    ),
    "promptflow.parallel": (_AZURE, "Run lines in parallel with `headrace run create`."),
    "promptflow.runtime": (_AZURE, _RUN_FLOW),
    "promptflow.integrations": (
        "It belongs to the retiring service's parallel jobs and to an old LangChain.",
        "Remove the import; `trace` of promptflow.tracing makes spans of your functions.",
    ),
    "promptflow.batch": (_INSIDE, "Run batches with PFClient().run, which headrace serves."),
    "promptflow.executor": (_INSIDE, _RUN_FLOW),
    "promptflow.storage": (_INSIDE, "Read what a run recorded with PFClient().get_details."),
    "promptflow.contracts.flow": (
        _INSIDE,
        "Load a flow with load_flow of promptflow.client, or read its YAML.",
    ),
    "promptflow.contracts.tool": (_INSIDE, _TOOL),
    "promptflow.contracts._run_management": (_INSIDE, _SDK),
    "promptflow.contracts.multimedia": (
        _INSIDE,
        "Use `Image` and `Text` of this module, which headrace serves.",
    ),
    "promptflow.connections:ConnectionProvider": (_INSIDE, "Find connections with PFClient().connections."),
    "promptflow.core._connection": (_INSIDE, "Use the classes of promptflow.connections."),
    "promptflow.core._connection_provider": (_INSIDE, "Find connections with PFClient().connections."),
    "promptflow.core._errors": (_INSIDE, _WRITE),
    "promptflow.core._flow": (_INSIDE, "Use Flow, AsyncFlow, Prompty and AsyncPrompty of promptflow.core."),
    "promptflow.core._model_configuration": (_INSIDE, "Use the configurations of promptflow.core."),
    "promptflow.core._prompty_utils": (_INSIDE, "Use Prompty of promptflow.core."),
    "promptflow.core._serving": (
        "It is prompt flow's own web server.",
        "Serve the flow with `headrace flow serve`, or by create_app of promptflow.core._serving.app.",
    ),
    "promptflow.core._utils": (_INSIDE, _WRITE),
    "promptflow.core._version": (_INSIDE, "Use `__version__` of promptflow.core."),
    "promptflow.tools": ("It is an inside of prompt flow's own tools.", _WRITE),
    "promptflow.tools.open_model_llm": (
        "Only the tool itself is served, not what looks up endpoints in Azure.",
        "Use OpenModelLLM of this module with a local connection.",
    ),
    "promptflow.tools.list": (
        "headrace lists tools itself.",
        "Run `headrace tool list`.",
    ),
    "promptflow.tracing": (_INSIDE, _OTEL),
    "promptflow._cli": (
        "It is prompt flow's own command line.",
        "Call `headrace`, which has the commands and flags of pf.",
    ),
    "promptflow._constants": (_INSIDE, _WRITE),
    "promptflow._core": (_INSIDE, _TOOL),
    "promptflow._core.cache_manager": (
        "headrace does not cache what tools return.",
        "Cache inside the tool.",
    ),
    "promptflow._core.connection_manager": (_INSIDE, "Find connections with PFClient().connections."),
    "promptflow._dependencies": (_INSIDE, _SDK),
    "promptflow._internal": (
        _INSIDE,
        "Import it from where promptflow documents it, if it is documented at all.",
    ),
    "promptflow._orchestrator": (_INSIDE, _RUN_FLOW),
    "promptflow._proxy": (_INSIDE, _RUN_FLOW),
    "promptflow._sdk": (_INSIDE, _SDK),
    "promptflow._sdk._orm": (_DATABASE, _SDK),
    "promptflow._sdk._service": (
        "It is prompt flow's own background service.",
        "headrace needs none; remove the import.",
    ),
    "promptflow._sdk._serving": (
        "It is prompt flow's own web server.",
        "Serve the flow with `headrace flow serve`.",
    ),
    "promptflow._sdk._telemetry": ("headrace has no telemetry.", "Remove the import."),
    "promptflow._sdk.schemas": (_INSIDE, "Read the YAML; headrace checks it with `headrace flow validate`."),
    "promptflow._utils": (_INSIDE, _WRITE),
}
"""Module, or module and name, to why it is not served and what to do."""


def refusal(module: str, name: str) -> tuple[str, str] | None:
    """Why ``name`` of ``module`` is not served and what to do instead; ``None`` when nothing is known about it."""
    parts = module.split(".")
    keys = [f"{module}:{name}", f"{module}.{name}"]
    keys += [".".join(parts[:length]) for length in range(len(parts), 1, -1)]
    return next((REFUSED[key] for key in keys if key in REFUSED), None)
