"""Traffic files: what they say, and all that is wrong with one at once."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path

import pytest

from headrace.domain.traffic import (
    AllocationRule,
    Condition,
    DecisionRule,
    Namespace,
    OnlineEvaluator,
    OnlineGuardrail,
    OnlineMetric,
    RampStep,
    RequestLog,
    Traffic,
    UnitSource,
)
from headrace.errors import DefinitionError
from headrace.formats.traffic import KEYS, read_traffic
from headrace.formats.traffic_arms import ARM_KEYS
from headrace.formats.traffic_metrics import GUARDRAIL_KEYS, METRIC_KEYS
from headrace.formats.traffic_rules import DECISION_KEYS

ROOT = Path(__file__).parents[3]
BASE = "name: t\narms: [base, canary]\n"
EXPERIMENT = "flow: .\ndata: absent.jsonl\nvariants: [a.zero, a.few]\nmodels: [baseline]\n"


def read(text: str, folder: Path, experiment: str = EXPERIMENT) -> Traffic:
    (folder / "experiment.yaml").write_text(experiment, encoding="utf-8")
    (folder / "other").mkdir(exist_ok=True)
    file = folder / "traffic.yaml"
    file.write_text(text, encoding="utf-8")
    return read_traffic(file)


def problems(text: str, folder: Path, experiment: str = EXPERIMENT) -> list[tuple[str, str]]:
    """Code of each problem with the text that it stands at."""
    with pytest.raises(DefinitionError) as raised:
        read(text, folder, experiment)
    lines = text.splitlines()
    found = []
    for problem in raised.value.problems:
        assert problem.span is not None
        assert problem.fix
        span = problem.span
        in_one_line = span.file.endswith("traffic.yaml") and span.line == span.end_line
        found.append(
            (problem.code, lines[span.line - 1][span.column - 1 : span.end_column - 1] if in_one_line else "")
        )
    return found


def test_the_least_that_a_file_says(tmp_path: Path) -> None:
    folder = tmp_path / "greet"
    folder.mkdir()
    found = read("arms: [base, canary]\n", folder)
    assert (found.name, found.seed, found.flow, found.baseline) == ("greet", "greet", "", "base")
    assert [(arm.name, arm.weight, arm.source) for arm in found.arms] == [
        ("base", 0.5, ""),
        ("canary", 0.5, ""),
    ]
    assert (found.coverage, found.holdout, found.units, found.ramp) == (1.0, 0.0, (), ())
    assert (found.decision, found.allocation, found.log) == (DecisionRule(), AllocationRule(), RequestLog())


def test_a_folder_stands_for_its_traffic_file(tmp_path: Path) -> None:
    read(BASE, tmp_path)
    assert read_traffic(tmp_path) == read_traffic(tmp_path / "traffic.yaml")


def test_the_sample_says_what_it_should() -> None:
    found = read_traffic(ROOT / "flows" / "triage" / "traffic.yaml")
    assert [(arm.name, arm.weight, arm.shadow_share) for arm in found.arms] == [
        ("zero_shot", 0.5, None),
        ("few_shot", 0.5, None),
        ("one_shot", 0.0, 0.1),
    ]
    assert [arm.arm.variant.choices for arm in found.arms if arm.arm.variant] == [
        {"classify": "zero_shot"},
        {"classify": "few_shot"},
        {"classify": "one_shot"},
    ]
    assert found.experiment == "triage"
    assert [metric.name for metric in found.metrics] == ["thumbs", "latency_ms", "failures"]


def test_the_example_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "traffic-file.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    experiment = (ROOT / "flows" / "triage" / "experiment.yaml").read_text(encoding="utf-8")
    found = read(example, tmp_path, experiment)
    assert [arm.name for arm in found.arms] == ["zero_shot", "few_shot", "cold", "one_shot"]
    assert all(f"| `{key}`" in page or f", `{key}` |" in page for key in KEYS if key != "$schema")
    for keys in (ARM_KEYS, METRIC_KEYS, GUARDRAIL_KEYS, DECISION_KEYS):
        assert [key for key in keys if f"`{key}`" not in page] == []


def test_who_takes_part(tmp_path: Path) -> None:
    text = f"""{BASE}
unit: [{{header: X-User}}, {{cookie: visitor}}, {{field: user}}, {{session: chat_id}}]
seed: one
coverage: 0.4
holdout: 0.05
namespace: {{name: n, range: [0, 0.5]}}
target: [{{header: X-Country, in: [DE, FR]}}, {{field: age, at_least: 18}}, {{cookie: c, exists: false}}]
force_header: X-Arm
fall_back: true
"""
    found = read(text, tmp_path)
    assert found.units == (
        UnitSource(place="header", name="x-user"),
        UnitSource(place="cookie", name="visitor"),
        UnitSource(place="field", name="user"),
        UnitSource(place="session", name="chat_id"),
    )
    assert (found.seed, found.coverage, found.holdout) == ("one", 0.4, 0.05)
    assert found.namespace == Namespace(name="n", start=0.0, end=0.5)
    assert found.target == (
        Condition(attribute=UnitSource(place="header", name="x-country"), operator="in", value=["DE", "FR"]),
        Condition(attribute=UnitSource(place="field", name="age"), operator="at_least", value=18),
        Condition(attribute=UnitSource(place="cookie", name="c"), operator="exists", value=False),
    )
    assert (found.forced_by, found.falls_back) == ("x-arm", True)


def test_one_unit_needs_no_list(tmp_path: Path) -> None:
    found = read(f"{BASE}unit: {{session: chat}}\n", tmp_path)
    assert found.units == (UnitSource(place="session", name="chat"),)


def test_what_is_measured_and_guarded(tmp_path: Path) -> None:
    text = f"""{BASE}
metrics:
- {{name: helpful, from: thumbs, window: 1h30m, missing: 0, margin: 0.02}}
- {{name: rating, kind: mean, range: [1, 5], window: 7d, missing: 3}}
- {{name: latency_ms, range: [0, 10000]}}
guardrails:
- {{metric: failures, max_ratio: 1.5}}
- {{metric: latency_ms, margin: 300, alpha: 0.05}}
- {{metric: rating, margin: 0.1}}
"""
    found = read(text, tmp_path)
    assert found.metrics == (
        OnlineMetric(name="helpful", source="thumbs", window_s=5400.0, missing=0.0, margin=0.02),
        OnlineMetric(
            name="rating", source="rating", kind="mean", low=1.0, high=5.0, window_s=604_800.0, missing=3.0
        ),
        OnlineMetric(
            name="latency_ms", source="latency_ms", kind="mean", direction="lower", low=0.0, high=10_000.0
        ),
        OnlineMetric(name="failures", source="failures", kind="rate", direction="lower"),
    )
    assert found.guardrails == (
        OnlineGuardrail(metric="failures", max_ratio=1.5),
        OnlineGuardrail(metric="latency_ms", margin=300.0, alpha=0.05),
        OnlineGuardrail(metric="rating", margin=0.1),
    )


def test_how_it_is_decided_and_what_is_kept(tmp_path: Path) -> None:
    text = f"""{BASE}
ramp: [{{after: 0s, coverage: 0.1}}, {{after: 1d, coverage: 1}}]
metrics: [{{name: good, window: 1s}}]
decision: {{alpha: 0.1, horizon: fixed, n_units: 5000, looks: 3, min_units: 9, min_events: 0, every: 10s}}
log: {{share: 0.5, consent: {{cookie: ok, is: true}}, redact: [text, text]}}
evaluators: [f1, {{builtin: exact_match, name: em, share: 0.5, max_usd: 2}}]
webhook: ${{env:HOOK}}
"""
    found = read(text, tmp_path)
    assert found.ramp == (
        RampStep(after_s=0.0, coverage=0.1),
        RampStep(after_s=86_400.0, coverage=1.0),
    )
    assert found.decision == DecisionRule(
        alpha=0.1, horizon="fixed", n_units=5000, looks=3, min_units=9, min_events=0, every_s=10.0
    )
    consent = Condition(attribute=UnitSource(place="cookie", name="ok"), operator="is", value=True)
    assert found.log == RequestLog(share=0.5, consent=consent, redact=("text",))
    assert found.evaluators == (
        OnlineEvaluator(name="f1", entry={"builtin": "f1"}),
        OnlineEvaluator(name="em", entry={"builtin": "exact_match", "name": "em"}, share=0.5, max_usd=2.0),
    )
    assert found.webhook == "${env:HOOK}"


def test_thompson_sampling(tmp_path: Path) -> None:
    text = f"{BASE}metrics: [{{name: good, window: 1s}}]\nallocation: {{method: thompson, floor: 0.1, every: 2h}}\n"
    found = read(text, tmp_path)
    assert found.allocation == AllocationRule(method="thompson", floor=0.1, every_s=7200.0)


def test_arms_of_all_kinds(tmp_path: Path) -> None:
    text = """name: t
arms:
- {name: plain, weight: 0.4}
- {name: few, weight: 0.3, variant: "${a.few}", model: conn/gpt-4o, overrides: {find.top_k: 5}}
- {name: old, weight: 0.2, flow: docs@prod}
- {name: far, weight: 0.1, flow: "https://host/score"}
- {name: near, shadow: 0.5, flow: other, choices: {a: few, b: one}}
"""
    plain, few, old, far, near = read(text, tmp_path).arms
    assert (plain.source, plain.arm.variant) == ("", None)
    assert few.arm.variant is not None
    assert few.arm.variant.choices == {"a": "few"}
    assert few.arm.model is not None
    assert (few.arm.model.connection, few.arm.model.model) == ("conn", "gpt-4o")
    assert few.arm.overrides == {"find.top_k": "5"}
    assert (old.source, old.arm.flow_path) == ("docs@prod", "docs@prod")
    assert far.arm.remote is not None
    assert (far.source, far.arm.remote.url) == ("https://host/score", "https://host/score")
    assert (near.source, near.arm.flow_path) == (str(tmp_path / "other"), str(tmp_path / "other"))
    assert (near.is_shadow, near.weight, near.shadow_share) == (True, 0.0, 0.5)
    assert near.arm.variant is not None
    assert near.arm.variant.choices == {"a": "few", "b": "one"}


def test_arms_come_from_an_experiment_whose_data_are_not_there(tmp_path: Path) -> None:
    found = read("name: t\nexperiment: experiment.yaml\narms: [few, zero]\n", tmp_path)
    assert [arm.arm.variant and arm.arm.variant.choices for arm in found.arms] == [
        {"a": "few"},
        {"a": "zero"},
    ]
    assert all(arm.arm.model is not None for arm in found.arms)
    assert found.baseline == "few"


def test_without_arms_all_of_the_experiment_take_part(tmp_path: Path) -> None:
    found = read("name: t\nexperiment: experiment.yaml\n", tmp_path)
    assert [(arm.name, arm.weight) for arm in found.arms] == [("zero", 0.5), ("few", 0.5)]


def test_an_experiment_may_be_a_name_only(tmp_path: Path) -> None:
    found = read(f"{BASE}experiment: prompts\n", tmp_path)
    assert (found.experiment, found.arms[0].arm.variant) == ("prompts", None)


def test_thirds_with_three_digits_are_thirds(tmp_path: Path) -> None:
    text = "name: t\narms: [{name: a, weight: 0.333}, {name: b, weight: 0.333}, {name: c, weight: 0.333}]\n"
    assert sum(arm.weight for arm in read(text, tmp_path).arms) == pytest.approx(1.0, abs=1e-12)


def test_the_digest_is_over_what_is_said_and_not_how(tmp_path: Path) -> None:
    digest = read(BASE, tmp_path).digest
    assert read("# note\narms: [base, canary]\ndescription: d\nname: t\n", tmp_path).digest == digest
    assert read(f"{BASE}seed: s\n", tmp_path).digest != digest


def test_the_digest_is_the_same_wherever_the_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "name: t\nexperiment: experiment.yaml\narms: [zero, {name: own, flow: other}, {name: old, flow: other@1}]\n"
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    digest = read(text, tmp_path).digest
    assert read(text, elsewhere).digest == digest
    monkeypatch.chdir(tmp_path)
    assert read_traffic(Path("traffic.yaml")).digest == digest
    (tmp_path / "another").mkdir()
    assert read(text.replace("flow: other}", "flow: another}"), tmp_path).digest != digest


def test_the_digest_follows_the_arms_of_the_experiment(tmp_path: Path) -> None:
    text = "name: t\nexperiment: experiment.yaml\narms: [zero, few]\n"
    changed = EXPERIMENT.replace("a.few", "{name: few, choices: {a: many}}")
    assert read(text, tmp_path).digest != read(text, tmp_path, changed).digest


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """name: t
flwo: .
arms:
- {name: base, weight: 0.5}
- {name: base, weigth: 0.5}
coverage: 2
holdout: "half"
unit: {head: x}
metrics: [{name: thumbs}]
decision: {every: 30}
"""
    assert [code for code, _ in problems(text, tmp_path)] == [
        "F012",
        "V303",
        "F012",
        "F005",
        "F005",
        "F006",
        "F012",
        "G983",
        "F005",
    ]


@pytest.mark.parametrize(
    ("more", "code", "place"),
    [
        ("name: 'a b'\n", "F005", "'a b'"),
        ("flow: nowhere\n", "F001", "nowhere"),
        ("experiment: nowhere.yaml\n", "F001", "nowhere.yaml"),
        ("baseline: bse\n", "V305", "bse"),
        ("unit: {header: a, cookie: b}\n", "F005", "cookie"),
        ("unit: {header: 'a b'}\n", "F005", "'a b'"),
        ("unit: [x-user]\n", "F005", "x-user"),
        ("namespace: {name: n, range: [0.5, 0.5]}\n", "F005", "[0.5, 0.5]"),
        ("namespace: {range: [0, 1]}\n", "F006", "{range: [0, 1]}"),
        ("target: [{header: a, is: [b]}]\n", "F005", "[b]"),
        ("target: [{header: a, in: []}]\n", "F005", "[]"),
        ("target: [{header: a, at_least: b}]\n", "F005", "b"),
        ("target: [{header: a, matches: '('}]\n", "F005", "'('"),
        ("target: [{header: a, is: b, in: [c]}]\n", "F005", "in"),
        ("target: [{header: a}]\n", "F006", "{header: a}"),
        ("fall_back: often\n", "F005", "often"),
        ("force_header: 'x arm'\n", "F005", "'x arm'"),
        ("ramp: [{after: 1h, coverage: 1}]\n", "G984", "{after: 1h, coverage: 1}"),
        (
            "ramp: [{after: 0s, coverage: 0.5}, {after: 1h, coverage: 0.4}]\n",
            "G984",
            "{after: 1h, coverage: 0.4}",
        ),
        (
            "ramp: [{after: 0s, coverage: 0.5}, {after: 0m, coverage: 1}]\n",
            "G984",
            "{after: 0m, coverage: 1}",
        ),
        ("ramp: [{after: 0s}]\n", "F006", "{after: 0s}"),
        ("coverage: 0.5\nramp: [{after: 0s, coverage: 1}]\n", "G985", "coverage"),
        ("metrics: [{name: rating, kind: mean, window: 1h}]\n", "G983", "{name: rating, kind: mean, window: 1h}"),
        ("metrics: [latency_ms]\n", "G983", "latency_ms"),
        ("metrics: [{name: r, window: 1h, range: [0, 1]}]\n", "G985", "range"),
        ("metrics: [{name: r, window: 1h, kind: ratio}]\n", "F007", "ratio"),
        ("metrics: [{name: r, window: 1h, missing: 2}]\n", "F005", "2"),
        ("metrics: [{name: r, window: 1h, margin: 0}]\n", "F005", "0"),
        ("metrics: [{name: r, window: 1h, margin: 5}]\n", "F005", "5"),
        ("metrics: [{name: latency_ms, range: [0, 10], margin: 10}]\n", "F005", "10"),
        ("metrics: [{name: latency_ms, range: [0, 10]}]\nguardrails: [{metric: latency_ms, margin: 500}]\n", "F005", "500"),
        ("guardrails: [{metric: failures, margin: 2}]\n", "F005", "2"),
        ("metrics: [{name: r, window: 1 h}]\n", "F005", "1 h"),
        ("metrics: [{name: latency_ms, kind: rate}]\n", "F005", "rate"),
        ("guardrails: [{metric: failures}]\n", "F006", "{metric: failures}"),
        ("guardrails: [{metric: failures, max_ratio: 0.5}]\n", "F005", "0.5"),
        ("guardrails: [{metric: failures, max_ratio: 1e12}]\n", "F005", "1e12"),
        ("guardrails: [{metric: failures, max_ratio: 2, margin: 0.5}]\n", "G985", "margin"),
        ("guardrails: [{metric: latency_ms, margin: 5}]\n", "F006", "latency_ms"),
        ("decision: {horizon: fixed}\n", "F006", "{horizon: fixed}"),
        ("decision: {looks: 3}\n", "G985", "looks"),
        ("decision: {every: 0s}\n", "F005", "0s"),
        ("decision: {alpha: 1}\n", "F005", "1"),
        ("allocation: greedy\n", "F007", "greedy"),
        ("allocation: thompson\n", "F006", "thompson"),
        ("allocation: {floor: 0.6}\n", "F005", "0.6"),
        ("evaluators: [f1]\n", "F006", "evaluators"),
        ("log: {share: 1}\nevaluators: [{builtin: f1, max_usd: 0}]\n", "F005", "0"),
        ("log: {share: 1}\nevaluators: [f1, f1]\n", "F003", "f1"),
        ("holdout: " + "9" * 400 + "\n", "F005", "9" * 400),
        ("unit: {cookie: 'a b; c=d'}\n", "F005", "'a b; c=d'"),
        ("unit: {cookie: ключ}\n", "F005", "ключ"),
        ("target: [{header: a, matches: 'a{99999999999}'}]\n", "F005", "'a{99999999999}'"),
        ("target: [{header: a, at_least: .nan}]\n", "F005", ".nan"),
        ("target: [{header: a, at_most: " + "9" * 400 + "}]\n", "F005", "9" * 400),
        ("metrics: [{name: r, window: 1h, kind: mean, range: [-1e308, 1e308]}]\n", "F005", "[-1e308, 1e308]"),
        ("metrics: [{name: r, window: 1h, kind: mean, range: [0, " + "9" * 400 + "]}]\n", "F005", f"[0, {'9' * 400}]"),
        ("metrics: [{name: r, window: " + "9" * 400 + "d}]\n", "F005", "9" * 400 + "d"),
        ("decision: {every: 40000d}\n", "F005", "40000d"),
        ("webhook: 'https://example.com/a hook'\n", "F005", "'https://example.com/a hook'"),
        ("webhook: https://example.com:99999/hook\n", "F005", "https://example.com:99999/hook"),
        ("webhook: http://example.com/hook\n", "F005", "http://example.com/hook"),
        ("webhook: https://me:word@example.com/hook\n", "F022", "https://me:word@example.com/hook"),
        ("webhook: https://example.com/hook?token=a\n", "F022", "https://example.com/hook?token=a"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_place(more: str, code: str, place: str, tmp_path: Path) -> None:
    base = "arms: [base, canary]\n" if more.startswith("name") else BASE
    assert problems(f"{base}{more}", tmp_path) == [(code, place)]


@pytest.mark.parametrize(
    ("arms", "code", "place"),
    [
        ("[{name: a, weight: 0.5}, {name: b, weight: 0.4}]", "G981", "arms"),
        ("[{name: a, weight: 0.5}, b]", "G981", "arms"),
        ("[{name: a, shadow: 1}]", "G982", "arms"),
        ("[{name: a, shadow: 1, weight: 0.5}, b]", "G985", "weight"),
        ("[{name: a, variant: a, weight: 1}]", "V302", "a"),
        ("[{name: a, variant: a.b, choices: {a: b}}]", "G985", "variant"),
        ("[{name: a, flow: nowhere}]", "F001", "nowhere"),
        ("[{name: a, flow: 'https://h/s?code=1'}]", "F022", "'https://h/s?code=1'"),
        ("[{name: a, flow: 'https://h/s', variant: a.b}]", "G985", "variant"),
        ("[{name: a, overrides: {top_k: 5}}]", "C507", "top_k"),
        ("[{weight: 1}]", "F006", "{weight: 1}"),
        ("[5]", "F005", "5"),
        ("[{name: ' a'}]", "F005", "' a'"),
        ('[{name: "a\\r\\nb: c"}]', "F005", '"a\\r\\nb: c"'),
        ("[{name: " + "a" * 501 + "}]", "F005", "a" * 501),
    ],
)
def test_what_is_wrong_with_arms_has_a_place(arms: str, code: str, place: str, tmp_path: Path) -> None:
    assert problems(f"name: t\narms: {arms}\n", tmp_path) == [(code, place)]


def test_the_sum_of_weights_is_said(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as raised:
        read("name: t\narms: [{name: a, weight: 0.5}, {name: b, weight: 0.4}]\n", tmp_path)
    assert "0.9" in raised.value.problems[0].what


def test_a_test_needs_an_arm(tmp_path: Path) -> None:
    assert [code for code, _ in problems("name: t\n", tmp_path)] == ["G982"]


def test_an_arm_that_the_experiment_lacks(tmp_path: Path) -> None:
    text = "name: t\nexperiment: experiment.yaml\narms: [zero, fwe]\n"
    assert problems(text, tmp_path) == [("V305", "fwe")]


def test_what_is_wrong_with_the_experiment_is_said_with_its_place(tmp_path: Path) -> None:
    text = "name: t\ncoverage: 2\nexperiment: experiment.yaml\narms: [zero, few]\n"
    found = problems(text, tmp_path, EXPERIMENT.replace("a.few", "few"))
    assert sorted(code for code, _ in found) == ["F005", "V302"]


def test_thompson_sampling_has_no_fixed_horizon(tmp_path: Path) -> None:
    text = f"{BASE}metrics: [{{name: good, window: 1s}}]\nallocation: thompson\ndecision: {{horizon: fixed, n_units: 9}}\n"
    assert problems(text, tmp_path) == [("G985", "thompson")]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="F005"):
        read("", tmp_path)


def test_no_limit_reaches_a_metric_that_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as raised:
        read(f"{BASE}metrics: [{{name: cost_usd, missing: {inf}}}]\n", tmp_path)
    assert not any(re.search("inf", problem.what) for problem in raised.value.problems)
