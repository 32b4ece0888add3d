"""Interval timers and POSIX timers: the host's, whose signals come to the same threads."""

from __future__ import annotations

from dragoman.runtime.process.linux.host import NR
from dragoman.runtime.process.linux.table import passed, syscall
from dragoman.runtime.process.thread import Thread


@syscall("timer_create", "enum:clock ptr ptr")
def timer_create(thread: Thread, clock: int, event: int, identity: int) -> int:
    memory = thread.process.memory
    memory.write(identity, memory.read(identity, 4))            # EFAULT before there is a timer
    result = thread.call(NR["timer_create"], clock, memory.host(event), memory.host(identity))
    if result == 0:
        thread.process.timers.add(int.from_bytes(memory.read(identity, 4), "little", signed=True))
    return result


@syscall("timer_delete", "int")
def timer_delete(thread: Thread, identity: int) -> int:
    result = thread.call(NR["timer_delete"], identity)
    if result == 0:
        thread.process.timers.discard(identity)
    return result


passed("""
timer_settime int flags:timer ptr ptr
timer_gettime int ptr
timer_getoverrun int
setitimer enum:itimer ptr ptr
getitimer enum:itimer ptr
""")
