"""``headrace.compare``: arms compared from Python, by an experiment, by runs, or by scores that exist already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from headrace.config import load_settings
from headrace.domain.comparison import Family
from headrace.domain.evaluation import Experiment
from headrace.domain.run import Cap
from headrace.domain.scores import MetricSpec
from headrace.domain.variant import Variant
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.formats.csv_cells import unguarded
from headrace.formats.experiment import is_experiment, load_experiment, read_experiment
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.formats.paths import is_folder
from headrace.operations.compare_arguments import change_experiment, every_variant, find_variant, parse_metric
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again, compare_runs
from headrace.operations.compare_scores import Judgement, check_judgement, compare_scores
from headrace.operations.line_runners import Where
from headrace.operations.named_versions import settle_flow
from headrace.operations.recorded_judgement import as_plain
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace, workspace_at_work
from headrace.sdk.compared import ComparedArms
from headrace.sdk.runs import in_free_thread

_RUN_KEYS = ("repeats", "cache", "max_cost", "max_tokens", "workers", "env")
"""Arguments that say how arms run."""

Metric: TypeAlias = str | Mapping[str, Any] | MetricSpec
"""``"f1"``, ``"words:lower"``, the mapping that an experiment file has, or the type itself."""

_TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
_EXPERIMENT_KEYS = (
    "flow",
    "data",
    "variants",
    "models",
    "evaluators",
    "column_mapping",
    "environment_variables",
)
"""Arguments that make arms, named as in an experiment file."""


def compare(
    *targets: Any,
    flow: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    variants: Sequence[Any] = (),
    models: Sequence[Any] = (),
    evaluators: Sequence[Any] = (),
    column_mapping: Mapping[str, str] | None = None,
    environment_variables: Mapping[str, str] | None = None,
    again: str | None = None,
    baseline: str | None = None,
    metrics: Metric | Sequence[Metric] = (),
    margin: float | Mapping[str, float] | None = None,
    alpha: float | None = None,
    line_id: str | None = None,
    clusters: str | Mapping[str, Any] | None = None,
    slices: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = (),
    family: Family | None = None,
    seed: int | None = None,
    repeats: int | None = None,
    cache: bool | None = None,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    workers: int | None = None,
    env: str | None = None,
) -> ComparedArms:
    """Compare arms line by line with a baseline and say how sure the result is; docs/python-sdk.md says more.

    Args:
        *targets: An experiment file or folder, names of evaluated runs, or scores as a mapping, rows, frame or table.
        flow: Flow, or version (``"ask_docs@7"``), whose arms run, in place of a target; needs ``data``, ``evaluators``.
        data: Data file or folder.
        variants: As in an experiment file; default all of the node that has any.
        models: As in an experiment file, such as ``"connection/model"``.
        evaluators: As in an experiment file; or functions and classes that a module has.
        column_mapping: Where the inputs of the flow come from.
        environment_variables: Set while the flow runs.
        again: Id of an experiment whose recorded runs are compared once more, in place of a target.
        baseline: Arm that the others are compared with; default the first.
        metrics: What is compared; the first one decides. ``"words:lower"`` where less is better.
        margin: Largest difference that does not matter, in the unit of the metric; a number is the first metric's.
        alpha: Chance of a wrong verdict that is accepted, over all arms; default 0.05.
        line_id: Column that identifies a line; default its number.
        clusters: Column whose lines are not independent; for given scores also line id to cluster.
        slices: Columns that results are broken down by; for given scores also column to line id to value.
        family: "baseline" adjusts p over the arms with Holm, "exploratory" with Benjamini-Hochberg, "none" not.
        seed: Seed of the permutation draws; default 0.
        repeats: How often every line is answered.
        cache: Whether results of nodes are used again.
        max_cost: Stop when the runs have cost this much, US dollars.
        max_tokens: Stop when they have used so many tokens.
        workers: Processes that run the lines.
        env: Overlay of the experiment file: ``"dev"`` lays ``experiment.dev.yaml`` over it.

    Raises:
        HeadraceError: What is wrong with the request, the files or the scores, with how to fix it in its notes.
    """
    given = {key: value for key, value in locals().items() if key != "targets"}
    return _compare(targets, {key: value for key, value in given.items() if value not in (None, (), [])})


def _compare(targets: Sequence[Any], given: Mapping[str, Any]) -> ComparedArms:
    with _telling_fixes():
        judgement = _judgement(given)
        check_judgement(judgement)
        scores = _given_scores(targets) if not {"again", "flow"} & given.keys() else None
        if scores is not None:
            _refuse(given, (*_RUN_KEYS, *_EXPERIMENT_KEYS))
            _need_metric(given)
            return ComparedArms(compare_scores(scores, judgement))
        return in_free_thread(lambda: _compare_in_workspace(targets, given, judgement))


def _compare_in_workspace(
    targets: Sequence[Any], given: Mapping[str, Any], judgement: Judgement
) -> ComparedArms:
    with _workspace() as workspace:
        result = _result(workspace, targets, given, judgement)
        return ComparedArms(result, workspace.warnings)


@contextmanager
def _workspace() -> Iterator[Workspace]:
    """The workspace in which this process works already, else that of the working directory."""
    running = workspace_at_work()
    if running is not None:
        yield running
        return
    with open_workspace(load_settings(), Path.cwd()) as workspace:
        yield workspace


def _result(
    workspace: Workspace, targets: Sequence[Any], given: Mapping[str, Any], judgement: Judgement
) -> ComparisonResult:
    ways = [bool(targets), "flow" in given, "again" in given]
    if sum(ways) != 1:
        raise UsageError(
            _misuse(
                "headrace.compare needs one thing to compare: an experiment file, runs, scores, flow= or again=.",
                "Give one of them.",
            )
        )
    if "again" in given:
        _refuse_overlay(given)
        return compare_experiment_again(workspace, given["again"])
    experiment = _experiment(workspace, targets, given)
    if experiment is not None:
        cap = Cap(cost_usd=given.get("max_cost"), tokens=given.get("max_tokens"))
        is_capped = cap.cost_usd is not None or cap.tokens is not None
        where = Where(workers=given.get("workers"))
        return run_experiment(workspace, experiment, cap=cap if is_capped else None, where=where)
    _refuse(given, (*_RUN_KEYS, *_EXPERIMENT_KEYS))
    _need_metric(given)
    return compare_runs(
        workspace,
        [str(getattr(target, "name", target)) for target in targets],
        baseline=judgement.baseline,
        metrics=[metric.name if metric.is_bare else metric for metric in judgement.metrics],
        alpha=given.get("alpha"),
        cluster=given.get("clusters"),
        slices=judgement.slices if not isinstance(judgement.slices, Mapping) else (),
        family=given.get("family"),
    )


def _experiment(workspace: Workspace, targets: Sequence[Any], given: Mapping[str, Any]) -> Experiment | None:
    """The experiment to run; ``None`` for runs that exist."""
    if "flow" in given:
        _need_metric(given)
        _refuse_overlay(given)
        flow, versions = settle_flow(workspace, str(given["flow"]))
        return replace(read_experiment(_document({**given, "flow": flow}), Path.cwd()), versions=versions)
    path = Path(str(targets[0]))
    if len(targets) > 1 or not is_experiment(path):
        return None
    _refuse(given, [key for key in _EXPERIMENT_KEYS if key != "data"])
    experiment = load_experiment(path, given.get("env"))
    asked = {
        ("cluster" if key == "clusters" else key): value for key, value in given.items() if key != "metrics"
    }
    changed = change_experiment(experiment, asked)
    known = {metric.name: metric for metric in experiment.metrics}
    named = tuple(_known_metric(metric, known) for metric in _metrics(given.get("metrics", ())))
    metrics = named or experiment.metrics
    if not metrics:
        _need_metric(given)
    return replace(changed, metrics=_with_margins(metrics, given.get("margin")))


def _known_metric(metric: MetricSpec, known: Mapping[str, MetricSpec]) -> MetricSpec:
    """A metric that is only named means what the experiment says of it."""
    return known.get(metric.name, metric) if metric.is_bare else metric


def _document(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an experiment file would say."""
    document = {key: given[key] for key in (*_EXPERIMENT_KEYS, "baseline", "alpha", "line_id", "seed",
                                            "repeats", "family") if key in given}  # fmt: skip
    document |= _variants(given)
    if "cache" in given:
        document["cache"] = "on" if given["cache"] else "off"
    if "clusters" in given:
        document["cluster"] = given["clusters"]
    if "slices" in given:
        document["slices"] = [given["slices"]] if isinstance(given["slices"], str) else list(given["slices"])
    document["evaluators"] = [_evaluator(item) for item in given.get("evaluators", ())]
    document["metrics"] = [_plain_metric(metric) for metric in _asked_metrics(given)]
    return {key: str(value) if isinstance(value, PathLike) else value for key, value in document.items()}


def _plain_metric(metric: MetricSpec) -> dict[str, Any]:
    """A metric as an experiment file names it: what was not said is for its evaluator to say."""
    unsaid = as_plain(MetricSpec(name=metric.name))
    return {key: value for key, value in as_plain(metric).items() if key == "name" or value != unsaid[key]}


def _variants(given: Mapping[str, Any]) -> dict[str, Any]:
    """Variants as an experiment file names them: those that are asked for, else all of the node that has any."""
    if not given.get("variants") and given.get("models"):
        return {}
    flow = load_flow(Path(given["flow"]))
    asked = given.get("variants", ())
    variants: Sequence[Any] = [asked] if isinstance(asked, str) else asked
    found = [find_variant(flow, item) if isinstance(item, str) else item for item in variants]
    return {
        "name": flow.name,
        "variants": [
            {"name": item.name, "choices": dict(item.choices)} if isinstance(item, Variant) else item
            for item in found or every_variant(flow)
        ],
    }


def _evaluator(item: Any) -> Any:
    """An evaluator as an experiment file names it."""
    if isinstance(item, str) and is_folder(Path(item)):
        return {"flow": item}
    if isinstance(item, PathLike):
        return {"flow": str(item)}
    return {"python": _place_of(item)} if callable(item) else item


def _place_of(function: Callable[..., Any]) -> str:
    """``module:name`` of a function or class, which other processes can find it by."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if module is None or module == "__main__" or "<" in name or "." in name:
        raise UsageError(
            _misuse(
                "An evaluator that is a function must be found by its name: this one is made inside something else.",
                "Move it to the top of a module, and import it from there.",
            )
        )
    return f"{module}:{name}"


def _given_scores(targets: Sequence[Any]) -> Any:
    """The scores that were given in place of an experiment or runs; a table is read from its file."""
    if len(targets) != 1 or hasattr(targets[0], "column_mapping"):  # which runs have
        return None
    if not isinstance(targets[0], (str, PathLike)):
        return targets[0]
    path = Path(targets[0])
    if path.suffix not in _TABLE_SUFFIXES:
        return None
    rows = [line.columns for line in read_dataset(path).lines]
    return [unguarded(row) for row in rows] if path.suffix == ".csv" else rows


def _judgement(given: Mapping[str, Any]) -> Judgement:
    fields = ("baseline", "alpha", "line_id", "clusters", "family", "seed")
    slices = given.get("slices", ())
    return Judgement(
        metrics=_asked_metrics(given),
        slices=(slices,) if isinstance(slices, str) else slices,
        **{key: given[key] for key in fields if key in given},
    )


def _asked_metrics(given: Mapping[str, Any]) -> tuple[MetricSpec, ...]:
    """The metrics that are named, with their margins."""
    named = _metrics(given.get("metrics", ()))
    return _with_margins(named, given.get("margin")) if named else ()


def _metrics(metrics: Metric | Sequence[Metric]) -> tuple[MetricSpec, ...]:
    several = [metrics] if isinstance(metrics, (str, Mapping, MetricSpec)) else list(metrics)
    return tuple(_metric(item) for item in several)


def _metric(item: Metric) -> MetricSpec:
    if isinstance(item, MetricSpec):
        return item
    if isinstance(item, str):
        return parse_metric(item)
    try:
        return MetricSpec(**item)
    except TypeError as error:
        what = f"A metric cannot be read: {error}."
        raise UsageError(
            _misuse(what, "Give its name, or a mapping with name, direction, kind, margin.")
        ) from error


def _with_margins(
    metrics: Sequence[MetricSpec], margin: float | Mapping[str, float] | None
) -> tuple[MetricSpec, ...]:
    if margin is None:
        return tuple(metrics)
    if not isinstance(margin, Mapping):
        margin = {metrics[0].name: margin}
    unknown = [name for name in margin if name not in {metric.name for metric in metrics}]
    if unknown:
        raise UsageError(
            _misuse(f"There is a margin for {unknown[0]!r}, which is no metric here.", "Name it: metrics=...")
        )
    return tuple(
        replace(metric, margin=float(margin[metric.name])) if metric.name in margin else metric
        for metric in metrics
    )


def _need_metric(given: Mapping[str, Any]) -> None:
    if "margin" in given and "metrics" not in given:
        raise UsageError(_misuse("A margin belongs to a metric, and none is named.", "Name it: metrics=..."))


def _refuse(given: Mapping[str, Any], names: Sequence[str]) -> None:
    refused = [name for name in names if name in given]
    if refused:
        raise UsageError(
            _misuse(f"{', '.join(refused)} cannot be given together with what is compared.", "Leave it away.")
        )


def _refuse_overlay(given: Mapping[str, Any]) -> None:
    if "env" in given:
        raise UsageError(_misuse("env= belongs to an experiment file, and none is named.", "Leave it away."))


def _misuse(what: str, fix: str) -> Problem:
    return Problem(code="C507", what=what, fix=fix)


@contextmanager
def _telling_fixes() -> Iterator[None]:
    """Let a traceback say how to fix what is wrong."""
    try:
        yield
    except HeadraceError as error:
        for problem in error.problems:
            if problem.fix:
                error.add_note(f"{problem.code}: {problem.fix}")
        raise
