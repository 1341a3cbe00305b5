# ruff: noqa: PLC0415, S102 - importing is what is tested here
from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from headrace import compat
from headrace.compat import finder
from headrace.compat.served_names import SERVED
from headrace.providers.loading import load_by_name
from headrace.tools.declaration import tool

pytestmark = pytest.mark.usefixtures("served_names")


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in SERVED.items() for name in names]
)
def test_every_name_can_be_imported(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is load_by_name(SERVED[module][name])


def test_the_usual_ways_of_importing() -> None:
    import promptflow
    import promptflow.core as core
    from promptflow import log_metric
    from promptflow import tool as old_tool
    from promptflow._core.tool import ToolProvider
    from promptflow.core import tool as new_tool
    from promptflow.tools import aoai

    assert old_tool is new_tool is core.tool is promptflow.core.tool is tool
    assert log_metric is promptflow.log_flow_metric
    assert ToolProvider is promptflow.ToolProvider
    assert "chat" in dir(aoai)
    names: dict[str, object] = {}
    exec("from promptflow.core import *", names)
    assert names["tool"] is tool


def test_installing_twice_leaves_one_finder_in_front() -> None:
    compat.install()
    assert [type(item).__name__ for item in sys.meta_path].count("ServedFinder") == 1
    assert isinstance(sys.meta_path[0], finder.ServedFinder)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from promptflow.core import Newer", "promptflow.core.Newer"),
        ("from promptflow.client import PFClient, load_flows", "promptflow.client.load_flows"),
        ("import promptflow.azure", "promptflow.azure"),
        ("from promptflow.core._newer import Newer", "promptflow.core._newer"),
        ("from promptflow.core._serving.app_base import Basic", "promptflow.core._serving.app_base"),
        ("from promptflow import nothing", "promptflow.nothing"),
        ("import promptflow; promptflow.nothing", "promptflow.nothing"),
    ],
)
def test_names_that_are_not_served_say_so(statement: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "path", [place for place in sys.path if not (Path(place) / "promptflow").is_dir()]
    )
    code = compile("\n\n" + statement, "asking.py", "exec")
    with pytest.raises((ImportError, AttributeError)) as caught:
        exec(code)
    message = str(caught.value)
    assert f"no counterpart for {name}," in message
    assert "asking.py:3" in message
    assert "headrace[promptflow]" in message


def test_a_near_name_is_offered() -> None:
    with pytest.raises(ImportError, match='Did you mean "log_metric"'):
        exec("from promptflow.core import log_metrics")


def test_asking_whether_a_module_exists_raises_nothing() -> None:
    import promptflow

    assert importlib.util.find_spec("promptflow.azure.nothing") is None if _installed() else True
    assert importlib.util.find_spec("promptflow.nothing") is None
    assert importlib.util.find_spec("promptflow.core") is not None
    assert not hasattr(promptflow, "nothing")


def _installed() -> bool:
    return any((Path(place) / "promptflow" / "azure").is_dir() for place in sys.path)


class TestBesideTheRealPackage:
    """A package of the same name on the path stands for the real one."""

    FILES: ClassVar = {
        "__init__.py": "from promptflow._core.tool import tool as _tool\nnew_thing = 'real'\n",
        "_utils/__init__.py": "",
        "_utils/agents.py": "",
        "_utils/others.py": "VALUE = 2\n",
        "executor.py": "from promptflow._core.tool import tool\nfrom promptflow.core import Newer\nfrom promptflow import core\nREAL = tool\n",
        "_core/__init__.py": "",
        "_core/tool.py": "def tool(f): return 'real tool'\nclass ToolInvoker: pass\n",
        "core/__init__.py": "from promptflow._core.tool import tool\nfrom promptflow.core._newer import Newer\n",
        "core/_newer.py": "class Newer: pass\n",
        "scrubber.py": "from promptflow._utils import agents\n",
        "tools/__init__.py": "raise RuntimeError('not needed')\n",
        "tools/extra.py": "VALUE = 1\n",
    }

    @pytest.fixture(autouse=True)
    def real_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, text in self.FILES.items():
            file = tmp_path / "promptflow" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        rest = [place for place in sys.path if not (Path(place) / "promptflow").is_dir()]
        monkeypatch.setattr(sys, "path", [str(tmp_path), *rest])
        # Finders remember what a folder held, and files written within one tick of its time stay unseen.
        importlib.invalidate_caches()

    def test_served_names_stay_ours(self) -> None:
        from promptflow.core import tool as served

        assert served is tool

    def test_other_names_and_modules_are_the_real_ones(self) -> None:
        import promptflow
        from promptflow._core.tool import ToolInvoker
        from promptflow.core import Newer
        from promptflow.tools.extra import VALUE

        assert (promptflow.new_thing, ToolInvoker.__name__, Newer.__name__, VALUE) == (
            "real",
            "ToolInvoker",
            "Newer",
            1,
        )
        assert Newer is importlib.import_module("promptflow.core._newer").Newer

    def test_code_of_the_real_package_gets_the_real_package(self) -> None:
        from promptflow.executor import REAL

        assert REAL is not tool
        assert REAL(None) == "real tool"

    def test_a_package_that_its_own_code_imported_first_is_one_for_others_too(self) -> None:
        importlib.import_module("promptflow.scrubber")
        from promptflow._utils.others import VALUE

        assert VALUE == 2

    def test_a_name_that_neither_has(self) -> None:
        with pytest.raises(
            ImportError, match=r"Neither headrace nor the installed promptflow has promptflow.core.Nope"
        ):
            exec("from promptflow.core import Nope")


def test_serving_costs_nothing_that_a_project_does_not_ask_for() -> None:
    code = (
        "import sys, headrace.compat as c; c.install(); before = set(sys.modules)\n"
        "import promptflow.core, promptflow.connections, promptflow.tools.aoai\n"
        "print(sorted(n for n in set(sys.modules) - before if not n.startswith('promptflow')))\n"
        "from promptflow.core import tool\n"
        "print([n for n in ('openai', 'httpx2', 'jinja2', 'yaml', 'asyncio', 'rich') if n in sys.modules])"
    )
    source = str(Path(finder.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source}
    )
    assert done.stdout.splitlines() == ["[]", "[]"]
