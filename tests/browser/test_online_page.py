"""The live page of an online test in Chromium, without a script: `make browser`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ab_reports import a_comparison, a_report, a_view, an_arm
from tests.support.page_faults import CONTRAST, reported_errors

from headrace.domain.comparison import Interval
from headrace.evaluation.report.online import render_online_page

pytestmark = pytest.mark.browser

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

WIDTHS = {"narrow": 400, "tablet": 820, "desk": 1440}
LONG = "few_shot_with_a_very_long_name_and_reasoning_gpt-4o-mini"


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    def interval(number: int) -> Interval:
        return Interval(low=0.08 - 1 / number, high=0.08 + 1 / number, level=0.95, method="asymptotic")

    arms = (an_arm("zero_shot", is_baseline=True), an_arm(), an_arm(LONG))
    looks = tuple(
        a_report(
            arms=arms,
            at_ns=number * 60_000_000_000,
            comparisons=tuple(a_comparison(arm, interval=interval(number)) for arm in ("few_shot", LONG)),
        )
        for number in range(1, 60)
    )
    file = tmp_path / "online.html"
    file.write_text(render_online_page(a_view(looks[-1], looks=looks)), "utf-8")
    return file


@pytest.fixture
def open_page(tmp_path: Path, page_file: Path) -> Iterator[Callable[[str, str], Any]]:
    drivers = []

    def open_it(size: str, scheme: str) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-background-networking",
            "no-first-run",
            f"user-data-dir={tmp_path / 'profile'}",
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        drivers.append(driver)
        screen = {"width": WIDTHS[size], "height": 900, "deviceScaleFactor": 1, "mobile": size == "narrow"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        driver.get(page_file.as_uri())
        return driver

    yield open_it
    for driver in drivers:
        driver.quit()


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_is_readable_without_script_and_reports_no_error(
    open_page: Callable[[str, str], Any], size: str, scheme: str
) -> None:
    driver = open_page(size, scheme)
    assert reported_errors(driver) == []
    assert driver.execute_script("const e = document.documentElement; return e.scrollWidth <= e.clientWidth")
    assert driver.execute_script(CONTRAST) == []
    courses = driver.find_elements("css selector", ".course-plot")
    assert len(courses) == 2
    assert all(course.size["width"] > 200 and course.size["height"] > 150 for course in courses)
