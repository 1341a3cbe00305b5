"""Commands and options of ``pf`` that headrace does not have yet, each with what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_STOCK = "the flow itself stays as it is, so pf can do it meanwhile"

ABSENT: Mapping[str, str] = {
    "connection update": "headrace connection create --file FILE --overwrite replaces a connection.",
    "flow build": f"headrace does not pack flows; {_STOCK}.",
    "flow save": "headrace flow init --flow NAME starts a flow; put the function into its Python tool.",
    "flow serve": f"headrace flow test runs a flow once and headrace run create runs it over data; to serve it, {_STOCK}.",
    "flow test --interactive": "Ask one question for each headrace flow test; --inputs FILE.json can hold the chat history.",
    "flow test --ui": "headrace flow test prints the outputs, and headrace run trace draws where the time of a line went.",
    "run archive": "headrace run delete --name RUN removes a run for good; headrace run list -r 10 shows the newest only.",
    "run export": "headrace run show-details --name RUN --all-results -o json prints all lines.",
    "run restore": "No run is ever archived: headrace run list --all-results shows them all.",
    "run stream": "headrace run create shows how far it is until it ends; headrace run show --name RUN shows a run.",
    "run update": "Give --display-name, --description or --set tags.KEY=VALUE to headrace run create.",
    "run visualize": "headrace run show-details and headrace run trace show a run; headrace compare writes an HTML report.",
}
"""Command path, or command path and option, without ``headrace``: one sentence."""


def find_instead(path: str, name: str) -> str | None:
    """What to do instead of ``name``, a command or an option that ``pf`` has and headrace does not.

    Args:
        path: The command that it was given to, e.g. ``headrace run``.
        name: As it was written.
    """
    return ABSENT.get(f"{path.partition(' ')[2]} {name}")
