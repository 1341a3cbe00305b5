"""What has to be there before a page is walked through: files of the reader's own, runs of other pages, services."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.azure import StandIn
from tests.support.evidence import a_trial
from tests.support.scoring_server import Answer, scoring_server
from tests.support.walking import Place
from tests.support.web_server import web_server

from headrace.deploy import base
from headrace.deploy.memory import FILE, change_memory, read_memory
from headrace.domain.evidence import Completion, Evidence, Exposure
from headrace.formats.positions import read_yaml
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import settle_revision
from headrace.store.opening import open_store

DATA = "".join(
    json.dumps({"question": f"Why {n}?", "query": f"Why {n}?", "answer": f"Because of {n}."}) + "\n"
    for n in range(20)
)
ASKED = (
    "headrace run create --flow flows/ask_docs --data flows/ask_docs/data/test.jsonl "
    "--column-mapping question='${data.question}' --name ask-first"
)
TRIAGED = "headrace run create --flow flows/triage --data flows/triage/data/test.jsonl --column-mapping text='${data.text}'"
SCRIPTS = {
    "evaluate.py": "import promptflow.core\nprint(promptflow.core.tool)\n",
    "tests/test_it.py": "import promptflow.core\n\n\ndef test_it():\n    assert promptflow.core\n",
}
"""Scripts of the reader's own."""

ENDPOINT = {
    "azure/endpoint.yml": "name: support\nauth_mode: key\ntraffic: {blue: 90, green: 10}\n",
    **{
        f"azure/{name}.yml": f"""\
name: {name}
endpoint_name: support
model: {{path: ../flows/triage}}
environment: {{image: "mcr.microsoft.com/azureml/promptflow/promptflow-runtime:latest"}}
instance_type: Standard_DS3_v2
instance_count: 1
environment_variables:
  PROMPTFLOW_RUN_MODE: serving
  PRT_CONFIG_OVERRIDE: deployment.subscription_id=s,deployment.resource_group=rg,deployment.workspace_name=ws
"""
        for name in ("blue", "green")
    },
    "experiment.yaml": "name: web\nflow: flows/triage\n",
    "configs/deployment_config.json": """{
        "azure_managed_endpoint": [
            {"ENV_NAME": "dev", "ENDPOINT_NAME": "web-dev", "ENDPOINT_DESC": "For trying",
             "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION": "100", "DEPLOYMENT_VM_SIZE": "Standard_F4s_v2",
             "DEPLOYMENT_INSTANCE_COUNT": 1}]
    }""",
}
"""An endpoint of prompt flow, and one of the LLMOps template."""

AZURE_PLACE = {
    "AZURE_SUBSCRIPTION_ID": "00000000-0000-4000-8000-000000000001",
    "AZURE_RESOURCE_GROUP": "rg",
    "AZUREML_WORKSPACE": "ws",
    "AZURE_FLOW_IDENTITY": "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/flows",
}
MEMORY = "headrace.deploy.memory:MemoryTarget"

_NODE = "{type: llm, source: {type: code, path: %s.jinja2}, connection: %s, api: chat, inputs: {%s}}"
_INPUTS = 'model: baseline, deployment_name: baseline, temperature: 0, max_tokens: 32, question: "${inputs.question}"'
MY_FLOW = {
    "my_flow/flow.dag.yaml": f"""\
inputs:
  question: {{type: string, default: Why?}}
  limit: {{type: int, default: 5}}
outputs:
  answer: {{type: string, reference: "${{answer.output}}"}}
nodes:
- {{name: answer, use_variants: true}}
node_variants:
  answer:
    default_variant_id: zero_shot
    variants:
      zero_shot: {{node: {_NODE % ("zero_shot", "baseline", _INPUTS)}}}
      few_shot: {{node: {_NODE % ("few_shot", "baseline", _INPUTS)}}}
""",
    "my_flow/zero_shot.jinja2": "# system:\nAnswer.\n\n# user:\n{{question}}\n",
    "my_flow/few_shot.jinja2": "# system:\nAnswer as before: Why? Because.\n\n# user:\n{{question}}\n",
    "my_flow/evaluation/flow.dag.yaml": """\
inputs:
  truth: {type: string}
  answer: {type: string}
outputs:
  right: {type: int, reference: "${grade.output}"}
nodes:
- name: grade
  type: python
  source: {type: code, path: grade.py}
  inputs: {truth: "${inputs.truth}", answer: "${inputs.answer}"}
- name: log_share
  type: python
  source: {type: code, path: log_share.py}
  inputs: {right: "${grade.output}"}
  aggregation: true
""",
    "my_flow/evaluation/grade.py": """\
from promptflow.core import tool


@tool
def grade(truth: str, answer: str) -> int:
    return int(truth == answer)
""",
    "my_flow/evaluation/log_share.py": """\
from promptflow.core import log_metric, tool


@tool
def log_share(right: list) -> None:
    log_metric("right", sum(right) / len(right))
""",
    "data.jsonl": DATA,
}
"""A flow of the reader's own with two variants, an evaluation flow and data."""

MY_AOAI = "name: my_aoai\ntype: azure_open_ai\napi_base: {url}\napi_key: unused\n"


DEMO = "headrace compare flows/ask_docs/experiment.yaml"
PLANNED_DEMO = {DEMO: f"{DEMO} --dry-run"}
"""The demo takes its time, and the test of the board of the README runs it."""

FEW = {"--data flows/triage/data/test.jsonl --column": "--data few.jsonl --column"}
"""A comparison of models over a few lines."""

FEW_LINES = "".join(
    json.dumps({"text": f"I was charged {n} times", "label": "billing"}) + "\n" for n in range(12)
)


@dataclass(frozen=True)
class Prepared:
    """What a page finds.

    Attributes:
        commands: Given before.
        files: Written before; ``{url}`` in those that end with ``.connection.yaml`` is the address of the model service.
        replaced: What stands in the page, to what stands for it here.
        environment: Variables.
        codes: Lines that end with another code than 0.
        enter: Does what else is needed.
        at: What the reader does at a heading, before what stands below it.
        after: What happens after a line.
    """

    commands: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    enter: Callable[[Place], None] | None = None
    at: Mapping[str, Callable[[Place], None]] = field(default_factory=dict)
    after: Mapping[str, Callable[[Place], None]] = field(default_factory=dict)

    def make(self, place: Place) -> None:
        """Prepare a place."""
        place.replaced |= self.replaced
        place.environment |= self.environment
        place.codes |= self.codes
        place.after |= self.after
        place.write(self.files)
        if self.enter is not None:
            self.enter(place)
        place.give(*self.commands)


def connect_my_aoai(place: Place) -> None:
    """The connection ``my_aoai`` leads to the model service."""
    place.write({"my_aoai.yaml": MY_AOAI.format(url=place.model.url)})
    place.give("headrace connection create --file my_aoai.yaml")


def before_azure(place: Place) -> None:
    """Commands meet a stand-in for Azure."""
    azure = place.stack.enter_context(StandIn(place.folder / "azure"))
    place.environment |= azure.environment
    place.replaced |= {"compute=cpu-cluster": "compute=cpu"}


def deploy_to_memory(*targets: str) -> Callable[[Place], None]:
    """Make targets remember what is deployed there, behind a server that answers as the sample flow does."""

    def enter(place: Place) -> None:
        patch = place.stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(base, "TARGETS", {**base.TARGETS, **dict.fromkeys(targets, MEMORY)})
        server = place.stack.enter_context(scoring_server())
        server.answer = lambda inputs, _: Answer(
            {"label": "billing", "raw": inputs.get("text")}, headers={"x-headrace-flow-version": "triage@1"}
        )
        file = place.folder / ".headrace" / "deploy" / FILE
        change_memory(file, lambda memory: memory.update(url=server.url))

    return enter


def reaches(**traffic: int) -> Callable[[Place], None]:
    """What was deployed so far answers these shares, percent."""

    def check(place: Place) -> None:
        assert read_memory(place.folder / ".headrace" / "deploy" / FILE).traffic == traffic

    return check


def says(text: str) -> Callable[[Place], None]:
    """The command before has said it."""

    def check(place: Place) -> None:
        assert text in place.said[-1].out + place.said[-1].err

    return check


def change_prompt(place: Place) -> None:
    """The reader changes the flow."""
    prompt = place.folder / "flows/triage/few_shot.jinja2"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "\nBe brief.\n", encoding="utf-8")


def name_the_experiment(place: Place) -> None:
    """The id of an experiment that a page shows is that of the newest one."""
    place.give("headrace experiment list")
    newest = re.findall(r"triage_\d{8}_\d{6}_\d{6}", place.said[-1].out)[0]
    place.replaced["triage_20260102_101500_000000"] = newest


def begin_the_test(place: Place) -> None:
    """The sample's online test is three hours old, and its second arm is better."""
    (place.folder / ".headrace").mkdir(exist_ok=True)
    began = datetime.now(UTC) - timedelta(hours=3)
    with closing(open_store(str(place.folder / ".headrace" / "headrace.sqlite"), place.folder)) as store:
        settle_revision(store, read_traffic(place.folder / "flows" / "triage" / "traffic.yaml"), began)
        at = began + timedelta(hours=1)
        store.append_evidence([_of_the_sample(record, at) for record in a_trial(300, is_liked=True)])


def _of_the_sample(record: Evidence, at: datetime) -> Evidence:
    """A record of the trial of a and b as one of the sample's test."""
    names = {"a": "zero_shot", "b": "few_shot"}
    changed = replace(record, test="triage", at_ns=int(at.timestamp()) * 10**9)
    if isinstance(changed, Exposure):
        return replace(changed, arm=names[changed.arm])
    return (
        replace(changed, answered_by=names[changed.answered_by])
        if isinstance(changed, Completion)
        else changed
    )


def ask(*lines: str) -> Callable[[Place], None]:
    """Give commands."""
    return lambda place: place.give(*lines)


def keep_the_key(place: Place) -> None:
    """What the command has shown is ``$KEY``."""
    place.environment["KEY"] = place.said[-1].out.split()[-1]


def name_the_served_run(place: Place) -> None:
    """The run that a page shows is the one that the server has kept."""
    names = re.findall(r"served-my_flow-[\w-]+", place.said[-1].out)
    place.replaced["served-my_flow-20260701-123005-9f3c2a1b"] = names[0]


def without(file: str, plain: str, *keys: str) -> Callable[[Place], None]:
    """A copy of a file without some keys, beside it."""

    def enter(place: Place) -> None:
        path = place.folder / file
        whole, _, _ = read_yaml(path.read_text(encoding="utf-8"), file)
        kept = {key: value for key, value in whole.items() if key not in keys}
        path.with_name(plain).write_text(json.dumps(kept, indent=1), encoding="utf-8")

    return enter


def keep_a_stock_run(place: Place) -> None:
    """A run in a folder as stock prompt flow writes it, then forgotten."""
    folder = place.environment["HOME"]
    place.give(
        f"{TRIAGED} --name stock",
        f"headrace run export --name stock --output {folder}/.promptflow/.runs/nightly",
        "headrace run delete --name stock --yes",
    )


def serve_what_is_kept(place: Place) -> None:
    """A server that splits requests has kept some of them, and what was said of them."""
    path = place.folder / "flows/triage/traffic.yaml"
    whole, _, _ = read_yaml(path.read_text(encoding="utf-8"), str(path))
    changes = {"log": {"share": 1}, "target": [{"header": "x-country", "exists": True}], "ramp": []}
    kept = {key: value for key, value in {**whole, **changes}.items() if value}
    path.with_name("kept.yaml").write_text(json.dumps(kept), encoding="utf-8")
    place.give("headrace flow serve --traffic flows/triage/kept.yaml")
    for number in range(4):
        asked = f"--header 'x-user-id: u-{number}' --header 'x-country: FR' --data '{{\"text\": \"Hello {number}\"}}'"
        said = f"--header 'x-headrace-unit-id: u-{number}' --data '{{\"thumbs\": \"down\"}}'"
        place.give(f"curl http://localhost:8080/score {asked}", f"curl http://localhost:8080/feedback {said}")
    place.stop()


def unpack_what_is_built(place: Place) -> None:
    """The archive and the wheel are there, unpacked as their readers would."""
    for form in ("zip", "wheel"):
        place.give(f"headrace flow build --source triage@prod --output {form} --format {form}")
    for built in (*place.folder.glob("zip/*.zip"), *place.folder.glob("wheel/headrace_flow_*.whl")):
        shutil.unpack_archive(built, place.folder, "zip")


def several(*steps: Callable[[Place], None]) -> Callable[[Place], None]:
    """One after the other."""

    def enter(place: Place) -> None:
        for step in steps:
            step(place)

    return enter


def deploy_anew(place: Place) -> None:
    """The reader has changed the flow, evaluated it and applied the file again."""
    change_prompt(place)
    place.give("headrace gate flows/triage/release.yaml --output results/gate.json")
    place.give("headrace deploy apply flows/triage/deployment.yaml --environment azure")


def take_shares_from_the_test(place: Place) -> None:
    """The deployment file names the online test that runs."""
    begin_the_test(place)
    text = "name: triage\ntarget: local\nflow: flows/triage\ntraffic: flows/triage/traffic.yaml\n"
    place.write({"deployment.yaml": text})
    place.give("headrace deploy apply --allow in-place --allow shift")


def ask_the_azure_service(place: Place) -> None:
    """The variables of Azure OpenAI lead to the model service."""
    place.environment |= {"AZURE_OPENAI_ENDPOINT": place.model.url, "AZURE_OPENAI_API_KEY": "unused"}


def answer_as_two_programs(place: Place) -> None:
    """The two endpoints of the page are there."""
    for name, address in (("old", "http://127.0.0.1:9001"), ("new", "http://127.0.0.1:9002")):
        server = place.stack.enter_context(web_server())
        server.answers[:] = [(200, json.dumps({"answer": f"of {name}"}))]
        place.replaced[address] = server.url.rstrip("/")


def combine_factors(place: Place) -> None:
    """An experiment with the factors that the page speaks of."""
    path = place.folder / "flows/ask_docs/plain.yaml"
    whole, _, _ = read_yaml(path.read_text(encoding="utf-8"), str(path))
    factors = {
        "generate": ["zero_shot", "few_shot"],
        "temperature": {"parameter": "temperature", "levels": [0, 0.7]},
        "k": {"input": "retrieve.most", "levels": [3, 5]},
    }
    path.with_name("combined.yaml").write_text(json.dumps({**whole, "factors": factors}), encoding="utf-8")


def copy_flows(place: Place) -> None:
    """Two more flows that compete."""
    for name in ("short", "long"):
        shutil.copytree(place.folder / "flows/ask_docs", place.folder / "flows" / name)


_CHAIN = """\
inputs: {NAME: {type: int}}
outputs: {r: {type: int, reference: "${NODE.output}"}}
nodes:
- {name: NODE, type: python, source: {type: code, path: tool.py}, inputs: {n: "${inputs.NAME}"}}
"""
CHAIN = {
    "d.jsonl": '{"n": 1}\n{"n": 2}\n',
    "times/flow.dag.yaml": _CHAIN.replace("NAME", "n").replace("NODE", "double"),
    "times/tool.py": "from promptflow.core import tool\n\n\n@tool\ndef double(n: int) -> int:\n    return 2 * n\n",
    "grade/flow.dag.yaml": """\
inputs: {a: {type: int}, b: {type: int}}
outputs: {right: {type: bool, reference: "${grade.output}"}}
nodes:
- {name: grade, type: python, source: {type: code, path: tool.py}, inputs: {a: "${inputs.a}", b: "${inputs.b}"}}
""",
    "grade/tool.py": "from promptflow.core import tool\n\n\n@tool\ndef grade(a: int, b: int) -> bool:\n    return a > b\n",
}
LIMITED = "headrace run create --flow my_flow --data data.jsonl --name nightly --max-tokens 10"
"""Ends before its lines are done."""

DEPLOYED = """\
name: ask
target: local
flow: .
arms:
- {name: blue, variant: "${generate.zero_shot}", traffic: 50}
- {name: green, variant: "${generate.few_shot}", traffic: 50}
"""
INTENT = "def extract_intent(text: str, prompt: str) -> str:\n    return text.split()[0]\n"

PREPARED: Mapping[str, Prepared] = {
    "README.md": Prepared(
        files={
            **SCRIPTS,
            "few.jsonl": FEW_LINES,
            "data.jsonl": "".join(json.dumps({"name": f"Message {n}"}) + "\n" for n in range(3)),
        },
        replaced={
            **PLANNED_DEMO,
            **FEW,
            "path/to/flow": "flows/triage",
            "path/to/project": "flows",
            "name=value": "text='I was charged twice'",
            "name='${data.name}'": "text='${data.name}'",
        },
        environment={**AZURE_PLACE, "MY_AOAI_KEY": "unused"},
        enter=deploy_to_memory("azureml"),
        after={
            "headrace deploy apply flows/triage/deployment.yaml --environment azure": deploy_anew,
        },
    ),
    "docs/quickstart.md": Prepared(replaced=PLANNED_DEMO),
    "docs/comparing-arms.md": Prepared(files={"few.jsonl": FEW_LINES}, replaced=FEW),
    "flows/README.md": Prepared(replaced=PLANNED_DEMO),
    "docs/tracing.md": Prepared(commands=(ASKED,)),
    "docs/serving.md": Prepared(
        files=MY_FLOW,
        commands=(TRIAGED, "headrace flow tag triage@1 prod"),
        replaced={"--keep 0.1": "--keep 1"},
        after={
            "headrace serve-key create shop --keys keys.yaml --days 180": keep_the_key,
            "headrace flow serve --source my_flow --keep 0.1": ask(
                """curl http://localhost:8080/score --data '{"question": "Why?"}'"""
            ),
            "headrace run list": name_the_served_run,
        },
    ),
    "docs/building.md": Prepared(
        files={"environment.yaml": "name: server\nimage: support.azurecr.io/triage:1\n"},
        commands=(TRIAGED, "headrace flow tag triage@1 prod"),
        environment={"HEADRACE_SERVE_KEY": "a-key-of-at-least-thirty-two-characters"},
        at={"Forms": unpack_what_is_built},
    ),
    "docs/runs.md": Prepared(
        files={**MY_FLOW, "runs/.env": "A=1\n", "runs/data.jsonl": DATA},
        codes={LIMITED: 1},
        replaced={"--workers 8": "--workers 2"},
        enter=several(before_azure, connect_my_aoai),
        at={
            "Stop a run and go on with it": ask(LIMITED),
            "As jobs of Azure Machine Learning": ask("headrace run delete --name nightly --yes"),
            "Take over runs of stock prompt flow": several(
                ask("headrace run delete --name nightly --yes"), keep_a_stock_run
            ),
        },
    ),
    "docs/python-sdk.md": Prepared(files={**MY_FLOW, **SCRIPTS}, enter=connect_my_aoai),
    "docs/flow-format.md": Prepared(files=MY_FLOW, enter=several(before_azure, ask_the_azure_service)),
    "docs/commands.md": Prepared(
        files={
            **CHAIN,
            "intent/intent.py": INTENT,
            "intent/ask.jinja2": "What does {{text}} want?\n",
            "src/intent.py": INTENT,
        },
    ),
    "docs/connections-and-models.md": Prepared(
        replaced={
            "headrace connection delete --name my_aoai": "headrace connection delete --name my_aoai --yes",
        },
        environment={"MY_AOAI_KEY": "unused"},
    ),
    "docs/evaluators.md": Prepared(
        files={"flows/ask_docs/checks.py": "def style(answer):\n    return 1.0\n"},
        commands=(ASKED.replace("ask-first", "first"),),
    ),
    "docs/experiment-file.md": Prepared(
        files={
            "flows/ask_docs/deployment.yaml": DEPLOYED,
            "flows/ask_docs/data/questions.jsonl": DATA,
            "flows/ask_docs/deployment.prod.yaml": "tags: {team: support}\n",
        },
        enter=several(
            copy_flows,
            without("flows/ask_docs/experiment.yaml", "plain.yaml", "variants", "models", "baseline"),
            without("flows/triage/experiment.yaml", "plain.yaml", "variants", "models", "baseline"),
            combine_factors,
        ),
    ),
    "docs/versions.md": Prepared(
        enter=without("flows/triage/experiment.yaml", "plain.yaml", "variants", "models", "baseline")
    ),
    "docs/traffic-and-data.md": Prepared(
        enter=without("flows/triage/traffic.yaml", "plain.traffic.yaml", "metrics", "guardrails", "log"),
        at={"Data out of live requests": serve_what_is_kept},
    ),
    "docs/agent-framework.md": Prepared(enter=ask("headrace flow serve --source ask=flows/ask_docs")),
    "docs/splitting-elsewhere.md": Prepared(enter=answer_as_two_programs),
    "docs/deploying.md": Prepared(
        enter=deploy_to_memory("local"),
        at={
            "A new version": several(reaches(blue=100), change_prompt),
            "Back": reaches(green=100),
            "Arms": reaches(blue=50, green=50),
            "Shares of an online test": several(
                reaches(**{"few-shot": 90, "zero-shot": 10}), take_shares_from_the_test
            ),
            "Taking down": ask("headrace deploy destroy --yes", "headrace deploy apply arms.yaml"),
        },
    ),
    "docs/deployment-file.md": Prepared(
        files=ENDPOINT,
        environment=AZURE_PLACE,
        codes={"headrace deploy import configs/deployment_config.json": 3},  # the flow has to be filled in
        after={
            "headrace deploy import azure": lambda place: (place.folder / "azure/deployment.yaml").unlink()
        },
    ),
    "docs/container-apps.md": Prepared(environment=AZURE_PLACE),
    "docs/model-deployments.md": Prepared(
        enter=before_azure,
        replaced={
            "headrace deploy model chat --delete": "headrace deploy model chat --delete --yes",
            "ml-support": "ws",
        },
    ),
    "docs/online-ab.md": Prepared(
        environment={"USER": "ann"},
        enter=begin_the_test,
        replaced={
            "headrace ab promote triage few_shot": "headrace ab promote triage few_shot --yes",
            "headrace ab delete triage": "headrace ab delete triage --yes",
        },
        at={"The watch": begin_the_test},
        after={
            "headrace ab decide triage": says("Ship few_shot."),
            "headrace ab promote triage few_shot": says("promoted: few_shot"),
        },
    ),
    "docs/simulating.md": Prepared(replaced={"--runs 20": "--runs 4", "--runs 10": "--runs 2"}),
    "docs/running-experiments.md": Prepared(at={"Going on": name_the_experiment}),
    "docs/races.md": Prepared(at={"Interrupted, killed, or stopped at a limit": name_the_experiment}),
}
"""Pages that need something, by their paths."""
