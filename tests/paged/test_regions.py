"""Regions of paged memory: several pages, mappings that change, TLB misses, faults, changed code, timers."""

from types import SimpleNamespace

import pytest

from dragoman.dbt import compile_jobs, region_request
from dragoman.dbt.log_region import RegionText
from dragoman.dbt.pack import Entry
from dragoman.dbt.region_growth import Block
from dragoman.dbt.region_install import DONE, STALE
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import PAGE_SIZE, TLB_ENTRIES
from dragoman.dbt.store import Store
from tests.paged.machine import RAM, S_MODE, machine

LOW, HIGH = 0x1_0000, 0xFFFF_FFFF_8000_0000
DATA = 0x40_0000
TIMES = 20000                           # rounds of a loop: enough polls to make it hot

SUM = """
top:
    add x10,x10,x5
    addi x5,x5,-1
    bne x5,x0,<top>
"""
# x11 is DATA: the loop adds x6 to words that are x7 bytes apart, and sums what was there.
WALK = """
top:
    ld x12,x11,0
    add x10,x10,x12
    add x12,x12,x6
    sd x11,x12,0
    add x11,x11,x7
    addi x5,x5,-1
    bne x5,x0,<top>
"""


@pytest.fixture(params=["region", "auto"])
def guest(request):
    return machine(request.param).fresh()


def calls(guest, page, callee=1):
    """A loop on a page of RAM whose body calls a function on the next guest page, which is on another page of RAM."""
    guest.map(page, 0)
    guest.map(page + PAGE_SIZE, callee)
    guest.load(0, f"top:\njal x1,{PAGE_SIZE}\naddi x5,x5,-1\nbne x5,x0,<top>")
    for n in (1, 2):
        guest.load(n, f"addi x10,x10,{n}\njalr x0,x1,0")


@pytest.mark.parametrize("page", [LOW, HIGH])
def test_a_hot_loop_becomes_a_region(guest, page):
    guest.map(page, 3)
    guest.load(3, SUM)
    assert guest.run(page, x5=TIMES) == "breakpoint"
    assert (guest.cpu.x[10], guest.cpu.pc) == (TIMES * (TIMES + 1) // 2, page + 12)
    assert guest.has_region(page)


@pytest.mark.parametrize("page", [LOW, HIGH])
def test_a_region_grows_over_pages(guest, page):
    calls(guest, page)
    for times in (TIMES, 3):
        assert guest.run(page, x5=times) == "breakpoint"
        assert guest.cpu.x[10] == times
    assert guest.has_region(page) and guest.engine.statistics()["region_blocks"] >= 3
    assert guest.verify(1)              # 0: it would have nothing of that page


@pytest.mark.parametrize("page", [LOW, HIGH])
def test_the_other_page_is_mapped_elsewhere_between_entries(guest, page):
    calls(guest, page)
    assert guest.run(page, x5=TIMES) == "breakpoint"
    for callee in (2, 1, 2, 2, 1):
        guest.map(page + PAGE_SIZE, callee)
        guest.fence()
        for times in (1, 50, TIMES):
            assert guest.run(page, x5=times) == "breakpoint"
            assert guest.cpu.x[10] == callee * times


def test_pages_that_are_only_not_looked_up_yet_do_not_cost_the_region(guest):
    calls(guest, LOW)
    guest.run(LOW, x5=TIMES)
    dropped = guest.engine.statistics()["regions_dropped"]
    guest.fence()
    assert guest.run(LOW, x5=1000) == "breakpoint" and guest.cpu.x[10] == 1000
    assert guest.has_region(LOW) and guest.engine.statistics()["regions_dropped"] == dropped


def test_the_other_page_cannot_be_fetched(guest):
    """It is the call's fault, at its target, and the region may be there again afterwards."""
    calls(guest, LOW)
    guest.run(LOW, x5=TIMES)
    guest.map(LOW + PAGE_SIZE, 1, "rw")
    guest.fence()
    assert guest.run(LOW, x5=10) == "fetch"
    assert (guest.cpu.pc, guest.cpu.x[1], guest.cpu.x[5], guest.cpu.x[10]) == (LOW + PAGE_SIZE, LOW + 4, 10, 0)
    assert guest.has_region(LOW) == (guest.kind == "auto")      # the interpreter has no tier below
    guest.map(LOW + PAGE_SIZE, 1)
    assert guest.go_on(guest.cpu.pc) == "breakpoint" and guest.cpu.x[10] == 10
    assert guest.has_region(LOW) or guest.kind != "auto"


def test_a_way_out_to_a_page_whose_mapping_changes(guest):
    """The region is of the loop's page alone."""
    calls(guest, LOW)
    guest.install(LOW, (LOW, 4), (LOW + 4, 8))
    for callee in (1, 2, 1):
        guest.map(LOW + PAGE_SIZE, callee)
        guest.fence()
        assert guest.run(LOW, x5=100) == "breakpoint"
        assert guest.cpu.x[10] == 100 * callee
    assert guest.has_region(LOW)


def test_the_tlb_misses_in_the_middle(guest):
    """Each access is of another page: the region goes on where it was, with all it has in registers."""
    guest.map(LOW, 0)
    guest.load(0, WALK)
    for n in range(32):
        guest.map(DATA + n * PAGE_SIZE, 10 + n)
        guest.ram[(10 + n) * PAGE_SIZE] = n + 1
    guest.install(LOW, (LOW, 28))
    assert guest.run(LOW, x5=32, x6=100, x7=PAGE_SIZE, x11=DATA) == "breakpoint"
    assert guest.cpu.x[10] == sum(range(1, 33)) and guest.cpu.x[11] == DATA + 32 * PAGE_SIZE
    assert [guest.ram[(10 + n) * PAGE_SIZE] for n in range(32)] == [n + 101 for n in range(32)]
    assert guest.fills == [DATA + n * PAGE_SIZE for n in range(32)]


def test_two_pages_that_share_a_place_in_the_tlb(guest):
    guest.map(LOW, 0)
    guest.load(0, WALK.replace("add x11,x11,x7", "xor x11,x11,x7"))
    distance = 1 << (TLB_ENTRIES * PAGE_SIZE).bit_length() - 1
    guest.map(DATA, 10)
    guest.map(DATA ^ distance, 11)
    guest.install(LOW, (LOW, 28))
    assert guest.run(LOW, x5=10, x6=1, x7=distance, x11=DATA) == "breakpoint"
    assert [guest.ram[n * PAGE_SIZE] for n in (10, 11)] == [5, 5] and guest.cpu.x[10] == 2 * sum(range(5))
    assert len(guest.fills) == 10


@pytest.mark.parametrize("access,pc", [("r", LOW + 12), ("", LOW)])
def test_a_refused_access_has_exact_registers(guest, access, pc):
    """A page that cannot be written, or not be read; it is in order when the access is made again."""
    guest.map(LOW, 0)
    guest.load(0, WALK)
    for n in range(8):
        guest.map(DATA + n * PAGE_SIZE, 10 + n, "rw" if n != 5 else access)
        guest.ram[(10 + n) * PAGE_SIZE] = 10 * n
    guest.install(LOW, (LOW, 28))
    assert guest.run(LOW, x5=8, x6=1, x7=PAGE_SIZE, x11=DATA, x31=31) == "memory"
    assert (guest.cpu.pc, guest.cpu.exit_data) == (pc, DATA + 5 * PAGE_SIZE)
    done = 10 * sum(range(5))
    expected = {5: 3, 6: 1, 7: PAGE_SIZE, 11: DATA + 5 * PAGE_SIZE, 31: 31}
    expected |= {10: done + 50, 12: 51} if access else {10: done, 12: 41}
    assert {n: guest.cpu.x[n] for n in range(1, 32) if guest.cpu.x[n]} == expected
    guest.map(DATA + 5 * PAGE_SIZE, 15, "rw")
    assert guest.go_on(guest.cpu.pc) == "breakpoint"
    assert guest.cpu.x[10] == 10 * sum(range(8))
    assert [guest.ram[(10 + n) * PAGE_SIZE] for n in range(8)] == [10 * n + 1 for n in range(8)]


def test_an_access_across_pages_is_refused(guest):
    guest.map(LOW, 0)
    guest.load(0, WALK)
    guest.map(DATA, 10)
    guest.map(DATA + PAGE_SIZE, 11)
    guest.install(LOW, (LOW, 28))
    assert guest.run(LOW, x5=8, x6=1, x7=1, x11=DATA + PAGE_SIZE - 10) == "memory"
    assert (guest.cpu.pc, guest.cpu.exit_data, guest.cpu.x[5]) == (LOW, DATA + PAGE_SIZE - 7, 5)


def test_changed_code_goes_and_no_other(guest):
    for page, number in ((LOW, 0), (LOW + PAGE_SIZE, 1)):
        guest.map(page, number)
        guest.load(number, SUM)
        guest.run(page, x5=TIMES)
    guest.load(0, SUM.replace("add x10,x10,x5", "addi x10,x10,7"))
    guest.verify(0)
    assert not guest.has_region(LOW) and guest.has_region(LOW + PAGE_SIZE)
    for page, expected in ((LOW, 70), (LOW + PAGE_SIZE, 55)):
        assert guest.run(page, x5=10) == "breakpoint" and guest.cpu.x[10] == expected


def test_changed_code_on_the_other_page(guest):
    calls(guest, LOW)
    guest.run(LOW, x5=TIMES)
    guest.load(1, "addi x10,x10,5\njalr x0,x1,0")
    guest.verify(1)
    assert not guest.has_region(LOW)
    assert guest.run(LOW, x5=10) == "breakpoint" and guest.cpu.x[10] == 50


@pytest.mark.parametrize("page", [LOW, HIGH])
def test_a_break_in_a_region(guest, page):
    """On its other page, where it has no entry."""
    calls(guest, page)
    guest.run(page, x5=TIMES)
    guest.engine.set_breaks({page + PAGE_SIZE + 4})
    assert guest.run(page, x5=10) == "stop" and (guest.cpu.pc, guest.cpu.x[10]) == (page + PAGE_SIZE + 4, 1)
    guest.engine.set_breaks(())
    assert guest.go_on(guest.cpu.pc) == "breakpoint" and guest.cpu.x[10] == 10


def test_a_page_that_was_given_up_meanwhile_is_not_built_upon(guest):
    """Writes to it are not noted then: the region would not go when its code changes."""
    calls(guest, LOW)
    blocks = (LOW, 4), (LOW + 4, 8), (LOW + PAGE_SIZE, 8)
    guest.run(LOW, x5=1)
    place = guest.places(*blocks)
    assert guest.verify(1)
    guest.load(1, "addi x10,x10,5\njalr x0,x1,0")
    assert not guest.verify(1)
    guest.load(1, "addi x10,x10,1\njalr x0,x1,0")
    assert guest.put(LOW, blocks, place) == STALE and not guest.has_region(LOW)
    guest.run(LOW, x5=1)
    assert guest.put(LOW, blocks, place) == DONE and guest.has_region(LOW)


def test_a_page_that_is_verified_unchanged_keeps_its_region(guest):
    calls(guest, LOW)
    guest.run(LOW, x5=TIMES)
    assert guest.verify(0) and guest.verify(1)
    assert guest.has_region(LOW)


def test_equal_addresses_in_two_spaces(guest):
    """Each has code of its own there, and regions of it."""
    for space, factor in ((0, 1), (1, 2)):
        guest.map(LOW, space, space=space)
        guest.load(space, SUM.replace("add x10,x10,x5", f"addi x10,x10,{factor}"))
    for times in (TIMES, 5, 7):
        for space, factor in ((0, 1), (1, 2)):
            guest.enter(space)
            assert guest.run(LOW, x5=times) == "breakpoint" and guest.cpu.x[10] == factor * times
            assert guest.has_region(LOW)


def test_one_page_of_ram_in_two_spaces_has_one_region(guest):
    for space in (0, 1):
        guest.map(LOW, 0, space=space)
    guest.load(0, SUM)
    guest.run(LOW, x5=TIMES)
    made = guest.engine.statistics()["regions"]
    guest.enter(1)
    assert guest.run(LOW, x5=TIMES) == "breakpoint" and guest.has_region(LOW)
    assert guest.engine.statistics()["regions"] == made


@pytest.mark.parametrize("wanted", ["deadline", "request"])
def test_a_loop_without_end_is_left(guest, wanted):
    guest.map(LOW, 0)
    guest.load(0, "top:\naddi x5,x5,1\nbeq x0,x0,<top>")
    guest.install(LOW, (LOW, 8))
    setattr(guest.cpu, wanted, 1)
    assert guest.run(LOW) == "poll" and guest.cpu.pc == LOW
    rounds = guest.cpu.x[5]
    assert 1 <= rounds <= 1000          # the budget is 997
    setattr(guest.cpu, wanted, {"deadline": (1 << 63) - 1, "request": 0}[wanted])
    guest.load(0, "addi x5,x5,1")
    guest.verify(0)
    assert guest.go_on(LOW) == "breakpoint" and guest.cpu.x[5] == rounds + 1


def test_what_an_earlier_run_has_left_is_of_use_on_other_pages(tmp_path, monkeypatch):
    guest = machine("auto").fresh()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls(guest, HIGH)
    guest.run(HIGH, x5=TIMES)
    row = guest.engine.locked("row_at", guest.cpu.address, HIGH)
    place = guest.engine.place(guest.cpu, row)
    store = Store.open()
    monkeypatch.setattr(guest.engine.tiering(), "_use", lambda cpu, entry, place: store.pack(*place.origin(entry.head)).append(entry))
    guest.engine._drop_regions()
    guest.run(HIGH, x5=3 * TIMES)
    assert store.pack(*place.origin(HIGH)).rows
    guest.fresh(store)
    calls(guest, HIGH, 21)
    guest.load(21, "addi x10,x10,1\njalr x0,x1,0")
    assert guest.run(HIGH, x5=TIMES) == "breakpoint" and guest.cpu.x[10] == TIMES
    assert guest.engine.statistics()["regions_stored"] == 1 and guest.has_region(HIGH)


def test_a_request_names_model_and_decoder():
    request = RegionRequest(RAM, ((RAM, b"\1\0"),), (), (), False, True, region_request.STRICT, 5 | region_request.PLAIN, (RAM,))
    assert RegionRequest.parse(request.pack()) == request
    with pytest.raises(ValueError, match="not a region request"):
        RegionRequest.parse(request.replace(head=RAM + 2).pack())


def test_what_is_of_no_use_inline_is_a_trap_in_regions(guest):
    """csrsi sstatus, 2, where the supervisor's interrupts are let through inline."""
    code, block = (0x1001_6073).to_bytes(4, "little"), Block.__new__(Block)
    block.pc, block.size = HIGH, len(code)
    guest.map(HIGH, 0)
    place = guest.places((HIGH, len(code)))
    assert place.traps([block]) == ()
    guest.engine.adapt(HIGH)
    assert place.traps([block]) == (HIGH,)
    compile_jobs.prepare()
    request = RegionRequest(HIGH, ((HIGH, code),), (), (), False, True, region_request.PAGED, S_MODE)
    requests = request, request.replace(traps=(HIGH,)), request.replace(decoder=S_MODE | region_request.PLAIN)
    inline, trap, plain = (Entry(compile_jobs.region(each.pack())).code for each in requests)
    assert trap == plain != inline
    log = RegionText(guest.engine, SimpleNamespace(guest=hex), frozenset({"ir"}))
    inline, trap, plain = (list(log.ir(each)) for each in requests)
    assert trap == plain != inline
