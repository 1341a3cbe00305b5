from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from headrace.cli.collection import pause_collection, resume_collection


@pytest.fixture
def _collection_as_it_was() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.usefixtures("_collection_as_it_was")
def test_what_was_paused_is_resumed_and_what_is_there_is_left_alone() -> None:
    gc.unfreeze()
    pause_collection()
    assert not gc.isenabled()
    resume_collection()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("_collection_as_it_was")
def test_resuming_what_was_not_paused_changes_nothing() -> None:
    before = gc.get_freeze_count()
    resume_collection()
    assert gc.isenabled()
    assert gc.get_freeze_count() <= before  # what is frozen may be given up meanwhile, by any thread
