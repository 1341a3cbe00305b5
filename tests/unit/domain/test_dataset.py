from __future__ import annotations

from headrace.domain.dataset import LazyLines


def test_lazy_lines_are_made_each_time() -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number * 2

    lines = LazyLines(lambda: map(make, range(3)), 3)
    assert (len(lines), made) == (3, [])
    assert list(lines) == list(lines) == [0, 2, 4]
    assert made == [0, 1, 2, 0, 1, 2]
    assert 4 in lines
    assert 5 not in lines
