"""Codes of connections and settings (C), and of model services (P)."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

CONNECTION_CODES: Mapping[str, Entry] = {
    "C501": Entry(
        "unknown-connection",
        "A connection that does not exist",
        "No connection of this name is stored, in the environment or built in.",
    ),
    "C502": Entry(
        "bad-connection",
        "A connection that is not complete",
        "A connection file misses a field or has one of the wrong kind.",
    ),
    "C503": Entry(
        "missing-secret",
        "A secret that is not set",
        "The connection takes its key from a place that holds nothing.",
    ),
    "C504": Entry(
        "wrong-connection-type",
        "A connection of the wrong type",
        "The node or tool needs another type of connection.",
    ),
    "C505": Entry(
        "missing-extra", "An optional package is not installed", "This feature needs an extra of headrace."
    ),
    "C506": Entry(
        "bad-setting",
        "A setting that cannot be read",
        "An environment variable or option has a value of the wrong form.",
    ),
    "C507": Entry(
        "bad-option",
        "A command line that cannot be read",
        "An option or argument is missing, unknown or of the wrong form.",
    ),
    "C509": Entry(
        "address-refused",
        "An image address that is not fetched",
        "The address leads to this machine or to a private network; only hosts that a setting names are asked there.",
    ),
    "C510": Entry(
        "experiment-not-running",
        "An experiment that does not run",
        "Only an experiment that another process is running can be stopped.",
    ),
    "C513": Entry(
        "folder-in-use",
        "A folder that holds something else",
        "A run is written into a new or empty folder, or over what was written of the same run before.",
    ),
    "C514": Entry(
        "bad-connection-provider",
        "A place for connections that is none",
        "The setting connection.provider, or the config.json that it leads to, names no workspace.",
    ),
    "C515": Entry(
        "unusable-connection",
        "A connection of a workspace that no flow can use",
        "Workspaces of Azure Machine Learning keep connections of many kinds; flows use those that prompt flow knows.",
    ),
    "P701": Entry("access-denied", "The model service refused the key", "The service answered 401 or 403."),
    "P702": Entry(
        "rate-limited",
        "The model service is at its limit",
        "The service kept answering 429, or its quota was used up, for longer than a request may wait.",
    ),
    "P703": Entry(
        "service-failed",
        "The model service failed",
        "The service answered with a server error, or the connection broke, for longer than the retries last.",
    ),
    "P704": Entry(
        "service-timeout",
        "The model service did not answer in time",
        "No answer arrived within the model timeout.",
    ),
    "P705": Entry(
        "request-refused",
        "The model service refused the request",
        "The service answered 4xx: the request itself is wrong.",
    ),
    "P706": Entry(
        "content-filtered",
        "The model service filtered the content",
        "A content filter of the service stopped the prompt or the answer.",
    ),
    "P707": Entry(
        "bad-answer",
        "An answer that is not in the expected form",
        "The service answered with something that is not a completion.",
    ),
    "P708": Entry(
        "unreachable",
        "The model service cannot be reached",
        "No connection could be made to the service's address.",
    ),
    "P709": Entry(
        "answer-not-as-declared",
        "An answer without what was asked for",
        "The prompty asks for JSON, and the model answered with something else or left out a declared output.",
    ),
    "P710": Entry(
        "tracker-refused",
        "An experiment tracker that does not take a comparison",
        "MLflow or Weights & Biases could not be reached, or refused what was written; the comparison itself is done.",
    ),
    "P711": Entry(
        "output-not-answered",
        "An answer of an endpoint without a declared output",
        "outputs names places in the answer; this answer has nothing there.",
    ),
    "P712": Entry(
        "endpoint-changed",
        "An endpoint that changed while it was asked",
        "What the endpoint says of its version was not the same for all lines, so the run is of more than one flow.",
    ),
    "P713": Entry(
        "workspace-unreadable",
        "The workspace with the connections cannot be read",
        "Azure refused to say what a connection is or what its secrets are, or could not be reached.",
    ),
    "P714": Entry(
        "vault-unreadable",
        "A secret of Azure Key Vault cannot be read",
        "The vault refused, has no such secret, or could not be reached.",
    ),
}
