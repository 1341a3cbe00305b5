from __future__ import annotations

from headrace.domain.flow import FLEX
from headrace.errors import Problem, Raised
from headrace.formats.error_info import render_error, render_run_error

RAISED = Raised(
    node="grade",
    module="__pf_main__",
    type="ValueError",
    message="boom é",
    traceback="Traceback (most recent call last):\n…\nValueError: boom é\n",
    file="/flow/grade.py",
    line=4,
    function="helper",
)
TOOL_FAILED = Problem(code="E601", what="The tool of node 'grade' raised ValueError: boom é.", raised=RAISED)
WRONG_TYPE = Problem(code="T201", what="Input 'n' is not an int.")


def test_an_exception_of_a_tool_has_prompt_flows_words_and_its_details() -> None:
    info = render_error(TOOL_FAILED)
    assert list(info) == [
        "message",
        "messageFormat",
        "messageParameters",
        "referenceCode",
        "code",
        "innerError",
        "additionalInfo",
        "debugInfo",
    ]
    assert info["message"] == "Execution failure in 'grade': (ValueError) boom é"
    assert info["messageParameters"] == {"node_name": "grade"}
    assert info["referenceCode"] == "Tool/__pf_main__"
    assert (info["code"], info["innerError"]) == (
        "UserError",
        {"code": "ToolExecutionError", "innerError": None},
    )
    assert info["additionalInfo"] == [
        {
            "type": "ToolExecutionErrorDetails",
            "info": {
                "type": "ValueError",
                "message": "boom é",
                "traceback": RAISED.traceback,
                "filename": "/flow/grade.py",
                "lineno": 4,
                "name": "helper",
            },
        }
    ]


def test_a_problem_with_a_word_of_prompt_flow_has_all_of_its_words() -> None:
    info = render_error(WRONG_TYPE)
    assert (info["message"], info["referenceCode"]) == ("Input 'n' is not an int.", "Executor")
    assert info["innerError"] == {
        "code": "ValidationError",
        "innerError": {
            "code": "InvalidFlowRequest",
            "innerError": {"code": "InputTypeError", "innerError": None},
        },
    }
    assert "additionalInfo" not in info


def test_any_other_problem_has_its_own_name() -> None:
    assert render_error(Problem(code="C501", what="No connection."))["innerError"] == {
        "code": "UnknownConnection",
        "innerError": None,
    }


def test_a_run_counts_its_failed_lines_and_quotes_the_first() -> None:
    info = render_run_error([(1, WRONG_TYPE), (4, TOOL_FAILED)], 5, None)
    assert info["message"] == "Failed to run 2/5 lines. First error message is: Input 'n' is not an int."
    assert info["innerError"] == {
        "code": "SDKError",
        "innerError": {"code": "BulkRunException", "innerError": None},
    }
    errors = info["additionalInfo"][0]["info"]["errors"]
    assert [error["line_number"] for error in errors] == [1, 4]
    assert errors[1]["error"] == render_error(TOOL_FAILED)


def test_a_run_whose_aggregation_failed_names_the_node() -> None:
    info = render_run_error([], 3, TOOL_FAILED)
    assert info["message"] == "First error message is: Execution failure in 'grade': (ValueError) boom é"
    (error,) = info["additionalInfo"][0]["info"]["errors"]
    assert error["aggregation_node_name"] == "grade"


def test_the_code_of_a_flex_flow_has_words_of_its_own() -> None:
    info = render_error(TOOL_FAILED, FLEX)
    assert info["message"] == "Execution failure in 'grade': (ValueError) boom é"
    assert info["messageParameters"] == {
        "func_name": "grade",
        "error_type_and_message": "(ValueError) boom é",
    }
    assert info["innerError"] == {"code": "ScriptExecutionError", "innerError": None}
    (entry,) = info["additionalInfo"]
    assert entry == {
        "type": "FlexFlowExecutionErrorDetails",
        "info": {"type": "ValueError", "message": "boom é", "traceback": RAISED.traceback},
    }
    errors = render_run_error([], 1, TOOL_FAILED, FLEX)["additionalInfo"][0]["info"]["errors"]
    assert errors == [{"error": info}]
