"""System calls about who and where: ids, names, limits, the scheduler, random numbers."""

from __future__ import annotations

import os

from dragoman.runtime.process.linux import riscv64
from dragoman.runtime.process.linux.descriptors import PAIR
from dragoman.runtime.process.linux.host import NR, address_of
from dragoman.runtime.process.linux.limits import COUNT, RLIMIT_AS, RLIMIT_DATA, RLIMIT_NOFILE, VIRTUAL
from dragoman.runtime.process.linux.table import Thread, absent, hides, passed, settle, signed32, syscall

EINVAL = 22
UTS_FIELD = 65
FEW_FILES = 256

passed("""
    getpid | getppid | getuid | geteuid | getgid | getegid | getresuid ptr ptr ptr | getresgid ptr ptr ptr
    setuid int | setgid int | setreuid int int | setregid int int | setresuid int int int | setresgid int int int
    setfsuid int | setfsgid int | getgroups int ptr | setgroups int ptr | getpgid int | setpgid int int | getsid int
    setsid | umask mode | getrandom out size int | sysinfo ptr | getrusage int ptr | getcpu ptr ptr ptr
    sched_yield | sched_getaffinity int size ptr | sched_setaffinity int size ptr | sched_getscheduler int
    sched_setscheduler int int ptr | sched_getparam int ptr | sched_setparam int ptr | sched_get_priority_max int
    sched_get_priority_min int | sched_rr_get_interval int ptr | sched_setattr int ptr int
    sched_getattr int ptr size int | getpriority int int | setpriority int int int | ioprio_get int int
    ioprio_set int int int | capget ptr ptr | capset ptr ptr | personality uint | sethostname string size
    setdomainname string size
""")
hides("setuid setreuid setresuid setfsuid")
absent("the kernel would look for the critical section at the host's pc, which is in translated code; glibc does without", "rseq")


@syscall("uname", "struct:utsname+")
def uname(thread: Thread, buffer: int) -> int:
    host = bytes(6 * UTS_FIELD)
    result = thread.call(NR["uname"], address_of(host))
    if result == 0:
        at = 4 * UTS_FIELD
        machine = riscv64.MACHINE.ljust(UTS_FIELD, b"\0")
        thread.process.memory.write(buffer, host[:at] + machine + host[at + UTS_FIELD:])
    return result


@syscall("prlimit64", "int enum:rlimit struct:rlimit struct:rlimit+")
def prlimit64(thread: Thread, pid: int, resource: int, new: int, old: int) -> int:
    process, pid, resource = thread.process, signed32(pid), signed32(resource)
    memory = process.memory
    if resource not in VIRTUAL or (pid and pid != os.getpid()):
        return thread.call(NR["prlimit64"], pid, resource, memory.host(new), memory.host(old))
    before = process.limits.get(resource)
    if new:
        soft, hard = memory.read_struct(new, PAIR)
        if resource == RLIMIT_NOFILE and soft < FEW_FILES:
            settle(process)             # imports open files
        result = process.limits.set(resource, soft, hard)
        if result < 0:
            return result
        if resource == RLIMIT_AS:
            memory.limit = soft
        elif resource == RLIMIT_DATA:
            memory.data_limit = soft
    if old:
        memory.write_struct(old, PAIR, *before)
    return 0


@syscall("getrlimit", "enum:rlimit struct:rlimit+")
def getrlimit(thread: Thread, resource: int, old: int) -> int:
    if not 0 <= signed32(resource) < COUNT:
        return -EINVAL
    thread.process.memory.write_struct(old, PAIR, *thread.process.limits.get(signed32(resource)))
    return 0


@syscall("setrlimit", "enum:rlimit struct:rlimit")
def setrlimit(thread: Thread, resource: int, new: int) -> int:
    thread.process.memory.read_struct(new, PAIR)    # NULL is EFAULT here, unlike in prlimit
    result = prlimit64(thread, 0, resource, new, 0)
    return result if result is not None else 0
