"""Requests of one flow split among arms: who answers, what the answer says, and what is left in the store."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import Answer, Endpoint, serving, write
from tests.support.split_flow import (
    FLOW,
    STREAMING,
    evidence,
    of_kind,
    traffic,
    wait_for,
    wait_until,
)

from headrace.domain.evidence import Completion, Exposure, Feedback, unit_digest
from headrace.errors import HeadraceError
from headrace.operations.ab_revisions import promote, roll_back, settle_revision, stop
from headrace.serving import chat_page

EVENTS = {"accept": "text/event-stream"}


def ask(endpoint: Endpoint, user: str = "", q: str = "hi", **more: Any) -> Answer:
    headers = {"x-user": user} if user else {}
    return endpoint.ask(
        "POST", "/score", {"q": q, **more.pop("inputs", {})}, {**headers, **more.pop("headers", {})}
    )


def user_of(endpoint: Endpoint, arm: str) -> str:
    """A user who has an arm."""
    return next(
        user
        for user in (f"u{number}" for number in range(100))
        if ask(endpoint, user).headers["x-headrace-arm"] == arm
    )


def test_a_unit_stays_with_its_arm_and_every_answer_says_which_and_is_counted_once(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        answers = [ask(endpoint, f"u{number % 20}") for number in range(60)]
        exposures = wait_for(endpoint, Exposure, 60)
        completions = wait_for(endpoint, Completion, 60)
    arms = [answer.headers["x-headrace-arm"] for answer in answers]
    assert arms[:20] == arms[20:40] == arms[40:]
    assert set(arms) == {"plain", "loud"}
    assert [answer.body["r"] for answer in answers] == [f"{arm}:hi" for arm in arms]
    assert Counter(item.arm for item in exposures) == Counter(arms)
    ids = [answer.headers["x-headrace-exposure-id"] for answer in answers]
    assert ids == [answer.headers["x-request-id"] for answer in answers]
    assert (
        sorted(ids) == sorted(item.id for item in exposures) == sorted(item.exposure for item in completions)
    )
    first = next(item for item in exposures if item.id == ids[0])
    assert (first.test, first.revision, first.role, first.propensity) == ("styles", 1, "assigned", 0.5)
    assert first.unit == unit_digest("styles", "u0")
    assert first.version == answers[0].headers["x-headrace-flow-version"]
    assert all(item.latency_ms > 0 and not item.problem and not item.is_gone for item in completions)
    assert {item.inputs for item in completions if item.inputs is not None} == set()


def test_what_does_not_fit_is_refused_before_it_is_an_exposure(tmp_path: Path) -> None:
    more = "force_header: x-arm\n"
    with serving(tmp_path, FLOW | traffic(more), [], traffic=["f/traffic.yaml"]) as endpoint:
        bad = endpoint.ask("POST", "/score", {})
        refused = ask(endpoint, headers={"x-arm": "lound"})
        ask(endpoint, "u1")
        exposures = wait_for(endpoint, Exposure, 1)
    assert (bad.status, refused.status) == (400, 400)
    assert "x-headrace-exposure-id" not in bad.headers
    assert "plain, loud" in refused.body["error"]["message"]
    assert len(exposures) == 1


def test_an_arm_whose_name_is_not_ascii_is_said_and_asked_for_percent_encoded(tmp_path: Path) -> None:
    files = FLOW | traffic("force_header: x-arm\n")
    files["f/traffic.yaml"] = files["f/traffic.yaml"].replace("loud", "レ 5%").replace("レ 5%}", "loud}")
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        arm = "%E3%83%AC 5%25"
        answers = [ask(endpoint, f"u{number}") for number in range(20)]
        forced = ask(endpoint, headers={"x-arm": arm})
        exposures = wait_for(endpoint, Exposure, 21)
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-headrace-arm"] for answer in answers} == {"plain", arm}
    assert (forced.status, forced.headers["x-headrace-arm"]) == (200, arm)
    assert {item.arm for item in exposures} == {"plain", "レ 5%"}


def test_a_tester_chooses_an_arm_by_header_and_is_no_evidence(tmp_path: Path) -> None:
    more = "force_header: x-arm\n"
    with serving(tmp_path, FLOW | traffic(more), [], traffic=["f/traffic.yaml"]) as endpoint:
        bodies = {arm: ask(endpoint, "u1", headers={"x-arm": arm}).body["r"] for arm in ("plain", "loud")}
        exposures = wait_for(endpoint, Exposure, 2)
    assert bodies == {"plain": "plain:hi", "loud": "loud:hi"}
    assert {item.role for item in exposures} == {"forced"}


def test_an_empty_header_for_an_arm_names_none(tmp_path: Path) -> None:
    with serving(
        tmp_path, FLOW | traffic("force_header: x-arm\n"), [], traffic=["f/traffic.yaml"]
    ) as endpoint:
        user = user_of(endpoint, "plain")
        answer = ask(endpoint, user, headers={"x-arm": ""})
    assert (answer.status, answer.headers["x-headrace-arm"]) == (200, "plain")


def test_without_a_header_for_it_nobody_chooses_an_arm(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        user = user_of(endpoint, "plain")
        answer = ask(endpoint, user, headers={"x-arm": "loud", "x-headrace-arm": "loud"})
    assert answer.headers["x-headrace-arm"] == "plain"


def test_the_baseline_answers_for_an_arm_that_fails_and_the_failure_is_the_arms(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic("fall_back: true\n"), [], traffic=["f/traffic.yaml"]) as endpoint:
        user = user_of(endpoint, "loud")
        answer = ask(endpoint, user, "fail")
        wait_until(lambda: any(item.problem for item in of_kind(evidence(endpoint), Completion)))
        (failed,) = [item for item in of_kind(evidence(endpoint), Completion) if item.problem]
    assert (answer.status, answer.body) == (200, {"r": "plain:fail"})
    assert answer.headers["x-headrace-arm"] == "loud"
    assert (failed.exposure, failed.problem, failed.answered_by) == (
        answer.headers["x-headrace-exposure-id"],
        "E601",
        "plain",
    )


def test_without_fall_back_an_arm_that_fails_answers_with_its_error(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        answer = ask(endpoint, user_of(endpoint, "loud"), "fail")
        wait_until(lambda: any(item.problem for item in of_kind(evidence(endpoint), Completion)))
        (failed,) = [item for item in of_kind(evidence(endpoint), Completion) if item.problem]
    assert answer.status == 400
    assert (failed.problem, failed.answered_by) == ("E601", "loud")


def test_streams_fall_back_before_their_first_piece_and_not_after(tmp_path: Path) -> None:
    files = STREAMING | traffic("fall_back: true\n")
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        user = user_of(endpoint, "loud")
        whole, early, late = (ask(endpoint, user, q, headers=EVENTS) for q in ("hi", "fail", "fail late"))
        wait_until(lambda: sum(bool(item.problem) for item in of_kind(evidence(endpoint), Completion)) == 2)
        completions = {item.exposure: item for item in of_kind(evidence(endpoint), Completion)}
    assert [json.loads(line[6:])["r"] for line in whole.text.split("\n\n") if line] == ["loud", ":hi"]
    assert [json.loads(line[6:])["r"] for line in early.text.split("\n\n") if line] == ["plain", ":fail"]
    assert '"E601"' in late.text
    assert "plain" not in late.text
    ids = [answer.headers["x-headrace-exposure-id"] for answer in (whole, early, late)]
    first_token = [completions[item].first_token_ms for item in ids]
    assert first_token[0] is not None
    assert first_token[1] is None
    assert [completions[item].answered_by for item in ids] == ["loud", "plain", "loud"]


def test_a_piece_that_is_nothing_but_was_sent_keeps_the_arm_from_falling_back(tmp_path: Path) -> None:
    files = STREAMING | traffic("fall_back: true\n")
    files["f/say.py"] = files["f/say.py"].replace(
        "    yield style\n", '    yield 0 if style == "loud" else style\n'
    )
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        late = ask(endpoint, user_of(endpoint, "loud"), "fail late", headers=EVENTS)
        wait_until(lambda: any(item.problem for item in of_kind(evidence(endpoint), Completion)))
        (failed,) = [item for item in of_kind(evidence(endpoint), Completion) if item.problem]
    assert "plain" not in late.text
    assert '"E601"' in late.text
    assert failed.first_token_ms is not None


def test_chat_clients_are_split_as_well(tmp_path: Path) -> None:
    files = STREAMING | traffic("fall_back: true\n")
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        user = user_of(endpoint, "loud")
        body = {"model": "f", "messages": [{"role": "user", "content": "hi"}]}
        answer = endpoint.ask("POST", "/v1/chat/completions", body, {"x-user": user})
        failing = {"model": "f", "messages": [{"role": "user", "content": "fail"}], "stream": True}
        other = endpoint.ask("POST", "/v1/chat/completions", failing, {"x-user": user})
        exposures = wait_for(endpoint, Exposure, 2)
    assert answer.body["choices"][0]["message"]["content"] == "loud:hi"
    assert (answer.headers["x-headrace-arm"], "plain" in other.text) == ("loud", True)
    assert {answer.headers["x-headrace-exposure-id"], other.headers["x-headrace-exposure-id"]} <= {
        item.id for item in exposures
    }


def test_a_shadow_arm_sees_the_request_and_never_answers(tmp_path: Path) -> None:
    arms = (
        "[{name: plain, weight: 1}, {name: dark, shadow: 1, overrides: {say.style: dark}},"
        " {name: none, shadow: 0, overrides: {say.style: none}}]"
    )
    with serving(tmp_path, FLOW | traffic(arms=arms), [], traffic=["f/traffic.yaml"]) as endpoint:
        answers = [ask(endpoint, "u1", q) for q in ("hi", "slow")]
        exposures = wait_for(endpoint, Exposure, 4)
        completions = wait_for(endpoint, Completion, 4)
    assert [answer.body["r"] for answer in answers] == ["plain:hi", "plain:slow"]
    mirrored = {item.id: item for item in exposures if item.role == "shadow"}
    wanted = {f"{answer.headers['x-request-id']}:dark" for answer in answers}
    assert set(mirrored) == wanted
    assert {item.exposure for item in completions} == {item.id for item in exposures}


def test_more_mirrored_requests_than_there_is_room_for_are_dropped(tmp_path: Path) -> None:
    arms = "[{name: plain, weight: 1}, {name: dark, shadow: 1, overrides: {say.style: dark}}]"
    with serving(tmp_path, FLOW | traffic(arms=arms), [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        split.mirrors._most = 1
        for _ in range(4):
            assert ask(endpoint, "u1", "slow").status == 200
        wait_for(endpoint, Completion, 5)
        assert split.mirrors.n_dropped >= 1
        endpoint.served.is_draining = True
        n_dropped = split.mirrors.n_dropped
        assert ask(endpoint, "u1").status == 200
        assert split.mirrors.n_dropped == n_dropped + 1


def test_a_browser_without_a_unit_gets_a_cookie_that_keeps_its_arm(tmp_path: Path) -> None:
    files = FLOW | traffic()
    files["f/traffic.yaml"] = files["f/traffic.yaml"].replace(
        "{header: x-user}", "{header: x-user}, {cookie: visitor}"
    )
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        first = ask(endpoint)
        given = first.headers["set-cookie"]
        again = [ask(endpoint, headers={"cookie": given.split(";")[0]}) for _ in range(5)]
        known = ask(endpoint, "u1")
        exposures = wait_for(endpoint, Exposure, 7)
    assert all(part in given for part in ("visitor=", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert {answer.headers["x-headrace-arm"] for answer in again} == {first.headers["x-headrace-arm"]}
    assert not any("set-cookie" in answer.headers for answer in (*again, known))
    assert len({item.unit for item in exposures}) == 2


def test_no_cookie_is_set_where_no_test_asks_for_one(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        assert "set-cookie" not in ask(endpoint).headers


def test_units_and_conditions_are_read_from_the_body(tmp_path: Path) -> None:
    files = FLOW | traffic("target: [{field: q, in: [hi, ho]}]\n")
    files["f/traffic.yaml"] = files["f/traffic.yaml"].replace("{header: x-user}", "{field: user}")
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        arms = {
            ask(endpoint, inputs={"user": "u7"}, q=q).headers["x-headrace-arm"] for q in ("hi", "ho", "hi")
        }
        outside = ask(endpoint, inputs={"user": "u7"}, q="other")
        exposures = wait_for(endpoint, Exposure, 4)
    assert len(arms) == 1
    assert outside.headers["x-headrace-arm"] == "plain"
    assert {item.unit for item in exposures} == {unit_digest("styles", "u7")}
    assert sorted(item.role for item in exposures) == ["assigned", "assigned", "assigned", "outside"]
    assert exposures[0].attributes == {"field:q": "hi"}


def test_logged_requests_keep_what_may_be_kept_with_consent_and_nothing_secret(tmp_path: Path) -> None:
    more = 'log: {share: 1, consent: {header: x-consent, is: "yes"}, redact: [user]}\n'
    with serving(tmp_path, FLOW | traffic(more), [], traffic=["f/traffic.yaml"]) as endpoint:
        inputs = {"key": "s3cret-of-mine", "user": "Ada Lovelace"}
        kept = ask(endpoint, "u1", inputs=inputs, headers={"x-consent": "yes"})
        other = ask(endpoint, "u1", inputs=inputs)
        completions = {item.exposure: item for item in wait_for(endpoint, Completion, 2)}
        texts = [path.read_bytes() for path in tmp_path.rglob("*.jsonl")]
    said = completions[kept.headers["x-headrace-exposure-id"]]
    assert (said.has_consent, said.inputs) == (True, {"q": "hi"})
    assert said.outputs is not None
    assert said.outputs["r"].endswith(":hi******")
    silent = completions[other.headers["x-headrace-exposure-id"]]
    assert (silent.has_consent, silent.inputs, silent.outputs) == (False, None, None)
    assert not any(b"s3cret" in text or b"Lovelace" in text for text in texts)


def test_feedback_is_kept_by_answer_and_by_unit_and_once_for_each_id(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        answer = ask(endpoint, "u1")
        about = {"exposure_id": answer.headers["x-headrace-exposure-id"]}
        said = [
            {**about, "thumbs": "down", "rating": 2, "text": "wrong"},
            {**about, "metric": "resolved", "value": True, "id": "a", "at": "2026-01-31T12:00:00Z"},
            {**about, "metric": "resolved", "value": True, "id": "a", "at": "2026-01-31T12:00:00Z"},
            {"unit_id": "u1", "metric": "bought", "value": 12.5},
        ]
        answers = [endpoint.ask("POST", "/feedback", item) for item in said]
        answers.append(endpoint.ask("POST", "/feedback", {"text": "thanks"}, {"x-headrace-unit-id": "u2"}))
        answers.append(endpoint.ask("POST", "/feedback", {"anything": 1}))
        answers.append(endpoint.ask("POST", "/feedback", b"a text"))
        found = wait_for(endpoint, Feedback, 5)
        bad = [
            endpoint.ask("POST", "/feedback", {**about, **item})
            for item in (
                {"thumbs": "sideways"},
                {"metric": "a b", "value": 1},
                {"metric": "m", "value": "1"},
                {"metric": "m", "value": float("nan")},
                {"rating": 10**400},
                {"metric": "m", "value": 1, "at": "yesterday"},
                {"metric": "m", "value": 1, "id": ""},
                {"metric": "m"},
                {"text": 5},
                {"exposure_id": 5, "thumbs": "up"},
            )
        ]
    assert {(item.status, item.text) for item in answers} == {(200, '{"status":"Feedback received."}')}
    assert [item.status for item in bad] == [400] * len(bad)
    by_metric = {item.metric: item for item in found}
    assert sorted(by_metric) == ["bought", "rating", "resolved", "text", "thumbs"]
    assert (by_metric["thumbs"].value, by_metric["thumbs"].exposure) == (0.0, about["exposure_id"])
    assert by_metric["resolved"].at_ns == 1769860800 * 10**9
    assert (by_metric["bought"].value, by_metric["bought"].unit) == (12.5, unit_digest("styles", "u1"))
    assert (by_metric["text"].value, by_metric["text"].unit) == (None, unit_digest("styles", "u2"))


def test_a_full_disk_stops_no_answer_and_refuses_feedback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        before = ask(endpoint, "u1")
        wait_for(endpoint, Completion, 1)
        write_file = os.write

        def full(file: int, data: bytes) -> int:
            if b'"test":"styles"' in bytes(data):
                raise OSError(errno.ENOSPC, "No space left on device")
            return write_file(file, data)

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            answers = [ask(endpoint, "u1") for _ in range(3)]
            refused = endpoint.ask("POST", "/feedback", {"unit_id": "u1", "thumbs": "up"})
        after = ask(endpoint, "u1")
        completions = wait_for(endpoint, Completion, 2)
        split: Any = endpoint.served.flows[""]
        assert split.evidence.n_lost == 3
    assert [answer.body for answer in answers] == [before.body] * 3
    assert not any("x-headrace-exposure-id" in answer.headers for answer in answers)
    assert refused.status == 503
    assert "x-headrace-exposure-id" in after.headers
    assert len(completions) == 2
    assert len([text for text in endpoint.told if "cannot be kept" in text]) == 1


def test_a_changed_file_and_a_rollback_are_followed_and_a_broken_file_is_not(tmp_path: Path) -> None:
    files = FLOW | traffic()
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        user = user_of(endpoint, "loud")
        write(tmp_path, {"f/traffic.yaml": "arms: nothing"})
        wait_until(lambda: any("cannot be followed" in text for text in endpoint.told))
        assert ask(endpoint, user).body == {"r": "loud:hi"}
        assert endpoint.ask("GET", "/readyz").body["flows"]["/"]["refused"]
        renamed = {name: f"name: renamed\n{text.partition(chr(10))[2]}" for name, text in traffic().items()}
        write(tmp_path, renamed)
        wait_until(lambda: endpoint.ask("GET", "/readyz").body["flows"]["/"]["refused"] == ["C507"])
        assert ask(endpoint, user).body == {"r": "loud:hi"}

        other = "[{name: plain, weight: 0.5}, {name: loud, weight: 0.5, overrides: {say.style: LOUD}}]"
        write(tmp_path, traffic(arms=other))
        wait_until(lambda: split.rules.revision.number == 2)
        assert ask(endpoint, user).body == {"r": "LOUD:hi"}
        assert "refused" not in endpoint.ask("GET", "/readyz").body["flows"]["/"]

        now = endpoint.workspace.now()
        roll_back(endpoint.workspace.store, split.rules.traffic, "loud", {}, "guardrail failures", now)
        wait_until(lambda: split.rules.revision.number == 3)
        assert ask(endpoint, user).body == {"r": "plain:hi"}
        told = [text for text in endpoint.told if "revision" in text]
    assert told == [
        "styles follows revision 2 (changed by traffic file).",
        "styles follows revision 3 (rolled back by guardrail failures).",
    ]


def test_a_server_whose_file_splits_units_in_another_way_than_the_latest_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        store, rules = endpoint.workspace.store, split.rules.traffic
        later = endpoint.workspace.now() + timedelta(seconds=1)
        settle_revision(store, replace(rules, digest="b"), later, read_at=later)
        wait_until(lambda: split.rules.revision.number == 2)
        later += timedelta(seconds=1)
        settle_revision(store, replace(rules, digest="c", seed="other"), later, read_at=later)
        wait_until(lambda: split.rules.revision.number == 3)
        stop(store, "styles", endpoint.workspace.now(), by="Ada")
        wait_until(lambda: split.rules.revision.is_over)
        told = [text for text in endpoint.told if "get other arms here" in text]
    (only,) = told
    assert "revision 3" in only
    assert "the same file" in only


def test_a_promoted_arm_answers_everybody_and_nothing_more_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        user = user_of(endpoint, "plain")
        promote(endpoint.workspace.store, "styles", "loud", endpoint.workspace.now(), by="Ada")
        wait_until(lambda: split.rules.revision.is_over)
        answer = ask(endpoint, user)
        late = endpoint.ask("POST", "/feedback", {"unit_id": user, "thumbs": "up"})
    assert (answer.body, answer.headers["x-headrace-arm"]) == ({"r": "loud:hi"}, "loud")
    assert "x-headrace-exposure-id" not in answer.headers
    assert late.status == 200


def test_a_promoted_arm_is_not_taken_out_of_the_file_while_it_answers_everybody(tmp_path: Path) -> None:
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        promote(endpoint.workspace.store, "styles", "loud", endpoint.workspace.now(), by="Ada")
        wait_until(lambda: split.rules.revision.is_over)
        write(tmp_path, traffic(arms="[{name: plain, weight: 1}]"))
        wait_until(lambda: endpoint.ask("GET", "/readyz").body["flows"]["/"].get("refused") == ["S842"])
        assert ask(endpoint, "u1").body == {"r": "loud:hi"}
        promote(endpoint.workspace.store, "styles", "plain", endpoint.workspace.now(), by="Ada")
        wait_until(lambda: split.rules.revision.number == 3)
        assert ask(endpoint, "u1").body == {"r": "plain:hi"}
        reasons = [item.reason for item in endpoint.workspace.store.list_revisions("styles")]
    assert len([text for text in endpoint.told if "cannot be followed" in text]) == 1
    assert reasons == ["started", "promoted", "promoted"]


def test_a_request_that_has_begun_ends_at_its_arm_though_the_arm_is_dropped(tmp_path: Path) -> None:
    files = FLOW | traffic(
        arms="[{name: plain, weight: 0}, {name: dark, weight: 1, overrides: {say.style: dark}}]"
    )
    files["f/say.py"] = files["f/say.py"].replace("0.3", "3")
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
        connection.request("POST", "/score", json.dumps({"q": "slow"}))
        wait_until(lambda: of_kind(evidence(endpoint), Exposure))
        write(tmp_path, traffic(arms="[{name: plain, weight: 1}]"))
        wait_until(lambda: list(split.rules.arms) == ["plain"])
        assert ask(endpoint).body == {"r": "plain:hi"}
        assert json.loads(connection.getresponse().read()) == {"r": "dark:slow"}
        connection.close()
        (completion,) = [item for item in wait_for(endpoint, Completion, 2) if item.answered_by == "dark"]
    assert completion.problem == ""


def test_a_client_that_goes_is_nobodys_failure(tmp_path: Path) -> None:
    files = FLOW | traffic(arms="[{name: dark, weight: 1, overrides: {say.style: dark}}]")
    files["f/say.py"] = files["f/say.py"].replace("0.3", "3")
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"]) as endpoint:
        connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
        connection.request("POST", "/score", json.dumps({"q": "slow"}))
        wait_until(lambda: of_kind(evidence(endpoint), Exposure))
        connection.close()
        (completion,) = wait_for(endpoint, Completion, 1)
    assert (completion.is_gone, completion.problem, completion.answered_by) == (True, "", "")


def test_a_request_that_takes_too_long_is_the_arms_failure(tmp_path: Path) -> None:
    files = FLOW | traffic(arms="[{name: dark, weight: 1, overrides: {say.style: dark}}]")
    environment = {"HEADRACE_SERVE_TIMEOUT_S": "0.1"}
    with serving(tmp_path, files, [], traffic=["f/traffic.yaml"], environment=environment) as endpoint:
        assert ask(endpoint, q="slow").status == 504
        (completion,) = wait_for(endpoint, Completion, 1)
    assert (completion.is_gone, completion.problem) == (False, "E603")


@pytest.fixture
def two(tmp_path: Path) -> dict[str, str]:
    files = {name.replace("f/", f"{folder}/"): text for folder in ("a", "b") for name, text in FLOW.items()}
    write(tmp_path, files)
    return files


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: t\narms: [{name: plain}]\n", "does not say which of the served flows"),
        ("name: t\nflow: ../c\narms: [{name: plain}]\n", "which is not served"),
    ],
)
def test_a_test_whose_flow_is_not_clear_is_refused(
    tmp_path: Path, two: dict[str, str], text: str, said: str
) -> None:
    files = two | {
        "c/flow.flex.yaml": "entry: m:f\n",
        "c/m.py": "def f(): return 1\n",
        "b/traffic.yaml": text,
    }
    with (
        pytest.raises(HeadraceError, match=said),
        serving(tmp_path, files, ["a=a", "b=b"], traffic=["b/traffic.yaml"]),
    ):
        pass


def test_one_of_several_flows_is_split_and_the_others_are_not(tmp_path: Path, two: dict[str, str]) -> None:
    text = traffic()["f/traffic.yaml"]
    files = two | {"b/traffic.yaml": text}
    with serving(tmp_path, files, ["a=a", "b=b"], traffic=["b/traffic.yaml"]) as endpoint:
        whole = endpoint.ask("POST", "/a/score", {"q": "hi"})
        split = endpoint.ask("POST", "/b/score", {"q": "hi"})
    assert "x-headrace-arm" not in whole.headers
    assert "x-headrace-arm" in split.headers
    assert "judgement" in chat_page.SCRIPT


def test_an_arm_at_an_address_answers_with_what_is_known_of_it(tmp_path: Path) -> None:
    other = {name.replace("f/", "other/"): text.replace("plain", "other") for name, text in FLOW.items()}
    elsewhere = tmp_path / "elsewhere"
    with serving(elsewhere, other, ["other"]) as remote:
        arms = f"[{{name: here, weight: 0}}, {{name: there, weight: 1, flow: 'http://127.0.0.1:{remote.port}/score'}}]"
        with serving(tmp_path, FLOW | traffic(arms=arms), [], traffic=["f/traffic.yaml"]) as endpoint:
            answer = ask(endpoint, "u1")
            assert (answer.status, answer.body) == (200, {"r": "other:hi"})
            (completion,) = wait_for(endpoint, Completion, 1)
    assert answer.headers["x-headrace-arm"] == "there"
    assert (completion.prompt_tokens, completion.cost_usd) == (None, None)


def test_the_access_log_says_test_arm_and_role(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    environment = {"HEADRACE_ACCESS_LOG": "stderr"}
    with serving(
        tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"], environment=environment
    ) as endpoint:
        arm = ask(endpoint, "u1").headers["x-headrace-arm"]
    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"/score"' in line]
    assert (line["test"], line["arm"], line["role"], line["status"]) == ("styles", arm, "assigned", 200)
