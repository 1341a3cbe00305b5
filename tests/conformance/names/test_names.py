"""Every public name of stock promptflow is served, or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.compat.refused_names import REFUSED, refusal
from headrace.compat.served_names import SERVED
from headrace.providers.loading import load_by_name

INVENTORY: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("inventory.json").read_text(encoding="utf-8")
)
NAMES = [(module, name) for module, names in INVENTORY.items() for name in names]
MUST_BE_SERVED = (
    "promptflow", "promptflow.client", "promptflow.core", "promptflow.connections", "promptflow.constants",
    "promptflow.contracts.run_info", "promptflow.contracts.run_mode", "promptflow.contracts.types",
    "promptflow.entities", "promptflow.exceptions", "promptflow.operations", "promptflow.tools", "promptflow.tracing",
)  # fmt: skip


def is_served(module: str, name: str) -> bool:
    return name in SERVED.get(module, ())


def test_the_inventory_is_that_of_the_version_we_name() -> None:
    assert len(INVENTORY) > 300
    assert len(NAMES) > 1000
    assert {"PFClient", "load_flow", "load_run"} <= INVENTORY["promptflow.client"].keys()


def test_every_name_is_served_or_refused_with_a_reason() -> None:
    open_names = [
        f"{module}.{name}"
        for module, name in NAMES
        if not is_served(module, name) and not refusal(module, name)
    ]
    assert open_names == []


def test_every_module_is_served_or_refused_with_a_reason() -> None:
    silent = []
    for module in INVENTORY:
        parent, _, last = module.rpartition(".")
        if module not in SERVED and not refusal(parent, last):
            silent.append(module)
    assert silent == []


@pytest.mark.parametrize("module", MUST_BE_SERVED)
def test_public_modules_are_served_whole(module: str) -> None:
    excused = {("promptflow.connections", "ConnectionProvider")}
    missing = [
        name for name in INVENTORY[module] if not is_served(module, name) and (module, name) not in excused
    ]
    assert missing == []


def test_a_refusal_refuses_something_and_says_what_to_do() -> None:
    outside = {
        "promptflow.azure",
        "promptflow.evals",
        "promptflow.rag",
        "promptflow.parallel",
        "promptflow.runtime",
    }
    for key, (reason, instead) in REFUSED.items():
        assert reason.endswith("."), key
        assert instead.endswith("."), key
        module, _, name = key.partition(":")
        known = module in INVENTORY or key in outside
        assert known or any(other.startswith(f"{module}.") for other in INVENTORY), key
        if name:
            assert name in INVENTORY[module], key
            assert not is_served(module, name), key


def test_a_served_name_is_what_stock_has_there() -> None:
    """A class where stock has a class, an exception below the same one, and so on."""
    wrong = []
    for module, name in NAMES:
        if not is_served(module, name):
            continue
        kind, value = INVENTORY[module][name], load_by_name(SERVED[module][name])
        if kind.startswith("exception"):
            above = kind.split()[1]
            fits = isinstance(value, type) and above in [base.__name__ for base in value.__mro__]
        elif kind == "class":
            fits = isinstance(value, type)
        elif kind == "function":
            fits = callable(value) and not isinstance(value, type)
        else:
            fits = not isinstance(value, type)
        if not fits:
            wrong.append(f"{module}.{name} is a {kind}")
    assert wrong == []


def test_no_module_is_served_that_stock_does_not_have() -> None:
    assert SERVED.keys() - INVENTORY.keys() == set()
