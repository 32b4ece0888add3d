"""What guests/src/micro.c and parallel.c do: the work of a kernel, one kind after the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """`times`: how often in a process, then in a quick run. `word`: the guest's name for it."""

    name: str
    guest: str
    text: str
    times: tuple[int, int]
    word: str
    parts: int = 1
    """Threads that share the times."""
    computes: bool = False
    """It prints a sum, not how often."""


# Enough for a tenth of a second or more under qemu-riscv64.
MICRO = {
    "call": ("system calls (getppid)", 2_000_000, 1000),
    "read": ("reads of one byte", 2_000_000, 1000),
    "signal": ("signals: sent, handled, returned from", 100_000, 100),
    "map": ("pages mapped and unmapped", 100_000, 100),
    "fork": ("fork, exit, wait", 500, 10),
    "exec": ("fork, exec, exit, wait", 200, 10),
    "pipe": ("a byte to another process and back", 50_000, 100),
    "fault": ("page faults: new memory, written to", 200_000, 1000),
}
JOBS = (
    *(Job(name, "micro", text, (times, few), name) for name, (text, times, few) in MICRO.items()),
    Job("handover", "parallel", "hand-overs of a word between two threads that sleep until it is theirs", (1_000_000, 1000), "handover", parts=2),
    Job("one-thread", "parallel", "xorshift numbers in a thread", (300_000_000, 10_000), "one", computes=True),
    Job("two-threads", "parallel", "xorshift numbers in each of two threads", (300_000_000, 10_000), "two", computes=True),
)
