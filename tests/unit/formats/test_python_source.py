from __future__ import annotations

from headrace.formats.python_source import PythonSource, read_python

TEXT = """
import os
from . import beside
from promptflow.core import tool as marked, log_metric
try:
    import numpy
except ImportError:
    numpy = None
try:
    import pandas
finally:
    pass


@marked
def answer(question: str, conn: "AzureOpenAIConnection", other: CustomConnection = None, *, limit: int = 3):
    import requests.adapters
    os.environ["MADE_HERE"] = "1"
    key = os.environ["MODEL_KEY"] + os.environ["MADE_HERE"]
    return os.getenv("REGION", "eu"), os.environ.get("ZONE"), os.environ[question]
"""


def source() -> PythonSource:
    found = read_python(TEXT, "answer.py")
    assert found is not None
    return found


def test_imports_are_found_wherever_they_stand_and_told_from_optional_ones() -> None:
    found = {item.module: (item.names, item.is_optional) for item in source().imports}
    assert found == {
        "os": ((), False),
        ".": (("beside",), False),
        "promptflow.core": (("tool", "log_metric"), False),
        "numpy": ((), True),
        "pandas": ((), False),
        "requests.adapters": ((), False),
    }


def test_an_import_knows_its_place() -> None:
    (span,) = [item.span for item in source().imports if item.module == "numpy"]
    assert (span.file, span.line, span.column) == ("answer.py", 6, 5)


def test_variables_with_a_fall_back_are_optional_and_those_that_the_file_sets_are_not_asked_for() -> None:
    assert [(item.name, item.is_optional) for item in source().variables] == [
        ("MODEL_KEY", False),
        ("REGION", True),
        ("ZONE", True),
    ]


def test_parameters_annotated_with_a_connection_class() -> None:
    assert source().connections == (("conn", "AzureOpenAIConnection"), ("other", "CustomConnection"))


def test_a_file_that_is_not_python_is_none() -> None:
    assert read_python("def (", "x.py") is None
    assert read_python("x = '\\0'\n\0", "x.py") is None
