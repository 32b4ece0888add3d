"""Prints docs/syscalls.md: `python -m dragoman.runtime.process.coverage`; what becomes of each system call of the guest."""

from __future__ import annotations

from dragoman.runtime.process.direct import ROWS, SERVED
from dragoman.runtime.process.linux import table
from dragoman.runtime.process.linux.generic import NUMBER
from dragoman.runtime.process.linux.riscv64 import OWN_CALLS

HEAD = """\
# System calls

The system calls of riscv64: the asm-generic table of Linux 6.12, and riscv64's own. This page is written by
`python -m dragoman.runtime.process.coverage`, from the tables that the calls are made by; a test holds it against them.

- *passed on*: the same call is made on the host, its arguments as they are, pointers moved to where the guest's memory lies,
  names looked for under the guest's root
- *passed on, direct*: so, and by native code, without Python
- *compiled*: the usual case by a compiled function of `native/`, without Python; what is rare as it says there
- *done in FILE* (of `runtime/process`): what differs between guest and host is converted, or the call is the emulator's own affair
- *ENOSYS*: not there on purpose, for the reason given. A number that is not in this table is ENOSYS as well.

Flags that are not known here are passed on. `ioctl`, `prctl`, `keyctl` are families, each member with arguments of its own:
`ioctl.py`, `control.py`, `keys.py` list those that are there; the others get the kernel's answer to one that it does not know.
`process_vm_readv`, `process_vm_writev`, `process_madvise` and `move_pages` reach the guest itself and what it has forked, through
exec as well; where another process has its guest memory is not known: EPERM.

"""
PACKAGE = "dragoman.runtime.process."


def state(name: str, number: int) -> str:
    """What becomes of a call. Raises LookupError if nobody has said so."""
    entry = table.lookup(number)
    if entry is None or entry.name != name:
        raise LookupError(f"system call {number} ({name}) is not in the table")
    if entry.reason:
        return f"ENOSYS: {entry.reason}"
    module = entry.handler.__module__
    direct = ", direct" if name in {row.split()[0] for row in ROWS.replace("|", "\n").split("\n") if row.strip()} else (
        ", compiled" if name in SERVED else "")
    if module == table.__name__:
        return "passed on" + direct
    return f"done in `{module.removeprefix(PACKAGE).replace('.', '/')}.py`{direct}"


def page() -> str:
    """The whole page."""
    rows = sorted((number, name) for name, number in (NUMBER | OWN_CALLS).items())
    states = [state(name, number) for number, name in rows]
    there = sum(not text.startswith("ENOSYS") for text in states)
    lines = [f"| {number} | {name} | {text} |\n" for (number, name), text in zip(rows, states)]
    return f"{HEAD}{there} of {len(rows)} are there.\n\n| number | name | state |\n|---|---|---|\n{''.join(lines)}"


if __name__ == "__main__":
    print(page(), end="")
