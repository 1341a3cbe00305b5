"""The pages of served flows in Chromium, asking real servers on loopback: `make browser`."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, serving
from tests.support.page_faults import CONTRAST, reported_errors

from headrace.domain.access import AccessRules, known_key

pytestmark = pytest.mark.browser

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("needs chromium and chromedriver", allow_module_level=True)

WIDTHS = {"phone": 390, "tablet": 820, "desk": 1440}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CHAT = """\
inputs:
  q: {type: string, is_chat_input: true, description: What do you want to know?}
  chat_history: {type: list, default: []}
  tone: {type: string, default: "warm </script><b>"}
outputs:
  answer: {type: string, reference: "${say.output}", is_chat_output: true}
  turns: {type: int, reference: "${count.output}"}
nodes:
- {name: count, type: python, source: {type: code, path: count.py}, inputs: {history: "${inputs.chat_history}"}}
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {q: "${inputs.q}", tone: "${inputs.tone}"}}
"""
COUNT = "from promptflow.core import tool\n\n@tool\ndef count(history: list):\n    return len(history)\n"
SAY = """\
import time
from promptflow.core import tool

@tool
def say(q: str, tone: str):
    yield "You said <i>"
    if q == "mid":
        raise ValueError("it broke in the middle")
    if q == "slow":
        time.sleep(1.5)
    if q == "data":
        yield {"<b>": 1}
    yield q + "</i>, " + tone
"""
FORM = """\
inputs:
  text: {type: string, description: Any text.}
  number: {type: int, default: 3}
  is_it: {type: bool, default: true}
  data: {type: object, default: {"a": [1, "ü"]}}
  picture: {type: image}
outputs:
  all: {type: object, reference: "${see.output.all}"}
  picture: {type: image, reference: "${see.output.picture}"}
nodes:
- {name: see, type: python, source: {type: code, path: see.py},
   inputs: {text: "${inputs.text}", number: "${inputs.number}", is_it: "${inputs.is_it}", data: "${inputs.data}",
            picture: "${inputs.picture}"}}
"""
SEE = """\
from promptflow.contracts.multimedia import Image
from promptflow.core import tool

@tool
def see(text: str, number: int, is_it: bool, data: dict, picture: Image):
    if text == "boom":
        raise ValueError("it does not work")
    if text == "none":
        number = float("nan")
    return {"all": {"text": text, "number": number, "is_it": is_it, "data": data}, "picture": picture}
"""
FILES = {
    "flows/chat/flow.dag.yaml": CHAT,
    "flows/chat/count.py": COUNT,
    "flows/chat/say.py": SAY,
    "flows/kinds/flow.dag.yaml": FORM,
    "flows/kinds/see.py": SEE,
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with serving(tmp_path_factory.mktemp("pages"), FILES, ["flows"]) as served:
        yield served


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    drivers = []

    def open_it(port: int, path: str, size: str = "desk", scheme: str = "light") -> Any:
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
        screen = {"width": WIDTHS[size], "height": 900, "deviceScaleFactor": 1, "mobile": size == "phone"}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        driver.get(f"http://127.0.0.1:{port}{path}")
        return driver

    yield open_it
    for driver in drivers:
        driver.quit()


def find(driver: Any, css: str) -> Any:
    return driver.find_element("css selector", css)


def texts(driver: Any, css: str) -> list[str]:
    return [element.text for element in driver.find_elements("css selector", css)]


def wait(condition: Callable[[], Any]) -> None:
    until = monotonic() + 20
    while not condition():
        assert monotonic() < until
        sleep(0.05)


def say(driver: Any, text: str) -> None:
    find(driver, "#message").send_keys(text + "\n")


def answered(driver: Any) -> bool:
    return str(find(driver, "#status").text).startswith("Answered in")


def is_fit(driver: Any) -> bool:
    return bool(
        driver.execute_script("const e = document.documentElement; return e.scrollWidth <= e.clientWidth")
    )


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_conversation_streams_fits_and_can_be_read(
    endpoint: Endpoint, open_page: Callable[..., Any], size: str, scheme: str
) -> None:
    driver = open_page(endpoint.port, "/chat", size, scheme)
    assert driver.current_url.endswith("/chat/")
    say(driver, "slow")
    wait(lambda: texts(driver, "#log .answer .text") == ["You said <i>"])
    assert find(driver, "#log .answer").get_attribute("aria-busy") == "true"
    assert find(driver, "#stop").is_displayed()
    wait(lambda: answered(driver))
    assert texts(driver, "#log .answer .text")[0] == "You said <i>slow</i>, warm </script><b>"
    assert driver.execute_script("return document.activeElement.id") == "message"
    say(driver, "two")
    wait(lambda: len(texts(driver, "#log .answer details")) == 2)
    find(driver, "#log li:last-child summary").click()
    assert texts(driver, "#log li:last-child dd") == ["1"]
    assert driver.execute_script(CONTRAST) == []
    assert is_fit(driver)
    assert reported_errors(driver) == []
    find(driver, "#log li:last-child button").click()
    wait(lambda: "Kept with the trace" in find(driver, "#log li:last-child").text)
    find(driver, "#new").click()
    assert texts(driver, "#log li") == []


def test_pieces_that_are_no_text_stand_among_the_others(
    endpoint: Endpoint, open_page: Callable[..., Any]
) -> None:
    driver = open_page(endpoint.port, "/chat/")
    say(driver, "data")
    wait(lambda: answered(driver))
    said = 'You said <i>{"<b>":1}data</i>, warm </script><b>'
    assert texts(driver, "#log .answer .text")[0] == said


def test_an_error_in_a_conversation_is_said_and_the_message_is_given_back(
    endpoint: Endpoint, open_page: Callable[..., Any]
) -> None:
    driver = open_page(endpoint.port, "/chat/")
    say(driver, "mid")
    wait(lambda: find(driver, "#fault").is_displayed())
    assert "it broke in the middle" in find(driver, "#fault").text
    assert "E601" in find(driver, "#fault").text
    assert driver.execute_script("return document.activeElement.id") == "fault"
    assert find(driver, "#message").get_attribute("value") == "mid"
    assert "not whole" in find(driver, "#log .answer").text
    assert driver.execute_script(CONTRAST) == []
    find(driver, "#message").clear()
    say(driver, "slow")
    wait(lambda: "You said" in texts(driver, "#log .answer .text")[-1])
    find(driver, "#stop").click()
    wait(lambda: find(driver, "#status").text == "Stopped.")
    find(driver, "#message").clear()
    say(driver, "x")
    wait(lambda: answered(driver))
    find(driver, "#log li:last-child summary").click()
    assert texts(driver, "#log li:last-child dd") == ["0"]


@pytest.mark.parametrize("size", WIDTHS)
def test_a_form_has_a_control_for_every_type(
    endpoint: Endpoint, open_page: Callable[..., Any], size: str, tmp_path: Path
) -> None:
    (tmp_path / "pixel.png").write_bytes(base64.b64decode(PIXEL))
    driver = open_page(endpoint.port, "/kinds/", size, "dark")
    assert texts(driver, "form label") == ["text", "number", "is_it", "data", "picture"]
    controls = driver.find_elements("css selector", "form textarea, form input")
    assert [item.get_attribute("type") for item in controls] == [
        "textarea",
        "number",
        "checkbox",
        "textarea",
        "file",
    ]
    assert json.loads(controls[3].get_attribute("value")) == {"a": [1, "ü"]}
    controls[0].send_keys("<b>hi")
    controls[1].clear()
    controls[2].click()
    controls[4].send_keys(str(tmp_path / "pixel.png"))
    controls[3].clear()
    controls[3].send_keys("{")
    find(driver, "#send").click()
    wait(lambda: find(driver, "#fault").is_displayed())
    assert "data is no JSON" in find(driver, "#fault").text
    controls[3].send_keys('"b": null}')
    find(driver, "#send").click()
    wait(lambda: answered(driver))
    shown = json.loads(find(driver, "#outputs pre").text)
    assert shown == {"text": "<b>hi", "number": 3, "is_it": False, "data": {"b": None}}
    width = "return document.querySelector('#outputs img').naturalWidth"
    wait(lambda: driver.execute_script(width) == 1)
    assert driver.execute_script(CONTRAST) == []
    assert is_fit(driver)
    assert reported_errors(driver) == []
    controls[0].clear()
    controls[0].send_keys("none")
    find(driver, "#send").click()
    wait(lambda: "none" in "".join(texts(driver, "#outputs pre")))
    assert json.loads(find(driver, "#outputs pre").text)["number"] == "NaN"
    controls[0].clear()
    controls[0].send_keys("boom")
    find(driver, "#send").click()
    wait(lambda: find(driver, "#fault").is_displayed())
    assert "ValueError: it does not work" in find(driver, "#fault").text
    assert "HTTP 400" in find(driver, "#fault").text
    assert not find(driver, "#result").is_displayed()


def test_the_root_names_the_flows(endpoint: Endpoint, open_page: Callable[..., Any]) -> None:
    driver = open_page(endpoint.port, "/")
    assert texts(driver, "main a") == ["chat", "kinds"]
    find(driver, "main a").click()
    assert find(driver, "h1").text == "chat"


def test_a_page_that_wants_a_key_asks_for_it(tmp_path: Path, open_page: Callable[..., Any]) -> None:
    key = "k" * 24
    with serving(tmp_path, FILES, ["flows"], access=AccessRules(keys=(known_key(key, "me"),))) as endpoint:
        driver = open_page(endpoint.port, "/chat/")
        assert "What do you want to know?" not in driver.page_source
        find(driver, "#key").send_keys("wrong\n")
        wait(lambda: find(driver, "#fault").is_displayed())
        assert "does not take this one" in find(driver, "#fault").text
        assert driver.execute_script(CONTRAST) == []
        find(driver, "#key").clear()
        find(driver, "#key").send_keys(f"{key}\n")
        wait(lambda: driver.find_elements("css selector", "#message"))
        say(driver, "hi")
        wait(lambda: answered(driver))
        assert texts(driver, "#log .answer .text")[0] == "You said <i>hi</i>, warm </script><b>"
