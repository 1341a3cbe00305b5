"""Characters that hide, or turn what stands around them, as readers of a report must see them."""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "(\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f)"  # flags of regions: these belong to the sign before them
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """``text`` with a mark such as ``[U+202E]`` in place of each character that could mislead a reader.

    These are control characters but tab and line feed, marks that turn the direction of what follows, spaces without
    width, and tags, which hold text that models read and people do not see. The joiners and direction marks that
    Arabic, Hebrew, Indic scripts and emoji need stay.

    Source: Unicode Technical Report 36, section 2.10; Boucher and Anderson, Trojan Source (2021).
    """
    return text if text.isascii() and text.isprintable() else _HIDDEN.sub(_mark, text)


def _mark(found: re.Match[str]) -> str:
    return found[1] or f"[U+{ord(found[0]):04X}]"
