"""Gates inside a test suite: pytest in a process of its own, as in somebody's project."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

ROOT = Path(__file__).parents[2]
PLUGIN = "headrace.sdk.pytest_plugin"
SAY = """\
from promptflow.core import tool
@tool
def say(n: str, right: int) -> str:
    return n if int(n) % 10 < right else "no idea"
"""
FLOW = """\
inputs: {n: {type: string}}
outputs: {answer: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, use_variants: true}
node_variants:
  say:
    default_variant_id: old
    variants:
      old: {node: {type: python, source: {type: code, path: say.py}, inputs: {n: "${inputs.n}", right: 5}}}
      new: {node: {type: python, source: {type: code, path: say.py}, inputs: {n: "${inputs.n}", right: 9}}}
      same: {node: {type: python, source: {type: code, path: say.py}, inputs: {n: "${inputs.n}", right: 5}}}
"""
EXPERIMENT = """\
flow: .
data: data.jsonl
column_mapping: {n: "${data.n}"}
variants: ["${say.old}", "${say.new}", "${say.same}"]
evaluators:
- name: exact_match
  builtin: exact_match
  column_mapping: {prediction: "${run.outputs.answer}", reference: "${data.n}"}
metrics: [{name: exact_match, margin: 0.1}]
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    files = {"say.py": SAY, "flow.dag.yaml": FLOW, "experiment.yaml": EXPERIMENT}
    files["data.jsonl"] = "".join(f'{{"n": "{n}"}}\n' for n in range(100))
    for name, text in files.items():
        (pytester.path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    return pytester


def run(project: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    project.makepyfile(test_gates=tests)
    return project.runpytest_subprocess(*plugin_options(), "-p", "no:randomly", "--strict-markers", *options)


def plugin_options() -> tuple[str, ...]:
    """What pytest needs to find the plugin where headrace is only importable."""
    is_installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    return () if is_installed else ("-p", PLUGIN)


def test_a_gate_passes_fails_or_is_undecided_with_evidence(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest

        @pytest.mark.headrace("experiment.yaml", arm="new", metric="exact_match", test="superiority", margin=0.1)
        def test_new(headrace_compare):
            compared = headrace_compare()
            compared.assert_better("exact_match", arm="new")
            assert headrace_compare().result is compared.result

        @pytest.mark.headrace(experiment="experiment.yaml", arm="old", against="new", test="non-inferiority")
        def test_old():
            pass

        @pytest.mark.headrace("experiment.yaml", arm="same", metric="exact_match", margin=0.001)
        def test_undecided():
            pass

        @pytest.mark.headrace("experiment.yaml", arm="same", metric="exact_match", margin=0.001, undecided="pass")
        def test_let():
            pass

        def test_without_gate():
            pass
        """,
    )
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "gate failed: *",
            "failed: old is shown to be worse than new by 0.100 or more on exact_match: *",
            "*worst lines: *",
            "gate undecided: *",
            "*headrace gates*",
            "failed: test_gates.py::test_old: *",
            "passed: test_gates.py::test_new: new on exact_match: new is shown to be better than old by more than 0.100*",
            "undecided: test_gates.py::test_let: *",
        ]
    )


def test_a_version_is_compared_with_whichever_test_comes_first(project: pytest.Pytester) -> None:
    words = ("--data", "data.jsonl", "--variant", "${say.old}", "--name", "seen")
    for command in (["run", "create", "--flow", ".", *words], ["flow", "tag", "seen", "prod"]):
        assert project.run(sys.executable, "-m", "headrace", *command).ret == 0
    (project.path / "flow.dag.yaml").write_text(FLOW.replace("right: 9", "right: 3"), encoding="utf-8")
    result = run(
        project,
        """
        import pytest

        @pytest.mark.headrace("experiment.yaml", arm="new", metric="exact_match", limit=0.1)
        def test_first():
            pass

        @pytest.mark.headrace("experiment.yaml", arm="new", against="@prod", margin=0.1)
        def test_second():
            pass

        @pytest.mark.headrace("experiment.yaml", arm="new", against="@nobody", margin=0.1)
        def test_third():
            pass
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["failed: new is shown to be worse than new@*@1 by 0.100 or more on exact_match: *@prod is *@1 *"]
    )
    result.stdout.fnmatch_lines(["*S831*"])


def test_what_is_wrong_says_how_to_fix_it(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest

        @pytest.mark.headrace("experiment.yaml", arm="newer")
        def test_arm():
            pass

        @pytest.mark.headrace("none.yaml")
        def test_file():
            pass

        def test_bare(headrace_compare):
            headrace_compare()
        """,
    )
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*V305*newer*", '*Did you mean "new"*', "*F001*", "*needs an experiment*"])
    result.stdout.no_fnmatch_line("*another exception occurred*")


def test_a_marker_that_cannot_be_read_fails_its_test(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest

        @pytest.mark.headrace("experiment.yaml", metrics="f1")
        def test_it():
            pass

        @pytest.mark.headrace(metric="f1")
        def test_nothing():
            pass
        """,
        "-n1",
    )  # fmt: skip
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*has no argument 'metrics'*", "*names one experiment*"])


def test_tests_of_one_experiment_share_a_run_over_processes(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import pytest

        @pytest.mark.headrace("experiment.yaml", arm="new", test="superiority")
        def test_better():
            pass

        @pytest.mark.headrace("experiment.yaml", arm="new", test="guardrail")
        def test_guardrail():
            pass
        """,
        "-n2", "--dist=load",
    )  # fmt: skip
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*headrace gates*", "passed: *test_better*", "passed: *test_guardrail*"])
    runs = subprocess.run(
        [sys.executable, "-m", "headrace", "run", "list", "-o", "json"],
        capture_output=True, text=True, check=True, cwd=project.path,
    )  # fmt: skip
    assert runs.stdout.count('"name"') == 3  # every arm once


def test_a_suite_without_gates_loads_nothing_but_the_plugin(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
        import sys

        def test_it():
            loaded = sorted(name for name in sys.modules if name.startswith("headrace."))
            assert loaded == ["headrace.sdk", "headrace.sdk.pytest_plugin"]
        """,
    )
    result.assert_outcomes(passed=1)
    assert "headrace gates" not in result.stdout.str()


def test_the_package_offers_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"headrace": PLUGIN}
