"""``make azure-schemas``: everything that the suite sent to the stand-in is valid where Azure says what is."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from tests.azure_schemas.check import Schemas
from tests.azure_schemas.requests import read_requests
from tests.support.azure.recording import RECORD_VARIABLE

FOLDER = Path(os.environ.get("HEADRACE_AZURE_SCHEMAS") or "../shared/azure-specs")


@pytest.mark.azure_schemas
def test_every_request_is_valid_under_the_schemas_of_azure(capsys: pytest.CaptureFixture[str]) -> None:
    assert FOLDER.is_dir(), f"there are no schemas in {FOLDER}; set HEADRACE_AZURE_SCHEMAS"
    requests = read_requests(Path(os.environ[RECORD_VARIABLE]))
    assert requests, "nothing was recorded"
    schemas = Schemas(FOLDER)
    judged: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for item in requests:
        verdict = schemas.check(item.method, item.kind, item.version, item.name, item.body)
        judged[f"{item.method} {verdict.kind}"] += 1
        warnings.update(f"{verdict.kind}: {text}" for text in verdict.warnings)
        errors.update(f"{verdict.kind}: {text}" for text in verdict.errors)
    with capsys.disabled():
        print()
        for title, counted in (("checked", judged), ("warning", warnings), ("ERROR", errors)):
            for text, count in sorted(counted.items()):
                print(f"{title}: {text} ({count})")
    assert not errors
