"""Guest programs: static riscv64 Linux binaries, what each prints, and where its source is."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["KINDS", "Guest", "find", "programs"]

HERE = Path(__file__).resolve().parent
KINDS = ("compute-int", "compute-float", "feature", "fault")


@dataclass(frozen=True)
class Guest:
    """One program with the arguments of one run of it.

    `expected_status` is as a shell sees it: 128 + signal for a program that a signal ends.
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
    runtime: str  # "tiny" or "libc"
    flags: str  # compiler flags beyond those of the runtime
    unlike_qemu: str  # why qemu-riscv64 7.2 does not give the expected output; or empty


@cache
def manifest() -> dict:
    """manifest.toml as dictionaries: "flags" and, by name, "guest"."""
    return tomllib.loads((HERE / "manifest.toml").read_text())


@cache
def programs(small: bool = False) -> tuple[Guest, ...]:
    """All guests in the manifest's order; small: compute guests with arguments that take milliseconds, for tests."""
    return tuple(_guest(name, row, small) for name, row in manifest()["guest"].items())


def find(name: str, small: bool = False) -> Guest:
    """The guest of that name; KeyError with the known names where there is none."""
    for guest in programs(small):
        if guest.name == name:
            return guest
    raise KeyError(f"no guest is called {name!r}; there are {', '.join(g.name for g in programs())}")


def expected_file(name: str, small: bool) -> Path:
    """Where the expected output of a run is kept."""
    return HERE / "expected" / f"{name}{'-small' if small else ''}.txt"


def _guest(name: str, row: dict, small: bool) -> Guest:
    small = small and "small" in row
    expected = expected_file(name, small)
    return Guest(
        name=name,
        kind=row["kind"],
        path=HERE / "riscv64" / name,
        arguments=tuple(row["small"] if small else row.get("arguments", ())),
        expected_output=expected.read_bytes() if expected.exists() else b"",
        expected_status=row.get("status", 0),
        description=row["description"],
        sources=tuple(HERE / "src" / source for source in row.get("sources", [f"{name}.c"])),
        sha256=row.get("sha256", ""),
        toolchain=row.get("toolchain", ""),
        runtime=row.get("runtime", "tiny"),
        flags=row.get("flags", ""),
        unlike_qemu=row.get("unlike_qemu", ""),
    )
