"""Every kind of bad input, as a person meets it: the exit code, what, where, how to fix, and no half-written run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.model_server import CLOSE, HANG, ModelServer, Reply, error

from headrace.cli.main import run_command_line
from headrace.store.opening import open_store

FLOW = """\
inputs:
  text: {type: string}
  n: {type: int, default: 2}
outputs:
  r: {type: string, reference: "${shout.output}"}
nodes:
- name: render
  type: prompt
  source: {type: code, path: render.jinja2}
  inputs:
    text: ${inputs.text}
- name: shout
  type: python
  source: {type: code, path: shout.py}
  inputs:
    text: ${render.output}
    n: ${inputs.n}
"""
SHOUT = """\
from promptflow.core import tool


@tool
def shout(text: str, n: int) -> str:
    return text.upper() * (4 // n)
"""
CONNECTED = """\
from promptflow.connections import OpenAIConnection
from promptflow.core import tool


@tool
def shout(text: str, n: OpenAIConnection) -> str:
    return text
"""
ASK = """\
inputs: {text: {type: string}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  connection: service
  api: chat
  inputs: {model: m, text: "${inputs.text}"}
"""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A change to a project that works, the command, and what must be said."""

    id: str
    change: Callable[[Path], object] = lambda folder: None
    command: str = "flow test --flow flow --inputs text=a"
    exit_code: int
    code: str
    place: str = ""
    says: tuple[str, ...] = ()
    n_runs: int = 0
    n_recorded: int = field(default=0)


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def lines(n: int, broken: int | None = None) -> str:
    rows = [json.dumps({"text": f"t{i}"}) for i in range(1, n + 1)]
    if broken is not None:
        rows[broken - 1] = rows[broken - 1][:-2]
    return "\n".join(rows) + "\n"


RUN = "run create --flow flow --data data.jsonl --name r1"

MISTAKES = [
    Mistake(id="flow-missing", command="flow test --flow nowhere", exit_code=3, code="F001", says=("nowhere",)),
    Mistake(id="template-missing", change=edit("flow/flow.dag.yaml", "render.jinja2", "rendre.jinja2"),
            exit_code=3, code="F001", place="flow.dag.yaml:9:", says=("rendre.jinja2", "render.jinja2")),
    Mistake(id="path-too-long", change=edit("flow/flow.dag.yaml", "render.jinja2", "Answer briefly. " * 30),
            exit_code=3, code="F001", place="flow.dag.yaml:9:", says=("does not exist",)),
    Mistake(id="include-too-long", exit_code=3, code="F001", place="flow.dag.yaml:1:23", says=("does not exist",),
            change=edit("flow/flow.dag.yaml", "inputs:\n  text: {type", f"additional_includes: [{'long' * 99}]\ninputs:\n  text: {{type")),
    Mistake(id="no-variable", change=edit("flow/flow.dag.yaml", "inputs:\n  text: {type",
            'environment_variables: {"A=B": c}\ninputs:\n  text: {type'), exit_code=3, code="F005",
            place="flow.dag.yaml:1:25", says=("A=B",)),
    Mistake(id="data-missing", command="run create --flow flow --data nowhere.jsonl", exit_code=3, code="F001",
            says=("nowhere.jsonl",)),
    Mistake(id="yaml-syntax", change=edit("flow/flow.dag.yaml", "  type: python", "  type: [python"),
            exit_code=3, code="F002", place="flow.dag.yaml:1"),
    Mistake(id="duplicate-key", change=edit("flow/flow.dag.yaml", "  type: python\n", "  type: python\n  type: llm\n"),
            exit_code=3, code="F003", place="flow.dag.yaml:14:3", says=("type",)),
    Mistake(id="unknown-node", change=edit("flow/flow.dag.yaml", "${render.output}", "${rendre.output}"),
            exit_code=3, code="R102", place="flow.dag.yaml:16:11", says=("rendre", '"render"')),
    Mistake(id="cycle", change=edit("flow/flow.dag.yaml", "${inputs.text}", "${shout.output}"),
            exit_code=3, code="R104", place="flow.dag.yaml:", says=("render", "shout")),
    Mistake(id="missing-input", command="flow test --flow flow", exit_code=3, code="T202",
            place="flow.dag.yaml:2", says=("text",)),
    Mistake(id="wrong-type", command="flow test --flow flow --inputs text=a n=two", exit_code=3, code="T201",
            says=("n", "int")),
    Mistake(id="template-syntax", change=write("flow/render.jinja2", "one\n{% if %}\n"), exit_code=3, code="F009",
            place="render.jinja2:2"),
    Mistake(id="template-error", change=write("flow/render.jinja2", "one\n{{ text.a.b }}\n"), exit_code=1, code="E602",
            place="render.jinja2:2"),
    Mistake(id="tool-raises", command="flow test --flow flow --inputs text=a n=0", exit_code=1, code="E601",
            place="shout.py:6", says=("ZeroDivisionError", "text.upper()")),
    Mistake(id="tool-raises-in-the-middle", command="flow test --flow flow --inputs text=a", exit_code=1, code="E601",
            change=edit("flow/shout.py", "    return", "    yield text\n    raise OSError\n    return"), place="shout.py:7",
            says=("node 'shout'", "flow.dag.yaml:12:3")),
    Mistake(id="tool-import", change=edit("flow/shout.py", "from prom", "import missing_package\nfrom prom"),
            exit_code=3, code="T206", place="shout.py:1", says=("missing_package",)),
    Mistake(id="tool-file-exits", change=edit("flow/shout.py", "from prom", "import sys; sys.exit(0)\nfrom prom"),
            exit_code=3, code="T206", place="shout.py:1", says=("SystemExit", "__main__")),
    Mistake(id="tool-file-skips", change=edit("flow/shout.py", "from prom", "import pytest; pytest.skip('x')\nfrom prom"),
            exit_code=3, code="T206", place="shout.py:1", says=("Skipped",)),
    Mistake(id="tool-file-fails", change=edit("flow/shout.py", "from prom", "undefined_name\nfrom prom"),
            exit_code=3, code="T206", place="shout.py:1:1", says=("NameError", "Correct this line")),
    Mistake(id="tool-file-is-a-template", change=edit("flow/flow.dag.yaml", "shout.py", "render.jinja2"),
            exit_code=3, code="T206", place="flow.dag.yaml:14:30", says=("ends in .py",)),
    Mistake(id="tool-file-is-a-folder", change=edit("flow/flow.dag.yaml", "shout.py", "."),
            exit_code=3, code="F001", place="flow.dag.yaml:14:30", says=("is a folder", "Name a file in it")),
    Mistake(id="tool-by-position", change=edit("flow/shout.py", "n: int", "n: int, /"),
            exit_code=3, code="T206", place="flow.dag.yaml:14:30", says=("by position only", "parameters")),
    Mistake(id="number-as-connection", change=lambda folder: (
            write("flow/shout.py", CONNECTED)(folder), edit("flow/flow.dag.yaml", "${inputs.n}", "5")(folder)), exit_code=3, code="C501",
            place="flow.dag.yaml:1", says=("'5'",)),
    Mistake(id="list-as-connection", exit_code=3, code="T203", place="flow.dag.yaml:1", says=("the name of a connection",),
            change=lambda folder: (write("flow/shout.py", CONNECTED)(folder), edit("flow/flow.dag.yaml", "${inputs.n}", "[a]")(folder))),
    Mistake(id="no-tool", change=edit("flow/shout.py", "@tool", ""), exit_code=3, code="T206", says=("shout.py",)),
    Mistake(id="unknown-connection", change=write("flow/flow.dag.yaml", ASK), exit_code=3, code="C501",
            place="flow.dag.yaml:7:15", says=("service",)),
    Mistake(id="unknown-variant", command="flow test --flow flow --inputs text=a --variant ${shout.loud}",
            exit_code=2, code="V301", says=("shout",)),
    Mistake(id="broken-line-37", change=write("data.jsonl", lines(40, broken=37)), command=RUN, exit_code=3,
            code="D401", place="data.jsonl:37:"),
    Mistake(id="empty-data", change=write("data.jsonl", "\n"), command=RUN, exit_code=3, code="D402",
            place="data.jsonl"),
    Mistake(id="mapping-to-nothing", command=f"{RUN} --column-mapping text=${{data.txt}}", exit_code=3, code="D403",
            says=("txt", "text")),
    Mistake(id="bad-mapping", command=f"{RUN} --column-mapping text=${{nowhere.text}}", exit_code=3, code="D404"),
    Mistake(id="unknown-base-run", command=f"{RUN} --run r0", exit_code=2, code="S801", says=("r0",)),
    Mistake(id="unknown-run", command="run show --name r9", exit_code=2, code="S801"),
    Mistake(id="some-lines-fail", change=write("data.jsonl", '{"text": "a", "n": 0}\n{"text": "b", "n": 1}\n'),
            command=f"{RUN} --column-mapping n=${{data.n}}", exit_code=1, code="E601", n_runs=1, n_recorded=2),
    Mistake(id="a-line-of-wrong-type", change=write("data.jsonl", '{"text": "a", "n": "x"}\n{"text": "b", "n": 1}\n'),
            command=f"{RUN} --column-mapping n=${{data.n}}", exit_code=1, code="T201", place="data.jsonl:1", n_runs=1,
            n_recorded=2),
    Mistake(id="unknown-option", command="flow test --flwo flow", exit_code=2, code="C507", says=("--flow",)),
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {
        "flow/flow.dag.yaml": FLOW,
        "flow/shout.py": SHOUT,
        "flow/render.jinja2": "say: {{text}}",
        "flow/ask.jinja2": "user:\n{{text}}\n",
        "data.jsonl": lines(3),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "400")
    return tmp_path


def call(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = run_command_line(command.split())
    return code, capsys.readouterr().err


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.id)
def test_mistake(mistake: Mistake, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mistake.change(project)
    code, said = call(mistake.command, capsys)
    assert f"[{mistake.code} " in said, said
    assert code == mistake.exit_code
    assert mistake.place in said
    assert "Traceback" not in said
    for words in mistake.says:
        assert words in said
    if mistake.code[0] in "FRTDVC":
        assert "fix:" in said, said
    check_runs(project, mistake.n_runs, mistake.n_recorded)


def check_runs(project: Path, n_runs: int, n_recorded: int) -> None:
    if not (project / ".headrace").exists():
        assert n_runs == 0
        return
    with closing(open_store(str(project / ".headrace" / "headrace.sqlite"))) as store:
        runs = store.list_runs()
        assert len(runs) == n_runs
        for run in runs:
            assert run.status == "Completed"
            assert len(list(store.read_lines(run.spec.name))) == n_recorded == run.n_lines


def test_everything_that_is_wrong_is_said_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit("flow/flow.dag.yaml", "${inputs.text}", "${inputs.txt}")(project)
    edit("flow/flow.dag.yaml", "${render.output}", "${rendre.output}")(project)
    edit("flow/flow.dag.yaml", "${shout.output}", "${shut.output}")(project)
    write("flow/render.jinja2", "{% for %}")(project)
    code = run_command_line(["flow", "validate", "--source", "flow", "--output", "text"])
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert code == 3
    for expected in ("R103", "R102", "F009", '"text"', '"render"', '"shout"'):
        assert expected in said


@pytest.fixture
def model(project: Path) -> Iterator[ModelServer]:
    write("flow/flow.dag.yaml", ASK)(project)
    with ModelServer() as server:
        folder = project / ".headrace" / "connections"
        folder.mkdir(parents=True)
        text = f"name: service\ntype: open_ai\napi_key: wrong-key-7531\nbase_url: {server.base_url}\n"
        (folder / "service.yaml").write_text(text)
        yield server


@pytest.mark.parametrize(
    ("reply", "code", "says"),
    [
        (error(401, "invalid_api_key"), "P701", "service"),
        (error(429, "rate_limit_exceeded"), "P702", "429"),
        (error(500, "server_error"), "P703", "500"),
        (Reply(fault=HANG), "P704", "0.3 s"),
        (Reply(fault=CLOSE), "P703", "service"),
    ],
    ids=["401", "429", "500", "hang", "broken"],
)
def test_a_model_service_that_fails(
    model: ModelServer,
    reply: Reply,
    code: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HEADRACE_MODEL_TIMEOUT_S", "0.3")
    monkeypatch.setenv("HEADRACE_MAX_RETRIES", "0")
    monkeypatch.setenv("HEADRACE_QUOTA_WAIT_S", "0")
    model.default = reply
    exit_code, said = call("flow test --flow flow --inputs text=hello", capsys)
    assert f"[{code} " in said, said
    assert says in said
    assert "flow.dag.yaml:4" in said
    assert exit_code == 4
    assert "wrong-key-7531" not in said
    assert "hello" not in said
    exit_code, said = call("run create --flow flow --data data.jsonl --name r1", capsys)
    assert f"[{code} " in said
    assert exit_code == 1
    assert "wrong-key-7531" not in Path(".headrace/headrace.sqlite").read_bytes().decode(errors="replace")


def test_an_unreachable_service(
    model: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_MAX_RETRIES", "0")
    monkeypatch.setenv("HEADRACE_QUOTA_WAIT_S", "0")
    monkeypatch.setenv("SERVICE_BASE_URL", "http://127.0.0.1:9/v1")
    exit_code, said = call("flow test --flow flow --inputs text=hello", capsys)
    assert "[P708 " in said
    assert exit_code == 4


EXPERIMENT = """\
flow: flow
data: data.jsonl
column_mapping: {text: "${data.text}"}
models: [baseline]
variants:
- {name: one, choices: {ask: one}}
- {name: two, choices: {ask: two}}
evaluators:
- name: judge
  flow: judge
  column_mapping: {expected: "${data.text}", given: "${run.outputs.r}"}
metrics: [same]
baseline: one
"""
TWO_VARIANTS = """\
inputs: {text: {type: string}}
outputs: {r: {type: string, reference: "${ask.output}"}}
nodes:
- {name: ask, use_variants: true}
node_variants:
  ask:
    default_variant_id: one
    variants:
      one: {node: &one {type: llm, source: {type: code, path: ask.jinja2}, connection: baseline, api: chat, inputs: {model: m, text: "${inputs.text}"}}}
      two: {node: *one}
"""
JUDGE = """\
inputs: {expected: {type: string}, given: {type: string}}
outputs: {same: {type: int, reference: "${compare.output}"}}
nodes:
- {name: compare, type: python, source: {type: code, path: compare.py}, inputs: {expected: "${inputs.expected}", given: "${inputs.given}"}}
"""
COMPARE = """\
from promptflow.core import tool


@tool
def compare(expected: str, given: str) -> int:
    return int(expected == given)
"""


@pytest.fixture
def experiment(project: Path) -> Path:
    (project / "judge").mkdir()
    for name, text in {
        "flow/flow.dag.yaml": TWO_VARIANTS,
        "judge/flow.dag.yaml": JUDGE,
        "judge/compare.py": COMPARE,
        "experiment.yaml": EXPERIMENT,
    }.items():
        write(name, text)(project)
    return project


@pytest.mark.parametrize(
    ("old", "new", "code", "place", "fix"),
    [
        (
            '${data.text}"}\nmodels',
            '${data.txt}"}\nmodels',
            "D403",
            "experiment.yaml:3:24",
            'Write text: "${data.text}" under column_mapping.',
        ),
        (
            '${data.text}"}\nmodels',
            '${run.outputs.r}"}\nmodels',
            "D403",
            "experiment.yaml:3:24",
            'Write text: "${data.column}" under column_mapping.',
        ),
        (
            "run.outputs.r}",
            "run.outputs.rr}",
            "D403",
            "experiment.yaml:11:53",
            'Write given: "${run.outputs.r}" under column_mapping of the evaluator judge.',
        ),
        (
            'expected: "${data.text}"',
            'expected: "${data.txt}"',
            "D403",
            "experiment.yaml:11:30",
            'Write expected: "${data.text}" under column_mapping of the evaluator judge.',
        ),
        ("metrics: [same]", "metrics: [sane]", "G901", "experiment.yaml:12:11", ""),
    ],
)
def test_a_mistake_in_an_experiment_is_found_before_the_first_line_runs(
    experiment: Path, old: str, new: str, code: str, place: str, fix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("experiment.yaml", old, new)(experiment)
    exit_code, said = call("compare experiment.yaml", capsys)
    assert f"{place}: error[{code} " in said, said
    assert fix in said
    assert "--column-mapping" not in said
    assert exit_code == 3
    check_runs(experiment, 0, 0)


def test_the_experiment_that_the_mistakes_are_made_in_runs(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code, said = call("compare experiment.yaml", capsys)
    assert exit_code == 0, said


def test_a_model_without_its_key_names_the_variable(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    write("flow/flow.dag.yaml", ASK)(project)
    exit_code, said = call("flow test --flow flow --inputs text=a --model openai/gpt-4o-mini", capsys)
    assert "[C501 " in said
    assert "Set OPENAI_API_KEY" in said
    assert "flow.dag.yaml" not in said
    assert exit_code == 2


def test_a_secret_that_a_tool_quotes_reaches_neither_screen_nor_store(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "from-the-environment-97531")
    folder = project / ".headrace" / "connections"
    folder.mkdir(parents=True)
    secrets = 'secrets: {token: literal-token-24680, other: "${env:VAULT_TOKEN}"}'
    (folder / "vault.yaml").write_text(f"name: vault\ntype: custom\nconfigs: {{url: x}}\n{secrets}\n")
    write(
        "flow/shout.py",
        "from promptflow.core import tool\nfrom promptflow.connections import CustomConnection\n\n\n@tool\n"
        "def shout(text: str, n: int, vault: CustomConnection):\n"
        "    print(vault.secrets['token'])\n"
        "    raise ValueError(f\"refused {vault.secrets['token']} and {vault.secrets['other']}\")\n",
    )(project)
    edit("flow/flow.dag.yaml", "    n: ${inputs.n}\n", "    n: ${inputs.n}\n    vault: vault\n")(project)
    exit_code, said = call("run create --flow flow --data data.jsonl --name r1", capsys)
    assert exit_code == 1
    assert "refused ****** and ******" in said
    kept = b"".join(path.read_bytes() for path in (project / ".headrace").glob("headrace.sqlite*"))
    for secret in ("literal-token-24680", "from-the-environment-97531"):
        assert secret not in said
        assert secret.encode() not in kept
