"""What deployments are compared by, and the note of the traffic before a move."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.deployment_notes import read_previous, read_untried, render_previous, render_untried

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
TRAFFIC = st.dictionaries(NAMES, st.integers(1, 100), max_size=4)


@settings(deadline=None)
@given(traffic=TRAFFIC, spec=st.from_regex(r"[0-9a-f]{16}", fullmatch=True))
def test_what_was_noted_is_read_again(traffic: dict[str, int], spec: str) -> None:
    text = render_previous(traffic, dict.fromkeys(traffic, spec))

    assert len(text) <= 256
    assert read_previous(text) == (traffic, dict.fromkeys(traffic, spec[:8]))


def test_many_long_names_are_noted_without_their_digests_and_still_more_not_at_all() -> None:
    names = [f"{number:02}{'a' * 28}" for number in range(9)]
    some, all_of_them = dict.fromkeys(names[:6], 10), dict.fromkeys(names, 10)

    assert read_previous(render_previous(some, dict.fromkeys(names, "f" * 16))) == (some, {})
    assert render_previous(all_of_them, {}) == ""


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"blue": "x"}', '{"blue": [1, 2]}', '{"blue": true}', "7"]
)
def test_what_nobody_of_us_wrote_is_no_note(text: str) -> None:
    assert read_previous(text) == ({}, {})


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,32}", fullmatch=True), st.just("0123456789abcdef"), max_size=20)
)
def test_as_many_as_there_is_room_for_are_noted_untried(specs: dict[str, str]) -> None:
    text = render_untried(specs)
    read = read_untried(text)
    assert len(text) <= 256
    assert read.items() <= dict.fromkeys(specs, "01234567").items()
    assert len(read) >= min(len(specs), 5)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "5", '{"blue": 5}', '{"blue": ""}'])
def test_other_texts_note_nobody_untried(text: str) -> None:
    assert read_untried(text) == {}
