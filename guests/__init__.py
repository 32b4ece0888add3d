"""Guests: static riscv64 Linux programs and bare-metal machine guests, what each prints, and where its source is."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["KINDS", "MACHINE", "Guest", "find", "machines", "programs", "said"]

HERE = Path(__file__).resolve().parent
KINDS = ("compute-int", "compute-float", "micro", "feature", "fault")
MACHINE = "machine"  # the kind of guests that have a machine for themselves


@dataclass(frozen=True)
class Guest:
    """One program with the arguments of one run of it.

    `expected_status` is as a shell sees it: 128 + signal for a program that a signal ends; a machine guest gives its
    status at power-off. A machine guest's output is compared by what said() leaves of it.
    """

    name: str
    kind: str
    path: Path
    arguments: tuple[str, ...]
    expected_output: bytes
    expected_status: int
    description: str
    sources: tuple[Path, ...]
    sha256: str
    toolchain: str  # versions of what built the binary
    runtime: str  # "tiny", "libc" or "machine"
    flags: str  # compiler flags beyond those of the runtime
    unlike_qemu: str  # why qemu-riscv64 7.2 does not give the expected output; or empty
    harts: tuple[int, ...]  # of the machines that it is run on, for machine guests
    qemu_options: tuple[str, ...]  # of qemu-system-riscv64, for devices that a machine guest looks for
    fails_on_qemu: tuple[str, ...]  # groups of checks in which qemu-system-riscv64 7.2 is not what the manual says


@cache
def manifest() -> dict:
    """manifest.toml as dictionaries: "flags" and, by name, "guest"."""
    return tomllib.loads((HERE / "manifest.toml").read_text())


@cache
def programs(small: bool = False) -> tuple[Guest, ...]:
    """All Linux guests in the manifest's order; small: compute and micro guests with arguments that take milliseconds, for tests."""
    return tuple(_guest(name, row, small) for name, row in manifest()["guest"].items() if row["kind"] != MACHINE)


@cache
def machines() -> tuple[Guest, ...]:
    """All bare-metal guests in the manifest's order."""
    return tuple(_guest(name, row, False) for name, row in manifest()["guest"].items() if row["kind"] == MACHINE)


def said(output: bytes) -> bytes:
    """What a machine guest printed, without the lines that begin with "#": those tell what is not the same each time."""
    return b"".join(line for line in output.splitlines(keepends=True) if not line.startswith(b"#"))


def find(name: str, small: bool = False) -> Guest:
    """The guest of that name; KeyError with the known names where there is none."""
    guests = programs(small) + machines()
    for guest in guests:
        if guest.name == name:
            return guest
    raise KeyError(f"no guest is called {name!r}; there are {', '.join(g.name for g in guests)}")


def expected_file(name: str, small: bool) -> Path:
    """Where the expected output of a run is kept."""
    return HERE / "expected" / f"{name}{'-small' if small else ''}.txt"


def _guest(name: str, row: dict, small: bool) -> Guest:
    small = small and "small" in row
    machine = row["kind"] == MACHINE
    sources = row.get("sources", ["machine/start.S", f"machine/{name}.c"] if machine else [f"{name}.c"])
    expected = expected_file(name, small)
    return Guest(
        name=name,
        kind=row["kind"],
        path=HERE / ("riscv64-machine" if machine else "riscv64") / name,
        arguments=tuple(row["small"] if small else row.get("arguments", ())),
        expected_output=expected.read_bytes() if expected.exists() else b"",
        expected_status=row.get("status", 0),
        description=row["description"],
        sources=tuple(HERE / "src" / source for source in sources),
        sha256=row.get("sha256", ""),
        toolchain=row.get("toolchain", ""),
        runtime="machine" if machine else row.get("runtime", "tiny"),
        flags=row.get("flags", ""),
        unlike_qemu=row.get("unlike_qemu", ""),
        harts=tuple(row.get("harts", [1])),
        qemu_options=tuple(row.get("qemu_options", ())),
        fails_on_qemu=tuple(row.get("fails_on_qemu", ())),
    )
