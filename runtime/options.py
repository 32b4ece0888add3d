"""What a user can ask of a guest's run: the fields, their defaults and the words they are made of."""

from __future__ import annotations

from dragoman.dbt.isa.levels import LEVELS, WITH_BITS

CPUS = LEVELS                   # what the guest's CPU can do
ENGINES = ("interpreter", "stencil", "region")  # each can run a guest alone
LEAST_CODE = 256 << 10
NETWORKS = ("none", "host")
CONTAINMENTS = ("auto", "namespaces", "descriptors")
COMPILERS = ("server", "inline", "off")
LOG_ITEMS = {
    "in_asm": "guest instructions of each block when it is translated",
    "recipe": "their recipes",
    "ir": "LLVM IR",
    "out_asm": "host instructions",
    "exec": "each block when it is entered",
    "unimp": "system calls and requests that are not there, once each",
    "internal": "where it happened when dragoman itself failed",
}


class RunOptions:
    """The options of one run. Nothing changes them afterwards.

    Not a dataclass: `import dataclasses` costs 6 to 20 ms, a good part of the start of a whole guest.
    Paths, arguments and variables are bytes, as Linux has them.
    """

    program: bytes = b""
    arguments: tuple[bytes, ...] = ()
    """The guest's argv, argv[0] included (`-0` or else the program as given)."""
    environment: tuple[bytes, ...] = ()
    """The guest's whole environment, `NAME=value`, in the host's order, `-E` and `-U` applied."""
    sysroot: bytes | None = None
    rootfs: bytes | None = None
    """An absolute host path: the guest's whole file system. What follows is for it only."""
    binds: tuple[tuple[bytes, bytes, bool], ...] = ()
    """Absolute host path, guest path, whether read-only."""
    network: str = "host"
    """One of NETWORKS."""
    memory_limit: int | None = None
    """Bytes that all processes of the guest may have mapped writable."""
    task_limit: int | None = None
    """Threads and processes at a time."""
    time_limit: float | None = None
    """Seconds until the guest is killed."""
    containment: str = "auto"
    """One of CONTAINMENTS: auto takes namespaces if it can."""
    bounded: bool = False
    """Guest addresses cannot reach memory of the emulator, whatever they are."""

    stack_size: int | None = None
    """Bytes; None: the soft limit RLIMIT_STACK, as on a native Linux."""

    code_size: int | None = None
    """Bytes of translated code of each kind that are kept in memory, at least LEAST_CODE; None: the engine's own choice."""

    cpu: str = WITH_BITS
    """One of CPUS."""
    engine: str = "auto"
    """One of ENGINES or auto."""
    threshold: int | None = None
    """Executions of a block before a region is made of it; None: the engine's own choice."""
    compiler: str = "server"
    """One of COMPILERS: where regions are compiled."""
    precise: bool = False
    cold: bool = False
    """Nothing is read from the store on disk, and nothing is kept there."""
    count: bool = False
    lockstep: tuple[str, str] | None = None
    """Two of ENGINES to run side by side."""

    debugger: bytes | None = None
    """Where to wait for gdb: a port of TCP, or the path of a socket."""
    debugger_line: int | None = None
    """A descriptor: where the keeper of a root has started the debugger's hub already."""
    crash_report: bytes | None = None
    """Where a report goes when the guest dies of a fatal signal; empty: standard error."""
    perfmap: bool = False
    jitdump: bool = False
    codemap: bytes | None = None
    """Where all that is translated is written, for `dragoman perf profile`; in place of `log`."""
    chaos: int | None = None
    """Threads pause at random where races live, by this seed; None: they do not."""

    strace: bool = False
    strace_count: bool = False
    """A table of calls at the end, instead of lines."""
    strace_file: bytes | None = None
    """Where strace goes, if not where the log does."""
    log: frozenset[str] = frozenset()
    """Some of LOG_ITEMS."""
    log_file: bytes | None = None
    """Where strace and log go; None: standard error."""
    log_ranges: tuple[tuple[int, int], ...] = ()
    """Guest addresses, first and last, that the log is limited to; empty: all."""
    stats: bool = False
    stats_file: bytes | None = None
    """Where the statistics go, as JSON; None: standard error, as a table."""

    def __init__(self, **values: object) -> None:
        for name in values:
            if not hasattr(type(self), name):
                raise TypeError(f"no such option: {name}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"RunOptions are not changed after they are made ({name})")

    def __repr__(self) -> str:
        return f"RunOptions({', '.join(f'{name}={value!r}' for name, value in sorted(self.__dict__.items()))})"
