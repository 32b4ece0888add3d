"""clone and clone3: threads of the process on host threads, and child processes by fork.

It is the guest's own host thread that forks (host.fork), which keeps Python and libc whole. vfork's child (CLONE_VM and
CLONE_VFORK: posix_spawn) gets a copy of memory as well; the parent waits until it has called exec or ended, and then
takes over the words that the child changed on the stack above the caller: posix_spawn reports its error there. No others,
since what lies above may be of other threads, which have not waited (Go's stacks are parts of its heap).

A child in namespaces of its own enters them right after the fork, and the parent waits for that. It cannot enter one for process
numbers, of which it is to be the first: that one the parent makes for its children, and then goes back to its own.
"""

from __future__ import annotations

import _thread
import os
from _struct import Struct

from dragoman.dbt.imports import IMPORTS
from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process.linux.host import NR, call, fork
from dragoman.runtime.process.linux.table import NOT_MADE, import_common, syscall
from dragoman.runtime.process.native.layout import P_ALONE
from dragoman.runtime.process.process import Process
from dragoman.runtime.process.thread import ALL_SIGNALS, CALL_SIZE, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

VM, FS, FILES, SIGHAND, PIDFD, PTRACE, VFORK, PARENT, THREAD = (
    0x100, 0x200, 0x400, 0x800, 0x1000, 0x2000, 0x4000, 0x8000, 0x1_0000)
SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID, DETACHED, UNTRACED, CHILD_SETTID = (
    0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000, 0x80_0000, 0x100_0000)
IO, CLEAR_SIGHAND = 0x8000_0000, 0x1_0000_0000
NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)
ENTERED = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWNET
EXIT_SIGNAL = 0xFF
EITHER = VM | SYSVSEM | SETTLS | PARENT_SETTID | CHILD_CLEARTID | DETACHED | UNTRACED | CHILD_SETTID | IO
OF_THREAD = EITHER | FS | FILES | SIGHAND | THREAD
OF_PROCESS = EITHER | EXIT_SIGNAL | VFORK | PIDFD | CLEAR_SIGHAND | ENTERED | NEWPID
SP, TP, A0 = 2, 4, 10
SIGCHLD = 17
E2BIG, EAGAIN, ENOMEM, EINVAL, EMFILE = 7, 11, 12, 22, 24
HOST_STACK = 1 << 20                # of a thread's host thread: Python and handlers run there, guest code hardly
ARGUMENTS = Struct("<11Q")          # struct clone_args
SMALLEST = 64                       # CLONE_ARGS_SIZE_VER0
REPORTED = 1 << 16                  # bytes of stack in which a vfork's parent takes over changes, at most
CHANGE = Struct("<Q8s")             # address, the word there
COMPARED = 1024                     # bytes at once


class Wish:
    """What clone was asked for."""

    def __init__(self, flags: int, stack: int, parent_tid: int, tls: int, child_tid: int, pidfd: int) -> None:
        self.flags, self.stack, self.tls = flags, stack, tls
        self.parent_tid, self.child_tid, self.pidfd = parent_tid, child_tid, pidfd


@syscall("clone", "flags:clone ptr ptr ptr ptr")
def clone(thread: Thread, flags: int, stack: int, parent_tid: int, tls: int, child_tid: int) -> int | None:
    flags &= 0xFFFF_FFFF
    return begin(thread, Wish(flags, stack, parent_tid, tls, child_tid, parent_tid))


@syscall("clone3", "ptr uint")
def clone3(thread: Thread, address: int, size: int) -> int | None:
    if size > 4096:
        return -E2BIG
    if size < SMALLEST:
        return -EINVAL
    data = thread.process.memory.read(address, size)
    if any(data[ARGUMENTS.size:]):
        return -E2BIG                                                   # from a newer kernel's time
    flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, tids, _, cgroup = ARGUMENTS.unpack(
        data[:ARGUMENTS.size].ljust(ARGUMENTS.size, b"\0"))
    if flags & EXIT_SIGNAL or exit_signal > EXIT_SIGNAL or tids or bool(stack) != bool(stack_size):
        return -EINVAL
    return begin(thread, Wish(flags | exit_signal, stack + stack_size, parent_tid, tls, child_tid, pidfd))


def begin(thread: Thread, wish: Wish) -> int | None:
    flags = wish.flags
    if flags & THREAD:
        if flags & (VM | SIGHAND) != VM | SIGHAND or flags & ~EXIT_SIGNAL & ~OF_THREAD:
            return -EINVAL
        return new_thread(thread, wish)
    # A child that shares memory and goes on beside its parent cannot be had; nor can another signal at its end.
    if flags & ~OF_PROCESS or (flags & VM and not flags & VFORK) or flags & EXIT_SIGNAL not in (0, SIGCHLD):
        return -EINVAL
    # The parent could not go back from a user namespace: unshare and fork can be had.
    if flags & NEWPID and flags & NEWUSER:
        return -EINVAL
    if not flags & (ENTERED | NEWPID):
        return new_process(thread, wish)
    with IMPORTS:
        from dragoman.runtime.process import namespaces
    return namespaces.make(thread, wish)


# ---- threads

def new_thread(thread: Thread, wish: Wish) -> int:
    process, flags, tasks = thread.process, wish.flags, thread.process.tasks
    place = tasks.take() if tasks else 0
    if place < 0:
        return -EAGAIN
    process.engine.set_shared()
    process.block[P_ALONE] = 0
    cpu = process.engine.cpu()
    cpu.copy_registers(thread.cpu)
    _enter_child(cpu, wish)
    child = process.make_thread(process, cpu)
    child.mask = thread.mask
    if flags & CHILD_CLEARTID:
        child.clear_child_tid = wish.child_tid
    started = _thread.allocate_lock()
    started.acquire()

    def body() -> None:
        child.attach()
        for flag, address in ((CHILD_SETTID, wish.child_tid), (PARENT_SETTID, wish.parent_tid)):
            if flags & flag:
                _put_word(process, address, child.tid)
        started.release()
        process.live(child)

    _thread.stack_size(HOST_STACK)
    process.host.block_all()                        # the new thread begins so
    try:
        _thread.start_new_thread(body, ())
    except RuntimeError:
        process.engine.release(cpu)
        thread.apply_mask()
        if tasks:
            tasks.give(place, 0)
        return -EAGAIN
    process.signals.first_thread()
    started.acquire()
    if tasks:
        tasks.give(place, child.tid)
    thread.apply_mask()
    return child.tid


def _enter_child(cpu: Any, wish: Wish) -> None:
    """Registers of the child's side of clone: behind the call, with result 0."""
    cpu.pc += CALL_SIZE
    cpu.x[A0] = 0
    if wish.stack:
        cpu.x[SP] = wish.stack
    if wish.flags & SETTLS:
        cpu.x[TP] = wish.tls


def _put_word(process: Process, address: int, value: int) -> None:
    """Where the kernel does not look whether it can write, either."""
    try:
        process.memory.write(address, value.to_bytes(4, "little"))
    except GuestFault:
        return


# ---- processes

class Channel:
    """The child's end of a pipe on which a vfork's parent waits. It closes by itself at exec of a host program."""

    def __init__(self, process: Process, fd: int, start: int, length: int) -> None:
        self.process, self.fd, self.start, self.length = process, fd, start, length
        self.before = process.memory.read_some(start, length)

    def report(self) -> None:
        """Send what has changed on the part of the stack that the parent shall see, and let it go on."""
        data = b"".join(CHANGE.pack(self.start + at, word) for at, word in self._changes())
        self.process.vfork_channel = None
        try:
            while data:
                data = data[os.write(self.fd, data):]
        except OSError:
            pass                                    # the parent is gone
        self.process.files.drop(self.fd)

    def _changes(self) -> Iterator[tuple[int, bytes]]:
        before, after = self.before, self.process.memory.read_some(self.start, self.length)
        for block in range(0, len(after), COMPARED):
            if before[block:block + COMPARED] != after[block:block + COMPARED]:
                for at in range(block, min(block + COMPARED, len(after)), 8):
                    if before[at:at + 8] != after[at:at + 8]:
                        yield at, after[at:at + 8]


def new_process(thread: Thread, wish: Wish, enter: Callable[[], None] | None = None) -> int | None:
    """`enter` is called in the child before anything of the guest's."""
    process, cpu = thread.process, thread.cpu
    import_common(process.files)
    process.host.set_mask(ALL_SIGNALS)
    if cpu.pending:                                 # the child would inherit it
        return NOT_MADE
    if not process.memory.affords_copy():
        thread.apply_mask()
        return -ENOMEM
    tasks = process.tasks
    place = tasks.take() if tasks else 0
    if place < 0:
        thread.apply_mask()
        return -EAGAIN
    inlet = outlet = -1
    if wish.flags & VFORK:
        stack = cpu.x[SP] & -8
        area = process.memory.area_at(stack)
        length = min(area.end - stack, REPORTED) if area else 0
        with process.files.room:
            ends = os.pipe()
        outlet, inlet = map(process.files.keep, ends)
    earlier = process.vfork_channel
    for hook in tuple(process.fork_hooks):
        hook.before()
    lock = process.memory.lock
    IMPORTS.acquire()
    lock.acquire()
    try:
        try:
            with process.files.room.unchanged:
                pid = _fork(process)
        except OSError as error:
            if error.errno != EMFILE:
                raise
            with process.files.room:
                pid = _fork(process)
    except OSError as error:
        lock.release()
        IMPORTS.release()
        for fd in (outlet, inlet):
            if fd >= 0:
                process.files.drop(fd)
        if tasks:
            tasks.give(place, 0)
        thread.apply_mask()
        return -(error.errno or EAGAIN)
    if pid:
        if tasks:
            tasks.give(place, pid)
        process.engine.after_fork()
        lock.release()
        IMPORTS.release()
        for hook in tuple(process.fork_hooks):
            hook.parent(thread, pid, wish.flags)
        if wish.flags & VFORK:
            process.files.drop(inlet)
            _take_over(process, outlet)
            for hook in tuple(process.fork_hooks):
                hook.done_vfork(thread)
        process.let_fork()
        if wish.flags & PIDFD:
            _put_word(process, wish.pidfd, call(NR["pidfd_open"], pid, 0))
        if wish.flags & PARENT_SETTID:
            _put_word(process, wish.parent_tid, pid)
        thread.apply_mask()
        return pid
    process.forked(thread)
    process.memory.was_copied()
    process.engine.after_fork(cpu)
    lock.release()
    IMPORTS.release()
    if enter is not None:
        enter()
    if earlier is not None:
        process.files.drop(earlier.fd)              # of the parent, which is some vfork's child itself
    if wish.flags & VFORK:
        process.files.drop(outlet)
        process.vfork_channel = Channel(process, inlet, stack, length)
    process.let_fork()
    _enter_child(cpu, wish)
    thread.robust_list = 0
    for number in list(thread.held):
        thread.let_go(number)
    thread.clear_child_tid = wish.child_tid if wish.flags & CHILD_CLEARTID else 0
    if wish.flags & CHILD_SETTID:
        _put_word(process, wish.child_tid, thread.tid)
    if wish.flags & CLEAR_SIGHAND:
        process.signals.reset()
    for hook in tuple(process.fork_hooks):
        hook.child(thread)
    thread.apply_mask()
    return None


def _fork(process: Process) -> int:
    """Raises OSError."""
    process.engine.before_fork()
    try:
        return fork()
    except OSError:
        process.engine.after_fork()
        raise


def _take_over(process: Process, outlet: int) -> None:
    """Wait for a vfork's child as vfork does, with signals held back; what it changed on the stack changes here."""
    data = b""
    while part := os.read(outlet, REPORTED):
        data += part
    process.files.drop(outlet)
    for address, word in CHANGE.iter_unpack(data[:len(data) // CHANGE.size * CHANGE.size]):
        try:
            process.memory.write(address, word)
        except GuestFault:
            continue                                    # another thread has unmapped it meanwhile
