"""Machines as processes, with guests of a few instructions, and what the host says of their threads."""

from contextlib import suppress
from pathlib import Path

from dragoman.guests import find
from dragoman.perf.machine_states import cpu_seconds
from tests.command import DRAGOMAN
from tests.kernel.console import Console

LIMIT = 120                     # seconds that anything may take on a loaded host
SAY = (0x100002B7, 0x05300313, 0x00628023)      # lui t0, 0x10000; li t1, 'S'; sb t1, (t0): each hart prints it
SPIN = (*SAY, 0x0000006F)                       # j .
SLEEP = (*SAY, 0x10500073, 0xFFDFF06F)          # wfi; j .-4


def guest(name, *words):
    """A machine with a guest program of guests/."""
    return Console([*DRAGOMAN, "vm", "run", "--bios", str(find(name).path), *words])


def started(folder, code, cpus, *words):
    """A machine that executes these instructions on each of its harts, which have begun."""
    path = folder / f"firmware-{len(code)}"
    path.write_bytes(b"".join(word.to_bytes(4, "little") for word in code))
    console = Console([*DRAGOMAN, "vm", "run", "--bios", str(path), "--cpus", str(cpus), *words])
    try:
        console.expect("S" * cpus, LIMIT)
    except BaseException:
        console.__exit__()
        raise
    return console


def hart_seconds(process):
    """CPU time of each hart's thread, by its name."""
    found = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(FileNotFoundError):
            name = (task / "comm").read_text().strip()
            if name.startswith("hart"):
                found[name] = cpu_seconds(process, int(task.name))
    return found
