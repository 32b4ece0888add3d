"""Runs hostile programs by `dragoman vm run`, in a process of its own, and looks at how that ends."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.command import DRAGOMAN
from tests.hostile.program import Program

TIME = 240                      # seconds after which a test has failed; a loaded host is slow
MEMORY = 16 << 20
ENGINES = ("interpreter", "stencil")
# What our own faults would say, whatever the guest does.
OURS = ("Traceback", "internal error", "a bug of dragoman", "Fatal Python error", "Exception in thread")


class End(NamedTuple):
    status: int
    output: str
    error: str


def command(folder: Path, program: Program | bytes, *words: str, engine: str = "auto", memory: int = MEMORY) -> list[str]:
    path = folder / "firmware.bin"
    path.write_bytes(bytes(program))
    return [*DRAGOMAN, "vm", "run", "--bios", str(path), "--memory", str(memory), "--engine", engine, "--compiler", "off", *words]


def run(folder: Path, program: Program | bytes, *words: str, engine: str = "auto", **options) -> End:
    """To the end of the machine. No fault of ours may show."""
    done = subprocess.run(command(folder, program, *words, engine=engine), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME, **options)
    end = End(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    for text in OURS:
        assert text not in end.error, end.error
    assert end.status >= 0, f"signal {-end.status}: {end.error}"
    return end


def survives(folder: Path, program: Program, *words: str, engine: str = "auto", **options) -> End:
    """The program comes to its own end, says `alive` there and powers off."""
    program.say("alive\n")
    program.power_off()
    end = run(folder, program, *words, engine=engine, **options)
    assert (end.status, end.output[-6:]) == (0, "alive\n"), end
    return end


