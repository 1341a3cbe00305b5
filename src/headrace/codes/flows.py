"""Codes of what is wrong with a flow: files (F), references and graph (R), tools (T), variants (V)."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

FLOW_CODES: Mapping[str, Entry] = {
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
    "F022": Entry(
        "written-key",
        "A key in a file that is recorded",
        "Files of flows and experiments are kept with every run; keys belong into a connection or the environment.",
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
        "It has no default and the node does not set it, or nothing that the service reads names the model.",
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
    "V306": Entry(
        "unknown-factor",
        "A factor, or a level of one, that does not exist",
        "A factor varies one thing that the flow has: the variants of a node, its connection, a parameter or an input.",
    ),
    "V307": Entry(
        "idle-factor",
        "Something that changes nothing",
        "A factor needs two levels that differ, and two arms that come to the same flow tell nothing about it.",
    ),
    "V308": Entry(
        "too-many-arms",
        "A design with more arms than can be compared",
        "Arms are counted before any is made: every level of every factor with every level of all others.",
    ),
    "V309": Entry(
        "impossible-fraction",
        "A fraction of a design that cannot be taken",
        "Each level must occur equally often, and the effect of one factor must not be that of another one as well.",
    ),
}
