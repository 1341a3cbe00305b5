"""The bill of materials: what it says, and that it says it the same way every time."""

from __future__ import annotations

import json
import re

from headrace.formats.cyclonedx import Component, render_sbom

PARTS = [
    Component(name="b", version="2+cu1", requires=("gone",)),
    Component(name="a", version="1", license="MIT", requires=("b",)),
    Component(name="c", version=""),
]


def test_a_bill_names_components_and_what_needs_what() -> None:
    text = render_sbom(Component(name="flow", version="abc", requires=("a",)), "f" * 64, PARTS)
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", bill["serialNumber"]
    )
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": "f" * 64}]
    assert [item["purl"] for item in bill["components"]] == [
        "pkg:pypi/a@1",
        "pkg:pypi/b@2%2Bcu1",
        "pkg:pypi/c",
    ]
    assert bill["components"][0]["licenses"] == [{"expression": "MIT"}]
    assert {item["ref"]: item["dependsOn"] for item in bill["dependencies"]} == {
        "flow:flow@abc": ["pkg:pypi/a@1"],
        "pkg:pypi/a@1": ["pkg:pypi/b@2+cu1"],
        "pkg:pypi/b@2+cu1": [],
        "pkg:pypi/c": [],
    }


def test_a_bill_has_no_time_and_no_order_of_its_own() -> None:
    subject = Component(name="flow", version="abc")
    assert render_sbom(subject, "0" * 64, PARTS) == render_sbom(subject, "0" * 64, PARTS[::-1])
    assert render_sbom(subject, "1" * 64, PARTS) != render_sbom(subject, "0" * 64, PARTS)
