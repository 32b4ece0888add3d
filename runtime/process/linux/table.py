"""The table of system calls: number -> handler, how handlers are registered, and the one way to call them.

A handler is a plain function `handler(thread, a0, a1, ...)` with the arguments as registers hold them (unsigned 64
bits). It returns the result or -errno; NOT_MADE when `thread.call` did (a signal came first: the guest's pc stays at
the call, so nothing may have been done yet); None when it has set the registers itself (rt_sigreturn, execve). It may
raise GuestFault (-EFAULT) and OSError (-errno). What a handler consists of:

    @syscall("dup3", "fd fd flags:open")             # kinds of the arguments, for strace: one word each
    def dup3(thread: Thread, old: int, new: int, flags: int) -> int: ...

    passed("flock fd flags:flock | getgroups int ptr")     # the same call on the host, pointers moved
"""

from __future__ import annotations

from dragoman.dbt.imports import IMPORTS
from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.host import NOT_MADE, NR, address_of  # noqa: F401  (handlers take NOT_MADE from here)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from dragoman.runtime.memory.space import AddressSpace
    from dragoman.runtime.options import RunOptions
    from dragoman.runtime.process.elf import Image
    from dragoman.runtime.process.linux.aio import Context
    from dragoman.runtime.process.linux.descriptors import Descriptors
    from dragoman.runtime.process.linux.limits import Limits
    from dragoman.runtime.process.linux.paths import Paths
    from dragoman.runtime.process.signals import Signals

    class Process(Protocol):
        """What system calls use of a guest process."""

        memory: AddressSpace
        engine: Any
        options: RunOptions
        image: Image        # what was loaded: path of the executable, arguments, environment, auxv, bounds
        paths: Paths        # where a guest path lies on the host
        files: Descriptors  # the runtime's own descriptors, kept out of the guest's reach
        signals: Signals    # what the guest wants done with each
        contexts: dict[int, Context]    # of asynchronous input and output, by the guest's handles
        threads: dict[int, Thread]
        limits: Limits      # resource limits that are the guest's only
        log: Callable[[str], None]  # writes a line of --strace and -d where it belongs

    class Thread(Protocol):
        """What system calls use of a guest thread."""

        process: Process
        cpu: Any
        tid: int
        mask: int           # blocked signals

        def call(self, number: int, *arguments: int) -> int:
            """Make a host system call (host.NR) that a signal can interrupt; its result, -errno or NOT_MADE."""
else:
    Thread = Process = object   # modules of calls import them for their signatures

EFAULT, EMFILE, ENOSYS = 14, 24, 38
SYSCALLS: dict[int, Syscall] = {}
_homes: dict[int, str] = {}
_common: list[bool] = []


class Syscall:
    """A system call of the guest."""

    __slots__ = ("arity", "handler", "kinds", "name", "number", "reason", "result")

    def __init__(self, number: int, name: str, handler: Callable[..., int | None], kinds: str, reason: str = ""):
        arguments, _, result = kinds.partition("->")
        self.number, self.name, self.handler = number, name, handler
        self.reason = reason        # why it is not there, if it is not
        self.kinds: tuple[str, ...] = tuple(arguments.split())
        self.result = result.strip()
        self.arity = len(self.kinds)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(self.kinds)})"


def syscall(name: str, kinds: str = "", number: int | None = None) -> Callable:
    """Decorator: the handler of call `name`; kinds name each argument and, behind ->, the result if it is no int.

    fd path string int uint size offset mode ptr, buffer:N (input, length in argument N), out (length is the result),
    flags:TABLE enum:TABLE (strace_names.py), struct:NAME, struct:NAME+ (output); others print in hexadecimal.
    """
    def register(handler: Callable[..., int | None]) -> Callable[..., int | None]:
        at = NUMBER[name] if number is None else number
        SYSCALLS[at] = Syscall(at, name, handler, kinds)
        return handler
    return register


POINTERS = frozenset("string ptr buffer out struct sockaddr name".split())
LOCATED = frozenset("path link".split())
AT_SYMLINK_NOFOLLOW = 0x100


def passed(rows: str) -> None:
    """Register calls whose arguments mean the same on the host: `name kind kind ...`, separated by | or new lines.

    path: something that exists, looked for under the guest's root; link: the same, not followed at its end; name: a
    path taken as it is; at: flags that may hold AT_SYMLINK_NOFOLLOW for `path`.
    """
    for row in rows.replace("|", "\n").splitlines():
        name, _, kinds = row.strip().partition(" ")
        if name:
            words = [word.partition(":")[0] for word in kinds.partition("->")[0].split()]
            number = NUMBER[name]
            make = _locator if LOCATED & set(words) else _passer
            SYSCALLS[number] = Syscall(number, name, make(NR[name], words), kinds)


def _passer(number: int, words: list[str]) -> Callable[..., int]:
    mask = [word in POINTERS for word in words]
    if True not in mask:
        def handler(thread: Thread, *arguments: int) -> int:
            return thread.call(number, *arguments)
    elif mask.count(True) == 1:
        at = mask.index(True)

        def handler(thread: Thread, *arguments: int) -> int:
            moved = list(arguments)
            moved[at] = thread.process.memory.host(moved[at])
            return thread.call(number, *moved)
    else:
        def handler(thread: Thread, *arguments: int) -> int:
            host = thread.process.memory.host
            return thread.call(number, *[host(value) if moves else value for value, moves in zip(arguments, mask)])
    return handler


def _locator(number: int, words: list[str]) -> Callable[..., int]:
    flags_at = words.index("at") if "at" in words else None

    def handler(thread: Thread, *arguments: int) -> int:
        memory, find = thread.process.memory, thread.process.paths.find
        follow = flags_at is None or not arguments[flags_at] & AT_SYMLINK_NOFOLLOW
        alive, moved = [], []
        for word, value in zip(words, arguments):
            if word in LOCATED and value:
                alive.append(find(memory.read_string(value), follow and word == "path"))
                moved.append(address_of(alive[-1]))
            else:
                moved.append(memory.host(value) if word in POINTERS else value)
        return thread.call(number, *moved)
    return handler


def absent(reason: str, names: str) -> None:
    """Register calls that are not there on purpose: ENOSYS. The reason is for docs/syscalls.md."""
    for name in names.split():
        SYSCALLS[NUMBER[name]] = Syscall(NUMBER[name], name, lambda thread: -ENOSYS, "", reason)


def lookup(number: int) -> Syscall | None:
    """The call with this number, or None. Imports its module."""
    with IMPORTS:
        module = homes().get(number)
        if module is not None:
            __import__(module)
    return SYSCALLS.get(number)


def homes() -> dict[int, str]:
    """Modules of calls, by number."""
    if not _homes:
        from dragoman.runtime.process.linux.homes import homes as read
        _homes.update(read())
    return _homes


def import_common(files: Descriptors) -> None:
    """Before a fork: what children will need as well is there once."""
    if not _common:
        with IMPORTS, files.room:
            from dragoman.runtime.process.linux.homes import COMMON
            for module in COMMON:
                __import__(module)
            _common.append(True)


def has_common() -> bool:
    """Whether that is so."""
    return bool(_common)


def import_all() -> None:
    """All calls are in SYSCALLS from now on."""
    with IMPORTS:
        for module in homes().values():
            __import__(module)


LATE = ("dragoman.runtime.process.linux.proc", "dragoman.runtime.process.linux.ioctl", "dragoman.dbt.emulate",
        "dragoman.dbt.isa.riscv.forms", "dragoman.dbt.region_places", "dragoman.dbt.tiering",
        "dragoman.dbt.compiler_client", "resource", "fcntl",
        "dragoman.runtime.process.namespaces", "dragoman.runtime.process.death.core", "dragoman.runtime.process.death.flag",
        "dragoman.runtime.process.log", "traceback")
NOP = (0x13).to_bytes(4, "little")
_settled: list[bool] = []


def settle(process: Process) -> None:
    """Import what is imported late."""
    options = process.options
    if not _settled:
        import_all()
        with IMPORTS:
            for name in LATE:
                __import__(name)
            from dragoman.dbt import listing
            listing.prepare(process.engine.image)
            listing.decode(NOP, 0, level=options.cpu)       # the oracle's decoder is made with the first instruction
            if options.debugger is not None:
                from dragoman.runtime.process.gdb import start  # noqa: F401
            if options.stats:
                from dragoman.runtime.process import statistics
                statistics.table({"seconds": {"cpu": 0.0}, "counts": {}}, "")   # what prints tables imports as it goes
            if options.engine == "region" or options.compiler == "inline":      # who compiles in this process
                from dragoman.dbt import compile_jobs
                from dragoman.dbt.host import elf, lines  # noqa: F401
                compile_jobs.prepare()
        _settled.append(True)


def hides(names: str, root: bool = False, store: bool = False) -> None:
    """Behind these calls the emulator's own files may be out of reach, by another root, user, rules: it settles first.

    root: the root is another one then, and -L's is none any more. store: no path leads to the store any more.
    """
    def first(handler: Callable[..., int | None]) -> Callable[..., int | None]:
        def both(thread: Thread, *arguments: int) -> int | None:
            settle(thread.process)
            if store:
                thread.process.engine.settle(thread.cpu)
            result = handler(thread, *arguments)
            if store and result == 0:
                thread.process.engine.store.folder = None
            if root and result == 0:
                thread.process.paths.give_up_root()
            return result
        return both
    for name in names.split():
        entry = SYSCALLS[NUMBER[name]]
        entry.handler = first(entry.handler)


_named: set[int] = set()


def unimplemented(thread: Thread, number: int) -> int:
    """-ENOSYS, and a line about it the first time where that is asked for."""
    options = thread.process.options
    if number not in _named and (options.strace or "unimp" in options.log):
        _named.add(number)
        name = next((name for name, known in NUMBER.items() if known == number), "an unknown one")
        thread.process.log(f"system call {number} ({name}) is not there: ENOSYS")
    return -ENOSYS


def perform(thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
    """Make system call `number` with the six argument registers: the result for the guest, NOT_MADE or None."""
    entry = SYSCALLS.get(number)
    if entry is None:
        with IMPORTS, thread.process.files.room:        # its module may be still to be read, with no descriptor left to the guest
            entry = lookup(number)
        if entry is None:
            return unimplemented(thread, number)
    try:
        result = entry.handler(thread, *arguments[:entry.arity])
    except GuestFault:
        return -EFAULT
    except OSError as error:
        result = -(error.errno or EFAULT)
    if result == -EMFILE and not _settled:
        with IMPORTS, thread.process.files.room:        # in this order, as whoever forks
            settle(thread.process)      # what is imported later would find no descriptor
    return result


def signed(value: int) -> int:
    """A register as a signed 64-bit number."""
    return value - (1 << 64) if value >> 63 else value


def signed32(value: int) -> int:
    """A register as a C int: descriptors, process ids."""
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value
