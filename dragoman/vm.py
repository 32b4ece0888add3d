"""The command `dragoman vm`: reads its command lines, and hands machines over to who runs them."""

from __future__ import annotations

import os

from dragoman.arguments import Option, UsageError, choice, help_text, parse, positive, size
from dragoman.cli import RUN_OPTIONS, say
from dragoman.runtime.machine.options import (
    LOG_ITEMS,
    MOST_CPUS,
    MOST_PRIORITY,
    ROOT_TAG,
    Bell,
    MachineError,
    MachineOptions,
    Share,
    check,
    read_disk,
    read_share,
)

ABOUT = "Runs a riscv64 kernel in a virtual machine: CPUs, memory and devices like those of QEMU's board `virt`."


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("is not a whole number")
    return int(text)


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 < number < 1e9:
        raise ValueError("is not a number of seconds")
    return number


def network(text: str) -> str:
    if text.partition(",")[0] != "user":
        raise ValueError("is not user or user,forward=tcp:HOSTPORT:GUESTPORT")
    return text


def debugger(text: str) -> str:
    path = text.removeprefix("unix:")
    if path == text and not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise ValueError("is not a port or unix:PATH")
    if not path or "\0" in path:
        raise ValueError("has no path")
    return text


def moment(text: str) -> int:
    """Seconds since 1970 of a time in UTC."""
    from datetime import UTC, datetime
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise ValueError("is not a time such as 2030-01-31T12:00:00 or seconds since 1970") from None


def read_bell(text: str) -> Bell:
    """NAME[,size=BYTES]; check() looks at both."""
    name, comma, length = text.partition(",size=")
    return Bell(name, size(length)) if comma else Bell(name)


def log_items(text: str) -> list[str]:
    words = text.split(",")
    for word in words:
        if word not in LOG_ITEMS:
            raise ValueError(f"has a word that is not one of {', '.join(LOG_ITEMS)}")
    return words


def _as_for_run(*fields: str) -> tuple[Option, ...]:
    """Options that mean the same as for a program."""
    return tuple(option for option in RUN_OPTIONS if option.field in fields)


RESTORE = Option("--restore", "restore", "go on from a snapshot: its options are the machine's, all but --net's details, --priority and "
                 "--cap, which can be given anew", "FILE", os.fsencode)
CHANGEABLE = ("net", "priority", "cap")         # of a machine that is restored
MACHINE_OPTIONS = (
    Option("--kernel", "kernel", "the kernel: a riscv64 Image, also gzip'd, or an ELF file", "FILE", os.fsencode),
    Option("--initrd", "initrd", "the kernel's initial RAM disk", "FILE", os.fsencode),
    Option("--append", "append", "the kernel's command line", "TEXT"),
    Option("--root", "root", "boot this folder as the guest's root, which the guest may write to. The kernel is the newest DIR/boot/vmlinu* or "
           "--kernel; the initial RAM disk is made of DIR/lib/modules; /sbin/init is started, or else /bin/sh (or what --append "
           "init=PATH says)", "DIR", os.fsencode),
    Option("--bios", "bios", "firmware to start in machine mode, such as Debian's OpenSBI (default: none, the monitor answers SBI "
           "calls itself)", "FILE", os.fsencode),
    Option("-m --memory", "memory", "RAM (default: 256M)", "SIZE", size),
    Option("--cpus", "cpus", f"virtual CPUs, 1 to {MOST_CPUS} (default: 1)", "N", positive),
    *_as_for_run("cpu"),
    Option("--disk", "disks", "a raw image as virtio disk (vda, vdb... in this order); ,ro: it cannot be written to; ,cow: what is "
           "written is dropped at the end", "FILE[,cow|,ro]", read_disk, gather=True),
    Option("--net", "net", "a network card on a network of its own that reaches what this host reaches, no root rights needed; "
           "a connection to a forwarded port of this host is one to the guest: user,forward=tcp:2222:22", "user[,forward=...]", network),
    Option("--share", "shares", "a folder for the guest to mount: mount -t 9p -o trans=virtio TAG PLACE (default: the folder's name is "
           "the tag)", "DIR[,tag=TAG][,ro]", read_share, gather=True),
    Option("--console", "console", "what the console is for the guest: serial, its ttyS0 (default), or virtio, its hvc0", "serial|virtio",
           choice("serial", "virtio")),
    Option("--priority", "priority", "0 (default): shares the host's CPUs with other machines by turns; 1 to "
           f"{MOST_PRIORITY}: runs before all that have less", "N", whole),
    Option("--cap", "cap", "percent of a host CPU that each virtual CPU may use at most", "PERCENT", positive),
    Option("--doorbell", "doorbell", "memory shared with the other machines that name it (default: 1M of it), and a doorbell by which they "
           "interrupt one another", "NAME[,size=1M]", read_bell),
    Option("--rtc", "rtc", "what the clock shows at the start, UTC (default: this host's time)", "TIME", moment),
    Option("--accessed", "accessed", "accessed and dirty bits of page tables are set by hardware (default; Svadu), or the access is a "
           "trap (Svade)", "hardware|trap", choice("hardware", "trap")),
    Option("--misaligned", "misaligned", "misaligned accesses are done by hardware (default), or are a trap", "hardware|trap",
           choice("hardware", "trap")),
)
RUN_ONLY = (
    Option("--timeout", "timeout", "end the machine after so long, with status 124", "SECONDS", seconds),
    Option("--deterministic", "deterministic", "the virtual CPUs take turns on one host thread, and time is counted in instructions: "
           "each run is like the other"),
    Option("--shadow", "shadow", "shadow page tables of the guest's: they follow its changes (trace, the default), are dropped at each fence, "
           "or there are none but the TLB (off): to compare what they cost, as dragoman perf memory does", "trace|fence|off",
           choice("trace", "fence", "off")),
    Option("--no-inline", "no_inline", "every sensitive instruction leaves translated code (slower): to see what inlining wins"),
)
ENGINE_OPTIONS = _as_for_run("engine", "threshold", "compiler", "code_size", "cold", "count")
SEEING_OPTIONS = (
    Option("-g --gdb", "gdb", "let gdb debug the machine: (gdb) target remote :PORT, or PATH; `monitor help` there lists what else can be "
           "asked. Whoever can connect rules the guest", "PORT|unix:PATH", debugger),
    Option("--gdb-wait", "gdb_wait", "make no step before the debugger says so"),
    *_as_for_run("lockstep"),
    Option("-d", "log", f"print some of {', '.join(LOG_ITEMS)}; `-d help` explains them", "ITEMS", log_items, gather=True),
    Option("-D --log-file", "log_file", "write -d to this file instead of standard error", "FILE", os.fsencode),
    *_as_for_run("log_ranges", "codemap"),
    Option("--stats", "stats", "at the end print exits by reason, instructions, times and what devices did on standard error"),
    Option("--stats-json", "stats_file", "write where the time went, counts and exits to FILE as JSON: docs/vm.md", "FILE", os.fsencode),
    Option("-h --help", "help", "print this"),
)
VM_RUN_OPTIONS = (*MACHINE_OPTIONS, RESTORE, *RUN_ONLY, *ENGINE_OPTIONS, *SEEING_OPTIONS)
KEPT_OPTIONS = tuple(option for option in VM_RUN_OPTIONS if option.field not in ("timeout", "lockstep", "help"))

RUN_USAGE = "dragoman vm run --kernel FILE [options], or: dragoman vm run --root DIR [options]"
RUN_MORE = """\
The guest's first serial port is the console. At a terminal, Ctrl-] is for the monitor: Ctrl-] h lists what it does; all other keys
are the guest's. Input from a pipe or a file is passed on to its end.

Exit status: 0 after a power-off, or the code that the guest gave; 1 if the host failed; 2 for wrong options and files that cannot
be used; 124 after --timeout; 128 + N if signal N ended it."""


def vm_options(words: list[str]) -> MachineOptions | str:
    """What a command line of `dragoman vm run` asks for, or the text that it asks to print. Raises UsageError."""
    if words[:2] == ["-d", "help"]:
        return "\n".join(f"{item:12}{text}" for item, text in LOG_ITEMS.items()) + "\n"
    fields, rest = parse(VM_RUN_OPTIONS, words)
    if fields.pop("help", False):
        return help_text(RUN_USAGE, ABOUT, VM_RUN_OPTIONS, RUN_MORE)
    if rest:
        raise UsageError(f"vm run: what is {rest[0]}? A kernel is given by --kernel FILE")
    try:
        return machine_options(fields)
    except MachineError as error:
        raise UsageError(f"vm run: {error}") from None


def machine_options(fields: dict) -> MachineOptions:
    """Options of what was read from a command line, checked. Raises MachineError, and UsageError where two do not go together."""
    if "lockstep" in fields:
        if "engine" in fields:
            raise UsageError("vm run: --lockstep names its two engines; leave --engine away")
        if "stats_file" in fields:
            raise UsageError("vm run: --stats-json is about one machine; leave --lockstep away")
        fields["deterministic"] = True          # two engines can be compared on virtual time only
    if "log" in fields:
        fields["log"] = frozenset(item for use in fields["log"] for item in use)
    if "log_ranges" in fields:
        fields["log_ranges"] = tuple(item for use in fields["log_ranges"] for item in use)
    if "codemap" in fields and ("log" in fields or "lockstep" in fields):
        raise UsageError("vm run: --codemap takes the place of -d; leave -d and --lockstep away")
    if "restore" in fields:
        return restored(fields)
    for name in ("disks", "shares"):
        fields[name] = tuple(fields.get(name, ()))
    fields["inline"] = not fields.pop("no_inline", False)
    root = fields.pop("root", None)
    options = MachineOptions(**fields) if root is None else rooted(root, fields)
    check(options)
    return options


def restored(fields: dict) -> MachineOptions:
    """Options of a snapshot, with those of this run. Raises MachineError."""
    from dragoman.runtime.machine.snapshot import options_of
    from dragoman.runtime.machine.snapshot_file import SnapshotFile
    for option in (*MACHINE_OPTIONS, *(option for option in RUN_ONLY if option.field != "timeout")):
        if option.field in fields and option.field not in CHANGEABLE:
            raise UsageError(f"vm run: --restore: the snapshot says what {option.names[-1]} is; leave it away")
    saved = SnapshotFile.open(fields["restore"])
    try:
        options = options_of(saved, {**fields, "restore": os.path.abspath(fields["restore"])})
        if (options.net is None) != (options_of(saved, {}).net is None):
            raise UsageError("vm run: --net: a machine keeps the network card that it had, or had not, in the snapshot")
    finally:
        saved.close()
    return options


def rooted(folder: bytes, fields: dict) -> MachineOptions:
    """Options to boot a folder. Raises MachineError."""
    from pathlib import Path

    from dragoman.guests import find
    from dragoman.runtime.machine import root_boot
    if "initrd" in fields:
        raise UsageError("vm run: --root makes an initial RAM disk; leave --initrd away")
    root = Path(os.fsdecode(folder))
    if not root.is_dir():
        raise root_boot.RootError(f"--root: {root}: is no folder")
    try:
        kernel = Path(os.fsdecode(fields["kernel"])) if "kernel" in fields else root_boot.newest_kernel(root)
        data = root_boot.initramfs(root, root_boot.kernel_version(kernel, root), find("rootinit").path.read_bytes())
    except OSError as error:
        raise root_boot.RootError(f"{error.filename or root}: {error.strerror}") from None
    line = str(fields.get("append", ""))
    changes = {
        "kernel": os.fsencode(kernel), "initrd": root_boot.in_memory(data, "initramfs"),
        "append": line if "console=" in line else f"console=ttyS0 {line}".rstrip(),
        "shares": (Share(folder, ROOT_TAG), *fields["shares"]),
    }
    return MachineOptions(**{**fields, **changes})


def run(words: list[str]) -> int:
    """dragoman vm run"""
    options = vm_options(words)
    if isinstance(options, str):
        return say(options)
    from dragoman.vm_run import run_here
    return run_here(options)


def fill_standard_files() -> None:
    """Of descriptors 0 to 2 those that are closed become /dev/null: else the next file opened, such as a guest's memory, would be the console."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def command(words: list[str]) -> int:
    """Run one command line of `dragoman vm`; returns the exit status. Raises UsageError."""
    fill_standard_files()
    name = words[0] if words else "--help"
    if name == "run":
        return run(words[1:])
    if name == "restore" and len(words) > 1 and not words[1].startswith("-"):
        return run(["--restore", *words[1:]])
    from dragoman.vm_manager import COMMANDS
    from dragoman.vm_manager import command as manage
    if name in COMMANDS:
        return manage(name, words[1:])
    if name in ("--help", "-help", "-h", "help"):
        texts = {"run": "run a machine on this terminal", **{name: text for name, (_, text) in COMMANDS.items()}}
        summary = "\n".join(f"  {name:10}{text}" for name, text in texts.items())
        return say(help_text("dragoman vm COMMAND ...", ABOUT, (), f"commands (each has its own --help):\n{summary}"))
    raise UsageError(f"vm: no command {name}: it is one of run, {', '.join(COMMANDS)}")
