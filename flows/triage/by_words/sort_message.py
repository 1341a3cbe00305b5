"""Sorts a support message by words that somebody wrote down: what can be had without any model."""

from __future__ import annotations

WORDS = {
    "billing": ("invoice", "charge", "charged", "refund", "payment", "price", "plan", "card", "receipt"),
    "account_access": ("password", "sign in", "log in", "login", "locked", "two-factor", "invitation"),
    "bug": ("error", "crash", "crashes", "wrong", "broken", "disappear", "disappeared"),
    "how_to": ("how do", "how can", "where do", "where can", "is there a way"),
    "feature_request": ("please add", "would be great", "would love", "wish", "support for"),
    "integration": ("api", "webhook", "slack", "calendar", "sync", "zapier", "github"),
    "performance": ("slow", "seconds", "timeout", "times out", "hangs", "memory", "battery"),
    "security": ("encrypt", "encrypted", "vulnerability", "suspicious", "gdpr", "phishing", "privacy"),
}


def sort_message(message: str) -> dict[str, str]:
    """The team whose words stand in the message most often; the one listed first where several do."""
    lowered = message.lower()
    hits = {label: sum(word in lowered for word in words) for label, words in WORDS.items()}
    return {"team": max(hits, key=lambda label: hits[label])}
