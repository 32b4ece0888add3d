"""Regions that were made before the program ran: used where they have all that is executed, and nowhere else."""

import pytest

from dragoman.dbt import tiering
from dragoman.dbt.region_growth import grow
from dragoman.dbt.state import STAGE_ASKED
from dragoman.dbt.survey import Survey
from tests.engines.guest import PAGE
from tests.tiering.machine import CODE, PAGES, TIMES, made
from tests.tiering.test_bad_store import store
from tests.tiering.test_promotion import INNER, LOOP, NESTED, only_machine

__all__ = ["store"]
BRANCHES = """
top:
    andi x11,x5,1
    beq x11,x0,<even>
    addi x10,x10,1
    j <next>
even:
    addi x10,x10,3
next:
    addi x5,x5,-1
    bne x5,x0,<top>
"""


@pytest.fixture
def machine(store):
    return only_machine().fresh(store)


def surveyed(machine, text):
    machine.load(text)
    used = 4 * text.count("\n")             # labels are lines, too: more than there are instructions
    machine.memory.write(CODE + used, bytes(PAGES * PAGE - used))       # what other tests have left
    return Survey(machine.engine, machine.cpu, [(CODE, CODE + PAGES * PAGE)], [CODE])


def prepare(machine, requests):
    """Leave regions for these requests, and forget all that was translated."""
    pack = machine.engine.store.prepared(*machine.engine.origin(CODE))
    for request in requests:
        assert pack.append(made(request))
    machine.engine.start_anew(machine.cpu)


@pytest.mark.parametrize(("text", "heads"), [(LOOP, {CODE}), (NESTED, {CODE, INNER}), (BRANCHES, {CODE})], ids=["loop", "nested", "branches"])
def test_a_loop_that_was_prepared_is_never_asked_for(machine, text, heads):
    requests = list(surveyed(machine, text).requests(frozenset()))
    assert {request.head for request in requests} == heads
    prepare(machine, requests)
    registers = {"x6": 3, "x7": TIMES} if text == NESTED else {"x5": TIMES}
    result = machine.call(**registers)[10]
    assert result == {LOOP: TIMES, NESTED: 3 * TIMES, BRANCHES: 2 * TIMES}[text]
    assert machine.compiler.asked == [] and machine.tiering.stored >= 1
    assert any(machine.row(head, "region") for head in heads)
    assert machine.call(**registers)[10] == result


def test_what_does_not_have_all_that_is_executed_is_left_alone(machine):
    request, = surveyed(machine, BRANCHES).requests(frozenset())
    fewer = request.replace(blocks=tuple(block for block in request.blocks if block[0] != CODE + 16))
    assert len(fewer.blocks) == len(request.blocks) - 1
    prepare(machine, [fewer])
    machine.call(x5=TIMES)
    assert machine.tiering.stored == 0 and machine.row(CODE, "stage") == STAGE_ASKED


def test_computed_targets_are_what_only_a_run_can_tell(machine, monkeypatch):
    def with_a_target(*words):
        grown = grow(*words)
        return grown and (grown[0].replace(indirect=(CODE,)), grown[1])
    prepare(machine, list(surveyed(machine, LOOP).requests(frozenset())))
    monkeypatch.setattr(tiering, "grow", with_a_target)
    assert machine.call(x5=TIMES)[10] == TIMES
    assert machine.tiering.stored == 0 and len(machine.compiler.asked) == 1


@pytest.mark.parametrize("demand", ["set_shared", "set_precise"])
def test_of_other_demands(machine, demand):
    prepare(machine, list(surveyed(machine, LOOP).requests(frozenset())))
    getattr(machine.engine, demand)()
    machine.call(x5=TIMES)
    assert machine.tiering.stored == 0 and len(machine.compiler.asked) == 1


def test_another_program_at_the_same_place(machine, monkeypatch):
    """Its digests collide."""
    monkeypatch.setattr(type(machine.engine.store), "prepared", lambda store, *identity: store.pack_named(b"the same for all"))
    prepare(machine, list(surveyed(machine, LOOP).requests(frozenset())))
    machine.load(LOOP.replace("x10,1", "x10,2"))
    machine.engine.start_anew(machine.cpu)
    assert machine.call(x5=TIMES)[10] == 2 * TIMES and machine.tiering.stored == 0


def test_data_is_no_harm(machine):
    """Bytes that are no code, read as if they were."""
    words = "\n".join(f"addi x{n % 31 + 1},x0,{n % 2000}" for n in range(200))
    machine.load(LOOP + words)
    machine.memory.write(CODE + 0x200, bytes((n * 73 + n // 7) & 0xFF for n in range(0x2000)))
    survey = Survey(machine.engine, machine.cpu, [(CODE, CODE + PAGES * PAGE)], [CODE + 1, 0, 1 << 63, CODE + 0x300])
    assert CODE in survey.loops
    for request in survey.requests(frozenset()):
        made(request)
