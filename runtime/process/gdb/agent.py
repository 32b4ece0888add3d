"""Does in one guest process what the hub asks for: a host thread of its own, which no guest signal reaches."""

from __future__ import annotations

import _thread
import contextlib
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from dragoman.runtime.gdb.protocol import Malformed
from dragoman.runtime.gdb.riscv_registers import OF_PROGRAMS, set_pc
from dragoman.runtime.process.gdb.debugger import HOLD, Debugger, always
from dragoman.runtime.process.gdb.files import Files
from dragoman.runtime.process.gdb.link import EVENT, Gone, Link
from dragoman.runtime.process.gdb.memory import DebuggedMemory
from dragoman.runtime.process.gdb.numbers import to_gdb
from dragoman.runtime.process.gdb.thread import DebuggedThread
from dragoman.runtime.process.process import Process

EIO, ESRCH = 5, 3
SIGKILL = 9
NOT_STILL = 16                  # error number: EBUSY
PATIENCE = 20                   # seconds: for a thread to come out of a system call, on a busy host
VFORK = 0x4000                  # of clone's flags


class Agent:
    """`start`ed in the process it is of; a fork's child makes its own."""

    def __init__(self, process: Process, debugger: Debugger, end: int) -> None:
        """end: descriptor of its end of a socket pair, one of the runtime's own."""
        self.process, self.debugger, self.end = process, debugger, end
        self.link = Link(socket.socket(fileno=end))
        self.files = Files(process)
        self.memory = DebuggedMemory(process, debugger.watches)
        self._next: tuple[int, int] | None = None       # of a fork: both ends for the child
        self._child = False

    def start(self) -> None:
        """With all signals blocked, which the thread inherits."""
        self.process.host.block_all()
        _thread.start_new_thread(self._run, ())
        self.process.signals.first_thread()

    def _run(self) -> None:
        poll = select.poll()
        for descriptor in (self.end, self.debugger.wake):
            poll.register(descriptor, select.POLLIN)
        try:
            while self.debugger.attached:
                ready = {descriptor for descriptor, _ in poll.poll()}
                if self.debugger.wake in ready:
                    self._tell()
                if self.end in ready:
                    self._answer()
        except Gone:
            self.debugger.detach()
        except BaseException:                           # ours; the hub would wait for an answer
            self.process.internal_error()
        self.files.close()

    def _tell(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.debugger.wake)
        self.debugger.settle()
        event, self.debugger.event = self.debugger.event, None
        if event is not None:
            self.link.send(EVENT, *event[0], descriptors=event[1])

    def _answer(self) -> None:
        number, operation, arguments = self.link.receive()[0]
        done: bool
        value: Any
        try:
            done, value = True, _OPERATIONS[operation](self, *arguments)
        except Malformed as problem:
            done, value = False, problem.number
        except OSError as error:
            done, value = False, error.errno or EIO
        self.link.send(number, done, value)

    # --- ends and forks, by guest threads
    def exited(self, status: int) -> None:
        """The process is about to end."""
        self._ended("exited", status)

    def died(self, thread: Any, number: int, info: bytes) -> None:
        """It is about to die of a signal."""
        self._ended("killed", to_gdb(number))

    def _ended(self, kind: str, status: int) -> None:
        if self.debugger.attached:
            with contextlib.suppress(Gone):
                self.link.send(EVENT, kind, status)

    def before(self) -> None:
        """The child will need a link of its own."""
        if self.debugger.attached:
            mine, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._next = self.process.files.keep(mine.detach()), self.process.files.keep(others.detach())

    def parent(self, thread: Any, child: int, flags: int) -> None:
        if self._next is None:
            return
        mine, others = self._next
        self._next = None
        self.process.files.drop(mine)
        self.debugger.report(thread, kind="vfork" if flags & VFORK else "fork", address=child, keep=always, descriptors=(others,))
        self.process.files.drop(others)

    def child(self, thread: Any) -> None:
        """Only this thread is here; it holds still until the hub has heard of it."""
        process, debugger = self.process, self.debugger
        if self._next is None:
            return
        mine, others = self._next
        for descriptor in (others, debugger.wake):
            process.files.drop(descriptor)
        self.link.socket.detach()
        process.files.drop(self.end)
        debugger.wake = process.files.keep(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
        debugger.forked()
        thread.mode, thread.left, thread.signal = HOLD, None, 0
        process.fork_hooks.remove(self)
        process.death_hooks.remove(self.died)
        process.end_hooks.remove(self.exited)
        attach(process, debugger, mine)

    def done_vfork(self, thread: Any) -> None:
        """The child of a vfork has called exec or ended."""
        self.debugger.report(thread, kind="vforkdone", keep=always)

    # --- what the hub asks for
    def _thread(self, tid: int) -> DebuggedThread:
        thread = self.process.threads.get(tid)
        if not isinstance(thread, DebuggedThread):
            raise Malformed(ESRCH)
        return thread

    def _still(self, tid: int) -> DebuggedThread:
        """A thread whose registers may be changed: not in a system call."""
        thread = self._thread(tid)
        with self.debugger.changed:
            if not thread.parked:
                thread.kick()
                if not self.debugger.changed.wait_for(lambda: thread.parked, PATIENCE):
                    raise Malformed(NOT_STILL)
        thread.left = None
        return thread

    def begin(self) -> int:
        """The process's number, when the program's first thread stands before its first instruction."""
        with self.debugger.changed:
            self.debugger.changed.wait_for(self.debugger.any_parked)
        return os.getpid()

    def threads(self) -> list[tuple[int, str]]:
        found = []
        for tid in list(self.process.threads):
            try:
                with open(f"/proc/self/task/{tid}/comm", errors="replace") as file:
                    found.append((tid, file.read().strip()))
            except OSError:
                continue                                # it is just ending
        return found

    def registers(self, tid: int) -> bytes:
        return b"".join(self.register(tid, number) for number in range(len(OF_PROGRAMS)))

    def register(self, tid: int, number: int) -> bytes:
        if number >= len(OF_PROGRAMS):
            raise Malformed
        row = OF_PROGRAMS[number]
        return row.read(self._thread(tid)).to_bytes(row.size, "little")

    def set_register(self, tid: int, number: int, data: bytes) -> None:
        if number >= len(OF_PROGRAMS) or len(data) != OF_PROGRAMS[number].size:
            raise Malformed
        OF_PROGRAMS[number].write(self._still(tid), int.from_bytes(data, "little"))

    def set_pc(self, tid: int, address: int) -> None:
        set_pc(self._still(tid), address)

    def write(self, address: int, data: bytes) -> None:
        """Code that was there is translated anew."""
        self.memory.write(address, data)
        self.process.engine.locked("invalidate_code", address, address + len(data))

    def object(self, name: str, tid: int) -> bytes:
        if name == "auxv":
            return self.process.image.auxv
        if name == "exec-file":
            return self.process.image.path
        if name == "siginfo":
            return self._thread(tid).info
        raise Malformed

    def file(self, request: bytes) -> bytes:
        threads = list(self.process.threads.values())
        return self.files.answer(threads[0], request)

    def pass_signals(self, numbers: list[int]) -> None:
        self.debugger.passed = frozenset(numbers)

    def complain(self, text: str) -> None:
        self.process.complain(text)

    def detach(self) -> None:
        self.debugger.detach()

    def kill(self) -> None:
        os.kill(os.getpid(), SIGKILL)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "begin": Agent.begin, "threads": Agent.threads, "registers": Agent.registers, "register": Agent.register, "set_register": Agent.set_register,
    "set_pc": Agent.set_pc, "read": lambda agent, *span: agent.memory.read(*span), "write": Agent.write, "object": Agent.object, "file": Agent.file,
    "insert": lambda agent, *point: agent.debugger.insert(*point), "remove": lambda agent, *point: agent.debugger.remove(*point),
    "resume": lambda agent, actions: agent.debugger.resume(actions), "halt": lambda agent: agent.debugger.halt(),
    "pass_signals": Agent.pass_signals, "detach": Agent.detach, "complain": Agent.complain, "kill": Agent.kill,
}


def attach(process: Process, debugger: Debugger, end: int) -> Agent:
    """Make an agent, and have it told of all that happens."""
    agent = Agent(process, debugger, end)
    process.fork_hooks.append(agent)
    process.death_hooks.append(agent.died)
    process.end_hooks.append(agent.exited)
    agent.start()
    return agent
