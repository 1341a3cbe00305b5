"""Every script of the workflows that evaluate, run as GitHub would run it: on a pull request, on a fork's, and where the gate is red.

``gh`` and pip are stand-ins (tests/support/pipeline_programs.py); headrace is itself.
"""

from __future__ import annotations

from tests.conformance.workflows.pipeline import FORK, Pipeline, pipeline

__all__ = ["pipeline"]

SCRIPTS = ["Install what the project needs", "Check the flow", "Compare its arms", "Ask the gate"]
LAST = "Put the answer of the gate and the board into one comment"


def test_the_board_is_a_comment_that_the_next_commit_changes(pipeline: Pipeline) -> None:
    first = pipeline.run("evaluate.yml")

    assert [job.result for job in first.values()] == ["success", "success"], first["evaluate"].ran
    assert first["evaluate"].names == [*SCRIPTS, LAST]
    (comment,) = pipeline.comments()
    assert comment["number"] == 12
    assert comment["body"].startswith("<!-- headrace: evaluation -->\n## Gate passed: my_flow release\n")
    assert "with_examples" in comment["body"].partition("## Gate")[2]
    assert "## Gate passed" in first["evaluate"].summary
    assert "::notice " in first["evaluate"].step("Ask the gate").out
    artifact = pipeline.runner.artifacts["evaluation"]
    assert {path.name for path in artifact.iterdir()} == {
        *("board.html", "board.json", "board.md", "comment.md", "gate.json", "gate.md", "gate.xml")
    }

    second = pipeline.runner.run("comment.yml", contexts={"inputs": {"artifact": "evaluation"}})
    assert second["post"].result == "success"
    assert len(pipeline.comments()) == 1


def test_a_red_gate_fails_the_job_and_is_told_all_the_same(pipeline: Pipeline) -> None:
    prompt = pipeline.flow / "with_examples.jinja2"
    prompt.write_text("user:\nSay nothing.\n", encoding="utf-8")

    jobs = pipeline.run("evaluate.yml")

    assert [job.result for job in jobs.values()] == ["failure", "success"]
    assert jobs["evaluate"].step("Ask the gate").code == 1
    assert "::error " in jobs["evaluate"].step("Ask the gate").out
    assert "## Gate failed" in pipeline.comments()[0]["body"]


def test_a_broken_flow_is_said_beside_its_lines(pipeline: Pipeline) -> None:
    file = pipeline.flow / "flow.dag.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("${inputs.question}", "${inputs.qestion}"), "utf-8"
    )

    jobs = pipeline.run("evaluate.yml")

    assert jobs["evaluate"].names == ["Install what the project needs", "Check the flow", LAST]
    assert "::error file=flows/my_flow/flow.dag.yaml,line=" in jobs["evaluate"].step("Check the flow").out
    assert "Evaluation ended early" in pipeline.comments()[0]["body"]


def test_a_fork_gets_no_token_and_no_comment(pipeline: Pipeline) -> None:
    pipeline.runner.contexts = {**pipeline.runner.contexts, "vars": {"AZURE_CLIENT_ID": "somebody"}}
    (pipeline.flow / "flow.dag.yaml").write_text(
        "nodes: 3\n", encoding="utf-8"
    )  # it runs all the same, and ends soon

    jobs = pipeline.run("evaluate.yml", contexts=FORK)
    at_home = pipeline.run("evaluate.yml", "evaluate")

    assert jobs["comment"].result == "skipped"
    assert pipeline.comments() == []
    assert "azure/login" not in {ran.place[2] for ran in jobs["evaluate"].ran}
    assert "azure/login" in {ran.place[2] for ran in at_home["evaluate"].ran}


def test_another_repository_gates_with_three_lines(pipeline: Pipeline) -> None:
    """The reusable workflow, called with ``experiment``; the flow's own requirements are installed where they are named."""
    runner = pipeline.own_runner()
    inputs = {
        "experiment": "flows/my_flow/release.yaml",
        "undecided": "fail",
        "requirements": "requirements.txt",
    }

    passed = runner.run("gate.yml", contexts={"inputs": inputs})
    results = {path.name for path in runner.artifacts["gate"].iterdir()}
    unknown = runner.run("gate.yml", contexts={"inputs": {**inputs, "requirements": "", "against": "nobody"}})

    assert passed["gate"].result == "success", passed["gate"].ran
    assert passed["gate"].names == ["Install headrace", "Install what the flow needs", "Ask the gate"]
    assert results == {"gate.json", "gate.md", "gate.xml"}
    assert unknown["gate"].names == ["Install headrace", "Ask the gate"]
    assert unknown["gate"].step("Ask the gate").code == 2
