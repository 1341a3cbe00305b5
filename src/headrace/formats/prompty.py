"""``.prompty`` files → :class:`~headrace.domain.flow.Flow` (promptflow-format: 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from headrace.domain.flow import (
    NO_DEFAULT,
    PROMPTY,
    Flow,
    FlowInput,
    FlowOutput,
    ModelPrompt,
    Node,
    ToolSource,
)
from headrace.domain.reference import Reference
from headrace.domain.values import INPUT_TYPES
from headrace.errors import DefinitionError, Problem, at_place, nearest
from headrace.formats.front_matter import (
    PromptyText,
    fill_values,
    merge_values,
    read_prompty_text,
    read_value,
)
from headrace.formats.shape import WARNING, Block, by_place
from headrace.formats.template import load_template

CONFIGURATION_TYPES = ("azure_openai", "openai", "AzureOpenAI", "OpenAI")
_TYPE_HINTS = {"azure_open_ai": "azure_openai", "azure": "azure_openai", "open_ai": "openai"}
_KEYS = ("name", "description", "authors", "tags", "model", "inputs", "outputs", "sample", "template")
_MODEL_KEYS = ("api", "configuration", "parameters", "response")
CONFIGURATION_KEYS = (
    "type", "azure_deployment", "azure_endpoint", "api_version", "api_key", "model", "base_url", "organization",
    "connection",
)  # fmt: skip
_VARIABLES = (
    "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION",
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID",
)  # fmt: skip
_OTHER_TYPES = {
    "str": "string", "number": "double", "float": "double", "integer": "int", "boolean": "bool", "array": "list",
    "dict": "object",
}  # fmt: skip
"""Type names of other runtimes of prompties, which prompt flow's own test and run refuse."""
_ANY = "any"


def read_prompty(
    file: Path,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[Flow | None, tuple[Problem, ...]]:
    """Read as much of a prompty as can be read, with everything that is wrong with it.

    Args:
        file: The file.
        environment: Variables for ``${env:NAME}``; ``None`` leaves such texts as they are.
        overrides: Taken for parts of the front matter; mappings are merged into what is there.

    Raises:
        DefinitionError: The file has no two parts that can be read; see
            :func:`headrace.formats.front_matter.read_prompty_text`.
    """
    text = read_prompty_text(file)
    findings = text.findings
    if not isinstance(text.data, dict):
        what = "The front matter should be a mapping with the key model."
        findings.add("F005", (), what, "Write model: and inputs: between the two lines ---.")
        return None, tuple(findings.problems)
    folder = file.resolve().parent
    data = fill_values(merge_values(text.data, overrides or {}), folder, environment, findings)
    root = Block(data, (), findings)
    _check_keys(root)
    variables = {name: value for name, value in (environment or {}).items() if name in _VARIABLES}
    prompt = _read_prompt(root, text, variables)
    surface = _Surface(
        inputs=_read_inputs(root.block("inputs")),
        outputs=_read_outputs(root),
        sample=_read_sample(root, file),
    )
    flow = _make_flow(root, file, prompt, surface) if prompt else None
    findings.problems.extend(_template_problems(root, text, str(file)))
    return flow, tuple(sorted(findings.problems, key=by_place))


def _check_keys(root: Block) -> None:
    """Anything may stand beside the known keys; only what looks like one of them is worth a word."""
    for key in root.data:
        guess = None if key in _KEYS else nearest(key, _KEYS)
        if guess:
            what = f"A prompty has no use for the key {key!r}; it is ignored."
            root.findings.add("F012", (key,), what, f'Did you mean "{guess}"?', severity=WARNING, at_key=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surface:
    """What a prompty takes and gives; read, and checked, also where the block ``model`` is of no use."""

    inputs: dict[str, FlowInput]
    outputs: dict[str, FlowOutput]
    sample: Mapping[str, Any]


def _make_flow(root: Block, file: Path, prompt: ModelPrompt, surface: _Surface) -> Flow:
    given = root.data.get("name")
    given_name = None if given in (None, "") or isinstance(given, (dict, list)) else str(given)
    name = given_name or file.stem
    connection = prompt.configuration.get("connection")
    node = Node(
        name=name,
        type=PROMPTY,
        source=ToolSource(type="code", path=file.name),
        inputs={
            item: Reference(text=f"${{inputs.{item}}}", kind="input", name=item) for item in surface.inputs
        },
        connection=connection if isinstance(connection, str) and connection else None,
        api=prompt.api,
        pointer=("model",),
    )
    return Flow(
        name=name,
        given_name=given_name,
        kind=PROMPTY,
        file=str(file),
        folder=str(file.resolve().parent),
        inputs=surface.inputs,
        outputs=surface.outputs,
        nodes=(node,),
        node_variants={},
        environment_variables={},
        additional_includes=(),
        source_map=root.findings.source_map,
        sample=surface.sample,
        prompt=prompt,
    )


def _read_prompt(root: Block, text: PromptyText, variables: Mapping[str, str]) -> ModelPrompt | None:
    """The block ``model``; ``None`` when it lacks what the prompty cannot work without."""
    if root.data.get("model") is None:
        root.missing("model", "The prompty")
        return None
    model = root.block("model")
    if not isinstance(root.data["model"], dict):
        return None
    before = len(root.findings.problems)
    model.check_keys(_MODEL_KEYS, "The block model")
    api = model.word("api", ("chat", "completion"), severity=WARNING)
    response = model.word("response", ("first", "all"), severity=WARNING)
    for key in ("configuration", "parameters"):
        if model.data.get(key) is None:
            model.missing(key, "The model of the prompty")
    configuration, parameters = model.block("configuration"), model.block("parameters")
    if isinstance(model.data.get("configuration"), dict):
        _check_configuration(configuration)
    if root.findings.has_errors(before):
        return None
    return ModelPrompt(
        api="completion" if api == "completion" else "chat",
        configuration=configuration.data,
        variables=variables,
        parameters=parameters.data,
        response="all" if response == "all" else "first",
        template=text.body,
        first_line=text.first_line,
        defaults=_defaults(root),
    )


def _check_configuration(block: Block) -> None:
    """A connection's own type decides; where there is none, the configuration has to say it."""
    block.check_keys(CONFIGURATION_KEYS, "The configuration")
    if block.data.get("connection"):
        return
    if block.required_text("type", "The configuration") is None:
        return
    block.word("type", CONFIGURATION_TYPES, hints=_TYPE_HINTS)
    # Whether it names a model is looked at with the arm chosen, which may name one (planning.model_name).
    if not block.text("azure_deployment"):
        block.text("model")


def _defaults(root: Block) -> dict[str, Any]:
    inputs = root.data.get("inputs")
    declared = inputs.items() if isinstance(inputs, dict) else ()
    return {
        str(name): item["default"] for name, item in declared if isinstance(item, dict) and "default" in item
    }


def _read_inputs(block: Block) -> dict[str, FlowInput]:
    inputs: dict[str, FlowInput] = {}
    for name, item in block.blocks():
        default = item.data.get("default")
        inputs[name] = FlowInput(
            name=name,
            type=_read_type(item, name),
            default=NO_DEFAULT if default is None else default,
            description=item.note("description"),
            is_chat_input=item.flag("is_chat_input"),
            is_chat_history=item.flag("is_chat_history"),
        )
    return inputs


def _read_type(block: Block, name: str) -> str:
    """The declared type; calls by code do not look at it, so a wrong one only warns and leaves values as they are."""
    text = block.text("type")
    if text is None:
        what = f"The input {name!r} has no type, so its values are taken as they are."
        block.findings.add("F006", block.pointer, what, "Add type.", severity=WARNING, at_key=True)
        return _ANY
    if text in _OTHER_TYPES:
        return _OTHER_TYPES[text]
    word = block.word("type", INPUT_TYPES, severity=WARNING)
    return text if word in INPUT_TYPES else _ANY


def _read_outputs(root: Block) -> dict[str, FlowOutput]:
    """Names that a JSON answer has to have; the types are never looked at."""
    declared = root.data.get("outputs")
    if isinstance(declared, list):
        return {str(name): FlowOutput(name=str(name), type=_ANY, value=None) for name in declared}
    outputs = {}
    for name, item in root.block("outputs").data.items():
        kind = item.get("type") if isinstance(item, dict) else None
        outputs[name] = FlowOutput(name=name, type=str(kind or _ANY), value=None)
    return outputs


def _read_sample(root: Block, file: Path) -> Mapping[str, Any]:
    """The sample: a mapping, or the path of a JSON file with one.

    Without declared inputs every run uses it, so what is wrong with it is an error then and a warning otherwise.
    """
    sample = root.data.get("sample")
    before = len(root.findings.problems)
    if isinstance(sample, str) and sample.endswith(".json"):
        sample = _sample_file(root, file, sample.removeprefix("file:"))
    elif isinstance(sample, str) and sample.startswith("${"):
        return {}  # a file that could not be read, which was reported
    elif sample is not None and not isinstance(sample, dict):
        what = "The sample should be a mapping of inputs, or the path of a .json file with one."
        root.findings.add("F005", ("sample",), what, "Write a mapping here.")
    if root.data.get("inputs"):
        later = root.findings.problems[before:]
        root.findings.problems[before:] = [replace(problem, severity=WARNING) for problem in later]
    return {str(key): value for key, value in sample.items()} if isinstance(sample, dict) else {}


def _sample_file(root: Block, file: Path, name: str) -> Any:
    pointer = ("sample",)
    try:
        sample = read_value(file.resolve().parent / name, str(PurePath(file).parent / name))
    except DefinitionError as error:
        place = root.findings.source_map.span(pointer)
        root.findings.problems.extend(at_place(error, place, pointer).problems)
        return None
    if not isinstance(sample, dict):
        what = f"The sample in {name} should be a JSON object with the inputs."
        root.findings.add("F005", pointer, what, "Write one object into the file.")
    return sample


def _template_problems(root: Block, text: PromptyText, file: str) -> Iterator[Problem]:
    """F009, else R103 as a warning for every variable of the template that no call gives a value."""
    try:
        template = load_template(text.body, file, text.first_line)
    except DefinitionError as error:
        yield from error.problems
        return
    declared = root.data.get("inputs") or root.data.get("sample")
    known = tuple(str(name) for name in declared) if isinstance(declared, (dict, list)) else ()
    if isinstance(declared, str):
        return  # a file of samples that cannot be read
    for name in template.variables:
        if name in known or _is_optional(name, text.body):
            continue
        guess = nearest(name, known)
        yield Problem(
            code="R103",
            what=f"The template uses {name!r}, which is no input of the prompty and is always empty.",
            span=template.span_of(name),
            fix=f'Did you mean "{guess}"?' if guess else f"Add {name} to inputs, or take it out.",
            severity=WARNING,
        )


def _is_optional(name: str, body: str) -> bool:
    """Whether the template itself thinks of the variable being missing."""
    word = re.escape(name)
    return (
        re.search(rf"\b{word}\s+is\s+(?:not\s+)?(?:un)?defined|\b{word}\s*\|\s*(?:default|d)\b", body)
        is not None
    )
