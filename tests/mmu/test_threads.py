"""Virtual CPUs on threads of their own that write, protect and fence the same frames: no invalidation is lost."""

from __future__ import annotations

import ctypes
import threading

import pytest

from dragoman.runtime.memory.frames import SHADOW_FENCE, SHADOW_TRACE
from tests.mmu import threads
from tests.mmu.machine import BASE, PAGE, Machine
from tests.mmu.threads import BY_DEVICE, TARGETS, TOLD, UNTOLD
from tests.mmu.walker import Context, M, S

ROOT = BASE >> 12
CODE, FIRST = BASE + 8 * PAGE, ROOT + 16        # a page of code; the first page that the changed entries point to
LEAVES = BASE + 2 * PAGE
WRITTEN = (LEAVES + 8, LEAVES + 16)             # entries of addresses 0x1000 and 0x2000
CHANGES = 300


def tables(machine: Machine) -> int:
    """Sv39, the lowest table to be filled by writers; returns satp."""
    for page, entry in ((0, ROOT + 1 << 10 | 1), (1, ROOT + 2 << 10 | 1)):
        machine.ram[PAGE * page:PAGE * page + 8] = entry.to_bytes(8, "little")
    machine.tell_written(BASE, 3 * PAGE)
    return 8 << 60 | 1 << 44 | ROOT


def play(how: int, shadow: int) -> tuple[list[int], list[int]]:
    """Two writers of entries and two of code in one page, two that follow entries and one that follows code, all at once. What those
    who follow say, and how much each writer wrote."""
    machine = Machine(16 + TARGETS, vcpus=7, shadow=shadow, compiled=True)
    satp = tables(machine)
    one, two, coder, other, left, right, translator = machine.vcpus
    for vcpu in (one, two, coder, other, translator):
        vcpu.enter(Context(M))
    for vcpu in (left, right):
        vcpu.enter(Context(S, satp))
    shared = (ctypes.c_int64 * 64)()
    at, pages = ctypes.addressof(shared), (ctypes.c_int64 * 64)()
    shared[1] = 3                               # who follows
    stop, published = at, [at + 128, at + 192, at + 256, at + 320]
    found: dict[int, int] = {}
    rows = [(one, threads.write_on, WRITTEN[0], FIRST, published[0], stop, how), (two, threads.write_on, WRITTEN[1], FIRST, published[1], stop, how),
            (coder, threads.write_on, CODE, 0, published[2], stop, how), (other, threads.write_on, CODE + 64, 0, published[3], stop, how),
            (left, threads.follow_table, PAGE, FIRST, published[0], stop, CHANGES),
            (right, threads.follow_table, 2 * PAGE, FIRST, published[1], stop, CHANGES),
            (translator, threads.follow_code, CODE, ctypes.addressof(pages), published[2], stop, CHANGES)]

    def run(number: int) -> None:
        vcpu, loop, *arguments = rows[number]
        found[number] = machine.call(loop, vcpu.state, *arguments)
    running = [threading.Thread(target=run, args=(number,)) for number in range(len(rows))]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return [found[n] for n in (4, 5, 6)], [found[n] for n in range(4)]


@pytest.mark.parametrize("shadow", [SHADOW_TRACE, SHADOW_FENCE], ids=["trace", "fence"])
@pytest.mark.parametrize("how", [TOLD, BY_DEVICE], ids=["by a virtual CPU", "by a device"])
def test_who_fences_sees_what_was_published_before(how, shadow):
    followed, written = play(how, shadow)
    assert followed == [0, 0, 0] and min(written) > 0


def test_writes_that_nobody_is_told_of_are_found():
    """So this test would see an invalidation that is lost: these writers go round the TLB."""
    (left, right, translator), _ = play(UNTOLD, SHADOW_TRACE)
    assert left > 0 and right > 0 and translator > 0
