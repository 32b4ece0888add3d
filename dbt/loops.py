"""Loops in a graph of blocks, and how often what is in them would be executed if each turned a few times."""

from __future__ import annotations

from collections.abc import Iterable

TURNS = 64                              # of each loop: what is hot turns often; the next loop further out is of a region, too
DEEPEST = TURNS ** 4                    # turns of loops in each other that make a difference,
MOST_CALLS = TURNS ** 5                 # and calls of a function
ROUNDS = 3                              # calls within calls that are followed

Edges = dict[int, tuple[int, ...]]      # block -> those that it can lead to


def find_loops(edges: Edges, roots: Iterable[int]) -> dict[int, set[int]]:
    """Heads to the blocks of their loops: what a way back to the head, from a block that it has led to, can come from. What no root
    leads to is begun with in the order of its addresses."""
    back: dict[int, list[int]] = {}
    done: dict[int, bool] = {}          # False: on the way from the root to where we are
    for root in (*roots, *sorted(edges)):
        if root in done or root not in edges:
            continue
        done[root] = False
        way = [(root, iter(edges[root]))]
        while way:
            at, ahead = way[-1]
            following = next(ahead, None)
            if following is None:
                done[at] = True
                way.pop()
            elif following not in done:
                if following in edges:
                    done[following] = False
                    way.append((following, iter(edges[following])))
            elif not done[following]:
                back.setdefault(following, []).append(at)
    sources: dict[int, list[int]] = {pc: [] for pc in edges}
    for pc, ways in edges.items():
        for other in ways:
            if other in sources:
                sources[other].append(pc)
    return {head: _body(head, ends, sources) for head, ends in back.items()}


def _body(head: int, ends: list[int], sources: dict[int, list[int]]) -> set[int]:
    body, todo = {head}, list(ends)
    while todo:
        pc = todo.pop()
        if pc not in body:
            body.add(pc)
            todo += sources[pc]
    return body


def executions(edges: Edges, loops: dict[int, set[int]], calls: dict[int, int], roots: Iterable[int]) -> dict[int, int]:
    """How often each block is executed while each function is called once from outside. calls: block to the function that it calls."""
    turns = dict.fromkeys(edges, 1)
    for body in loops.values():
        for pc in body:
            turns[pc] = min(DEEPEST, turns[pc] * TURNS)
    functions = {pc for pc in (*roots, *calls.values()) if pc in edges}
    function = _functions(edges, functions)
    called = dict.fromkeys(functions, 1)
    for _ in range(ROUNDS):
        now = dict.fromkeys(functions, 1)
        for pc, callee in calls.items():
            if callee in now:
                now[callee] = min(MOST_CALLS, now[callee] + turns[pc] * called.get(function[pc], 1))
        called = now
    return {pc: times * called.get(function[pc], 1) for pc, times in turns.items()}


def _functions(edges: Edges, starts: set[int]) -> dict[int, int]:
    """Which function each block is in, by the last that begins before it; -1: none."""
    found, last = {}, -1
    for pc in sorted(edges):
        last = pc if pc in starts else last
        found[pc] = last
    return found
