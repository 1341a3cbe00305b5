"""The catalogue of problem codes: one entry each, in families by letter. Pure data.

Codes are forever: a number is never used again, and the meaning of one never changes. A new code stands at the end
of its family and comes with a case in ``tests/conformance/problems``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """One code of the catalogue: its kebab name, a title, and what it means for the reader."""

    name: str
    title: str
    explanation: str


CATALOGUE: Mapping[str, Entry] = {
    "F001": Entry(
        "file-not-found",
        "A file is missing",
        "A path that was given, or that a file refers to, does not exist.",
    ),
    "F002": Entry("yaml-syntax", "YAML that cannot be parsed", "The file is not valid YAML at this place."),
    "F003": Entry(
        "duplicate-key",
        "The same key twice",
        "A mapping has the same key more than once; which one counts would be a guess.",
    ),
    "F004": Entry(
        "not-a-flow",
        "No flow here",
        "A folder must hold exactly one of flow.dag.yaml, flow.dag.yml, flow.flex.yaml or flow.flex.yml.",
    ),
    "F005": Entry(
        "wrong-shape",
        "A value of the wrong shape",
        "A mapping, list or text was expected here and something else was found.",
    ),
    "F006": Entry(
        "missing-key", "A required key is missing", "This block cannot work without the named key."
    ),
    "F007": Entry(
        "unknown-word", "A word that is not one of the allowed ones", "The value must be one of a fixed list."
    ),
    "F008": Entry(
        "duplicate-node",
        "Two nodes share a name",
        "Node names identify nodes in references and must be unique.",
    ),
    "F009": Entry(
        "template-syntax",
        "A template that cannot be parsed",
        "The Jinja2 template is not valid at this place.",
    ),
    "F010": Entry(
        "unsupported", "Not supported here", "The file asks for something that headrace does not run."
    ),
    "F011": Entry(
        "encoding", "A file that is not UTF-8", "Flow files, templates and data are read as UTF-8."
    ),
    "F012": Entry(
        "unknown-key",
        "A key that means nothing here",
        "The key is ignored; it is often a misspelling of a known one.",
    ),
    "F013": Entry(
        "not-a-chat-flow",
        "A flow that cannot be chatted with",
        "A chat needs one chat input, an input for the history, and one chat output where the flow has outputs.",
    ),
    "F016": Entry(
        "bad-entry",
        "An entry that cannot be read",
        "The entry of a flex flow names a function or class of a module: module:name.",
    ),
    "F020": Entry(
        "reserved-node",
        "A node that no reference can name",
        "References that begin with inputs or flow mean the inputs of the flow.",
    ),
    "F021": Entry(
        "include-clash",
        "An include that takes another file's place",
        "Includes are put beside the flow's own files under their base names; the last one of a name counts.",
    ),
    "F014": Entry(
        "unset-variable",
        "A value from an environment variable that is not set",
        "The value is ${env:NAME} in a prompty, and there is no such variable; the text stays as it is written.",
    ),
    "F015": Entry(
        "no-front-matter",
        "A prompty without its two parts",
        "A .prompty file begins with YAML between two lines of dashes; the text that is sent stands below.",
    ),
    "R101": Entry(
        "bad-reference",
        "A reference that cannot be read",
        "References have the form ${inputs.name}, ${node.output} or ${node.output.property}.",
    ),
    "R102": Entry(
        "unknown-node", "A reference to a node that does not exist", "The named node is not in the flow."
    ),
    "R103": Entry(
        "unknown-input",
        "A reference to a flow input that does not exist",
        "The named flow input is not declared.",
    ),
    "R104": Entry(
        "cycle",
        "Nodes that wait for each other",
        "The nodes' references form a circle, so none of them can run first.",
    ),
    "R105": Entry(
        "aggregation-reference",
        "An aggregation node used as an ordinary one",
        "Aggregation nodes run once after all lines; ordinary nodes and per-line conditions cannot wait for them.",
    ),
    "R106": Entry(
        "property-not-found",
        "A property that the value does not have",
        "The referenced output has no such key, index or attribute.",
    ),
    "T201": Entry(
        "wrong-type", "A value of the wrong type", "The value cannot be converted to the declared type."
    ),
    "T202": Entry(
        "missing-input", "An input without a value", "The flow input has no default and no value was given."
    ),
    "T203": Entry(
        "bad-literal",
        "A literal that does not fit the tool's parameter",
        "The node passes a fixed value that the tool's parameter type refuses.",
    ),
    "T204": Entry(
        "unknown-parameter", "An input that the tool does not take", "The tool has no parameter of this name."
    ),
    "T205": Entry(
        "missing-parameter",
        "A tool parameter without a value",
        "The tool's parameter has no default and the node does not set it.",
    ),
    "T206": Entry(
        "tool-not-loaded",
        "A tool that cannot be loaded",
        "Importing the tool's file failed or it does not define exactly one tool.",
    ),
    "T207": Entry(
        "unknown-tool",
        "A package tool that is not installed",
        "No installed package offers a tool of this id.",
    ),
    "T208": Entry(
        "reserved-name",
        "A template variable that collides with a model parameter",
        "Template variables of a model node may not be named like a parameter of its API.",
    ),
    "T209": Entry(
        "unserved-name",
        "A promptflow name that headrace does not serve",
        "The project imports a name of the promptflow package that headrace has no counterpart for.",
    ),
    "T210": Entry(
        "unreadable-image",
        "An image that cannot be read",
        "A value that stands for an image is none: of another form, no base64, no file, or nothing at its address.",
    ),
    "T211": Entry(
        "entry-not-loaded",
        "An entry that cannot be loaded",
        "Importing its module failed, the module has no such function or class, or the class cannot be made.",
    ),
    "T212": Entry(
        "other-signature",
        "A signature in the file that is not that of the code",
        "What a flex flow declares as inputs, outputs and init has the names that the code of its entry has.",
    ),
    "T213": Entry(
        "unfit-signature",
        "A signature that a flow cannot feed",
        "Inputs are plain data, given by name; __aggregate__ takes the list of what the lines returned.",
    ),
    "V301": Entry(
        "unknown-variant",
        "A variant that does not exist",
        "The node has no variant of this name, or the node offers no variants.",
    ),
    "V302": Entry(
        "bad-variant", "A variant selection that cannot be read", "Variants are selected as ${node.variant}."
    ),
    "V303": Entry(
        "duplicate-arm", "Two arms share a name", "Arms are compared by name, so every name must be unique."
    ),
    "V304": Entry(
        "no-model-node",
        "A model was chosen but the flow has no model node",
        "Only llm nodes, prompties and the model configurations of flex flows can be pointed at another model.",
    ),
    "V305": Entry(
        "unknown-arm",
        "An arm that does not exist",
        "The named arm is not part of the experiment or comparison.",
    ),
    "D401": Entry(
        "broken-line",
        "A line of data that cannot be read",
        "The line is not a JSON object, or does not have the columns of the header.",
    ),
    "D402": Entry(
        "empty-data", "Data without lines", "The data file holds no lines, so there is nothing to run."
    ),
    "D403": Entry(
        "unknown-column",
        "A mapping to a column that does not exist",
        "The column mapping names a column that the data or the run does not have.",
    ),
    "D404": Entry(
        "bad-mapping",
        "A column mapping that cannot be read",
        "Mappings have the form name=${data.column}, ${run.inputs.column}, ${run.outputs.column} or a fixed value.",
    ),
    "D405": Entry(
        "unknown-data-format",
        "A data file of unknown format",
        "Data is read from .jsonl, .csv, .tsv, .json and .parquet files.",
    ),
    "D406": Entry(
        "mapping-without-reference",
        "A mapping that reads no data",
        "At least one input must come from the data or from a run.",
    ),
    "D407": Entry(
        "unaligned-data",
        "Data that does not belong to the run",
        "Data and the run that is evaluated have different numbers of lines and nothing says which belong together.",
    ),
    "D408": Entry(
        "changed-data",
        "Data that changes while it is read",
        "Lines are read from the file as the run needs them, so the file must stay as it is until the run has ended.",
    ),
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
    "E601": Entry(
        "tool-failed",
        "A tool raised an exception",
        "The tool's own code failed; its traceback lines are shown.",
    ),
    "E602": Entry(
        "template-failed",
        "A template failed while rendering",
        "The template ran into an error with the values of this line.",
    ),
    "E603": Entry(
        "timed-out",
        "Something took longer than allowed",
        "A node, a line or a whole run ran into its time limit and was cut.",
    ),
    "E604": Entry(
        "not-serializable", "An output that cannot be written as JSON", "Flow outputs must be plain data."
    ),
    "E605": Entry(
        "chat-roles",
        "A chat prompt without roles",
        "A chat prompt must begin with a role line such as system: or user:.",
    ),
    "E606": Entry(
        "lines-failed",
        "Lines of the run failed",
        "The run is complete, but some lines ended with an error; each is recorded with its own.",
    ),
    # E607 was never raised; its number is not given again.
    "E608": Entry(
        "interrupted",
        "The run was interrupted",
        "Lines that were finished are recorded; the rest was not run.",
    ),
    "P701": Entry("access-denied", "The model service refused the key", "The service answered 401 or 403."),
    "P702": Entry(
        "rate-limited",
        "The model service is at its limit",
        "The service kept answering 429 for longer than the retries last.",
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
    "S801": Entry("unknown-run", "A run that does not exist", "The store has no run of this name."),
    "S802": Entry("run-exists", "A run of this name exists already", "Run names are unique within a store."),
    "S803": Entry(
        "store-failed",
        "The store cannot be read or written",
        "The database is out of reach, locked, full or damaged.",
    ),
    "S804": Entry("store-version", "A store of another version", "A newer headrace has written the store."),
    "S805": Entry("no-trace", "A run without spans", "The run has no recorded spans for this line."),
    "S806": Entry(
        "file-exists", "A file is in the way", "The command would overwrite something that is there already."
    ),
    "S807": Entry(
        "spans-not-sent",
        "Spans that did not reach the collector",
        "The spans are kept with the run; sending them to the configured OTLP endpoint failed or was too slow.",
    ),
    "S808": Entry(
        "not-writable", "A file that cannot be written", "A connection file or a report is out of reach."
    ),
    "S809": Entry(
        "address-unavailable", "No way to listen there", "The port is taken, or the address is not ours."
    ),
    "S810": Entry(
        "run-not-ended",
        "A run that has not ended",
        "Another process may still be at work on the run, or it was killed and could not close it.",
    ),
    "S811": Entry(
        "not-resumable",
        "A run that cannot be gone on with",
        "The run does not know what data it was made with: it was read from a folder.",
    ),
    "S812": Entry(
        "not-a-run-folder",
        "Not the folder of a run",
        "The folder does not hold the records of a run in prompt flow's layout.",
    ),
    "S814": Entry(
        "test-not-recorded",
        "Records of a test that could not be written",
        "The test itself is not touched; prompt flow's tools find no detail, output or log of it.",
    ),
    "S815": Entry(
        "no-snapshot",
        "An exported run without a copy of its flow",
        "The flow has changed since the run, or is gone, so what is there is not what ran.",
    ),
    "S816": Entry(
        "unknown-experiment",
        "An experiment that does not exist",
        "No chain of flows was created under this name.",
    ),
    "S817": Entry(
        "refused-by-system",
        "The operating system refuses",
        "Permissions, a name that is too long, or a disk that is full or can only be read.",
    ),
    "S818": Entry("run-at-work", "A run that another process works on", "A run has one owner at a time."),
    "S819": Entry(
        "run-changed",
        "A run whose flow or data have changed",
        "A run is resumed only as it was made, so that its result is that of a run that was never interrupted.",
    ),
    "S820": Entry(
        "run-ended",
        "A run that has come to its end",
        "All its lines are recorded; nothing is left to go on with.",
    ),
    "G901": Entry(
        "unknown-metric",
        "A metric that no evaluation produces",
        "The named metric is not among the scores of the evaluation.",
    ),
    "G902": Entry(
        "nothing-to-compare",
        "Nothing to compare",
        "A comparison needs at least two arms that have scores for the same lines.",
    ),
    "G903": Entry(
        "bad-margin",
        "A margin that makes no sense",
        "A margin is a distance: it must be a number above zero.",
    ),
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
        "Connections of a workspace are out of reach once the service ends; files and the environment stay.",
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
