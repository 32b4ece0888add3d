"""What happens between a loop's becoming hot and its region's coming into use, in each order that there is."""

import threading
from functools import cache

import pytest

from dragoman.dbt.blocks import HEAVIEST
from dragoman.dbt.code_cache import EARLY
from dragoman.dbt.compiler_client import Answer
from dragoman.dbt.pack import request_key
from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import DONE, STALE
from dragoman.dbt.region_search import SMALL
from dragoman.dbt.state import LAZY, STAGE_ASKED, STAGE_COLD, STAGE_PROFILED
from dragoman.dbt.store import Store
from dragoman.dbt.suspended import PATIENCE
from tests.engines.guest import PAGE
from tests.isa import assemble
from tests.tiering.machine import CODE, PAGES, THRESHOLD, TIMES, Machine, made

LOOP = """
top:
    addi x10,x10,1
    addi x5,x5,-1
    bne x5,x0,<top>
"""
NESTED = """
outer:
    addi x5,x7,0
inner:
    addi x10,x10,1
    addi x5,x5,-1
    bne x5,x0,<inner>
    addi x6,x6,-1
    bne x6,x0,<outer>
"""
WIDE = 200                      # instructions of the inner loop: too many for its region to be made again within others
LARGE = NESTED.replace("    addi x10,x10,1\n", "    addi x10,x10,1\n" * WIDE) + "    ebreak\n" + LOOP
INNER = CODE + 4
OTHER_LOOP = CODE + 4 * (WIDE + 6)
OTHER = CODE + 0x10_0000


@cache
def only_machine() -> Machine:
    return Machine()


@pytest.fixture
def machine():
    return only_machine().fresh()


def asked_once(machine):
    """A hot loop, and the request for it."""
    machine.load(LOOP)
    assert machine.call(x5=TIMES)[10] == TIMES
    request, = machine.compiler.asked
    assert request.head == CODE and machine.row(CODE, "stage") == STAGE_ASKED
    return request


def installed(machine):
    machine.compiler.compile(asked_once(machine))
    assert machine.call(x5=TIMES)[10] == TIMES
    assert machine.row(CODE, "region") != 0


def test_a_hot_loop_is_asked_for_once_and_put_to_use(machine):
    installed(machine)
    assert len(machine.compiler.asked) == 1
    assert machine.tiering.statistics()["region_blocks"] == len(machine.compiler.asked[0].blocks)


def test_a_region_stays_when_its_neighbours_are_counted(machine):
    machine.load(NESTED)
    assert machine.call(x6=2, x7=TIMES)[10] == 2 * TIMES
    inner, = machine.compiler.asked
    assert inner.head == INNER
    machine.compiler.compile(inner)
    assert machine.call(x6=TIMES, x7=2)[10] == 2 * TIMES
    assert machine.row(INNER, "region") != 0
    assert machine.compiler.asked[-1].head == CODE              # outer was counted, and asked for


def large(machine):
    """The inner loop of LARGE has a region: the request for it, and its number."""
    machine.load(LARGE)
    machine.call(x6=2, x7=TIMES)
    inner, = machine.compiler.asked
    machine.compiler.compile(inner)
    machine.call(x6=2, x7=TIMES)
    number = machine.row(INNER, "region")
    assert inner.size() > SMALL and number != 0
    return inner, number


def test_a_large_region_gives_way_until_one_around_it_is_asked_for(machine):
    inner, number = large(machine)
    machine.call(x6=TIMES, x7=2)
    outer = machine.compiler.asked[-1]
    assert outer.head == CODE and dict(inner.blocks).items() <= dict(outer.blocks).items()
    assert machine.row(INNER, "region") == number               # it is back until there is an answer
    assert machine.engine.control("recall") == 0
    machine.compiler.compile(outer)
    machine.call(x6=TIMES, x7=2)
    assert machine.row(CODE, "region") > number


def test_a_region_that_gave_way_in_vain_comes_back(machine):
    """What it gave way to is not met any more."""
    _, number = large(machine)
    calls = 0
    while machine.row(INNER, "region") != 0:
        machine.call(x6=997, x7=2)
        calls += 1
        assert calls < 10 * THRESHOLD
    assert machine.engine.control("recall") > machine.engine.control("stat_polls")
    machine.call(pc=OTHER_LOOP, x5=997 * PATIENCE * THRESHOLD + 997)
    assert machine.row(INNER, "region") == number and machine.engine.control("recall") == 0


def test_where_a_turn_takes_long_fewer_polls_make_a_loop_hot(machine):
    machine.load(LOOP)
    machine.engine.set_control("poll_time", 1)                  # a tick of the clock: each poll weighs as much as one can
    machine.call(x5=997 * (3 + THRESHOLD // HEAVIEST))
    assert machine.row(CODE, "stage") == STAGE_PROFILED
    assert machine.row(CODE, "heat") > HEAVIEST
    machine.engine.set_control("poll_time", 0)


def test_what_was_counted_too_little_is_counted_again(machine):
    """As when a neighbour, in between, has ended the counting."""
    machine.load(LOOP)
    machine.call(x5=997 * THRESHOLD + 20)
    assert machine.row(CODE, "stage") == STAGE_PROFILED
    machine.engine.locked("count_around", machine.cpu.address, machine.engine.locked("find_row", CODE), 0)
    machine.engine.locked("count_around", machine.cpu.address, machine.engine.locked("find_row", CODE), 1)
    machine.call(x5=TIMES)
    request, = machine.compiler.asked
    assert request.head == CODE


@pytest.mark.parametrize("demand", ["set_shared", "set_precise"])
def test_a_demand_that_comes_while_a_request_is_out(machine, demand):
    """The answer is of no use, and the loop is asked for once more, as it is wanted now."""
    first = asked_once(machine)
    getattr(machine.engine, demand)()
    machine.compiler.compile(first)
    machine.call(x5=TIMES)
    assert machine.row(CODE, "region") == 0
    second = machine.compiler.asked[-1]
    assert (second.shared, second.precise) == (demand == "set_shared", demand == "set_precise")
    assert second.blocks == first.blocks
    machine.compiler.compile(second)
    machine.call(x5=TIMES)
    assert machine.row(CODE, "region") != 0 and len(machine.compiler.asked) == 2


@pytest.mark.parametrize("demand", ["set_shared", "set_precise"])
def test_a_demand_drops_regions_and_has_them_made_anew_at_once(machine, demand):
    installed(machine)
    getattr(machine.engine, demand)()
    assert machine.row(CODE, "region") == 0
    machine.call(x5=2 * 997)
    assert len(machine.compiler.asked) == 2


def test_an_answer_for_a_program_that_is_gone(machine):
    """exec: something else is at the same address."""
    request = asked_once(machine)
    machine.engine.clear_executable(CODE, CODE + PAGES * PAGE)
    machine.engine.set_shared()
    machine.engine.start_anew(machine.cpu)
    assert not machine.engine.shared
    machine.load(LOOP.replace("x10,1", "x10,2"))
    machine.compiler.compile(request)
    assert machine.call(x5=TIMES)[10] == 2 * TIMES
    assert machine.row(CODE, "region") == 0
    assert machine.compiler.asked[-1].blocks != request.blocks


def test_code_that_changes_between_comparison_and_use(machine):
    """By another thread, which says so before the region is there."""
    request = asked_once(machine)
    entry = made(request)
    image, regions = RegionImage.parse(entry.code), machine.tiering.regions
    before = machine.memory.read(CODE, 4)
    assert entry.matches(machine.engine.read_code)
    machine.memory.write_words(CODE, assemble.program(["addi x10,x10,2"]))
    assert regions.install(image, entry.pieces) == STALE
    machine.memory.write(CODE, before)
    assert regions.install(image, entry.pieces) == DONE


def test_code_that_was_written_to_is_not_asked_for(machine):
    """Without a fence: where its blocks end now nobody has looked. Then it is translated as it is now, and is new."""
    machine.load(LOOP, changeable=True)
    machine.call(x5=997 * THRESHOLD + 20)
    assert machine.row(CODE, "stage") == STAGE_PROFILED and machine.row(CODE, "executed") > 0
    machine.memory.write_words(CODE, assemble.program(["addi x10,x10,2"]))
    machine.call(x5=997)
    assert machine.compiler.asked == [] and machine.row(CODE, "stage") == STAGE_COLD
    assert machine.call(x5=TIMES)[10] == 2 * TIMES
    request, = machine.compiler.asked
    assert request.blocks[0][1] == machine.memory.read(CODE, 12)


def test_code_that_changes_each_time_it_is_hot_is_asked_for_less_and_less(machine):
    machine.load(LOOP, changeable=True)
    for number in range(1, 101):
        machine.memory.write_words(CODE, assemble.program([f"addi x10,x10,{number}"]))
        machine.engine.code_changed()
        assert machine.call(x5=TIMES)[10] == number * TIMES
        for request in machine.compiler.asked[-1:]:
            machine.compiler.compile(request)
    assert 1 <= len(machine.compiler.asked) <= 3        # each time it takes twice as many rounds
    assert machine.row(CODE, "region") == 0


def test_a_changed_region_is_dropped_by_the_fence_and_no_other(machine):
    machine.load(LOOP, changeable=True)
    machine.load(LOOP, at=OTHER, changeable=True)
    for pc in (CODE, OTHER):
        machine.call(pc, x5=TIMES)
        machine.compiler.compile(machine.compiler.asked[-1])
        machine.call(pc, x5=TIMES)
    machine.memory.write_words(CODE, assemble.program(["addi x10,x10,2"]))
    machine.engine.code_changed()
    assert machine.row(CODE, "region") == 0 and machine.row(OTHER, "region") != 0
    assert machine.call(x5=10)[10] == 20 and machine.call(OTHER, x5=10)[10] == 10


def test_a_lost_request_is_made_again(machine):
    first = asked_once(machine)
    machine.compiler.send(Answer(request_key(first.pack()), again=True))
    machine.call(x5=TIMES)
    assert [request.blocks for request in machine.compiler.asked] == [first.blocks, first.blocks]


def test_a_refused_request_is_not(machine):
    machine.compiler.send(Answer(request_key(asked_once(machine).pack())))
    for _ in range(10):
        machine.call(x5=TIMES)
    assert len(machine.compiler.asked) == 1


def test_what_nobody_takes_is_looked_at_again_much_later(machine):
    machine.load(LOOP)
    machine.compiler.takes = False
    machine.call(x5=TIMES)
    assert machine.row(CODE, "stage") == STAGE_COLD and machine.row(CODE, "heat") < -THRESHOLD
    machine.compiler.takes = True
    machine.call(x5=TIMES)
    assert not machine.compiler.asked
    machine.call(x5=20 * TIMES)
    assert len(machine.compiler.asked) == 1


def test_a_forked_child_asks_for_itself(machine):
    first = asked_once(machine)
    machine.tiering.after_fork()
    machine.call(x5=TIMES)
    assert [request.blocks for request in machine.compiler.asked] == [first.blocks, first.blocks]
    assert machine.compiler.libraries == 2              # nor will anybody tell it of the library


def test_the_library_is_asked_for_again_when_the_compiler_process_is_lost(machine):
    asked_once(machine)
    assert machine.compiler.libraries == 1
    machine.compiler.send(Answer(b"library", again=True))
    machine.call(x5=TIMES)
    assert machine.compiler.libraries == 2


def test_a_region_without_room_makes_room(machine):
    """What was hot before goes; what is hot now comes into use, and the rest when it is asked for again."""
    installed(machine)
    used = machine.tiering.statistics()["region_bytes"]
    machine.engine.set_control("region_end", machine.engine.control("region_start") + used + used // 2)
    machine.load(LOOP, at=OTHER)
    machine.call(OTHER, x5=TIMES)
    flushes = machine.engine.control("flushes")
    machine.compiler.compile(machine.compiler.asked[-1])
    assert machine.call(OTHER, x5=TIMES)[10] == TIMES
    assert machine.row(OTHER, "region") != 0
    assert machine.engine.control("flushes") == flushes + 1
    assert machine.call(x5=TIMES)[10] == TIMES
    assert machine.compiler.asked[-1].head == CODE and len(machine.compiler.asked) == 3


def test_a_region_larger_than_all_room_is_not_asked_for_for_ever(machine):
    request = asked_once(machine)
    machine.engine.set_control("region_end", machine.engine.control("region_start") + 64)
    flushes = machine.engine.control("flushes")
    machine.compiler.compile(request)
    for _ in range(10):
        assert machine.call(x5=TIMES)[10] == TIMES
        assert len(machine.compiler.asked) <= 2
    assert machine.engine.control("flushes") <= flushes + 1


def test_heat_after_a_flush_is_measured_by_polls_since_then(machine):
    """However long the program has run before: what is hot now has all of the polls."""
    machine.load(LOOP)
    machine.compiler.takes = False
    machine.call(x5=997 * 64 * 100)
    machine.compiler.takes = True
    machine.engine.flush(machine.cpu)
    machine.call(x5=TIMES)
    assert len(machine.compiler.asked) == 1


# --- the store

@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Store.open()


def keep(machine, store, *requests):
    pack = store.pack(*machine.engine.origin(CODE))
    for request in requests:
        assert pack.append(made(request))


def test_what_an_earlier_run_has_left_comes_again_after_a_flush(store):
    machine = only_machine().fresh(store)
    keep(machine, store, asked_once(machine))
    for _ in range(2):
        machine.engine.start_anew(machine.cpu)
        machine.call(x5=TIMES)
        assert machine.row(CODE, "region") != 0
    assert machine.tiering.stored == 2 and len(machine.compiler.asked) == 1


def test_regions_of_other_options_are_not_for_this_run(store):
    machine = only_machine().fresh(store)
    request = asked_once(machine)
    keep(machine, store, request.replace(precise=LAZY), request.replace(shared=True))
    machine.engine.start_anew(machine.cpu)
    machine.call(x5=TIMES)
    assert machine.row(CODE, "region") == 0 and len(machine.compiler.asked) == 2
    machine.engine.set_shared()
    machine.compiler.compile(machine.compiler.asked[-1])        # which comes too late
    machine.call(x5=TIMES)
    assert machine.row(CODE, "region") != 0 and machine.tiering.stored == 1 and len(machine.compiler.asked) == 2


def test_a_store_of_more_than_there_is_room_for(store):
    """Does not push out what it has just brought in, again and again."""
    machine = only_machine().fresh(store)
    installed(machine)
    used, (request,) = machine.tiering.statistics()["region_bytes"], machine.compiler.asked
    behind = CODE + PAGES * PAGE                                # of the same range
    machine.load(LOOP, at=behind)
    keep(machine, store, request, request.replace(head=behind, blocks=((behind, request.blocks[0][1]),)))
    machine.engine.set_control("region_end", machine.engine.control("region_start") + used + used // 2)
    machine.engine.start_anew(machine.cpu)
    flushes = machine.engine.control("flushes")
    for _ in range(5):
        machine.call(x5=TIMES)
        machine.call(behind, x5=TIMES)
    assert machine.engine.control("flushes") == flushes
    assert machine.tiering.stored == 1


# --- other threads

def test_a_flush_waits_for_who_promotes(machine, monkeypatch):
    """Rows and reserved memory are in its hands."""
    request = asked_once(machine)
    order, threads = [], []
    install = machine.tiering.regions.install

    def slowly(*arguments):
        threads.append(threading.Thread(target=lambda: (machine.engine.flush(machine.cpu), order.append("flushed"))))
        threads[0].start()
        threads[0].join(0.2)                            # it would be through by then
        order.append("installed")
        return install(*arguments)
    monkeypatch.setattr(machine.tiering.regions, "install", slowly)
    flushes = machine.engine.control("flushes")
    machine.compiler.compile(request)
    machine.call(x5=3 * 997)
    threads[0].join()
    assert order == ["installed", "flushed"]
    assert machine.engine.control("flushes") == flushes + 1


@pytest.mark.parametrize("demand", ["set_shared", "set_precise"])
def test_a_demand_waits_for_who_promotes(machine, monkeypatch, demand):
    """Or the region that is just put to use would stay, though it does not heed it."""
    request = asked_once(machine)
    threads, install = [], machine.tiering.regions.install

    def slowly(*arguments):
        threads.append(threading.Thread(target=getattr(machine.engine, demand)))
        threads[0].start()
        threads[0].join(0.2)
        return install(*arguments)
    monkeypatch.setattr(machine.tiering.regions, "install", slowly)
    machine.compiler.compile(request)
    machine.call(x5=997)
    machine.call(x5=997)
    threads[0].join()
    assert machine.row(CODE, "region") == 0


def test_nothing_is_hot_at_the_beginning_of_a_program(machine):
    """The choice alone would take longer than what it is chosen for."""
    machine.load(LOOP)
    machine.engine.set_control("stat_polls", 0)
    machine.engine.set_control("polls_before", 0)
    machine.call(x5=997 * EARLY * THRESHOLD)
    assert machine.row(CODE, "heat") == 0 and not machine.compiler.asked
    machine.call(x5=TIMES)
    assert machine.row(CODE, "heat") > THRESHOLD and len(machine.compiler.asked) == 1
