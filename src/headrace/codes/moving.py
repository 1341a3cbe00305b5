"""Codes of what ties a project to prompt flow and its service (M)."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

MOVING_CODES: Mapping[str, Entry] = {
    "M001": Entry(
        "cloud-command",
        "A command of the retiring service",
        "pfazure works with the prompt flow service of Azure, which ends in April 2027.",
    ),
    "M002": Entry(
        "cloud-client",
        "A client of the retiring service",
        "promptflow.azure and its packages work with the prompt flow service only.",
    ),
    "M003": Entry(
        "cloud-connection",
        "Connections that live in the retiring service",
        "Connections of a workspace are read there as long as it is there; files and the environment stay.",
    ),
    "M004": Entry(
        "cloud-run",
        "A run file for the retiring service",
        "The run file names machines or data of a workspace.",
    ),
    "M005": Entry(
        "retired-image",
        "An image of the retiring service",
        "The images of the prompt flow runtime are no longer built.",
    ),
    "M006": Entry(
        "private-import",
        "An import from inside prompt flow",
        "The module is private to prompt flow, or headrace does not serve the name.",
    ),
    "M007": Entry(
        "retired-tool",
        "A tool that belongs to the retiring service",
        "The package of the tool was made for the prompt flow service and is not maintained outside of it.",
    ),
    "M008": Entry(
        "stock-command",
        "A command of stock prompt flow",
        "The pf command still works where stock prompt flow is installed; its development has ended.",
    ),
    "M009": Entry(
        "stock-requirement",
        "Stock prompt flow among the requirements",
        "The package is not needed to run flows with headrace.",
    ),
}
