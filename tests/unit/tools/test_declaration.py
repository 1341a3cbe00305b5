from __future__ import annotations

import pytest

from headrace.domain.tool import TOOL_MARK
from headrace.tools.declaration import DynamicList, GeneratedBy, InputSetting, ToolProvider, ToolType, tool


def test_a_declared_function_stays_what_it_is() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert tool(double) is double
    assert tool(name="n", type="python", streaming_option_parameter="stream", icon="i")(double) is double
    assert double(2) == 4
    assert getattr(double, TOOL_MARK)["icon"] == "i"


def test_kinds_print_as_promptflows_do() -> None:
    assert f"{ToolType.CUSTOM_LLM.value} {ToolType('llm') == 'llm'}" == "custom_llm True"
    with pytest.raises(ValueError, match="'wasm' is not one of llm, python"):
        tool(type="wasm")


def test_a_class_tells_its_constructor_inputs() -> None:
    class Store(ToolProvider):
        def __init__(self, root: str, size: int = 3) -> None:
            super().__init__()

    assert list(Store.get_initialize_inputs()) == ["root", "size"]
    assert list(Store.get_required_initialize_inputs()) == ["root"]


def test_settings_for_authoring_are_kept_and_mean_nothing() -> None:
    listed = DynamicList(function="module.list_names", input_mapping={"prefix": "prefix"})
    made = GeneratedBy(function=print, reverse_function=print, input_settings={"a": InputSetting()})
    setting = InputSetting(dynamic_list=listed, generated_by=made, is_multi_select=True, other=1)
    assert (setting.dynamic_list, setting.is_multi_select, setting.enabled_by) == (listed, True, None)
    assert setting.extra == {"other": 1}
    assert made.input_settings.keys() == {"a"}
