"""The dragoman command: reads the command line and hands over to the part that does the work.

Whatever it imports is paid for at each start of a guest, so each command imports its own part, when it is called.
"""

from __future__ import annotations

import _signal  # the module signal would import enum
import os
import sys

from dragoman import __version__
from dragoman.arguments import Option, UsageError, choice, help_text, parse, positive, size
from dragoman.runtime.options import COMPILERS, CONTAINMENTS, CPUS, ENGINES, LEAST_CODE, LOG_ITEMS, NETWORKS, RunOptions

WRONG_USAGE = 2  # exit status


def main() -> None:
    """Run this process's command line and end the process."""
    try:
        words = sys.argv[1:]
        if words[:1] == ["run"]:
            status = command(words)     # its output is the guest's
        else:
            from dragoman.output import guarded
            status = guarded(command, words)
    except UsageError as error:
        complain(str(error))
        status = WRONG_USAGE
    except KeyboardInterrupt:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGINT)
        status = 128 + _signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has no reader
        status = 128 + _signal.SIGPIPE
    sys.exit(status)


def command(words: list[str]) -> int:
    """Run one command line; returns the exit status. Raises UsageError."""
    name = words[0] if words else "--help"
    if name in COMMANDS:
        return COMMANDS[name][0](words[1:])
    if name in ("--version", "-version", "-V"):
        return say(f"dragoman {__version__}\n")
    if name in ("--help", "-help", "-h", "help"):
        summary = "\n".join(f"  {name:11}{text}" for name, (_, text) in COMMANDS.items())
        return say(help_text("dragoman COMMAND ...", ABOUT, (), f"commands (each has its own --help):\n{summary}"))
    hint = f"; to run a program: dragoman run {name}" if os.path.exists(name) else ""
    raise UsageError(f"no command {name}: it is one of {', '.join(COMMANDS)}{hint}")


def complain(text: str) -> None:
    os.write(2, f"dragoman: {text}\n".encode(errors="surrogateescape"))


def say(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0


ABOUT = "Runs riscv64 Linux programs on an x86-64 Linux host."


# ---- dragoman run

def address_ranges(text: str) -> list[tuple[int, int]]:
    """FIRST..LAST, START+SIZE or END-SIZE, separated by commas, as qemu's -dfilter."""
    ranges = []
    for part in text.split(","):
        for separator in ("..", "+", "-"):
            left, found, right = part.partition(separator)
            if found:
                break
        try:
            start, number = int(left, 0), int(right, 0) if found else 1
        except ValueError:
            raise ValueError("is not FIRST..LAST, START+SIZE or END-SIZE (0x for hexadecimal)") from None
        ranges.append((start, number) if separator == ".." else
                      (start - number + 1, start) if found and separator == "-" else (start, start + number - 1))
        if not 0 <= ranges[-1][0] <= ranges[-1][1] < 1 << 64:
            raise ValueError("is empty or reaches outside 64 bits")
    return ranges


def log_items(text: str) -> list[str]:
    words = text.split(",")
    for word in words:
        if word not in LOG_ITEMS:
            raise ValueError(f"has a word that is not one of {', '.join(LOG_ITEMS)}")
    return words


def two_engines(text: str) -> tuple[str, str]:
    words = text.split(",")
    if len(words) != 2 or words[0] == words[1] or not set(words) <= set(ENGINES):
        raise ValueError(f"is not two different ones of {', '.join(ENGINES)}, as interpreter,stencil")
    return words[0], words[1]


def assignment(text: str) -> tuple[bytes, bytes]:
    name, equals, value = os.fsencode(text).partition(b"=")
    if not (name and equals):
        raise ValueError("is not NAME=VALUE")
    return name, value


def variable(text: str) -> tuple[bytes, None]:
    if not text or "=" in text:
        raise ValueError("is not the name of a variable")
    return os.fsencode(text), None


def code_size(text: str) -> int:
    number = size(text)
    if number < LEAST_CODE:
        raise ValueError(f"is less than {LEAST_CODE >> 10}K")
    return number


def gdb_place(text: str) -> bytes:
    """A port, or the path of a socket, which `unix:` may stand before."""
    if text.isdigit() and int(text) > 65535:
        raise ValueError("is not a port: 0 to 65535")
    if not text.removeprefix("unix:"):
        raise ValueError("is empty")
    return os.fsencode(text)


def folder(text: str) -> bytes:
    if not os.path.isdir(text):
        raise ValueError("is not a folder")
    return os.fsencode(os.path.realpath(text))


def binding(text: str) -> tuple[bytes, bytes, bool]:
    """HOST:GUEST, or with :ro behind it."""
    host, colon, guest = text.removesuffix(":ro").partition(":")
    if not (host and colon and guest.startswith("/")):
        raise ValueError("is not HOST:GUEST or HOST:GUEST:ro, with an absolute path in the guest")
    if not os.path.exists(host):
        raise ValueError(f"names nothing on the host: {host}")
    return os.fsencode(os.path.realpath(host)), os.fsencode(guest), text.endswith(":ro")


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise ValueError("is not a number of seconds above 0")
    return number


RUN_OPTIONS = (
    Option("-L --sysroot", "sysroot", "the guest's root: absolute paths are looked for there first, then as they are. "
           "Programs that need a dynamic loader need it (default: the variable QEMU_LD_PREFIX)", "ROOT", os.fsencode),
    Option("--rootfs", "rootfs", "run PROGRAM, a path in there, with DIR as its whole file system: docs/rootfs.md", "DIR", folder),
    Option("--bind", "binds", "with --rootfs: a file or folder of the host is there too; with :ro it cannot be written to",
           "HOST:GUEST[:ro]", binding, gather=True),
    Option("--net", "network", "with --rootfs: host (default), or none: a network of its own that leads nowhere", "none|host",
           choice(*NETWORKS)),
    Option("--memory", "memory_limit", "with --rootfs: memory that all its processes may have mapped writable; beyond, ENOMEM", "SIZE", size),
    Option("--pids", "task_limit", "with --rootfs: threads and processes at a time; beyond, EAGAIN", "N", positive),
    Option("--timeout", "time_limit", "with --rootfs: kill it after so long; the exit status is 124 then, as timeout(1) has it", "SECONDS",
           seconds),
    Option("--containment", "containment", "with --rootfs: namespaces, descriptors (where a host has none; implies --bounded), or auto "
           "(default): namespaces if the host permits them", "WAY", choice(*CONTAINMENTS)),
    Option("--bounded", "bounded", "check each guest address, so that none reaches the emulator's own memory (slower)"),
    Option("-E", "changes", "set a variable for the guest", "NAME=VALUE", assignment, gather=True),
    Option("-U", "changes", "take a variable away from the guest", "NAME", variable, gather=True),
    Option("-0", "argument_0", "the guest's argv[0] (default: PROGRAM)", "ARGV0", os.fsencode),
    Option("-s", "stack_size", "size of the guest's stack, with K, M or G for powers of 1024 "
           "(default: the soft limit, see ulimit -s)", "SIZE", size),
    Option("--cpu", "cpu", f"what the guest's CPU can do: {CPUS[1]} (default), with Zba, Zbb, Zbs, Zbc and Zicond, or {CPUS[0]}, in which "
           "they are illegal instructions", "CPU", choice(*CPUS)),
    Option("--engine", "engine", f"{', '.join(ENGINES)} or auto (default): what is best, from cold to hot", "ENGINE",
           choice(*ENGINES, "auto")),
    Option("--threshold", "threshold", "run a block N times before a region is compiled of it", "N", positive),
    Option("--compiler", "compiler", "who compiles regions: server (default: a process in the background, one for each "
           "user), inline (this process, which waits for it), off", "WHO", choice(*COMPILERS)),
    Option("--code-size", "code_size", "keep so much translated code of each kind (interpreter, stencil, region) in memory; what is "
           "more makes room for itself: all is translated again (default: 48M and more)", "SIZE", code_size),
    Option("--precise", "precise", "exact registers at each fault, also in regions (slower)"),
    Option("--cold", "cold", "do without what earlier runs left in the cache folder, and leave nothing there"),
    Option("--count", "count", "count guest instructions exactly (slower): for --stats, and the guest's instret"),
    Option("--lockstep", "lockstep", "run two engines side by side and stop where their states first differ", "A,B",
           two_engines),
    Option("--chaos", "chaos", "let threads pause at random where races live, in a way that this number, from 1, chooses (slower)", "SEED",
           positive),
    Option("-g", "debugger", "wait for gdb (`target remote`) before the first instruction, at a TCP port of this host or at a Unix socket; implies "
           "--precise", "PORT|PATH", gdb_place),
    Option("--crash-report", "crash_report", "when the guest dies of a fatal signal, print registers, code, backtrace and mappings on standard "
           "error or into FILE; implies --precise", "FILE", os.fsencode, bare=b""),
    Option("--perfmap", "perfmap", "write /tmp/perf-PID.map, by which perf names translated code"),
    Option("--jitdump", "jitdump", "write jit-PID.dump into the current folder, for perf inject --jit"),
    Option("--codemap", "codemap", "append all that is translated to FILE, for `dragoman perf profile`; without -d", "FILE", os.fsencode),
    Option("--strace", "strace", "print the guest's system calls and signals, those of its threads and children, too"),
    Option("-c", "strace_count", "as --strace, but only count calls, errors and time: a table at the end, children included"),
    Option("-f", "strace_file", "as --strace, into this file", "FILE", os.fsencode),
    Option("-d", "log", f"print some of {', '.join(LOG_ITEMS)}; `-d help` explains them", "ITEMS", log_items,
           gather=True),
    Option("-D", "log_file", "write --strace and -d to this file instead of standard error", "FILE", os.fsencode),
    Option("--dfilter", "log_ranges", "limit -d to guest addresses: FIRST..LAST, START+SIZE or END-SIZE, with commas "
           "between", "RANGE", address_ranges, gather=True),
    Option("--stats", "stats", "at the end print blocks, instructions, system calls and times on standard error"),
    Option("--stats-json", "stats_file", "the same as JSON, written to FILE, of the first process alone where it forks", "FILE", os.fsencode),
    Option("--version", "version", "print the version"),
    Option("-h --help", "help", "print this"),
)

OF_ROOTFS = ("binds", "network", "memory_limit", "task_limit", "time_limit", "containment")

RUN_MORE = """\
Standard streams, exit status and signals are the program's own. Before it runs, the status is 2 for wrong options,
126 for a file that cannot be run and 127 for one that is not there."""


def host_environment() -> list[bytes]:
    """The variables this process was started with, as they were: os.environ has LC_CTYPE added in the C locale."""
    try:
        with open("/proc/self/environ", "rb", buffering=0) as block:
            return [item for item in block.readall().split(b"\0") if item]
    except OSError:
        return [name + b"=" + value for name, value in os.environb.items()]


def changed(environment: list[bytes], changes: list[tuple[bytes, bytes | None]]) -> list[bytes]:
    """The environment after variables were set (to bytes) and taken away (None), in order."""
    for name, value in changes:
        start = name + b"="
        places = [place for place, item in enumerate(environment) if item.startswith(start)]
        rest = [item for item in environment if not item.startswith(start)]
        if value is not None:
            rest.insert(places[0] if places else len(rest), start + value)
        environment = rest
    return environment


def run_options(words: list[str], environment: list[bytes]) -> RunOptions | str:
    """What a command line of `dragoman run` asks for, or the text that it asks to print. Raises UsageError."""
    if words[:2] == ["-d", "help"]:
        return "\n".join(f"{item:10}{text}" for item, text in LOG_ITEMS.items()) + "\n"
    fields, rest = parse(RUN_OPTIONS, words)
    if fields.pop("help", False):
        return help_text("dragoman run [options] PROGRAM [ARGUMENT ...]", ABOUT, RUN_OPTIONS, RUN_MORE)
    if fields.pop("version", False):
        return f"dragoman {__version__}\n"
    if not rest:
        raise UsageError("run: which program? dragoman run [options] PROGRAM [ARGUMENT ...]; --help lists the options")
    if "lockstep" in fields and "engine" in fields:
        raise UsageError("run: --lockstep names its two engines; leave --engine away")
    for name in ("log", "log_ranges"):
        if name in fields:
            fields[name] = (frozenset if name == "log" else tuple)(x for use in fields[name] for x in use)  # type: ignore
    for option in RUN_OPTIONS:
        if option.field in OF_ROOTFS and option.field in fields and "rootfs" not in fields:
            raise UsageError(f"run: {option.names[0]} is for --rootfs")
    if "rootfs" in fields and "sysroot" in fields:
        raise UsageError("run: --rootfs DIR has all that the guest sees; leave -L away")
    fields["binds"] = tuple(fields.get("binds", ()))    # type: ignore[arg-type]
    if "codemap" in fields and ("log" in fields or "lockstep" in fields):
        raise UsageError("run: --codemap takes the place of -d; leave -d and --lockstep away")
    if "stats_file" in fields:
        fields["stats"] = True
    if "debugger" in fields and "lockstep" in fields:
        raise UsageError("run: -g has one engine; leave --lockstep away")
    if "strace_count" in fields or "strace_file" in fields:
        fields["strace"] = True
    if "debugger" in fields or "crash_report" in fields:
        fields["precise"] = True
    prefix = next((item[15:] for item in environment if item.startswith(b"QEMU_LD_PREFIX=")), b"")
    if prefix and "rootfs" not in fields:
        fields.setdefault("sysroot", prefix)
    guest = changed(environment, fields.pop("changes", []))  # type: ignore
    program = os.fsencode(rest[0])
    arguments = (fields.pop("argument_0", program), *map(os.fsencode, rest[1:]))
    return RunOptions(program=program, arguments=arguments, environment=tuple(guest), **fields)


def run(words: list[str]) -> int:
    """dragoman run"""
    import gc
    gc.disable()                # nothing is garbage until the guest begins: run.begin enables it
    options = run_options(words, host_environment())
    if isinstance(options, str):
        from dragoman.output import guarded
        return guarded(say, options)
    # What Python changed at its start is made as a native program has it. Python ignores SIGPIPE and SIGXFSZ without
    # looking: whether they were ignored before is lost.
    for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
        if number != _signal.SIGINT or _signal.getsignal(number) is _signal.default_int_handler:
            _signal.signal(number, _signal.SIG_DFL)
    from dragoman.runtime.process.run import main as run_guest
    return run_guest(options)


# ---- the others

def perf(words: list[str]) -> int:
    """dragoman perf: has its own parser, since it need not start fast. An interrupted one ends its children."""
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_DFL:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    from dragoman.perf.command import main as measure
    return measure(words)


def translate(words: list[str]) -> int:
    """dragoman translate"""
    from dragoman.translate import main as prepare
    return prepare(words, host_environment())


def cache(words: list[str]) -> int:
    """dragoman cache"""
    actions = {"show": "what the store on disk holds", "clear": "empty it",
               "limit": "how much it may hold; with a SIZE such as 500M or 2G: set that",
               "wait": "wait until the compiler process has nothing left to do"}
    if {"-h", "--help", "-help"} & set(words[:2]):
        listed = "\n".join(f"  {name:8}{text}" for name, text in actions.items())
        return say(help_text("dragoman cache show|clear|limit [SIZE]|wait",
                             "Looks after what is kept between runs, in $XDG_CACHE_HOME/dragoman (~/.cache/dragoman).\n"
                             "When it holds more than it may, what was not used for longest goes.",
                             (), f"actions:\n{listed}"))
    action, *values = words or [""]
    if action not in actions:
        raise UsageError(f"cache: {f'{action} is not' if action else 'give'} one of {', '.join(actions)}")
    if len(values) > (action == "limit"):
        raise UsageError(f"cache {action}: takes {'one SIZE at the most' if action == 'limit' else f'nothing behind it, not {values[0]}'}")
    try:
        arguments = [size(value) for value in values]
    except ValueError as error:
        raise UsageError(f"cache limit: {values[0]} {error}") from None
    from dragoman.dbt.store import command as act
    return act(action, *arguments)


def vm(words: list[str]) -> int:
    """dragoman vm"""
    from dragoman.vm import command as act
    return act(words)


COMMANDS = {
    "run": (run, "run a program"),
    "translate": (translate, "compile programs and their libraries before they run"),
    "vm": (vm, "run a machine: a kernel on a virtual board"),
    "perf": (perf, "measure guests interpreted, translated, under QEMU and natively, side by side"),
    "cache": (cache, "show, clear, limit or wait for what is kept between runs"),
}
