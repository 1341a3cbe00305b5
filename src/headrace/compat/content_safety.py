"""``promptflow.tools.azure_content_safety``: is a text harmful? (promptflow-format: 3.6)."""

from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn

from headrace.compat.exception_families import fail_tool
from headrace.providers.web import WebError, request
from headrace.tools.connection_types import AzureContentSafetyConnection

_OK = 200
_ACCEPT, _REJECT = "Accept", "Reject"
_OLD_VERSION = "2023-04-30-preview"
_OLD_KEYS = {
    "Hate": "hateResult",
    "SelfHarm": "selfHarmResult",
    "Sexual": "sexualResult",
    "Violence": "violenceResult",
}


class TextCategorySensitivity(str, Enum):  # noqa: UP042 - projects print it, and StrEnum prints differently
    """From which severity on a category is rejected."""

    DISABLE = "disable"
    LOW_SENSITIVITY = "low_sensitivity"
    MEDIUM_SENSITIVITY = "medium_sensitivity"
    HIGH_SENSITIVITY = "high_sensitivity"


_MEDIUM = TextCategorySensitivity.MEDIUM_SENSITIVITY
_LOWEST_REJECTED = {"disable": None, "low_sensitivity": 6, "medium_sensitivity": 4, "high_sensitivity": 2}


def analyze_text(
    connection: AzureContentSafetyConnection,
    text: str,
    hate_category: TextCategorySensitivity = _MEDIUM,
    sexual_category: TextCategorySensitivity = _MEDIUM,
    self_harm_category: TextCategorySensitivity = _MEDIUM,
    violence_category: TextCategorySensitivity = _MEDIUM,
) -> dict[str, Any]:
    """Ask Azure AI Content Safety about a text.

    Returns:
        ``{"suggested_action": "Accept" | "Reject", "action_by_category": {"Hate": …, "SelfHarm": …, …}}``.

    Raises:
        AzureContentSafetyInputValueError: A sensitivity is none of the four.
        AzureContentSafetySystemError: The service did not answer, or not for every category.
    """
    wanted = {
        "Hate": hate_category,
        "SelfHarm": self_harm_category,
        "Sexual": sexual_category,
        "Violence": violence_category,
    }
    limits = {category: _limit(category, sensitivity) for category, sensitivity in wanted.items()}
    severities = _severities(connection, text)
    actions = {}
    for category, limit in limits.items():
        if category not in severities:
            fail_tool("AzureContentSafetySystemError", f"The answer says nothing about {category}.")
        is_rejected = limit is not None and severities[category] >= limit
        actions[category] = _REJECT if is_rejected else _ACCEPT
    return {
        "suggested_action": _REJECT if _REJECT in actions.values() else _ACCEPT,
        "action_by_category": actions,
    }


def _limit(category: str, sensitivity: TextCategorySensitivity | str) -> int | None:
    word = sensitivity.value if isinstance(sensitivity, Enum) else sensitivity
    if word not in _LOWEST_REJECTED:
        message = f"The sensitivity for {category} must be one of: {', '.join(_LOWEST_REJECTED)}."
        fail_tool("AzureContentSafetyInputValueError", message)
    return _LOWEST_REJECTED[word]


def _severities(connection: AzureContentSafetyConnection, text: str) -> dict[str, int]:
    address = f"{connection.endpoint.rstrip('/')}/contentsafety/text:analyze"
    try:
        answer = request(
            address,
            query={"api-version": connection.api_version},
            headers={"Ocp-Apim-Subscription-Key": connection.api_key, "ms-azure-ai-sender": "prompt_flow"},
            body={"text": text, "blocklistNames": []},
        )
        data = answer.json()
    except WebError as error:
        _not_detected(str(error))
    except ValueError:
        _not_detected("the answer is not JSON")
    if answer.status != _OK or not isinstance(data, dict):
        said = data.get("error", {}).get("message") if isinstance(data, dict) else None
        _not_detected(said or f"HTTP status {answer.status}")
    if connection.api_version == _OLD_VERSION:
        return {name: int(data[key]["severity"]) for name, key in _OLD_KEYS.items() if data.get(key)}
    return {item["category"]: int(item["severity"]) for item in data.get("categoriesAnalysis") or ()}


def _not_detected(reason: str) -> NoReturn:
    fail_tool("AzureContentSafetySystemError", f"Error in detecting content: {reason}")
