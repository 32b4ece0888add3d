"""A guest process: what its threads share, how a program gets into it, and how it ends."""

from __future__ import annotations

import _thread
import os

from dragoman.dbt.host.calls import SIG_DFL
from dragoman.dbt.imports import IMPORTS
from dragoman.dbt.memory_model import BEYOND
from dragoman.runtime.memory.space import AddressSpace
from dragoman.runtime.memory.window import PAGE, GuestFault, WindowError, forget_buffers
from dragoman.runtime.process import elf, shown, stack
from dragoman.runtime.process.linux import table
from dragoman.runtime.process.linux.descriptors import RLIMIT_NOFILE, Descriptors
from dragoman.runtime.process.linux.host import NR, address_of, call, call_and_wait, fork_address
from dragoman.runtime.process.linux.limits import RLIMIT_CORE, RLIMIT_STACK, Limits
from dragoman.runtime.process.linux.paths import Paths
from dragoman.runtime.process.native.layout import (
    LOST,
    P_ALONE,
    P_DIRECT,
    P_FORK,
    P_FORKED,
    P_SPACE,
    P_TRAMPOLINE,
    P_WINDOW,
    PROCESS_SIZE,
    Block,
)
from dragoman.runtime.process.signals import CORE_SIGNALS, Signals, bit
from dragoman.runtime.process.thread import ALL_SIGNALS, Thread, ThreadEnd, timed_perform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from dragoman.runtime.options import RunOptions

INTERNAL_ERROR = 125            # exit status
SIGKILL, SIGSEGV = 9, 11
F_GETFD, FD_CLOEXEC = 1, 1
RUNTIME_ITEMS = frozenset(("unimp", "internal"))      # of -d: those that are no business of the translator's log
SP = 2
MANY = 64


class Process:
    """Made by `run.main`; a fork's child goes on with its copy."""

    def __init__(self, options: RunOptions, make_engine: Callable[[RunOptions, int], Any],
                 memory: AddressSpace | None = None) -> None:
        """Raises OSError (sysroot, log file), WindowError."""
        self.options = options
        self.files, self.limits = Descriptors(), Limits()
        self.paths = Paths(options.sysroot, self.files)
        self.log_fd, self.lines_lost = 2, False         # lost: of a log file that takes no more, which has been said
        if options.log_file is not None:
            self.log_fd = self._log_file(options.log_file)
        elif options.strace or options.log:
            self.log_fd = self._own_error_stream()
        self.memory = AddressSpace() if memory is None else memory
        if options.bounded and self.memory.size != BEYOND:
            raise WindowError("--bounded needs 256 GiB of address space: ulimit -v is too low")
        self.engine = self.memory.engine = make_engine(options, self.memory.base)
        if options.log - RUNTIME_ITEMS:
            from dragoman.runtime.process import log
            log.attach(self)
        self.host = self.engine.host
        if "take_table" in self.engine.image.symbols:   # else it is an image without what the runtime adds
            self.memory.use(self.engine.image.symbols)
        self.block = Block(PROCESS_SIZE)                # what compiled functions read
        self.block[P_WINDOW] = self.memory.size
        self.signals = Signals(self.host, self.block)
        self.image: elf.Image = elf.Image(b"")
        self.threads: dict[int, Thread] = {}
        self.leaving: set[int] = set()                  # host threads whose guest thread has ended; some are gone
        self.timers: set[int] = set()                   # ids of POSIX timers, which exec deletes
        self.contexts: dict[int, Any] = {}              # of asynchronous input and output, which exec destroys
        self.at_end: list[Callable[[], None]] = []      # called before the process ends in an orderly way
        # What looks on: --strace, -g, --crash-report, core files. Each called in the thread that it is about.
        self.signal_hooks: list[Callable[[Thread, int, bytes], tuple[int, bytes]]] = []     # before delivery; number 0: none
        self.death_hooks: list[Callable[[Thread, int, bytes], None]] = []   # before the process dies of a signal
        self.core_written = False
        self.end_hooks: list[Callable[[int], None]] = []        # before it ends with this status
        # before(), parent(thread, pid, flags), child(thread), done_vfork(thread)
        self.fork_hooks: list[Any] = []
        self.exec_hooks: list[Callable[[Thread], None]] = []    # another program is there
        self.make_thread: Callable[[Process, Any], Thread] = Thread
        self.python_calls = self.call_time = 0          # system calls and nanoseconds in them, with --stats
        self.plain_perform: Any = table.perform
        self.perform: Any = table.perform
        self.strace_fd = self.log_fd
        if options.strace:
            from dragoman.runtime.process import log  # for `trace`, which holds no lock of imports
            from dragoman.runtime.process.linux import strace_lines
            if options.strace_file is not None:
                self.strace_fd = self._log_file(options.strace_file)
            self.plain_perform = self.perform = strace_lines.attach(self)
        if options.crash_report is not None:
            from dragoman.runtime.process.death import report
            report.attach(self)
        if options.stats:
            self.perform = timed_perform
        if options.perfmap or options.jitdump:
            from dragoman.runtime.process.profile import code
            code.attach(self)
        if options.codemap is not None:
            from dragoman.runtime.process.profile import codemap
            codemap.attach(self, options.codemap)
        self.direct: Any = None                         # calls that native code makes: all of them are seen by strace
        self.hook = 0                                   # and the compiled function that looks at its exits first
        if not (options.strace or options.lockstep or options.debugger):
            from dragoman.runtime.process import direct
            self.direct = direct.table(self.memory.size)
            self.block[P_DIRECT] = self.direct.address
            self.block[P_SPACE] = self.memory.table.address
            self.files.tell(self.block)
            self.paths.tell(self.block)
            self.limits.tell(self.block)
            self.hook = self.engine.image.symbols["serve_exit"]
            direct.tell_services(self.block, options.cpu)
        if not (options.log or options.lockstep or options.debugger or options.codemap or options.perfmap or options.jitdump):
            self.engine.keep_units(self._files)
        self.debugger: Any = None                       # gdb/debugger.py, with -g
        self.tasks: Any = None                          # who counts threads and processes, under --pids
        self.vfork_channel: Any = None                  # clone.py: how a vfork's child reports to its parent
        self._no_threads_but_one()
        if options.chaos is not None:
            from dragoman.runtime.process.chaos import Chaos
            Chaos(self, options.chaos)

    def _no_threads_but_one(self) -> None:
        self.block[P_ALONE] = 1
        self.ending: Thread | None = None               # the thread that is in exec: all others are to end
        self._ended = _thread.allocate_lock()           # released when a thread ends during exec
        self._ended.acquire()
        self._handed_over: Thread | None = None         # exec by another thread goes on in the main one
        self._handover = _thread.allocate_lock()
        self._handover.acquire()

    def _files(self) -> list[tuple[int, int]]:
        """Where files are mapped, as guest addresses. Raises OSError: there is no /proc."""
        from dragoman.runtime.process.symbols import mapped
        return [(start, end) for start, end, path, _ in mapped(self.memory.base) if path.startswith(b"/") and not path.startswith(b"/memfd:")]

    @property
    def oracle_memory(self) -> Any:
        """Guest memory as the oracle wants it."""
        with IMPORTS:
            from dragoman.dbt import listing
            from dragoman.dbt.emulate import Bytes
            listing.prepare(self.engine.image)
        return Bytes(self._read, self._write)

    def _read(self, address: int, length: int) -> bytes:
        try:
            return self.memory.read(address, length)
        except GuestFault:
            raise LookupError(hex(address)) from None

    def _write(self, address: int, data: bytes) -> None:
        try:
            self.memory.write(address, data)
        except GuestFault:
            raise LookupError(hex(address)) from None

    @property
    def call_count(self) -> int:
        """System calls, with --stats; the time is of those that came to Python."""
        return self.python_calls + (self.direct.count if self.direct else 0)

    # --- programs
    def load(self, thread: Thread, program: elf.Program, arguments: tuple[bytes, ...],
             environment: tuple[bytes, ...], executed_as: bytes) -> None:
        """Put a program into the empty address space, and the thread at its beginning. Raises LoadError."""
        size = self.options.stack_size or self.limits.get(RLIMIT_STACK)[0]
        image = stack.prepare(self.memory, program, arguments, environment, executed_as, size)
        image.path = self.paths.shown(image.path)
        self.image = self.paths.image = image
        self.block[P_TRAMPOLINE] = image.trampoline
        cpu = thread.cpu
        cpu.reset_registers()
        cpu.x[SP], cpu.pc = image.stack_pointer, image.start
        shown.show(self.memory, image, executed_as)

    def replace(self, thread: Thread, program: elf.Program, arguments: tuple[bytes, ...],
                environment: tuple[bytes, ...], executed_as: bytes) -> None:
        """exec, from where there is no way back: nothing of the old program stays. Other threads have ended."""
        for context in self.contexts.values():
            call(NR["io_destroy"], context.handle)
        self.contexts.clear()
        self.engine.start_anew(thread.cpu)              # first: what is unmapped then has no code left
        self.memory.reset()
        self.signals.reset()
        for timer in self.timers:
            call(NR["timer_delete"], timer)
        self.timers.clear()
        kept = self.files.own | {program.fd, program.interpreter.fd if program.interpreter else -1}
        for fd in self._descriptors():
            if fd not in kept and call(NR["fcntl"], fd, F_GETFD) == FD_CLOEXEC:
                os.close(fd)
        thread.forget_program()
        self.block[P_ALONE] = 1
        try:
            self.load(thread, program, arguments, environment, executed_as)
        except (elf.LoadError, OSError) as error:
            self.complain(str(error))
            self.die(SIGKILL)
        self.let_fork()
        for hook in self.exec_hooks:
            hook(thread)

    def _descriptors(self) -> Iterable[int]:
        """All that may be open."""
        try:
            with self.files.room:
                return map(int, os.listdir("/proc/self/fd"))
        except OSError:                             # another root, which has no /proc
            return range(self.limits.get(RLIMIT_NOFILE)[0])

    # --- threads
    def first_thread(self) -> Thread:
        """The program's main thread, not attached yet."""
        return self.make_thread(self, self.engine.cpu())

    def live(self, thread: Thread) -> None:
        """The life of a host thread once its guest thread is attached. Returns when the host thread is to end."""
        try:
            while True:
                try:
                    thread.run()
                except ThreadEnd as end:
                    end.wind_up(thread)
                if not self.is_main_host_thread():
                    return
                # the main thread's id is the process's, so it stays
                self._handover.acquire()
                assert self._handed_over is not None
                thread, self._handed_over = self._handed_over, None
                wait_for_thread(thread.tid)
                thread.attach()
                thread.goes_on()
        except BaseException:
            self.internal_error()

    def thread_ended(self, status: int) -> None:
        """The calling guest thread has ended and is detached; the last one ends the process."""
        if len(self.leaving) > MANY:
            for tid in list(self.leaving):
                if not exists(tid):
                    self.leaving.discard(tid)
        if self.ending is None:                     # else one is in exec, and may just be on its way to another host thread
            if not self.threads:
                self.end(status)
        else:
            try:
                self._ended.release()
            except RuntimeError:
                return                                  # released already, and not noticed yet

    def end_others(self, thread: Thread) -> None:
        """For exec: returns when `thread` is the only one left. Raises ThreadEnd if another one is in exec already."""
        if self.ending is not None:
            raise ThreadEnd
        self.ending = thread
        told: set[int] = set()
        while len(self.threads) > 1:
            for tid in list(self.threads):
                if tid != thread.tid and tid not in told:
                    told.add(tid)
                    call(NR["tgkill"], os.getpid(), tid, SIGSEGV)       # never blocked: gets it out of any call
            self._ended.acquire()
        for tid in list(self.leaving):
            wait_for_thread(tid)

    def is_main_host_thread(self) -> bool:
        return _thread.get_native_id() == os.getpid()

    def hand_over(self, thread: Thread) -> None:
        """The main host thread takes this guest thread; the calling host thread is to end."""
        self._handed_over = thread
        self._handover.release()

    def let_fork(self) -> None:
        """After one by Python, compiled code makes the next forks, if nobody looks on, counts or waits, and Python has no threads of its own."""
        others = self.fork_hooks or self.end_hooks or self.tasks or self.memory.budget or self.vfork_channel or self.engine.log
        self.block[P_FORK] = fork_address() if table.has_common() and not others and not _thread._count() else 0

    def met_fork(self, thread: Thread) -> None:
        """In a child that compiled code has made (native/fork.py), the first time that it comes here."""
        if self.block[P_FORKED] == LOST:
            raise MemoryError("the code cache cannot be copied")
        self.block[P_FORKED] = 0
        self.forked(thread)
        self.engine.begin_child(thread.cpu)

    def forked(self, thread: Thread) -> None:
        """In the child: only the calling thread is there."""
        forget_buffers()
        thread.tid = _thread.get_native_id()
        self.threads, self.leaving = {thread.tid: thread}, set()
        self.timers.clear()
        self.contexts.clear()
        self.at_end.clear()
        self.vfork_channel = None
        self._no_threads_but_one()

    # --- messages and ends
    def log(self, line: str) -> None:
        """Lines of --strace and -d, each of them written whole whoever else writes there."""
        self._put(self.log_fd, self.options.log_file, line)

    def trace(self, line: str) -> None:
        """As log, where --strace goes."""
        self._put(self.strace_fd, self.options.strace_file or self.options.log_file, line)

    def _put(self, fd: int, path: bytes | None, line: str) -> None:
        from dragoman.runtime.process.log import write
        problem = write(fd, line.encode(errors="surrogateescape") + b"\n")
        if problem and path is not None and not self.lines_lost:
            self.lines_lost = True
            mask = self.host.mask()
            self.complain(f"{os.fsdecode(path)}: {problem}: lines are lost")
            self.host.set_mask(mask)

    def _log_file(self, path: bytes) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        return self.files.keep(os.open(path, flags, 0o666))

    def _own_error_stream(self) -> int:
        """A descriptor for standard error that the guest, which may close 2 and have a file of its own there, does not see."""
        try:
            return self.files.keep(os.dup(2))
        except OSError:
            return 2                                    # it is closed: lines are lost

    def complain(self, text: str) -> None:
        """A line on the guest's standard error, if it still has one that is read."""
        self.host.set_mask(ALL_SIGNALS)                 # of SIGPIPE, too
        call_and_wait(NR["write"], 2, address_of(line := f"dragoman: {text}\n".encode(errors="surrogateescape")), len(line))

    def finish(self) -> None:
        """What is due before the process ends on its own account."""
        if self.vfork_channel is not None:
            self.vfork_channel.report()
        for thread in list(self.threads.values()):
            thread.release_robust()
        for function in self.at_end:
            function()

    def end(self, status: int) -> None:
        """exit_group."""
        IMPORTS.acquire()                               # for good: what is imported from here on has no lock of its own
        for hook in self.end_hooks:
            hook(status)
        self.finish()
        self.engine.end()
        os._exit(status & 0xFF)

    def wants_core(self) -> None:
        """The guest's limit on core files is what it is: signals that dump core are to come here if there is to be one."""
        wanted = self.limits.get(RLIMIT_CORE)[0] >= PAGE
        self.signals.catch("core", CORE_SIGNALS if wanted else frozenset())
        if wanted and self._write_core not in self.death_hooks:
            self.death_hooks.insert(0, self._write_core)
            self.engine.set_precise()                   # its registers are to be those of the instruction

    def _write_core(self, thread: Thread, number: int, info: bytes) -> None:
        from dragoman.runtime.process.death import core
        self.core_written = core.write(self, thread, number, info)

    def die(self, number: int, thread: Thread | None = None, info: bytes = b"") -> None:
        """End of this signal, which `thread` has got, as the program would natively."""
        if thread is not None and self.death_hooks:
            IMPORTS.acquire()                           # as above, and before the world, as whoever forks
            self.engine.stop_world(thread.cpu)          # for good: what is left of the process is to hold still
            for hook in self.death_hooks:
                hook(thread, number, info)
        self.finish()
        if self.core_written:
            from dragoman.runtime.process.death import flag
            flag.prepare(self, number)
        self.host.set_mask(ALL_SIGNALS)
        if number != SIGKILL:
            self.host.set_action(number, SIG_DFL)
        # to this very thread, which gets it before it goes on; another one might not have got to it before _exit
        call(NR["tgkill"], os.getpid(), _thread.get_native_id(), number)
        self.host.set_mask(ALL_SIGNALS & ~bit(number))
        os._exit(128 + number)              # process 1 of a namespace does not die of signals

    def internal_error(self) -> None:
        """The exception being handled is ours: one line, all of it with -d internal, and the end."""
        import sys
        kind, error, trace = sys.exc_info()
        if "internal" in self.options.log:
            import traceback
            self.log("".join(traceback.format_exception(kind, error, trace)).rstrip())
        place = ""
        while trace is not None:
            place = f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
            trace = trace.tb_next
        self.complain(f"internal error: {kind.__name__ if kind else ''}: {error}{place}; "
                      "the guest cannot go on (-d internal prints where)")
        os._exit(INTERNAL_ERROR)


def wait_for_thread(tid: int) -> None:
    """Until a host thread that is ending is gone for the kernel too, as after execve; the main thread stays."""
    while tid != os.getpid() and exists(tid):
        os.sched_yield()


def exists(tid: int) -> bool:
    """Whether the process has this host thread."""
    return call(NR["tgkill"], os.getpid(), tid, 0) == 0
