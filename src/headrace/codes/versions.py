"""Codes of versions of flows and data, of the family S."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.codes.entry import Entry

VERSION_CODES: Mapping[str, Entry] = {
    "S831": Entry(
        "unknown-version",
        "A version that does not exist",
        "The store keeps no version of this number, tag or digest. Versions are kept when runs are made.",
    ),
    "S832": Entry(
        "tag-moved",
        "A tag that is somewhere else",
        "The tag is on another version than the command expects. Moving a tag has to be asked for.",
    ),
    "S833": Entry(
        "snapshot-damaged",
        "A version whose files are gone or damaged",
        "What the store keeps of a version does not have the digest that it should have, or is not there any more.",
    ),
    "S834": Entry(
        "unclear-version",
        "A version that could be several",
        "Several flows have a tag of this name, or several versions a digest that begins so.",
    ),
    "S835": Entry(
        "read-file-changed",
        "A file that the flow reads has changed",
        "The run goes on; lines that are run from now on may see another content than those before.",
    ),
    "S836": Entry(
        "not-kept-whole",
        "A version that is not kept whole",
        "Large files, keys and passwords are kept in no version, so they have to be put back by hand.",
    ),
}
