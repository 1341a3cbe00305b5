"""Suggest examples for a prompt: select them among train lines, choose by others, and measure on lines held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.domain.comparison import PairedEffect
from headrace.domain.evaluation import Experiment
from headrace.domain.flow import DAG, Flow, Node
from headrace.domain.run import Cap, sum_usage
from headrace.domain.variant import Arm
from headrace.engine.events import OnEvent
from headrace.engine.spending import Spending
from headrace.errors import DefinitionError, Problem, UsageError, nearest
from headrace.evaluation.choice import Choice, choose_best
from headrace.evaluation.line_scores import score_table
from headrace.formats.example_prompt import ExamplePrompt, read_example_prompt
from headrace.formats.experiment import load_experiment
from headrace.formats.flow_file import load_flow
from headrace.formats.positions import read_text
from headrace.operations.arm_requests import ArmRuns
from headrace.operations.cache_nodes import experiment_cache
from headrace.operations.check_experiment import check_experiment
from headrace.operations.chosen_lines import SELECTION_FILE, prompt_digest, prompts_chosen, selection_text
from headrace.operations.collect_scores import JudgedRun, collect_run, make_arm_lines
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.competing_flows import as_of_arm
from headrace.operations.example_candidates import (
    Candidate,
    answer_form,
    make_candidates,
    make_examples,
)
from headrace.operations.find_effects import compared_effect, find_metric
from headrace.operations.line_runners import HERE, Where
from headrace.operations.new_files import refuse_existing, write_files
from headrace.operations.recorded_judgement import judgement_of
from headrace.operations.run_arms import run_arms
from headrace.operations.run_experiment import run_experiment
from headrace.operations.suggested_flow import (
    BASE,
    EXPERIMENT_FILE,
    ExampleNode,
    copied_files,
    copy_files,
    example_arm,
    experiment_text,
    flow_text,
)
from headrace.operations.train_lines import TrainSplit, json_lines, split_train
from headrace.operations.versions import is_version
from headrace.operations.workspace import Workspace
from headrace.planning.select import apply_arm

_CHOICE_DATA = "data/choice.jsonl"
_HELD_OUT_DATA = "data/held_out.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestRequest:
    """What is asked for.

    Attributes:
        train: The train lines: a path, ``column=value``, or a share; see :func:`split_train`.
        folder: Where the suggestion is written; ``None`` for a folder beside that of the flow.
        node: The llm node whose prompt gets examples; ``None`` for the only one.
        shots: Examples that a prompt shows.
        candidates: Selections of each kind.
        example, answer: How question and answer are written; ``None`` to find out.
        seed: Of all draws; ``None`` for that of the experiment.
        is_replacing: Whether files that are there are overwritten.
    """

    train: str
    folder: Path | None = None
    node: str | None = None
    shots: int = 8
    candidates: int = 3
    example: str | None = None
    answer: str | None = None
    seed: int | None = None
    is_replacing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """What came of it.

    Attributes:
        folder: Where it was written.
        node: The node that has the new variants.
        baseline: The arm without them.
        candidates: All selections, the control last.
        choice: What they did on the lines that they were chosen by.
        split: Which lines these were.
        effect: The chosen one against the baseline on the held-out lines.
        over_control: The same against the control: what choosing gains over any examples.
        n_before: Suggestions that these held-out lines have measured before.
        held_out: The whole comparison.
        n_left_out: Lines that cannot be shown.
        n_wrong: Lines that examples are taken from and that the baseline got wrong.
    """

    folder: Path
    node: str
    baseline: str
    candidates: tuple[Candidate, ...]
    choice: Choice
    split: TrainSplit
    effect: PairedEffect
    over_control: PairedEffect
    n_before: int
    held_out: ComparisonResult
    n_left_out: int = 0
    n_wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """The flow, the node and the arm that a suggestion begins with."""

    flow: Flow
    node: Node
    example_node: ExampleNode
    base: Arm
    arm: Arm
    template: str
    file: str


@dataclass(slots=True, kw_only=True)
class _Work:
    """What the steps share; ``cap`` is what is left of the most that may be spent."""

    workspace: Workspace
    experiment: Experiment
    on_event: OnEvent | None
    cap: Cap | None
    where: Where

    def run(self, experiment: Experiment) -> ComparisonResult:
        """Run an experiment with what is left."""
        result = run_experiment(self.workspace, experiment, self.on_event, self.cap, self.where)
        self.spend([item.judged for item in result.collected])
        return result

    def spend(self, judged: Sequence[JudgedRun]) -> None:
        """Take what runs and their evaluations have spent off the cap."""
        if self.cap is None:
            return
        used = sum_usage(run.usage for item in judged for run in (item.run, *item.evaluations.values()))
        cost, tokens = self.cap.cost_usd, self.cap.tokens
        self.cap = Cap(
            cost_usd=None if cost is None else max(0.0, cost - (used.cost_usd or 0.0)),
            tokens=None if tokens is None else max(0, tokens - used.total_tokens),
        )


def suggest_examples(
    workspace: Workspace,
    experiment: Experiment,
    request: SuggestRequest,
    on_event: OnEvent | None = None,
    cap: Cap | None = None,
    where: Where = HERE,
) -> Suggestion:
    """Suggest examples for the prompt of the experiment's baseline, and measure what they gain.

    Nothing of the held-out lines is looked at before the choice is made, not even their inputs, but to refuse those
    that are train lines as well.

    Args:
        workspace: For the store.
        experiment: Its flow, baseline, evaluators and the metric that decides; its data hold the held-out lines.
        request: What is asked for.
        on_event: Gets the progress of all runs.
        cap: The most that all steps together may spend.
        where: Where lines are run.

    Raises:
        DefinitionError: Flow, data or prompt are wrong; G972 and G973 among it.
        UsageError: G971 for too few lines; C507 and R102 for what is not clear or not there; F006 where no metric
            decides; S806 for a folder that is there.
        ExecutionError: A step has spent what it may.
    """
    if not experiment.metrics:
        what = "The experiment does not say which metric decides."
        fix = "Add metrics: the first one decides."
        raise UsageError(Problem(code="F006", what=what, span=experiment.place(), fix=fix))
    check_experiment(workspace, experiment)
    start = _start(experiment, request.node)
    experiment = as_of_arm(experiment, start.base)
    flow_folder = Path(start.flow.folder)
    folder = request.folder or flow_folder.with_name(f"{flow_folder.name}_suggested")
    if not request.is_replacing:
        refuse_existing((folder,))
    copied_files(start.flow, folder)  # refuses what cannot be copied
    seed = experiment.seed if request.seed is None else request.seed
    split = split_train(experiment, start.flow, request.train, seed)
    prompt = read_example_prompt(start.template, start.file, request.example)
    answer = answer_form(request.answer, experiment.evaluators, experiment.column_mapping)
    examples, n_left_out = make_examples(split.pool, prompt, answer, start.node)
    if len(examples) < request.shots:
        what = f"{len(examples)} train lines can be shown as examples, and {request.shots} are asked for."
        raise UsageError(
            Problem(code="G971", what=what, fix="Ask for fewer, --shots, or name more train lines.")
        )
    work = _Work(workspace=workspace, experiment=experiment, on_event=on_event, cap=cap, where=where)
    wrong = _wrong_lines(work, start, split)
    candidates = _with_free_names(
        make_candidates(examples, wrong, request.shots, request.candidates, seed), start
    )
    _write_flow(start, folder, prompt, candidates, split)
    found = _measure(work, start, folder, candidates, split)
    return replace(found, n_left_out=n_left_out, n_wrong=sum(item.line.digest in wrong for item in examples))


def _measure(
    work: _Work, start: _Start, folder: Path, candidates: tuple[Candidate, ...], split: TrainSplit
) -> Suggestion:
    """Choose one candidate, and compare it with the baseline and the control on the held-out lines."""
    base, control = start.arm.name, candidates[-1].name
    arms = [start.arm, *(example_arm(start.base, start.example_node, item.name) for item in candidates)]
    choice = _choose(work, folder, arms)
    chosen = [arm for arm in arms if arm.name in (base, choice.best, control)]
    held_out, n_before = _compare_held_out(work, folder, chosen, split, choice)
    spec = find_metric(held_out.comparison, None).spec
    return Suggestion(
        folder=folder,
        node=start.node.name,
        baseline=base,
        candidates=candidates,
        choice=choice,
        split=split,
        effect=compared_effect(held_out, spec, spec.margin, choice.best, base)[0],
        over_control=compared_effect(held_out, spec, spec.margin, choice.best, control)[0],
        n_before=n_before,
        held_out=held_out,
    )


def _start(experiment: Experiment, wanted: str | None) -> _Start:
    base = next(arm for arm in experiment.arms if arm.name == experiment.baseline)
    if base.overrides:
        what = f"The baseline {base.name} is more than a variant with a model, so a file of its own cannot say it."
        fix = "Name another baseline, one that is a variant, a model or both."
        raise UsageError(Problem(code="C507", what=what, span=experiment.place("baseline"), fix=fix))
    path = Path(base.flow_path or experiment.flow_path)
    if is_version(path):
        fix = f"Bring it back to a folder and name that: headrace flow restore {path}"
        what = f"{path} is a kept version, and a suggestion is written beside the folder of a flow."
        raise UsageError(Problem(code="C507", what=what, span=experiment.place("flow"), fix=fix))
    flow = load_flow(path)
    nodes = apply_arm(flow, replace(base, model=None), lambda _: None).nodes
    prompts = {node.name: node for node in nodes if node.type == "llm" and node.source.path is not None}
    if flow.kind != DAG or not prompts:
        what = "Examples are put into the prompt of an llm node, and the flow has none."
        raise DefinitionError(
            Problem(
                code="G973",
                what=what,
                span=flow.source_map.key_span(("nodes",)),
                fix="Name a flow.dag.yaml that has.",
            )
        )
    node = _find_node(prompts, wanted)
    offered = flow.node_variants.get(node.name)
    choices = base.variant.choices if base.variant is not None else {}
    variant = choices.get(node.name, offered.default) if offered is not None else None
    example_node = ExampleNode(name=node.name, variant=variant)
    arm = example_arm(base, example_node, variant or BASE)
    place = Path(flow.folder) / str(node.source.path)
    return _Start(
        flow=flow,
        node=node,
        example_node=example_node,
        base=base,
        arm=arm,
        template=read_text(place),
        file=str(Path(flow.file).parent / str(node.source.path)),
    )


def _find_node(prompts: Mapping[str, Node], wanted: str | None) -> Node:
    if wanted is None and len(prompts) == 1:
        return next(iter(prompts.values()))
    listed = ", ".join(prompts)
    if wanted is None:
        what = f"It is not clear which prompt gets examples: the llm nodes are {listed}."
        raise UsageError(Problem(code="C507", what=what, fix="Say which: --node NAME."))
    if wanted in prompts:
        return prompts[wanted]
    near = nearest(wanted, tuple(prompts))
    fix = f'Did you mean "{near}"?' if near else f"The llm nodes are: {listed}."
    raise UsageError(Problem(code="R102", what=f"The flow has no llm node {wanted!r}.", fix=fix))


def _wrong_lines(work: _Work, start: _Start, split: TrainSplit) -> frozenset[str]:
    """Digests of the train lines on which the baseline fails or scores below its best; the worst half at most."""
    name = f"{work.experiment.name}_train"
    whole = replace(
        work.experiment, name=name, data_path=split.path, arms=(start.base,), repeats=1, race=None
    )
    whole = check_experiment(work.workspace, whole)
    whole = replace(whole, cache=experiment_cache(work.workspace, whole.cache))
    runs = ArmRuns(
        experiment=whole,
        experiment_id=f"{name}_{work.workspace.now():%Y%m%d_%H%M%S_%f}",
        judgement=judgement_of(whole),
        spending=Spending(work.cap) if work.cap is not None else None,
        where=work.where,
    )
    judged = run_arms(work.workspace, runs, work.on_event)
    work.spend(judged)
    metric = whole.metrics[0]
    arms = make_arm_lines([collect_run(work.workspace, item, None) for item in judged], [metric.name])
    table = score_table(metric, arms)
    values = table.counted[start.base.name].values
    losses = {line: -table.metric.sign * value for line, value in values.items()}
    best = min(losses.values(), default=0.0)
    ranked = sorted((line for line in losses if losses[line] > best), key=lambda line: -losses[line])
    worst = ranked if table.metric.is_binary else ranked[: max(1, len(losses) // 2)]
    digests = {str(line.number): line.digest for line in (*split.pool, *split.choice)}
    return frozenset(digests[line] for line in worst if line in digests)


def _with_free_names(candidates: tuple[Candidate, ...], start: _Start) -> tuple[Candidate, ...]:
    """The candidates, named otherwise where the node has a variant of the name."""
    offered = start.flow.node_variants.get(start.node.name)
    taken = {start.arm.name, *(offered.variants if offered is not None else ())}
    found = []
    for item in candidates:
        name = item.name
        while name in taken:
            name = f"new_{name}"
        found.append(replace(item, name=name))
    return tuple(found)


def _write_flow(
    start: _Start, folder: Path, prompt: ExamplePrompt, candidates: tuple[Candidate, ...], split: TrainSplit
) -> None:
    found, copies = copied_files(start.flow, folder)
    prompts = {
        item.name: prompt.with_examples([(example.question, example.answer) for example in item.examples])
        for item in candidates
    }
    paths = {name: f"{start.node.name}.{name}.jinja2" for name in prompts}
    texts = {folder / paths[name]: text for name, text in prompts.items()}
    texts[folder / found.file] = flow_text(found, start.example_node, paths)
    texts[folder / SELECTION_FILE] = selection_text(split.digests, map(prompt_digest, prompts.values()))
    texts[folder / _CHOICE_DATA] = json_lines([line.columns for line in split.choice])
    if split.held_out_path is None:
        texts[folder / _HELD_OUT_DATA] = json_lines(split.rest)
    write_files(texts, is_replacing=True)
    copy_files(copies)


def _choose(work: _Work, folder: Path, arms: Sequence[Arm]) -> Choice:
    """Run all candidates but the control, which is the last arm, over the lines that they are chosen by.

    Raises:
        UsageError: G902 where no line has a score of all of them.
    """
    experiment, candidates = work.experiment, arms[1:-1]
    result = work.run(
        replace(
            experiment,
            name=f"{experiment.name}_choice",
            file=None,
            source_map=None,
            flow_path=str(folder),
            data_path=str(folder / _CHOICE_DATA),
            arms=(arms[0], *candidates),
            baseline=arms[0].name,
            race=None,
            gates=(),
            factors=(),
            design=None,
        )
    )
    choice = choose_best(
        result.arms,
        baseline=arms[0].name,
        candidates=[arm.name for arm in candidates],
        metric=find_metric(result.comparison, None).spec,
        facts=result.facts,
        level=1.0 - experiment.alpha,
        seed=experiment.seed,
    )
    if choice is None:
        what = "No line has scores of all candidates, so none can be chosen."
        fix = "See why with headrace run list and run show-details."
        raise UsageError(Problem(code="G902", what=what, fix=fix))
    return choice


def _compare_held_out(
    work: _Work, folder: Path, arms: Sequence[Arm], split: TrainSplit, choice: Choice
) -> tuple[ComparisonResult, int]:
    """Write the experiment of the held-out lines and run it; with how many suggestions these have measured before."""
    file = folder / EXPERIMENT_FILE
    data_path = split.held_out_path or str(folder / _HELD_OUT_DATA)
    notes = (
        f"{choice.best} was chosen among {len(choice.gains)} selections of examples by {choice.n_lines} train lines.",
        "The lines of this experiment were held out: nothing was chosen by them.",
        f"headrace compare {file.name}",
    )
    text = experiment_text(work.experiment, arms, data_path, folder, notes)
    write_files({file: text}, is_replacing=True)
    asked = load_experiment(file)
    result = work.run(asked)
    return result, _count_before(work.workspace, result)


def _count_before(workspace: Workspace, result: ComparisonResult) -> int:
    """How many other suggestions the same held-out lines have measured; one that is measured again is the same."""
    digests = {run.spec.data_digest for run in result.runs}
    name = result.runs[0].spec.judgement.get("name")
    ours = prompts_chosen(result.runs[0])
    found = {
        prompts_chosen(run)
        for run in workspace.store.list_runs()
        if run.spec.data_digest in digests and run.spec.judgement.get("name") == name
    }
    return len(found - {ours})
