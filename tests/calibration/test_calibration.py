from __future__ import annotations

import pytest

from tests.calibration import STUDIES


@pytest.mark.calibration
@pytest.mark.parametrize("name", list(STUDIES))
def test_what_is_promised_holds(name: str) -> None:
    broken = [str(check) for check in STUDIES[name]().checks if not check.holds]
    assert not broken
