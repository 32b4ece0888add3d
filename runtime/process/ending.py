"""System calls by which threads and processes end, and are waited for."""

from __future__ import annotations

from dragoman.runtime.process.linux.table import NOT_MADE, passed, syscall
from dragoman.runtime.process.thread import ALL_SIGNALS, Thread, ThreadEnd


@syscall("exit", "int")
def exit_thread(thread: Thread, status: int) -> int:
    if len(thread.process.threads) == 1:
        thread.process.end(status)
    thread.process.host.set_mask(ALL_SIGNALS)
    if thread.cpu.pending:                          # noted for the process, perhaps: would go with the thread
        return NOT_MADE
    raise ThreadEnd(status)


@syscall("exit_group", "int")
def exit_group(thread: Thread, status: int) -> None:
    thread.process.end(status)


passed("wait4 int ptr flags:wait ptr | waitid int int ptr flags:wait ptr")


@syscall("set_tid_address", "ptr")
def set_tid_address(thread: Thread, address: int) -> int:
    thread.clear_child_tid = address
    return thread.tid


@syscall("gettid", "")
def gettid(thread: Thread) -> int:
    return thread.tid
