"""The page of a comparison in Chromium: `make browser`.

The programs are Debian's packages chromium and chromium-driver; nothing is fetched, and the page may not fetch anything either.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from tests.support.boards import rich_board
from tests.support.page_faults import CONTRAST, reported_errors

from headrace.evaluation.report.html import render_html

pytestmark = pytest.mark.browser

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1440, 900)}

CAPTIONS_CUT = """return [...document.querySelectorAll('.scroll caption > span')]
  .filter(e => e.offsetWidth > e.closest('.scroll').clientWidth).map(e => e.textContent)"""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("board") / "board.html"
    file.write_text(render_html(*rich_board(60)), "utf-8")
    return file


@pytest.fixture
def open_page(tmp_path: Path, page_file: Path) -> Iterator[Callable[..., Any]]:
    drivers = []

    def open_it(
        size: str = "desk", scheme: str = "light", *, file: Path = page_file, has_script: bool = True
    ) -> Any:
        width, height = SIZES[size]
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "no-first-run",
            f"user-data-dir={tmp_path / f'profile{len(drivers)}'}",
        ):
            options.add_argument(f"--{flag}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        drivers.append(driver)
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not has_script})
        driver.get(file.as_uri())
        return driver

    yield open_it
    for driver in drivers:
        driver.quit()


def rows(driver: Any) -> int:
    return int(
        driver.execute_script("return document.querySelectorAll('#matrix tbody tr:not([hidden])').length")
    )


def find(driver: Any, css: str) -> Any:
    return driver.find_element("css selector", css)


def choose(driver: Any, identifier: str, value: str) -> None:
    find(driver, f"#{identifier} option[value='{value}']").click()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_is_readable_and_reports_no_error(
    open_page: Callable[..., Any], size: str, scheme: str
) -> None:
    driver = open_page(size, scheme)
    assert reported_errors(driver) == []
    assert driver.execute_script("const e = document.documentElement; return e.scrollWidth <= e.clientWidth")
    assert driver.execute_script(CONTRAST) == []
    assert driver.execute_script("return document.querySelectorAll('.scroll caption > span').length") > 0
    assert driver.execute_script(CAPTIONS_CUT) == []


def test_filters_keep_the_lines_that_they_name(open_page: Callable[..., Any]) -> None:
    driver = open_page()
    comparison, context = rich_board(60)
    scores = context.matrix.scores["correct"]
    assert rows(driver) == 60
    find(driver, "button[data-filter=regressed]").click()
    base, best = comparison.baseline, find(driver, "#pick-b").get_attribute("value")
    failed = set(context.matrix.failed[best]) - set(context.matrix.failed[base])
    lost = {
        place for place in range(60) if scores[base][place] == 1.0 and scores[best][place] == 0.0
    } | failed
    assert rows(driver) == len(lost) > 0
    assert find(driver, "button[data-filter=regressed]").get_attribute("aria-pressed") == "true"
    assert find(driver, "#count").text == f"{len(lost)} of 60 lines"
    find(driver, "button[data-filter=disputed]").click()
    assert rows(driver) == len(context.matrix.disputed["correct"])
    find(driver, "button[data-filter=all]").click()
    choose(driver, "pick-slice-0", "setup")
    assert rows(driver) == 15
    choose(driver, "pick-slice-0", "")
    find(driver, "#search").send_keys("workspace 33?")
    assert rows(driver) == 1


def test_another_metric_and_another_arm_change_matrix_and_plot(open_page: Callable[..., Any]) -> None:
    driver = open_page()
    _, context = rich_board(60)
    before = find(driver, "#flip-points").get_attribute("innerHTML")
    choose(driver, "pick-metric", "words")
    cell = find(driver, "#matrix tbody tr td")
    first = next(iter(context.matrix.scores["words"].values()))[0]
    assert float(cell.text) == pytest.approx(first, rel=0.01)
    assert find(driver, "#matrix-metric").text == "words"
    assert find(driver, "#flip-points").get_attribute("innerHTML") != before
    choose(driver, "pick-b", "few_shot/local")
    assert find(driver, "#flip-b").text == "few_shot/local"
    assert "few_shot/local is better" in find(driver, "#flip-lists").text


def test_a_line_opens_from_the_matrix_and_shows_which_words_differ(open_page: Callable[..., Any]) -> None:
    driver = open_page()
    find(driver, "#matrix tbody tr:nth-child(5) a").click()
    line = driver.switch_to.active_element.find_element("xpath", "..")
    assert line.tag_name == "details"
    assert line.get_attribute("open") is not None
    assert driver.execute_script("return Math.abs(arguments[0].getBoundingClientRect().top) < 900", line)
    changed = [item.text for item in line.find_elements("css selector", ".diff del, .diff ins")]
    choose(driver, "pick-b", "few_shot/large")
    title = line.find_element("css selector", ".diff h4").text
    assert title == "From zero_shot/small to few_shot/large"
    again = [item.text for item in line.find_elements("css selector", ".diff del, .diff ins")]
    assert changed or again
    words = driver.execute_script(
        "const box = arguments[0].querySelector('.diff-text').cloneNode(true);"
        "box.querySelectorAll('del').forEach(item => item.remove()); return box.textContent",
        line,
    )
    card = next(
        item
        for item in line.find_elements("css selector", ".card")
        if '"few_shot/large"' in item.get_attribute("data-arms")
    )
    answer = card.find_element("css selector", ".answer").get_attribute("textContent")
    assert words in (answer, "Both give the same answer.")


def test_everything_can_be_read_without_the_script(open_page: Callable[..., Any]) -> None:
    driver = open_page(has_script=False)
    text = find(driver, "main").text
    for words in ("Ship ", "adjusted p", "Wilson", "q0004", "headrace compare --again"):
        assert words in text
    assert not find(driver, "#toolbar").is_displayed()
    assert len(driver.find_elements("css selector", "#matrix tbody tr")) == 60


def press_tab(driver: Any) -> Any:
    for kind in ("keyDown", "keyUp"):
        key = {"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        driver.execute_cdp_cmd("Input.dispatchKeyEvent", key)
    return driver.switch_to.active_element


def test_the_keyboard_reaches_the_verdict_first_and_every_filter(open_page: Callable[..., Any]) -> None:
    driver = open_page()
    assert press_tab(driver).get_attribute("class") == "skip"
    driver.execute_script("[...document.querySelectorAll('#regressions a')].at(-1).focus()")
    seen = []
    for _ in range(14):
        active = press_tab(driver)
        seen.append(
            active.get_attribute("data-filter") or active.get_attribute("id") or active.get_attribute("class")
        )
        assert driver.execute_script("return getComputedStyle(arguments[0]).outlineStyle", active) != "none"
    filters = ["all", "different", "regressed", "disputed", "errors"]
    if not driver.find_elements("css selector", "button[data-filter=errors]"):
        filters.remove("errors")
    picks = ["pick-metric", "pick-a", "pick-b", "pick-slice-0", "search"]
    assert seen[: len(filters) + len(picks)] == filters + picks


def test_printing_opens_the_matrix_and_hides_what_only_a_screen_needs(open_page: Callable[..., Any]) -> None:
    driver = open_page()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    a4 = {"width": 794, "height": 1123, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", a4)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 794
    assert not find(driver, "#toolbar").is_displayed()
    assert not find(driver, ".contents").is_displayed()
    frame = find(driver, ".matrix-frame")
    assert driver.execute_script("return arguments[0].scrollHeight <= arguments[0].clientHeight + 2", frame)


def test_a_thousand_lines_of_twelve_arms_open_fast(open_page: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "large.html"
    file.write_text(render_html(*rich_board(1000, n_samples=120)), "utf-8")
    assert file.stat().st_size < 3_000_000
    driver = open_page()
    started = perf_counter()
    driver.get(file.as_uri())
    assert rows(driver) == 1000
    assert perf_counter() - started < 5.0
    started = perf_counter()
    find(driver, "button[data-filter=regressed]").click()
    assert 0 < rows(driver) < 1000
    assert perf_counter() - started < 2.0
