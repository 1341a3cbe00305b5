from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.config import (
    QuotaLimit,
    find_workspace,
    load_settings,
    process_environment,
    quota_folder,
    user_folder,
)
from headrace.errors import UsageError


def test_defaults() -> None:
    settings = load_settings({})
    assert settings.store is None
    assert settings.max_concurrency == 64
    assert settings.line_timeout_s == 600
    assert settings.batch_timeout_s is None
    assert settings.node_timeout_s is None
    assert settings.max_retries == 8
    assert settings.model_client == "wire"
    assert settings.otlp_endpoint is None


def test_our_name_wins_over_prompt_flows() -> None:
    assert load_settings({"PF_LINE_TIMEOUT_SEC": "5"}).line_timeout_s == 5
    assert load_settings({"PF_LINE_TIMEOUT_SEC": "5", "HEADRACE_LINE_TIMEOUT_S": "7"}).line_timeout_s == 7
    assert load_settings({"PF_BATCH_TIMEOUT_SEC": "5"}).batch_timeout_s == 5
    assert load_settings({"PF_BATCH_TIMEOUT_SEC": "5", "HEADRACE_BATCH_TIMEOUT_S": "7"}).batch_timeout_s == 7
    assert load_settings({"PF_WORKER_COUNT": "5"}).max_concurrency == 5
    assert load_settings({"PF_WORKER_COUNT": "5", "HEADRACE_MAX_CONCURRENCY": "7"}).max_concurrency == 7


def test_a_journal_is_forced_to_the_disk_only_where_that_is_asked_for() -> None:
    assert not load_settings({}).syncs_journal
    assert not load_settings({"HEADRACE_JOURNAL_SYNC": "0"}).syncs_journal
    assert load_settings({"HEADRACE_JOURNAL_SYNC": "True"}).syncs_journal
    assert load_settings({"HEADRACE_JOURNAL": "j"}).journal == Path("j").absolute()


def test_the_endpoint_for_traces_wins_over_the_general_one() -> None:
    general = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}
    assert load_settings(general).otlp_endpoint == "http://a"
    assert (
        load_settings({**general, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b"}).otlp_endpoint
        == "http://b"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HEADRACE_MAX_CONCURRENCY", "0"),
        ("HEADRACE_MAX_CONCURRENCY", "many"),
        ("HEADRACE_LINE_TIMEOUT_S", "-1"),
        ("HEADRACE_LINE_TIMEOUT_S", "0"),
        ("PF_LINE_TIMEOUT_SEC", "0"),
        ("HEADRACE_LINE_TIMEOUT_S", "inf"),
        ("HEADRACE_MODEL_TIMEOUT_S", "nan"),
        ("HEADRACE_MODEL_CLIENT", "curl"),
        ("HEADRACE_JOURNAL_SYNC", "maybe"),
    ],
)
def test_a_value_of_the_wrong_form_names_the_variable(name: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings({name: text})
    problem = caught.value.problems[0]
    assert problem.code == "C506"
    assert name in problem.what
    assert problem.fix


def test_the_workspace_is_the_nearest_folder_with_state(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_workspace(inner) == inner
    (tmp_path / ".headrace").mkdir()
    assert find_workspace(inner) == tmp_path
    (tmp_path / "a" / ".headrace").mkdir()
    assert find_workspace(inner) == tmp_path / "a"


def test_the_users_folder_is_below_home() -> None:
    assert user_folder(load_settings({"HOME": "/somewhere"})) == Path("/somewhere/.headrace")


def test_variables_are_put_back_even_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HR_OLD", "before")
    monkeypatch.delenv("HR_NEW", raising=False)

    def fail() -> None:
        with process_environment({"HR_OLD": "during", "HR_NEW": "during"}):
            assert os.environ["HR_OLD"] == os.environ["HR_NEW"] == "during"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert os.environ["HR_OLD"] == "before"
    assert "HR_NEW" not in os.environ


@pytest.mark.parametrize(
    ("name", "value"), [("", "a"), ("a=b", "c"), ("A", "a\0b"), ("A\0", ""), ("A", "\ud800")]
)
def test_what_cannot_be_a_variable_is_refused_before_any_is_set(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught, process_environment({"HR_FIRST": "x", name: value}):
        pass
    assert caught.value.problems[0].code == "C506"
    assert "HR_FIRST" not in os.environ


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("True", True), ("false", False), ("", False)]
)
def test_errors_are_written_as_json_when_prompt_flows_variable_says_so(text: str, expected: bool) -> None:
    settings = load_settings({"PROMPTFLOW_STRUCTURE_EXCEPTION_OUTPUT": text})
    assert settings.has_error_json is expected


def test_quota_of_connections_and_models() -> None:
    settings = load_settings({"HEADRACE_QUOTA": "my_aoai/gpt-4o=600rpm,90000TPM openai=500rpm a=b=1tpm"})
    assert settings.quota == {
        "my_aoai/gpt-4o": QuotaLimit(requests_per_minute=600, tokens_per_minute=90_000),
        "openai": QuotaLimit(requests_per_minute=500),
        "a=b": QuotaLimit(tokens_per_minute=1),
    }


@pytest.mark.parametrize("text", ["openai", "openai=", "=5rpm", "openai=5", "openai=0rpm", "openai=5rpm,x"])
def test_quota_of_the_wrong_form(text: str) -> None:
    with pytest.raises(UsageError, match="HEADRACE_QUOTA"):
        load_settings({"HEADRACE_QUOTA": text})


def test_quotas_are_shared_below_the_state_folder() -> None:
    assert quota_folder(load_settings({"HOME": "/home/me"})) == Path("/home/me/.local/state/headrace/quota")
    assert quota_folder(load_settings({"XDG_STATE_HOME": "/s"})) == Path("/s/headrace/quota")
    assert quota_folder(load_settings({})) is None


def test_variables_of_blocks_that_end_in_another_order_stay_as_the_later_one_set_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HR_OLD", "before")
    first, second = process_environment({"HR_OLD": "1", "HR_NEW": "1"}), process_environment({"HR_OLD": "2"})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (os.environ["HR_OLD"], "HR_NEW" in os.environ) == ("2", False)
    second.__exit__(None, None, None)
    assert os.environ["HR_OLD"] == "before"
