"""Executable ranges against a model of pages; what each change says of itself makes the same of a copy."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.dbt.ranges import Ranges

PAGES = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(PAGES, st.sampled_from([None, False, True])), max_size=40))
def test_ranges_are_what_was_added_last(steps):
    ranges, copy, model = Ranges(), [], {}
    for (start, end), changeable in steps:
        before = [page for page in model if start <= page < end]
        change = ranges.cut(start, end) if changeable is None else ranges.add(start, end, changeable)
        for page in before:
            del model[page]
        if changeable is not None:
            model |= dict.fromkeys(range(start, end), changeable)
        assert (change is None) == (changeable is None and not before)
        if change is not None:
            first, removed, rows = change
            copy[first:first + removed] = rows
    assert list(ranges) == copy and len(ranges) == len(copy)
    assert {page: row[2] for row in copy for page in range(row[0], row[1])} == model
    assert sum(row[1] - row[0] for row in copy) == len(model)
    for left, right in pairwise(copy):
        assert left[1] < right[0] or (left[1] == right[0] and left[2] != right[2])
