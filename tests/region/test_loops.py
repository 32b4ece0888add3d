"""Loops and estimates on small graphs: what is in which loop, and how often it would be executed."""

import pytest

from dragoman.dbt.loops import DEEPEST, MOST_CALLS, TURNS, executions, find_loops

NESTED = {1: (2,), 2: (3,), 3: (3, 4), 4: (2, 5), 5: ()}


@pytest.mark.parametrize(("edges", "loops"), [
    ({1: (2,), 2: ()}, {}),
    ({1: (1, 2), 2: ()}, {1: {1}}),
    (NESTED, {2: {2, 3, 4}, 3: {3}}),
    ({1: (2, 3), 2: (4,), 3: (4,), 4: (1,)}, {1: {1, 2, 3, 4}}),                        # two ways through it
    ({1: (2,), 2: (3, 4), 3: (2,), 4: (2,)}, {2: {2, 3, 4}}),                           # two ways back
    ({1: (4,), 2: (3,), 3: (4,), 4: (2, 5), 5: ()}, {4: {2, 3, 4}}),                    # entered in its middle
    ({2: (3, 1), 3: (1,), 1: ()}, {}),                                                  # a way back that is none: to what is shared
    ({1: (9,), 5: (5,)}, {5: {5}})],                                                    # what lies elsewhere; what nothing leads to
    ids="none self nested diamond twice rotated shared unreached".split())
def test_loops_of(edges, loops):
    assert find_loops(edges, [min(edges)] if 2 not in edges or edges[2] != (3, 1) else [2]) == loops


def test_a_deep_graph_is_no_deep_recursion():
    edges = {n: (n + 1,) for n in range(50_000)} | {50_000: (0,)}
    assert find_loops(edges, [0]) == {0: set(edges)}


def test_executions_grow_with_depth_and_calls():
    found = executions(NESTED, find_loops(NESTED, [1]), {}, [1])
    assert found == {1: 1, 2: TURNS, 3: TURNS ** 2, 4: TURNS, 5: 1}
    # 3 calls the function at 10, whose loop calls the one at 20.
    edges = NESTED | {10: (10, 11), 11: (), 20: ()}
    found = executions(edges, find_loops(edges, [1, 10, 20]), {3: 10, 10: 20}, [1, 10, 20])
    assert found[11] > found[3] and found[10] == TURNS * found[11] and found[20] > found[10]


def test_executions_of_what_calls_itself_are_bounded():
    edges = dict.fromkeys(range(1, 9), ()) | {1: (1, 2), 2: (1, 3), 3: (1,)}
    found = executions(edges, find_loops(edges, [1]), {1: 1, 2: 1, 3: 1}, [1])
    assert max(found.values()) <= DEEPEST * MOST_CALLS < 1 << 62
