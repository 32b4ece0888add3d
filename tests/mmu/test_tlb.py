"""What views, fences and requests promise, one by one."""

from __future__ import annotations

import ctypes

import pytest

from dragoman.dbt.state import ACCESS_WRITE, EMPTIED, VIEW_JUMPS, VIEWS
from dragoman.runtime.machine.riscv import pmp
from dragoman.runtime.memory import requests, tlb
from dragoman.runtime.memory.frames import REQUEST_PROTECT, SHADOW_FENCE, SHADOW_OFF, SHADOW_TRACE
from tests.mmu.machine import BASE, PAGE, Machine, signed
from tests.mmu.walker import Context, M, S, U

ROOT = BASE >> 12
ALL_RIGHTS, LARGE = 0xCF, 0x2000_00CF           # of S-mode; a leaf for BASE, at any level
BARE = Context(M)


def satp(asid: int, root: int) -> int:
    return 8 << 60 | asid << 44 | ROOT + root


def put(machine: Machine, page: int, place: int, entry: int) -> None:
    """An entry, written by a device."""
    at = PAGE * page + 8 * place
    machine.ram[at:at + 8] = entry.to_bytes(8, "little")
    machine.tell_written(BASE + at, 8)


def table(machine: Machine, root: int, target: int) -> None:
    """Pages `root` to `root` + 2 are tables that map address 0 to page `target`."""
    put(machine, root, 0, ROOT + root + 1 << 10 | 1)
    put(machine, root + 1, 0, ROOT + root + 2 << 10 | 1)
    put(machine, root + 2, 0, ROOT + target << 10 | ALL_RIGHTS)


@pytest.fixture(params=[SHADOW_TRACE, SHADOW_FENCE, SHADOW_OFF], ids=["trace", "fence", "off"])
def machine(request):
    return Machine(32, vcpus=2, shadow=request.param)


def test_equal_asids_never_meet(machine):
    table(machine, 0, 20)
    table(machine, 4, 21)
    one, other = machine.vcpus
    one.enter(Context(S, satp(1, 0)))
    other.enter(Context(S, satp(1, 4)))
    assert (one.access(0, "load"), other.access(0, "load")) == (BASE + 20 * PAGE, BASE + 21 * PAGE)
    one.enter(Context(S, satp(1, 4)))            # one virtual CPU, two roots with one ASID
    assert one.access(0, "load") == BASE + 21 * PAGE
    one.enter(Context(S, satp(1, 0)))
    assert one.access(0, "load") == BASE + 20 * PAGE


def test_a_switch_of_context_flushes_nothing(machine):
    table(machine, 0, 20)
    table(machine, 4, 21)
    vcpu = machine.vcpus[0]
    for root in (0, 4):
        vcpu.enter(Context(S, satp(root, root)))
        assert vcpu.access(0, "load") == BASE + (20 + root // 4) * PAGE
    for root in (0, 4):
        vcpu.enter(Context(S, satp(root, root)))
        assert vcpu.probe(0, "load") is not None


def test_views_are_recycled(machine):
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    for asid in range(VIEWS + 3):
        vcpu.enter(Context(S, satp(asid, 0)))
        assert vcpu.access(0, "load") == BASE + 20 * PAGE
    assert vcpu.stat("recycled") == 3
    vcpu.enter(Context(S, satp(0, 0)))
    assert vcpu.probe(0, "load") is None
    walks = vcpu.stat("walks")
    assert vcpu.access(0, "load") == BASE + 20 * PAGE
    assert vcpu.stat("walks") == walks + (machine.memory.word("shadow") == SHADOW_OFF)       # else from the second level


def test_more_address_spaces_than_are_kept(machine):
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    for asid in range(200):
        vcpu.enter(Context(S, satp(asid, 0)))
        assert vcpu.access(0, "load") == BASE + 20 * PAGE
    put(machine, 2, 0, ROOT + 22 << 10 | ALL_RIGHTS)
    vcpu.fence()
    for asid in range(200):
        vcpu.enter(Context(S, satp(asid, 0)))
        assert vcpu.access(0, "load") == BASE + 22 * PAGE


def test_a_fence_where_nothing_changed_drops_nothing_when_traced():
    machine = Machine(32)
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    assert vcpu.access(0, "load") == BASE + 20 * PAGE
    vcpu.fence()
    assert vcpu.probe(0, "load") is not None
    put(machine, 2, 1, ROOT + 21 << 10 | ALL_RIGHTS)      # another entry of the same table
    vcpu.fence()
    assert vcpu.probe(0, "load") is not None
    put(machine, 2, 0, ROOT + 21 << 10 | ALL_RIGHTS)
    vcpu.fence()
    assert vcpu.probe(0, "load") is None


def test_a_fence_of_one_address_is_enough_for_a_large_page(machine):
    put(machine, 0, 0, ROOT + 1 << 10 | 1)
    put(machine, 1, 0, LARGE)                    # 2 MiB at address 0
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    for page in (1, 5):
        assert vcpu.access(page * PAGE, "store") == BASE + page * PAGE
    put(machine, 1, 0, 0)
    vcpu.fence(7 * PAGE)
    for page in (1, 5):
        assert vcpu.access(page * PAGE, "store") == ("fault", 15)


def test_a_fence_of_another_asid_leaves_it(machine):
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    assert vcpu.access(0, "load") == BASE + 20 * PAGE
    vcpu.fence(0, 2)
    assert vcpu.probe(0, "load") is not None
    vcpu.fence(0, 1)
    assert vcpu.probe(0, "load") is None


def test_dirty_pages_are_found(machine):
    """A load does not let stores through to a page whose D bit is clear: the first store has to set it."""
    table(machine, 0, 20)
    put(machine, 2, 0, ROOT + 20 << 10 | 0x47)
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    assert vcpu.access(0, "load") == BASE + 20 * PAGE
    assert vcpu.probe(0, "store") is None
    assert vcpu.access(0, "store") == BASE + 20 * PAGE
    assert machine.pte(BASE + 2 * PAGE) & 0x80


# --- code

def taken(vcpu) -> list[int]:
    pages = (ctypes.c_int64 * 8)()
    count = vcpu.machine.call(requests.take_dirty_code, vcpu.state, ctypes.addressof(pages), 8)
    vcpu.machine.call(requests.settle_dirty_code, vcpu.state, count)
    return pages[:count]


def test_a_write_to_code_is_noted_until_the_next_fence(machine):
    vcpu, page = machine.vcpus[0], BASE + 5 * PAGE
    vcpu.enter(BARE)
    assert vcpu.access(page, "store", 4) == page
    assert vcpu.access(page + 8, "fetch") == page + 8
    assert vcpu["code_page"] == page
    assert vcpu.probe(page, "store") is None
    for _ in range(2):
        assert (machine.memory.word("dirty_code"), taken(vcpu)) == (0, [])
        assert vcpu.access(page, "load", 4) == page
        assert vcpu.probe(page, "store") is None     # a load does not let stores through
        assert vcpu.access(page, "store", 4) == page
        assert (machine.memory.word("dirty_code"), taken(vcpu)) == (1, [page])
        assert vcpu.probe(page, "store") is None


def test_code_that_another_virtual_cpu_may_write_counts_as_written(machine):
    one, other = machine.vcpus
    page = BASE + 5 * PAGE
    one.enter(BARE)
    other.enter(BARE)
    assert other.access(page, "store", 4) == page
    assert one.access(page, "fetch") == page
    assert other.probe(page, "store") is not None    # nobody waits for it
    assert taken(one) == [page] and taken(one) == [page]
    assert other["request"] & REQUEST_PROTECT
    machine.call(requests.give_up_writes, other.state)
    assert other.probe(page, "store") is None and not other["request"] & REQUEST_PROTECT
    assert taken(one) == [page] and taken(one) == []
    assert other.access(page, "store", 4) == page
    assert taken(one) == [page]


def test_a_device_writes_to_code(machine):
    vcpu, page = machine.vcpus[0], BASE + 5 * PAGE
    vcpu.enter(BARE)
    assert vcpu.access(page, "fetch") == page
    machine.tell_written(page + PAGE - 1, 2)
    machine.tell_written(page - 4, 4)
    assert taken(vcpu) == [page]


def test_a_fence_empties_the_jump_cache_of_its_page(machine):
    table(machine, 0, 20)
    put(machine, 2, 1, ROOT + 21 << 10 | ALL_RIGHTS)
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    slots = (ctypes.c_int64 * 8192).from_address(vcpu["view"] + VIEW_JUMPS)
    entry = {pc: 2 * (pc >> 1 & 4095) for pc in (0x10, 0xFFE, 0x1010, 0x5020)}
    for pc in (0, PAGE):
        assert vcpu.access(pc, "fetch") == BASE + 20 * PAGE + pc
    for pc, at in entry.items():
        slots[at] = pc
    vcpu.fence(0)
    assert [slots[at] for at in entry.values()] == [0x10 ^ EMPTIED, 0xFFE ^ EMPTIED, 0x1010, 0x5020]
    assert vcpu.probe(0, "fetch") is None and vcpu.probe(PAGE, "fetch") is not None
    slots[entry[0xFFE]] = 0xFFE                  # a block of the page before may reach into the one that goes
    vcpu.fence(PAGE)
    assert [slots[at] for at in entry.values()] == [0x10 ^ EMPTIED, 0xFFE ^ EMPTIED, 0x1010 ^ EMPTIED, 0x5020]


# --- refusals

def test_devices_and_what_is_outside(machine):
    vcpu = machine.vcpus[0]
    vcpu.enter(BARE)
    assert vcpu.access(0x1000_0005, "load") == ("device", 0x1000_0005)
    assert vcpu.access(BASE + machine.size, "store", 8) == ("device", BASE + machine.size)
    assert vcpu.access(0x1000_0000, "fetch") == ("device", 0x1000_0000)
    assert vcpu.access(1 << 56, "load") == ("fault", 5)      # no physical address (Privileged Architecture, 10.1.11: 56 bits)


def test_an_access_across_pages(machine):
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    assert vcpu.access(PAGE - 3, "load", 8) == ("fault", 13)
    assert vcpu.mmu.word("value") == PAGE                    # the portion that faults
    put(machine, 2, 1, ROOT + 25 << 10 | ALL_RIGHTS)
    assert vcpu.access(PAGE - 3, "store", 8) == ("crossing", BASE + 21 * PAGE - 3)
    assert vcpu.mmu.word("physical_next") == BASE + 25 * PAGE
    assert machine.call(tlb.tlb_fill, vcpu.state, signed(PAGE - 8), 8 | ACCESS_WRITE) == 1


@pytest.mark.parametrize(("denied", "found"), [
    (20, {"load": ("fault", 5), "store": ("fault", 7), "fetch": ("fault", 1)}),      # the page itself
    (2, {"load": ("fault", 5), "store": ("fault", 7), "fetch": ("fault", 1)}),       # its page table
    (21, dict.fromkeys(("load", "store", "fetch"), BASE + 20 * PAGE))])
def test_memory_protection(machine, denied, found):
    """Access faults, not page faults (Privileged Architecture, 3.7.2); entry 0 denies a page, entry 1 allows all."""
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    machine.memory.set(pmp=machine.address_of(pmp.pmp_check))
    vcpu["pmpaddr0"], vcpu["pmpaddr1"] = BASE + denied * PAGE >> 2 | 0x1FF, (1 << 54) - 1        # NAPOT, 4 KiB
    vcpu["pmpcfg0"] = 0x1F << 8 | 0x18
    vcpu.enter(Context(S, satp(1, 0)))
    assert {access: vcpu.access(0, access) for access in found} == found


def test_memory_protection_of_a_read_only_page(machine):
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    machine.memory.set(pmp=machine.address_of(pmp.pmp_check))
    vcpu["pmpaddr0"], vcpu["pmpaddr1"] = BASE + 20 * PAGE >> 2 | 0x1FF, (1 << 54) - 1
    vcpu["pmpcfg0"] = 0x1F << 8 | 0x19                       # entry 0: read
    vcpu.enter(Context(S, satp(1, 0)))
    assert vcpu.access(0, "load") == BASE + 20 * PAGE
    assert vcpu.access(0, "store") == ("fault", 7)


def test_modes_have_views_of_their_own(machine):
    table(machine, 0, 20)
    vcpu = machine.vcpus[0]
    vcpu.enter(Context(S, satp(1, 0)))
    assert vcpu.access(0, "load") == BASE + 20 * PAGE
    vcpu.enter(Context(U, satp(1, 0)))
    assert vcpu.access(0, "load") == ("fault", 13)
