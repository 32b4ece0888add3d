"""System calls on the address space: brk, the mmap family, instruction-cache flush."""

from __future__ import annotations

import os
from _struct import Struct

from dragoman.runtime.memory.window import MAP_ANONYMOUS
from dragoman.runtime.process.linux import riscv64
from dragoman.runtime.process.linux.host import NR, call
from dragoman.runtime.process.linux.table import Thread, passed, signed, signed32, syscall

ENOMEM, EINVAL = 12, 22
MAP_SHARED_VALIDATE_TYPES = (1, 2, 3)
MCL_CURRENT = 1
PAIR = Struct("<qQ")            # struct riscv_hwprobe
MOST_PAIRS = 4096


@syscall("brk", "ptr -> ptr")
def brk(thread: Thread, address: int) -> int:
    return thread.process.memory.brk(address)


@syscall("mmap", "ptr size flags:prot flags:map fd size -> ptr")
def mmap(thread: Thread, address: int, length: int, prot: int, flags: int, fd: int, offset: int) -> int:
    if flags & 0xF not in MAP_SHARED_VALIDATE_TYPES:
        return -EINVAL
    fd = -1 if flags & MAP_ANONYMOUS else signed32(fd)
    return thread.process.memory.map(address, length, prot, flags, fd, signed(offset))


@syscall("munmap", "ptr size")
def munmap(thread: Thread, address: int, length: int) -> int:
    return thread.process.memory.unmap(address, length)


@syscall("mprotect", "ptr size flags:prot")
def mprotect(thread: Thread, address: int, length: int, prot: int) -> int:
    return thread.process.memory.protect(address, length, prot)


@syscall("mremap", "ptr size size flags:mremap ptr -> ptr")
def mremap(thread: Thread, old: int, old_length: int, new_length: int, flags: int, address: int) -> int:
    return thread.process.memory.remap(old, old_length, new_length, flags, address)


@syscall("madvise", "ptr size enum:madvise")
def madvise(thread: Thread, address: int, length: int, advice: int) -> int:
    return thread.process.memory.advise(address, length, signed32(advice))


@syscall("msync", "ptr size flags:msync")
def msync(thread: Thread, address: int, length: int, flags: int) -> int:
    memory = thread.process.memory
    if not memory.is_mapped(address, length):
        return -ENOMEM
    return thread.call(NR["msync"], memory.base + address, length, flags)


def _locked(name: str) -> None:
    number = NR[name]

    def handler(thread: Thread, address: int, length: int, flags: int = 0) -> int:
        memory = thread.process.memory
        if address + length >> 64:
            return -EINVAL
        if not memory.is_mapped(address, length):
            return -ENOMEM
        return thread.call(number, memory.base + address, length, flags)
    syscall(name, "ptr size int" if name == "mlock2" else "ptr size")(handler)


for _name in ("mlock", "mlock2", "munlock"):
    _locked(_name)


@syscall("mlockall", "int")
def mlockall(thread: Thread, flags: int) -> int:
    """Locks what the guest has mapped now; not the emulator, and not what is mapped later."""
    if not flags or flags & ~7:
        return -EINVAL
    memory = thread.process.memory
    if flags & MCL_CURRENT:
        for area in memory.snapshot():
            result = call(NR["mlock"], memory.base + area.start, area.end - area.start)
            if result < 0 and area.prot:
                return result
    return 0


@syscall("munlockall")
def munlockall(thread: Thread) -> int:
    return thread.call(NR["munlockall"])


@syscall("mincore", "ptr size ptr")
def mincore(thread: Thread, address: int, length: int, result: int) -> int:
    memory = thread.process.memory
    if address & 4095:
        return -EINVAL
    if not memory.is_mapped(address, length):
        return -ENOMEM
    return thread.call(NR["mincore"], memory.base + address, length, memory.host(result))


@syscall("riscv_flush_icache", "ptr ptr int", number=riscv64.RISCV_FLUSH_ICACHE)
def riscv_flush_icache(thread: Thread, start: int, end: int, flags: int) -> int:
    if flags & ~1:
        return -EINVAL
    # Defined to flush the range (arch/riscv/kernel/sys_riscv.c). Linux 6.12 flushes all, which those who give none count on.
    if 0 <= start < end < 1 << 63:
        thread.process.memory.code_changed(start, end)
    else:
        thread.process.memory.code_changed()
    return 0


@syscall("riscv_hwprobe", "ptr size size ptr int", number=riscv64.RISCV_HWPROBE)
def riscv_hwprobe(thread: Thread, pairs: int, count: int, cpu_bytes: int, cpus: int, flags: int) -> int:
    """Every CPU is the same, so each set of them has the same answer; an unknown key gets key -1, value 0.

    WHICH_CPUS asks in the other direction: which of a set (empty: of all) have these values."""
    which = flags == riscv64.WHICH_CPUS
    if (flags and not which) or count > MOST_PAIRS or (which and not (cpu_bytes and cpus)):
        return -EINVAL
    memory, online = thread.process.memory, (1 << os.sysconf("SC_NPROCESSORS_ONLN")) - 1
    size = min(cpu_bytes, (online.bit_length() + 63) // 64 * 8)
    chosen = int.from_bytes(memory.read(cpus, size), "little") if cpu_bytes or cpus else online
    if which and not chosen:
        chosen = online
    chosen &= online
    if not which and not chosen:
        return -EINVAL
    for at in range(pairs, pairs + count * PAIR.size, PAIR.size):
        key, wanted = memory.read_struct(at, PAIR)
        value = riscv64.hwprobe(thread.process.options.cpu, key)
        if not which or value is None:
            memory.write_struct(at, PAIR, key if value is not None else -1, value or 0)
        if which and (value is None or wanted != (value & wanted if key in riscv64.BIT_MASKS else value)):
            chosen = 0
    if which:
        memory.write(cpus, (chosen & (1 << 8 * size) - 1).to_bytes(size, "little"))
    return 0


passed("membarrier int int int")
