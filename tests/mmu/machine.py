"""A machine with RAM and virtual CPUs but no engine, on which the memory subsystem's functions run, as Python or compiled."""

from __future__ import annotations

import ctypes
import functools
import mmap

from dragoman.dbt import compiled
from dragoman.dbt.host.linker import link
from dragoman.dbt.isa.riscv import system_registers  # noqa: F401  places the words
from dragoman.dbt.state import (
    ACCESS_WRITE,
    EXEC_ENTRIES,
    OFFSET,
    TLB_ENTRIES,
    VIEW_ADDEND,
    VIEW_EXEC,
    VIEW_EXEC_HOST,
    VIEW_READ,
    VIEW_WRITE,
)
from dragoman.runtime.machine.riscv import walk
from dragoman.runtime.memory import frames, mmu, refusals, requests, tlb, views
from tests.mmu import threads

BASE, PAGE = 0x8000_0000, 4096
FUNCTIONS = {"walk": walk.walk, "space": walk.address_space, "rights": walk.context_rights}
MASK = (1 << 64) - 1


@functools.cache
def callback(function, arguments):
    """A host address at which plain Python is called."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * arguments)(function)


@functools.cache
def natives():
    """What a machine and its tests call, compiled and linked together."""
    functions = [*FUNCTIONS.values(), views.select_view, tlb.tlb_fill, tlb.fetch_code, tlb.flush_tlb, tlb.forget_translations,
                 refusals.explain_access, refusals.explain_fetch, requests.give_up_writes, requests.take_dirty_code, requests.settle_dirty_code,
                 requests.sync_page, requests.tell_written, *threads.LOOPS]
    return link([compiled.build(functions)]).map().symbols


@functools.cache
def native(function):
    known = compiled.FUNCTIONS[function.__name__]
    return ctypes.CFUNCTYPE(ctypes.c_int64 if known.returns else None, *[ctypes.c_int64] * known.arguments)(natives()[function.__name__])


def signed(value: int) -> int:
    return compiled.wrap(value)


class Machine:
    """`compiled`: run what Numba and LLVM made of the functions."""

    def __init__(self, pages: int = 64, vcpus: int = 1, shadow: int = frames.SHADOW_TRACE, compiled: bool = False):
        self.compiled, self.size = compiled, pages * PAGE
        self.ram = mmap.mmap(-1, self.size)
        self.host = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        architecture = {name: self.address_of(function) for name, function in FUNCTIONS.items()} | walk.LAYOUT
        self.memory = mmu.Memory(BASE, self.size, self.host, architecture, shadow)
        self.blocks = [mmap.mmap(-1, 0x1000) for _ in range(vcpus)]
        self.vcpus = [Vcpu(self, block) for block in self.blocks]

    def address_of(self, function) -> int:
        if self.compiled:
            return natives()[function.__name__]
        kept = callback(function, function.__code__.co_argcount)
        return ctypes.cast(kept, ctypes.c_void_p).value

    def call(self, function, *arguments):
        return (native(function) if self.compiled else function)(*arguments)

    def pte(self, place: int) -> int:
        return int.from_bytes(self.ram[place - BASE:place - BASE + 8], "little")

    def tell_written(self, physical: int, size: int) -> None:
        self.call(requests.tell_written, self.memory.address, physical, size)


class Vcpu:
    """Accesses as the engine makes them: by the view if it has the page, else tlb_fill and again."""

    def __init__(self, machine: Machine, block: mmap.mmap):
        self.machine = machine
        self.state = ctypes.addressof(ctypes.c_char.from_buffer(block))
        self.mmu = machine.memory.attach(self.state)

    def __getitem__(self, name: str) -> int:
        return ctypes.c_int64.from_address(self.state + OFFSET[name]).value

    def __setitem__(self, name: str, value: int) -> None:
        ctypes.c_int64.from_address(self.state + OFFSET[name]).value = value

    def enter(self, context) -> None:
        """Set the registers, and choose the view for them."""
        self["mode"], self["satp"] = context.mode, signed(context.satp)
        self["mstatus"] = context.SUM << 18 | context.MXR << 19 | context.MPRV << 17 | context.MPP << 11
        self["menvcfg"] = context.ADUE << 61
        key = hash((context.mode, context.satp, context.SUM, context.MXR, context.MPRV, context.MPP)) | 1
        self.machine.call(views.select_view, self.state, key)

    def word(self, place: int) -> int:
        return ctypes.c_int64.from_address(place).value

    def probe(self, va: int, access: str) -> int | None:
        """Host address that the view has, if it has one."""
        page, view = signed(va & -PAGE), self["view"]
        if access == "fetch":
            n = 8 * (va >> 12 & EXEC_ENTRIES - 1)
            return self.word(view + VIEW_EXEC_HOST + n) + va % PAGE if self.word(view + VIEW_EXEC + n) == page else None
        n = 8 * (va >> 12 & TLB_ENTRIES - 1)
        tags = VIEW_WRITE if access == "store" else VIEW_READ
        return signed(self.word(view + VIEW_ADDEND + n) + va) if self.word(view + tags + n) == page else None

    def access(self, va: int, access: str, size: int = 1) -> int | tuple[str, int]:
        """The guest-physical address; or ("fault", cause), ("device", physical address), ("crossing", physical address)."""
        write = ACCESS_WRITE if access == "store" else 0
        host = self.probe(va, access) if va % PAGE + size <= PAGE else None
        if host is None:
            call, address = self.machine.call, signed(va)
            if access == "fetch":
                host = call(tlb.fetch_code, self.state, address) or None
                explanation = 0 if host else call(refusals.explain_fetch, self.state, address)
            else:
                filled = call(tlb.tlb_fill, self.state, address, size | write)
                host = self.probe(va, access) if filled else None
                assert filled == 0 or host is not None
                explanation = 0 if filled else call(refusals.explain_access, self.state, address, size | write)
            if host is None:
                if explanation == refusals.REFUSED_FAULT:
                    return "fault", self.mmu.word("cause")
                kind = {refusals.REFUSED_DEVICE: "device", refusals.REFUSED_CROSSING: "crossing"}[explanation]
                return kind, self.mmu.word("physical")
        assert self.machine.host <= host < self.machine.host + self.machine.size
        return host - self.machine.host + BASE

    def fence(self, va: int = -1, asid: int = -1) -> None:
        self.machine.call(tlb.flush_tlb, self.state, signed(va), asid)

    def stat(self, name: str) -> int:
        return self.mmu.word(f"stat_{name}")


assert frames.RIGHT_READ and VIEW_READ == 0
