"""Names of scores that are seen in the text of Python, before anything of it is called."""

from __future__ import annotations

import pytest

from headrace.evaluation.evaluators.returned_names import returned_names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def f(a) -> float:\n    return compute(a)\n", {"tone"}),
        ("def f(a):\n    return a == 1\n", {"tone"}),
        ("async def f(a):\n    return float(a) if a else None\n", {"tone"}),
        ("def f(a):\n    if a:\n        return {'x': 1, 'y': g(a)}\n    return {'z': 0}\n", {"x", "y", "z"}),
        ("def f(a):\n    return {'value': a, 'reason': ''}\n", {"tone"}),
        ("class f:\n    def __call__(self, a):\n        return not a\n", {"tone"}),
        ("def f(a):\n    def g():\n        return h()\n    return bool(g())\n", {"tone"}),
        # What follows leaves open what it gives.
        ("def f(a):\n    return compute(a)\n", None),
        ("def f(a):\n    return {'x': 1, **a}\n", None),
        ("def f(a):\n    return {a: 1}\n", None),
        ("def f(a):\n    return True if a else g(a)\n", None),
        ("def f(a) -> dict:\n    yield {'x': 1}\n", None),
        ("@wrapped\ndef f(a):\n    return 1\n", None),
        ("def f(a):\n    return 1\nf = wrapped(f)\n", None),
        ("def f(a):\n    return 1\nif True:\n    from g import f\n", None),
        ("def f(a):\n    return 1\nif True:\n    def f(a):\n        return g(a)\n", None),
        ("class f(Base):\n    def __call__(self, a):\n        return 1\n", None),
        ("class f:\n    pass\n", None),
        ("f = partial(g)\n", None),
        ("def f(a):\n    pass\n", None),
        ("def f(a:\n", None),
    ],
)
def test_names_are_only_told_where_the_text_says_all_of_them(source: str, names: set[str] | None) -> None:
    assert returned_names(source, "f", "tone") == names
