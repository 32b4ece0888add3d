"""What is debugged, as a session sees it: threads by number, registers, memory, points to stop at, and why it has stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from dragoman.runtime.gdb.protocol import Malformed, number

CONTINUE, STEP = "continue", "step"
NO_MEMORY = 14                  # error number: EFAULT
KINDS = ("software", "hardware", "watch", "rwatch", "awatch")       # Z0 to Z4
EVENTS = ("fork", "vfork", "vforkdone", "exec", "create")           # with a thread, or a text
ENDS = {"exited": b"W", "killed": b"X"}                             # of a process: `signal` is its status, `address` the process
NOBODY = "nobody"               # all threads that were to go on have ended


class Stop(NamedTuple):
    """Why a target has stopped: gdb's number of a signal, and perhaps a kind.

    kind: one of KINDS, with the address of the data for those that watch; of EVENTS, with the thread that is new or a text; of ENDS;
    NOBODY; empty: a signal, a step or an interrupt."""
    thread: int
    signal: int = 5                                     # SIGTRAP
    kind: str = ""
    address: int = 0
    text: bytes = b""


class Action(NamedTuple):
    """What a thread is to do: go on or step, take a signal (gdb's number, 0: none), step on while pc is in [low, high)."""
    kind: str
    signal: int = 0
    low: int = 0
    high: int = 0


class Target(Protocol):
    """All may raise Malformed for what cannot be. What has a body here is as for a target of one process without files or signals."""

    features: Mapping[bytes, bytes]                     # files of the target description by name
    supported: Sequence[bytes] = ()                     # what else it can: of gdb's qSupported
    ranges: bool = False                                # steps by ranges
    attached: bool = True                               # it was there before its debugger, and shall live on after it

    def threads(self) -> Sequence[int]: ...
    def describe(self, thread: int) -> str: ...
    def read_register(self, thread: int, register: int) -> bytes: ...
    def write_register(self, thread: int, register: int, data: bytes) -> None: ...
    def set_pc(self, thread: int, address: int) -> None: ...
    def read_registers(self, thread: int) -> bytes: ...
    def write_registers(self, thread: int, data: bytes) -> None: ...
    def read_memory(self, thread: int, address: int, size: int) -> bytes: ...
    def write_memory(self, thread: int, address: int, data: bytes) -> None: ...
    def insert(self, thread: int, kind: str, address: int, size: int) -> None: ...
    def remove(self, thread: int, kind: str, address: int, size: int) -> None: ...
    def resume(self, actions: Mapping[int, Action]) -> None: ...
    def monitor(self, thread: int, text: str) -> str: ...

    def detach(self, process: int) -> bool:
        """It goes on without debugger; process 0: all of it. Returns whether nothing is left to be debugged."""
        ...

    def kill(self, process: int) -> bool:
        """As detach."""
        ...

    def name_of(self, thread: int) -> bytes:
        """As packets name it."""
        return b"%x" % thread

    def named(self, text: bytes) -> Sequence[int]:
        """The threads that a packet means, one at least. Raises Malformed."""
        if text == b"-1":
            return self.threads()
        thread = number(text)
        if thread not in self.threads():
            raise Malformed
        return [thread]

    def transfer(self, thread: int, name: bytes, annex: bytes) -> bytes | None:
        """An object of qXfer; None: there is none of this annex."""
        return None

    def file(self, thread: int, request: bytes) -> bytes:
        """vFile."""
        return b""

    def told(self, features: frozenset[bytes]) -> None:
        """What the client knows."""
        return None

    def pass_signals(self, signals: frozenset[int]) -> None:
        """These, by gdb's numbers, are delivered without a stop from now on."""
        return None
