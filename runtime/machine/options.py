"""What a user can ask of a machine: the fields, their defaults, how their texts are read, and what cannot be."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable

from dragoman.runtime.options import CPUS, RunOptions
from dragoman.runtime.options import LOG_ITEMS as CODE_ITEMS

MOST_CPUS = 8
LEAST_MEMORY, MOST_MEMORY = 8 << 20, 1 << 38    # bytes: a small kernel fits; physical addresses of Sv39 are far beyond
MOST_PRIORITY = 99
MEMORY_UNIT = 1 << 12
MOST_SHARED = 1 << 32           # bytes of memory shared by machines
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOG_ITEMS = CODE_ITEMS | {
    "sensitive": "sensitive instructions: what each was rewritten to",
    "exceptions": "each exception and interrupt that the guest takes",
    "mmu": "page walks, fills and faults, with the guest's entry and ours",
    "devices": "each access to a device's registers",
}
ROOT_TAG = "root"               # of the share that `--root` boots from


class MachineError(Exception):
    """A machine cannot be made, or cannot do what was asked of it; the message is one line for the user.

    `status`: the command's exit status, 2 where the user has to ask for something else, 1 where the host failed."""

    status = 2


class OptionsError(MachineError):
    """No machine can be made of these options."""


class Disk:
    """A virtio block device on a raw image file. `mode`: "rw", "ro", or "cow": changes are kept aside and dropped at the end."""

    def __init__(self, path: bytes, mode: str = "rw") -> None:
        self.path, self.mode = path, mode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Disk) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Disk({self.path!r}, {self.mode!r})"


class Share:
    """A folder of the host that the guest mounts by 9p (`mount -t 9p TAG ...`)."""

    def __init__(self, path: bytes, tag: str, writable: bool = True) -> None:
        self.path, self.tag, self.writable = path, tag, writable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Share) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Share({self.path!r}, {self.tag!r}, {self.writable!r})"


class Bell:
    """Memory of `size` bytes that machines of this user share under a name, and a doorbell between them."""

    def __init__(self, name: str, size: int = 1 << 20) -> None:
        self.name, self.size = name, size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bell) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Bell({self.name!r}, {self.size})"


def read_disk(text: str) -> Disk:
    """FILE[,cow|,ro]; a comma in a file's name is possible where the last part is neither."""
    path, comma, mode = text.rpartition(",")
    if not comma or mode not in ("cow", "ro", "rw"):
        path, mode = text, "rw"
    if not path:
        raise ValueError("is not FILE, FILE,cow or FILE,ro")
    return Disk(os.fsencode(path), mode)


def read_share(text: str) -> Share:
    """DIR[,tag=NAME][,ro], in any order. Without a tag it is the folder's own name."""
    path, tag, writable = text, "", True
    while True:
        front, comma, last = path.rpartition(",")
        if comma and last == "ro":
            writable = False
        elif comma and last.startswith("tag="):
            tag = last[4:]
        else:
            break
        path = front
    tag = tag or os.path.basename(os.path.abspath(path)) or ROOT_TAG
    if not path or len(os.fsencode(tag)) > 64:
        raise ValueError("is not DIR, with ,tag=NAME (at most 64 bytes) and ,ro as wanted")
    return Share(os.fsencode(path), tag, writable)


class MachineOptions(RunOptions):
    """The options of one machine. Nothing changes them afterwards. Paths are bytes, as Linux has them.

    What the engine takes (engine, compiler, threshold, code_size, count, cold, lockstep, log...) is inherited.
    """

    kernel: bytes | None = None
    initrd: bytes | None = None
    bios: bytes | None = None
    """Firmware to start in machine mode; None: the monitor itself answers SBI calls, and the kernel starts in supervisor mode."""
    append: str = ""
    """The kernel's command line."""
    memory: int = 256 << 20
    """Bytes of RAM, a multiple of MEMORY_UNIT."""
    cpus: int = 1
    disks: tuple[Disk, ...] = ()
    net: str | None = None
    """`user` and its options, as text: runtime/machine/network reads it; None: no network."""
    shares: tuple[Share, ...] = ()

    console: str = "serial"
    """What carries the console: "serial" (ttyS0) or "virtio" (hvc0)."""
    priority: int = 0
    """0: shares the host's CPUs with the other machines of this class; 1 to MOST_PRIORITY: before all that have less."""
    doorbell: Bell | None = None
    """Memory shared with other machines, behind RAM, and a doorbell; None: neither."""
    cap: int | None = None
    """Percent of one host CPU that each virtual CPU may use at most."""
    inline: bool = True
    """False: each sensitive instruction leaves translated code."""
    deterministic: bool = False
    """One host thread runs the virtual CPUs in turn, on virtual time."""
    accessed: str = "hardware"
    """Who sets A and D bits of page-table entries: "hardware" (Svadu) or "trap" (Svade)."""
    misaligned: str = "hardware"
    """What misaligned accesses do: "hardware" does them, or they "trap"."""
    shadow: str = "trace"
    """Shadow page tables: kept alike with the guest's by "trace", dropped at each "fence" of all addresses, or "off": TLB only."""
    rtc: int | None = None
    """Seconds since 1970 that the clock shows at the start; None: the host's time."""
    restore: bytes | None = None
    """A snapshot that the machine goes on from, whose options these are, but for those that are of a run."""
    timeout: float | None = None
    """Seconds after which the machine is ended; None: never."""
    gdb: str | None = None
    """Where a debugger may connect: a port of this host's loopback address, or unix:PATH."""
    gdb_wait: bool = False
    """No virtual CPU makes a step until the debugger lets it."""
    name: str = ""
    """Of a machine that `dragoman vm start` keeps, else empty."""

    def __repr__(self) -> str:
        return f"MachineOptions({', '.join(f'{name}={value!r}' for name, value in sorted(self.__dict__.items()))})"


# ---- what cannot be

def check(options: MachineOptions) -> None:
    """Raise OptionsError for options that no machine can be made of. The contents of files are read later, by who uses them."""
    for test in (_check_sizes, _check_combinations, _check_paths):
        test(options)


def _check_sizes(options: MachineOptions) -> None:
    rows = (
        ("--cpus", options.cpus, 1, MOST_CPUS, ""),
        ("--memory", options.memory >> 20, LEAST_MEMORY >> 20, MOST_MEMORY >> 20, "M"),
        ("--priority", options.priority, 0, MOST_PRIORITY, ""),
        ("--cap", options.cap if options.cap is not None else 100, 1, 100, ""),
    )
    for name, value, least, most, unit in rows:
        if not least <= value <= most:
            raise OptionsError(f"{name}: {value}{unit} is not from {least}{unit} to {most}{unit}")
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if options.memory > host:
        raise OptionsError(f"--memory: {options.memory >> 20}M is more than the host has, {host >> 20}M")
    if options.memory % MEMORY_UNIT:
        raise OptionsError(f"--memory: {options.memory} is not a multiple of {MEMORY_UNIT} bytes")
    if options.doorbell is not None and not NAME.fullmatch(options.doorbell.name):
        raise OptionsError(f"--doorbell: {options.doorbell.name!r} is no name: letters, digits, and ._- behind the first, at most 64")
    if options.doorbell is not None and (options.doorbell.size % MEMORY_UNIT or not 0 < options.doorbell.size <= MOST_SHARED):
        raise OptionsError(f"--doorbell: a size of {options.doorbell.size} is not a multiple of {MEMORY_UNIT} bytes, or above 4G")


def _check_combinations(options: MachineOptions) -> None:
    if options.cpu not in CPUS:
        raise OptionsError(f"--cpu: {options.cpu!r} is not one of {', '.join(CPUS)}")
    if options.kernel is None and options.bios is None:
        raise OptionsError("which kernel? give --kernel FILE, --root DIR or --bios FILE")
    if options.kernel is None and (options.initrd is not None or options.append):
        raise OptionsError("--initrd and --append are for a kernel: give --kernel FILE too")
    if options.gdb_wait and options.gdb is None:
        raise OptionsError("--gdb-wait: where is the debugger to connect? give --gdb PORT or --gdb unix:PATH too")
    if "\0" in options.append or len(os.fsencode(options.append)) > 4095:
        raise OptionsError("--append: a command line has at most 4095 bytes, none of them 0")
    tags = [share.tag for share in options.shares]
    for tag in tags:
        if tags.count(tag) > 1:
            raise OptionsError(f"--share: two folders have the tag {tag}: give one ,tag=NAME")
    writers = [os.path.realpath(disk.path) for disk in options.disks if disk.mode == "rw"]
    for path in writers:
        if [os.path.realpath(disk.path) for disk in options.disks].count(path) > 1:
            raise OptionsError(f"--disk: {os.fsdecode(path)} is written by one disk and used by another")


def _file(path: bytes) -> str:
    """Why a path is no file that can be read, or nothing. Raises OSError."""
    if stat.S_ISDIR(os.stat(path).st_mode):
        return "is a folder, not a file"
    return "" if os.access(path, os.R_OK) else "cannot be read: Permission denied"


def _image(path: bytes) -> str:
    mode = os.stat(path).st_mode
    return _file(path) if stat.S_ISREG(mode) or stat.S_ISBLK(mode) else "is neither a file nor a block device"


def _written_image(path: bytes) -> str:
    return _image(path) or ("" if os.access(path, os.W_OK) else "cannot be written to (,ro or ,cow leave it as it is)")


def _folder(path: bytes) -> str:
    if not stat.S_ISDIR(os.stat(path).st_mode):
        return "is not a folder"
    return "" if os.access(path, os.R_OK | os.X_OK) else "cannot be read: Permission denied"


def _check_paths(options: MachineOptions) -> None:
    rows: list[tuple[str, bytes | None, Callable[[bytes], str]]] = [
        ("--kernel", options.kernel, _file), ("--initrd", options.initrd, _file), ("--bios", options.bios, _file)]
    rows += [("--disk", disk.path, _written_image if disk.mode == "rw" else _image) for disk in options.disks]
    rows += [("--share", share.path, _folder) for share in options.shares]
    for name, path, problem in rows:
        if path is None:
            continue
        try:
            reason = problem(path)
        except OSError as error:
            reason = str(error.strerror)
        except ValueError:
            reason = "has a zero byte"
        if reason:
            raise OptionsError(f"{name}: {os.fsdecode(path)}: {reason}")
