"""Gates in a test suite: the marker ``headrace`` and the fixture ``headrace_compare``.

pytest loads this module at every start of an environment that has headrace, so it imports nothing but pytest; what does
the work is imported by the first test that asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

_GATE = "headrace.sdk.gate"
_ASKED = ("metric", "test", "margin", "limit", "arm", "against")
_MARKER = (
    "headrace(experiment=None, again=None, metric=None, test=None, margin=None, limit=None, arm=None, against=None, "
    "undecided='fail'): the test runs only when the experiment passes this gate; without a question, those of its file."
)
_PROPERTY = "headrace"
_COMPARED: pytest.StashKey[dict[str, Any]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)
    config.stash[_COMPARED] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Ask the gate of a marked test before the test itself runs."""
    marker = item.get_closest_marker(_PROPERTY)
    if marker is not None:
        _ask(item, marker)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what came of the gates, a line each."""
    lines = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in getattr(report, "user_properties", ())
        if name == _PROPERTY
    ]
    if lines:
        terminalreporter.section("headrace gates", sep="-")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@pytest.fixture
def headrace_compare(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Compare arms in a test: without arguments the experiment of the test's marker, else as ``headrace.compare``.

    Each experiment file runs once in a session. What comes back has ``assert_better`` and the like, whose messages are
    the evidence.
    """

    def compare(*targets: Any, **given: Any) -> Any:
        if targets or given:
            return import_module("headrace.sdk.compare").compare(*targets, **given)
        marker = request.node.get_closest_marker(_PROPERTY)
        if marker is None:
            pytest.fail(
                "headrace_compare() needs an experiment, or a test with the marker headrace", pytrace=False
            )
        return _compared(request.node, marker)

    return compare


def _ask(item: pytest.Item, marker: pytest.Mark) -> None:
    undecided = marker.kwargs.get("undecided", "fail")
    if undecided not in ("fail", "pass"):
        pytest.fail(f"the marker headrace takes undecided='fail' or 'pass', not {undecided!r}", pytrace=False)
    compared = _compared(item, marker)
    with _told():
        report = import_module(_GATE).ask(compared, item.config.rootpath, _asked(marker))
    for result in report.results:
        spec = result.spec
        line = f"{result.outcome}: {item.nodeid}: {spec.arm} on {spec.metric}: {result.evidence}"
        item.user_properties.append((_PROPERTY, line))
    if report.outcome == "failed" or (report.outcome == "undecided" and undecided == "fail"):
        pytest.fail("\n".join(_evidence(report)), pytrace=False)


def _evidence(report: Any) -> Iterator[str]:
    yield f"gate {report.outcome}: {report.comparison.context.title}"
    for result in report.results:
        if result.outcome != "passed":
            yield f"{result.outcome}: {result.evidence}"
            yield from (f"  {line}" for line in result.details)


def _compared(item: pytest.Item, marker: pytest.Mark) -> Any:
    """The comparison that a marker names, made once in a session."""
    target = _target(marker)
    made = item.config.stash[_COMPARED]
    if target not in made:
        folder = item.config.rootpath
        gate = import_module(_GATE)
        with _told():
            if "again" in marker.kwargs:
                made[target] = gate.compared_again(marker.kwargs["again"], folder)
            else:
                session = getattr(item.config, "workerinput", {}).get("testrunuid")  # of pytest-xdist
                others = _asked_too(item, target)
                made[target] = gate.run_gated(folder / target, folder, _asked(marker), session, others)
    return made[target]


def _asked_too(item: pytest.Item, target: str) -> list[dict[str, Any]]:
    """What other tests ask of the same experiment against something of their own, a version perhaps."""
    found: dict[tuple[Any, Any], dict[str, Any]] = {}
    for other in item.session.items:
        marker = other.get_closest_marker(_PROPERTY) if other is not item else None
        if marker is not None and marker.kwargs.get("against") and target in map(str, _named(marker)):
            asked = _asked(marker)
            found[asked["arm"], asked["against"]] = asked
    return list(found.values())


def _named(marker: pytest.Mark) -> list[Any]:
    """What a marker names as its experiment."""
    return [*marker.args, *(marker.kwargs[name] for name in ("experiment", "again") if name in marker.kwargs)]


def _target(marker: pytest.Mark) -> str:
    """The experiment of a marker: a path from the root of the tests, or an id."""
    unknown = marker.kwargs.keys() - {*_ASKED, "experiment", "again", "undecided"}
    if unknown:
        pytest.fail(f"the marker headrace has no argument {min(unknown)!r}: {_MARKER}", pytrace=False)
    found = _named(marker)
    if len(found) != 1:
        pytest.fail(f"the marker headrace names one experiment: {_MARKER}", pytrace=False)
    return str(Path(found[0]))


def _asked(marker: pytest.Mark) -> dict[str, Any]:
    asked = {name: marker.kwargs.get(name) for name in _ASKED}
    if asked["test"] is not None:
        asked["test"] = str(asked["test"]).replace("-", "_")
    return asked


@contextmanager
def _told() -> Iterator[None]:
    """Turn what headrace cannot do into a failure of the test, with how to fix it."""
    errors = import_module("headrace.errors")
    try:
        yield
    except errors.HeadraceError as error:
        lines = [
            problem.headline() + (f"\n  fix: {problem.fix}" if problem.fix else "")
            for problem in error.problems
        ]
        raise pytest.fail.Exception("\n".join(lines), pytrace=False) from None
