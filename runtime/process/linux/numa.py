"""System calls on memory policy: which node of the host pages lie on."""

from __future__ import annotations

from _struct import Struct

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.relatives import reach
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall

E2BIG, EFAULT, EINVAL = 7, 14, 22
MPOL_F_ADDR = 2
MOST_PAGES = 1 << 16            # of one move_pages

passed("set_mempolicy int ptr size | migrate_pages int size ptr ptr")


@syscall("get_mempolicy", "ptr ptr size ptr size")
def get_mempolicy(thread: Thread, mode: int, mask: int, size: int, address: int, flags: int) -> int:
    host = thread.process.memory.host
    if flags & MPOL_F_ADDR:
        address = host(address)
    return thread.call(NR["get_mempolicy"], host(mode), host(mask), size, address, flags)


@syscall("mbind", "ptr size int ptr size uint")
def mbind(thread: Thread, address: int, length: int, mode: int, mask: int, size: int, flags: int) -> int:
    memory = thread.process.memory
    if length and not memory.is_mapped(address, length):
        return -EFAULT
    return thread.call(NR["mbind"], memory.host(address), length, mode, memory.host(mask), size, flags)


@syscall("set_mempolicy_home_node", "ptr size size size")
def set_mempolicy_home_node(thread: Thread, address: int, length: int, node: int, flags: int) -> int:
    memory = thread.process.memory
    if address + length > memory.size:
        return -EINVAL
    return thread.call(NR["set_mempolicy_home_node"], memory.host(address), length, node, flags)


@syscall("move_pages", "int size ptr ptr ptr int")
def move_pages(thread: Thread, pid: int, count: int, pages: int, nodes: int, status: int, flags: int) -> int:
    """Of processes of one start of the emulator; where the guest memory of another one lies is not known."""
    result = reach(signed32(pid)) if signed32(pid) else 0
    if result < 0:
        return result
    if count > MOST_PAGES:
        return -E2BIG
    memory = thread.process.memory
    host = memory.host
    own = Struct(f"<{count}Q").pack(*map(host, memory.read_words(pages, count))) if count else b""
    return thread.call(NR["move_pages"], pid, count, address_of(own), host(nodes), host(status), flags)
