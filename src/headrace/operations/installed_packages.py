"""Which distributions are installed here of those that are wanted elsewhere: what was evaluated is what is served."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from headrace.formats.cyclonedx import Component
from headrace.formats.requirements import Requirement, canonical_name, parse_requirement

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs, and that the flow was evaluated with."""

IMAGE_ENVIRONMENT: Mapping[str, str] = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "implementation_name": "cpython",
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.{sys.version_info.micro}",
}
"""What markers of requirements compare with in an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackages:
    """What is installed here of what is wanted.

    Attributes:
        components: By name, with everything that they need themselves.
        pinned: Those of them whose versions an index has: names.
        missing: Names of what is wanted and not installed.
    """

    components: tuple[Component, ...]
    pinned: frozenset[str]
    missing: tuple[str, ...]

    def constraints(self) -> str:
        """Lines for ``pip install --constraint``."""
        pins = [item for item in self.components if item.name in self.pinned]
        return "".join(f"{item.name}=={item.version.partition('+')[0]}\n" for item in pins)


def find_installed(wanted: Iterable[Requirement]) -> InstalledPackages:
    """Find distributions and everything that they need, as an image would need it.

    Args:
        wanted: Requirements; those that do not apply in an image are passed over.
    """
    waiting = [item for item in wanted if item.applies(IMAGE_ENVIRONMENT)]
    asked = {item.name for item in waiting}
    extras: dict[str, frozenset[str]] = {}
    found: dict[str, Component] = {}
    pinned: set[str] = set()
    missing: set[str] = set()
    while waiting:
        item = waiting.pop()
        if item.name in extras and item.extras <= extras[item.name]:
            continue
        extras[item.name] = extras.get(item.name, frozenset()) | item.extras
        try:
            here = distribution(item.name)
        except PackageNotFoundError:
            missing.add(item.name)
            continue
        needs = _needs(here, extras[item.name])
        found[item.name] = Component(
            name=item.name,
            version=here.version,
            license=_field(here, "License-Expression"),
            license_names=_license_names(here),
            requires=tuple(sorted({need.name for need in needs})),
        )
        if _is_from_index(here):
            pinned.add(item.name)
        waiting += needs
    return InstalledPackages(
        components=tuple(found[name] for name in sorted(found)),
        pinned=frozenset(pinned),
        missing=tuple(sorted(missing & asked)),
    )


def _field(here: Distribution, name: str) -> str:
    """A field of the metadata; empty where it is not there."""
    return (here.metadata[name] or "").strip() if name in here.metadata else ""


def _license_names(here: Distribution) -> tuple[str, ...]:
    """Licences in the older fields: their names, which some fill with the whole text, else those of the classifiers."""
    name = _field(here, "License")
    if name and "\n" not in name and name.upper() != "UNKNOWN":
        return (name,)
    classifiers = here.metadata.get_all("Classifier") or ()
    found = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    return tuple(sorted({text for text in found if text != "OSI Approved"}))


def _needs(here: Distribution, extras: frozenset[str]) -> list[Requirement]:
    parsed = [parse_requirement(text) for text in here.requires or ()]
    return [item for item in parsed if item is not None and item.applies(IMAGE_ENVIRONMENT, extras)]


def _is_from_index(here: Distribution) -> bool:
    """Whether it was installed from an index, and not from a folder or an address."""
    text = here.read_text("direct_url.json")
    return text is None or not json.loads(text)


def own_requirements(extras: Iterable[str]) -> tuple[str, ...]:
    """What headrace needs to serve, with some of its extras: lines of requirements without markers.

    Raises:
        PackageNotFoundError: headrace is not installed, only importable.
    """
    chosen = {canonical_name(extra) for extra in extras}
    lines = []
    for text in distribution("headrace").requires or ():
        item = parse_requirement(text)
        if item is not None and item.name not in _NOT_SERVED and item.applies(IMAGE_ENVIRONMENT, chosen):
            lines.append(text.partition(";")[0].strip())
    return tuple(sorted(lines))


_NOT_SERVED = frozenset(("headrace", "click", "rich"))
"""What only the command line needs."""
