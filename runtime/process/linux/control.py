"""System calls that control processes: prctl, namespaces, comparing, memory of another process."""

from __future__ import annotations

from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.relatives import reach
from dragoman.runtime.process.linux.table import Thread, passed, signed32, syscall
from dragoman.runtime.process.linux.vectors import iovec

ENOMEM, EINVAL = 12, 22
# prctl: options whose second argument is a pointer, and those whose arguments are numbers.
PR_POINTER = {2: "GET_PDEATHSIG", 9: "GET_FPEMU", 11: "GET_FPEXC", 15: "SET_NAME", 16: "GET_NAME",
              37: "GET_CHILD_SUBREAPER", 40: "GET_TID_ADDRESS"}
PR_NUMBER = {1: "SET_PDEATHSIG", 3: "GET_DUMPABLE", 4: "SET_DUMPABLE", 7: "GET_KEEPCAPS", 8: "SET_KEEPCAPS",
             13: "GET_TIMING", 14: "SET_TIMING", 21: "GET_SECCOMP", 23: "CAPBSET_READ", 24: "CAPBSET_DROP",
             27: "GET_SECUREBITS", 28: "SET_SECUREBITS", 29: "SET_TIMERSLACK", 30: "GET_TIMERSLACK", 33: "MCE_KILL",
             34: "MCE_KILL_GET", 36: "SET_CHILD_SUBREAPER", 38: "SET_NO_NEW_PRIVS", 39: "GET_NO_NEW_PRIVS",
             41: "SET_THP_DISABLE", 42: "GET_THP_DISABLE", 47: "CAP_AMBIENT", 57: "SET_IO_FLUSHER",
             58: "GET_IO_FLUSHER", 0x59616D61: "SET_PTRACER", 31: "TASK_PERF_EVENTS_DISABLE",
             32: "TASK_PERF_EVENTS_ENABLE", 52: "GET_SPECULATION_CTRL", 53: "SET_SPECULATION_CTRL",
             67: "SET_MEMORY_MERGE", 68: "GET_MEMORY_MERGE"}
PR_SET_VMA, PR_SET_VMA_ANON_NAME, PR_GET_AUXV = 0x53564D41, 0, 0x41555856

KCMP_EPOLL_TFD = 7

passed("unshare uint")


@syscall("prctl", "enum:prctl size size size size")
def prctl(thread: Thread, option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    number = signed32(option)
    if number in PR_POINTER:
        return thread.call(NR["prctl"], option, thread.process.memory.host(second), third, fourth, fifth)
    if number in PR_NUMBER:
        return thread.call(NR["prctl"], option, second, third, fourth, fifth)
    memory = thread.process.memory
    if number == PR_SET_VMA and second == PR_SET_VMA_ANON_NAME:
        if fourth and not memory.is_mapped(third, fourth):
            return -ENOMEM
        return thread.call(NR["prctl"], option, second, memory.host(third), fourth, memory.host(fifth))
    if number == PR_GET_AUXV and not (fourth or fifth):
        auxv = thread.process.image.auxv
        memory.write(second, auxv[:third])
        return len(auxv)
    return -EINVAL


@syscall("kcmp", "int int int size size")
def kcmp(thread: Thread, first: int, second: int, kind: int, one: int, other: int) -> int:
    """The last argument is a pointer for one kind: struct kcmp_epoll_slot, of three 32-bit numbers."""
    if signed32(kind) == KCMP_EPOLL_TFD:
        other = thread.process.memory.host(other)
    return thread.call(NR["kcmp"], first, second, kind, one, other)


def _other_process(name: str) -> None:
    number = NR[name]

    def handler(thread: Thread, pid: int, local: int, local_count: int, remote: int, remote_count: int,
                flags: int) -> int:
        """Between processes of one start of the emulator; where the guest memory of another one lies is not known."""
        result = reach(signed32(pid))
        if result < 0:
            return result
        here, there = iovec(thread, local, local_count), iovec(thread, remote, remote_count)
        return thread.call(number, pid, address_of(here), local_count, address_of(there), remote_count, flags)
    syscall(name, "int ptr size ptr size size")(handler)


for _name in ("process_vm_readv", "process_vm_writev"):
    _other_process(_name)
