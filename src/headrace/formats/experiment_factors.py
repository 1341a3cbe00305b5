"""The factors of an experiment file, and the arms that are made of them.

::

    factors:
      generate: [zero_shot, few_shot]                          # variants of a node
      model: [baseline, {connection: my_aoai, model: gpt-4o}]  # models
      temperature: {parameter: temperature, levels: [0, 0.7]}  # of every llm node; of one with node: generate
      k: {input: retrieve.top_k, levels: [3, 5]}               # an input of a node
      where: {connection: generate, levels: [west, east]}      # the connection of an llm node
      flow: [{name: short, path: ../short}, ../long, docs@7]   # flows and versions that compete
    design: {fraction: 1/2}                                    # or full
    exclude: [{generate: zero_shot, k: 5}]                     # all cells with these levels
    include: [{generate: few_shot, temperature: 0.7}]          # then one more; what it does not name is the first level

An arm is called after its levels, in the order of the factors: ``few_shot/gpt-4o/temperature=0.7``. A competing flow
may take other inputs than the others and give its outputs other names:
``{path: ../short, column_mapping: {q: "${data.question}"}, outputs: {answer: output}}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headrace.domain.override import EVERY_MODEL_NODE, override_text
from headrace.domain.variant import Arm, Design, Factor, FactorKind, Level, ModelSpec, Variant
from headrace.errors import nearest
from headrace.formats.arms import listed_factors, told_apart
from headrace.formats.design import MAX_ARMS, Cell, Fraction, cells, count_cells, find_fraction
from headrace.formats.experiment_parts import (
    no_mapping,
    read_flow_path,
    read_items,
    read_mapping,
    read_model,
)
from headrace.formats.remote import DEPLOYED_KEYS, read_deployed, read_remote
from headrace.formats.remote import KEYS as REMOTE_KEYS
from headrace.formats.shape import Block, Findings
from headrace.source import Pointer

_KINDS = ("parameter", "input", "connection")
_KEYS = (*_KINDS, "node", "levels")
_LISTED = ("model", "flow")
_FITTING = ("column_mapping", "outputs")
"""Keys by which a flow that competes fits data and evaluators that were written for another one."""
_FEWEST_FOR_FRACTION = 3
"""Factors; any fraction of two has the effect of one in that of the other."""
_NAMED_ALONE = ("variant", "model", "flow")
"""Kinds whose levels name an arm without the name of the factor before them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorialArms:
    """The arms of a file that has factors.

    Attributes:
        design: ``None`` where it could not be made; then something was reported.
    """

    arms: tuple[Arm, ...]
    factors: tuple[Factor, ...]
    design: Design | None


def read_factorial(
    root: Block, file: Path, seed: int, variants: Sequence[Variant], models: Sequence[ModelSpec]
) -> FactorialArms:
    """The arms of ``factors``, with ``variants`` and ``models`` as two factors before them; findings go to the block.

    A single variant or model is no factor: every arm has it.

    Args:
        root: The whole file.
        file: The experiment file; paths are relative to its folder.
        seed: Settles which of several equally good fractions is taken.
        variants: What the file says under this key.
        models: Likewise.
    """
    start = len(root.findings.problems)
    models = told_apart(models)
    fixed = Arm(
        name="",
        variant=variants[0] if len(variants) == 1 else None,
        model=models[0] if len(models) == 1 else None,
    )
    factors = [factor for factor in listed_factors(variants, models) if len(factor.levels) > 1]
    factors += [factor for factor in _read_factors(root, file) if factor is not None]
    _check_names(root, factors)
    if root.findings.has_errors(start):
        return FactorialArms(arms=(), factors=(), design=None)
    sizes = [len(factor.levels) for factor in factors]
    denominator = _read_design(root)
    n_arms = count_cells(sizes) // (denominator or 1)
    if n_arms > MAX_ARMS:
        _refuse_size(root, factors, n_arms)
        return FactorialArms(arms=(), factors=tuple(factors), design=None)
    fraction = None
    if denominator is not None:
        fraction = find_fraction(sizes, denominator, seed)
        if fraction is None:
            _refuse_fraction(root, factors, denominator)
            return FactorialArms(arms=(), factors=tuple(factors), design=None)
    chosen, design = _choose(root, factors, fraction, denominator)
    arms = tuple(_make_arm(factors, cell, fixed) for cell in chosen)
    _check_arms(root, arms)
    return FactorialArms(arms=arms, factors=tuple(factors), design=design)


def level_text(value: Any) -> str:
    """A level as people read it: text as it stands, other values as JSON writes them."""
    return value if isinstance(value, str) else override_text("", value)


def _read_factors(root: Block, file: Path) -> Iterator[Factor | None]:
    block = root.block("factors")
    for name, value in block.data.items():
        pointer = block.at(name)
        if isinstance(value, list):
            levels = _read_listed(name, block, file)
            kind: FactorKind = "model" if name == "model" else "flow" if name == "flow" else "variant"
            found = Factor(
                name=name,
                kind=kind,
                levels=levels,
                node="" if name in _LISTED else name,
                pointer=pointer,
            )
            yield _with_levels(found, root.findings)
        elif isinstance(value, dict):
            yield _read_setting(name, Block(value, pointer, root.findings))
        else:
            no_mapping(
                pointer, root.findings, "a list of levels, or a mapping with parameter, input or connection"
            )


def _read_listed(name: str, block: Block, file: Path) -> tuple[Level, ...]:
    """Levels of a factor that is a list: models, flows, or variants of the node that it is called after."""
    if name == "model":
        models = told_apart(read_items(block, name, read_model))
        return tuple(
            Level(name=item.name, model=item, pointer=(*block.at(name), number))
            for number, item in enumerate(models)
        )

    def read_flow(pointer: Pointer, value: Any, findings: Findings) -> Level | None:
        return _read_flow(pointer, value, findings, file)

    def read_variant(pointer: Pointer, value: Any, findings: Findings) -> Level | None:
        return _read_variant(name, pointer, value, findings)

    return tuple(read_items(block, name, read_flow if name == "flow" else read_variant))


def _read_variant(node: str, pointer: Pointer, value: Any, findings: Findings) -> Level | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
        no_mapping(pointer, findings, f"the name of a variant of {node}")
        return None
    return Level(name=str(value), choices={node: str(value)}, pointer=pointer)


def _read_flow(pointer: Pointer, value: Any, findings: Findings, file: Path) -> Level | None:
    if isinstance(value, str):
        value = {"path": value}
    if not isinstance(value, dict):
        no_mapping(pointer, findings, "the path of a flow, or a mapping with name and path or url")
        return None
    block = Block(value, pointer, findings)
    if "url" in block or "deployed" in block:
        return _read_remote_flow(block, file)
    block.check_keys(("name", "path", "url", *_FITTING), "A flow", severity="error")
    path = read_flow_path(block, "path", file, "The flow")
    if not path:
        return None
    return Level(
        name=block.text("name") or Path(path).resolve().name,
        flow_path=path,
        column_mapping=_read_column_mapping(block),
        outputs=_read_output_names(block),
        pointer=pointer,
    )


def _read_column_mapping(block: Block) -> Mapping[str, str] | None:
    return read_mapping(block.block("column_mapping")) if "column_mapping" in block else None


def _read_output_names(block: Block) -> Mapping[str, str]:
    """Name by which evaluators read an output to the flow's own."""
    outputs = block.block("outputs")
    return {name: text for name in outputs.data if (text := outputs.text(name))}


def _read_remote_flow(block: Block, file: Path) -> Level | None:
    key = "url" if "url" in block else "deployed"
    if "path" in block:
        what = "A flow of an experiment is either in a folder or behind an address."
        block.findings.add("F005", block.at(key), what, f"Keep one of path and {key}.", at_key=True)
        return None
    keys = REMOTE_KEYS if key == "url" else DEPLOYED_KEYS
    block.check_keys((*keys, "column_mapping"), "A flow behind an address", severity="error")
    remote = read_remote(block) if key == "url" else read_deployed(block, file)
    if remote is None:
        return None
    place = remote.deployed
    called = (place.arm or Path(place.file).stem) if place is not None else urlsplit(remote.url).hostname
    name = block.text("name") or called or remote.url
    return Level(name=name, remote=remote, column_mapping=_read_column_mapping(block), pointer=block.pointer)


def _read_setting(name: str, block: Block) -> Factor | None:
    """A parameter, an input or a connection."""
    block.check_keys(_KEYS, "A factor", severity="error")
    given = [key for key in _KINDS if key in block]
    if len(given) != 1:
        what = f"The factor {name!r} does not say what it varies."
        if given:
            what = f"The factor {name!r} varies several things at once: {' and '.join(given)}."
        fix = "Write one of parameter: NAME, input: NODE.INPUT and connection: NODE, with levels."
        block.findings.add("V306", block.pointer, what, fix, at_key=True)
        return None
    (kind,) = given
    target = block.required_text(kind, "The factor")
    if target is None:
        return None
    if kind != "parameter" and "node" in block:
        what = "Only a parameter says its node here."
        block.findings.add("F012", block.at("node"), what, "Remove node.", at_key=True)
    node, field_name = block.text("node") or EVERY_MODEL_NODE, target
    if kind == "connection":
        node, field_name = target, "connection"
    elif kind == "input":
        node, _, field_name = target.partition(".")
        if not (node and field_name):
            what = f"{target!r} does not name an input of a node."
            block.findings.add("V306", block.at("input"), what, "Write node.input, such as retrieve.top_k.")
            return None
    read = _setting_reader(f"{node}.{field_name}", field_name, is_name=kind == "connection")
    factor = Factor(
        name=name,
        kind="connection" if kind == "connection" else "input" if kind == "input" else "parameter",
        levels=tuple(read_items(block, "levels", read)),
        node=node,
        field_name="" if kind == "connection" else field_name,
        pointer=block.pointer,
    )
    if "levels" not in block:
        block.missing("levels", "The factor")
        return None
    return _with_levels(factor, block.findings)


def _setting_reader(
    place: str, field_name: str, *, is_name: bool
) -> Callable[[Pointer, Any, Findings], Level | None]:
    def read(pointer: Pointer, value: Any, findings: Findings) -> Level | None:
        name: str | None = None
        if isinstance(value, dict) and set(value) == {"name", "value"}:
            name, value = str(value["name"]), value["value"]
        elif isinstance(value, (dict, list)):
            no_mapping(pointer, findings, "a value, or a mapping with name and value")
            return None
        if is_name and not (isinstance(value, str) and value):
            no_mapping(pointer, findings, "the name of a connection")
            return None
        text = override_text(field_name, value)
        return Level(name=name or level_text(value), overrides={place: text}, pointer=pointer)

    return read


def _with_levels(factor: Factor, findings: Findings) -> Factor:
    """The factor; V307 where it changes nothing, and for a level that another one equals."""
    if len(factor.levels) < 2:
        if not findings.has_errors():
            only = f"only {factor.levels[0].name}" if factor.levels else "no level"
            what = f"The factor {factor.name!r} changes nothing: it has {only}."
            fix = "Add a level, or remove the factor; what all arms share belongs in the flow."
            findings.add("V307", factor.pointer, what, fix, at_key=True)
        return factor
    names: dict[str, Level] = {}
    if len(factor.levels) > MAX_ARMS:
        return factor  # refused for its size, before so many are held against each other
    for level in factor.levels:
        same = names.get(level.name) or next(
            (other for other in names.values() if _gives(other) == _gives(level)), None
        )
        if same is not None:
            what = f"The levels {same.name!r} and {level.name!r} of the factor {factor.name!r} are the same."
            findings.add("V307", level.pointer, what, "Remove one of them.")
        names[level.name] = level
    return factor


def _gives(level: Level) -> object:
    model = replace(level.model, name="") if level.model else None
    fitting = level.column_mapping, level.outputs
    return dict(level.choices), model, dict(level.overrides), level.flow_path, level.remote, fitting


def _check_names(root: Block, factors: Sequence[Factor]) -> None:
    """Report V306 for two factors that vary the same thing."""
    seen: dict[object, Factor] = {}
    for factor in factors:
        for level in factor.levels[:1]:
            varied = {("choice", node) for node in level.choices} | {
                ("field", key) for key in level.overrides
            }
            varied |= {(factor.kind, "")} if factor.kind in _LISTED else set()
            for item in sorted(varied):
                other = seen.setdefault(item, factor)
                if other is not factor:
                    what = f"The factors {other.name!r} and {factor.name!r} vary the same thing."
                    root.findings.add("V306", factor.pointer, what, "Keep one of them.", at_key=True)


def _read_design(root: Block) -> int | None:
    """The denominator of the fraction; ``None`` for all cells."""
    value = root.data.get("design")
    if value is None or value == "full":
        return None
    wanted = "full, or a mapping with fraction, such as {fraction: 1/2}"
    if not isinstance(value, dict):
        no_mapping(("design",), root.findings, wanted)
        return None
    block = root.block("design")
    block.check_keys(("fraction",), "A design", severity="error")
    text = block.required_text("fraction", "The design")
    if text is None:
        return None
    above, slash, below = text.replace(" ", "").partition("/")
    if not (slash and above == "1" and below.isascii() and below.isdecimal() and 1 < int(below[:9]) < 10**9):
        root.findings.add(
            "F005", block.at("fraction"), "fraction should be one over a whole number.", "Write 1/2, or 1/4."
        )
        return None
    return int(below)


def are_too_many(root: Block, variants: Sequence[Variant], models: Sequence[ModelSpec]) -> bool:
    """Whether variants and models alone make more arms than can be compared; then V308 is reported."""
    sizes = [len(found) for found in (variants, models) if found]
    n_arms = count_cells(sizes)
    if n_arms <= MAX_ARMS:
        return False
    key = "variants" if len(variants) >= len(models) else "models"
    _refuse_arms(root, key, sizes, n_arms, f"Take {key} away.")
    return True


def _refuse_size(root: Block, factors: Sequence[Factor], n_arms: int) -> None:
    fix = "Take levels away, or a fraction: design: {fraction: 1/2}."
    _refuse_arms(root, "factors", [len(factor.levels) for factor in factors], n_arms, fix)


def _refuse_arms(root: Block, key: str, sizes: Sequence[int], n_arms: int, fix: str) -> None:
    product = " × ".join(map(str, sizes))
    what = f"The design has {n_arms:,} arms ({product}), and {MAX_ARMS:,} is the most that can be compared."
    root.findings.add("V308", (key,), what, fix, at_key=True)


def _refuse_fraction(root: Block, factors: Sequence[Factor], denominator: int) -> None:
    if len(factors) < _FEWEST_FOR_FRACTION:
        what = f"No fraction can be taken of {len(factors)} factor{'s' * (len(factors) != 1)}: it takes at least three."
        root.findings.add("V309", ("design", "fraction"), what, "Write design: full.")
        return
    what = (
        f"1/{denominator} of this design would mix up the effects of single factors, or would not be balanced: "
        f"its factors have {', '.join(str(len(factor.levels)) for factor in factors)} levels."
    )
    fix = "Take a larger fraction, whose denominator is a power of a prime that divides the levels of three factors."
    root.findings.add("V309", ("design", "fraction"), what, fix)


def _choose(
    root: Block, factors: Sequence[Factor], fraction: Fraction | None, denominator: int | None
) -> tuple[list[Cell], Design]:
    sizes = [len(factor.levels) for factor in factors]
    chosen = dict.fromkeys(cells(sizes, fraction))
    n_before = len(chosen)
    for pointer, named in _read_cells(root, "exclude", factors):
        matching = [cell for cell in chosen if all(cell[place] == level for place, level in named.items())]
        if not matching:
            what = "No arm has these levels, so that excluding them changes nothing."
            root.findings.add("V307", pointer, what, "Remove it, or correct the levels.")
        for cell in matching:
            del chosen[cell]
    n_kept = len(chosen)
    for pointer, named in _read_cells(root, "include", factors):
        cell = tuple(named.get(place, 0) for place in range(len(factors)))
        if cell in chosen:
            what = "This cell is an arm already, so that including it changes nothing."
            root.findings.add("V307", pointer, what, "Remove it.")
        chosen[cell] = None
    design = Design(
        n_full=count_cells(sizes),
        n_arms=len(chosen),
        fraction=f"1/{denominator}" if denominator else None,
        resolution=fraction.resolution if fraction else None,
        n_included=len(chosen) - n_kept,
        n_excluded=n_before - n_kept,
    )
    return sorted(chosen), design


def _read_cells(
    root: Block, key: str, factors: Sequence[Factor]
) -> Iterator[tuple[Pointer, Mapping[int, int]]]:
    for pointer, value in root.items(key):
        named = _read_cell(pointer, value, root, factors)
        if named is not None:
            yield pointer, named


def _read_cell(
    pointer: Pointer, value: Any, root: Block, factors: Sequence[Factor]
) -> Mapping[int, int] | None:
    """Place of a factor to number of its level; V306 for what the file does not have."""
    if not isinstance(value, dict) or not value:
        no_mapping(pointer, root.findings, "a mapping of factors to levels")
        return None
    block = Block(value, pointer, root.findings)
    places = {factor.name: place for place, factor in enumerate(factors)}
    found: dict[int, int] = {}
    for name, wanted in block.data.items():
        place = places.get(name)
        if place is None:
            fix = _suggest(name, tuple(places), "Factors")
            root.findings.add("V306", block.at(name), f"The file has no factor {name!r}.", fix, at_key=True)
            continue
        levels = [level.name for level in factors[place].levels]
        text = level_text(wanted)
        if text not in levels:
            what = f"The factor {name!r} has no level {text!r}."
            root.findings.add("V306", block.at(name), what, _suggest(text, levels, "Levels"))
            continue
        found[place] = levels.index(text)
    return found if len(found) == len(block.data) else None


def _suggest(name: str, known: Sequence[str], what: str) -> str:
    near = nearest(name, list(known))
    start = f'Did you mean "{near}"? ' if near else ""
    return f"{start}{what}: {', '.join(known)}."


def _make_arm(factors: Sequence[Factor], cell: Cell, fixed: Arm) -> Arm:
    chosen = [(factor, factor.levels[level]) for factor, level in zip(factors, cell, strict=True)]
    choices = dict(fixed.variant.choices) if fixed.variant else {}
    overrides: dict[str, str] = {}
    model, flow = fixed.model, Level(name="")
    for factor, level in chosen:
        choices.update(level.choices)
        overrides.update(level.overrides)
        model = level.model or model
        flow = level if factor.kind == "flow" else flow
    variants = [fixed.variant.name] if fixed.variant else []
    variants += [level.name for factor, level in chosen if factor.kind == "variant"]
    parts = (
        level.name if factor.kind in _NAMED_ALONE else f"{factor.name}={level.name}"
        for factor, level in chosen
    )
    return Arm(
        name="/".join(parts),
        variant=Variant(name="/".join(variants), choices=choices) if choices else None,
        model=model,
        overrides=overrides,
        flow_path=flow.flow_path,
        remote=flow.remote,
        column_mapping=flow.column_mapping,
        outputs=flow.outputs,
        factors={factor.name: level.name for factor, level in chosen},
    )


def _check_arms(root: Block, arms: Sequence[Arm]) -> None:
    names = [arm.name for arm in arms]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        fix = "Give the levels names that differ."
        root.findings.add("V303", ("factors",), f"Two arms are called {name!r}.", fix, at_key=True)
