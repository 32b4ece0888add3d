"""`dragoman run`: starts a guest process in this one, and stays with it to its end."""

from __future__ import annotations

import errno
import gc
import os

from dragoman.runtime.memory.window import WindowError
from dragoman.runtime.options import RunOptions
from dragoman.runtime.process import elf, execute
from dragoman.runtime.process.execute import set_host_limit
from dragoman.runtime.process.linux.limits import RLIMIT_CORE, host_limit
from dragoman.runtime.process.native import make_engine
from dragoman.runtime.process.process import INTERNAL_ERROR, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SWITCH_INTERVAL = 50e-6         # seconds: how soon a thread that comes out of a system call gets the GIL


def main(options: RunOptions) -> int:
    """Run the guest; ends the host process with it. Returns an exit status where it could not be started."""
    if options.rootfs is not None:
        from dragoman.runtime.rootfs.keeper import main as keep
        return keep(options)
    return run(options)


def run(options: RunOptions, enter: Callable[[Process], None] | None = None) -> int:
    """Run the guest in this process. enter: what is to be done before the first look at the program, for a root to be entered."""
    import sys
    sys.setswitchinterval(SWITCH_INTERVAL)
    process: Process
    try:
        if options.lockstep is not None:
            from dragoman.runtime.process.lockstep import LockstepProcess
            process = LockstepProcess(options, make_engine)
        else:
            process = Process(options, make_engine)
        begin(process, enter)
    except (elf.LoadError, WindowError) as error:
        return refuse(str(error), getattr(error, "status", elf.CANNOT_RUN))
    except OSError as error:
        name = os.fsdecode(error.filename) if error.filename is not None else ""
        return refuse(f"{name}: {error.strerror}" if name else str(error.strerror), elf.CANNOT_RUN)
    except MemoryError as error:
        return refuse(f"no memory for the translator: {error or 'none is left'}; a limit may be too low (ulimit -v, ulimit -d)", elf.CANNOT_RUN)
    except Exception as error:      # ours: a line for the user, all of it for whoever asks
        if "internal" in options.log:
            raise
        return refuse(f"internal error: {type(error).__name__}: {error}; the guest cannot be started (-d internal prints where)",
                      INTERNAL_ERROR)
    return INTERNAL_ERROR       # only where the end of the process was not the end


def begin(process: Process, enter: Callable[[Process], None] | None = None) -> None:
    """Load the program and live its main thread's life."""
    options = process.options
    if enter is not None:
        enter(process)
    start = execute.prepare(process, options.program, options.arguments)
    if start.program is None:       # execve would let the host run it; here it is refused in its own words
        elf.read(start.path, start.name, process.memory.size, process.paths.find).close()
        raise elf.LoadError(f"{elf.printable(start.name)}: has changed meanwhile", errno.ENOEXEC)
    keep_core_limit(process)
    if options.debugger is not None:
        from dragoman.runtime.process.gdb import start as debugging
        line = options.debugger_line
        debugging.start(process, debugging.open_line(options.debugger) if line is None else line)
    thread = process.first_thread()
    thread.mask = process.host.mask()
    process.host.block_all()
    thread.attach()
    process.load(thread, start.program, start.arguments, options.environment, start.name)
    if options.stats:
        from dragoman.runtime.process import statistics
        statistics.attach(process)
    gc.freeze()                 # a fork's child would copy pages only to look for garbage there
    gc.enable()
    process.live(thread)


def keep_core_limit(process: Process) -> None:
    """The limit on core files becomes the guest's alone: the host writes none."""
    soft, hard = host_limit(RLIMIT_CORE)
    process.limits.keep(RLIMIT_CORE, soft, hard)
    set_host_limit(RLIMIT_CORE, 0, hard)
    process.limits.core_changed = process.wants_core
    process.wants_core()


def refuse(text: str, status: int) -> int:
    os.write(2, f"dragoman: {text}\n".encode(errors="surrogateescape"))
    return status
