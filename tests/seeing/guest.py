"""Runs of bare-metal guests with options, and what they logged."""

from __future__ import annotations

import subprocess

from dragoman import guests
from tests.command import DRAGOMAN

ENGINES = ("interpreter", "stencil")


def vm(name: str, *words: str, **options) -> subprocess.CompletedProcess:
    """A machine with this guest as its firmware, run to its end. Output is captured as text."""
    return subprocess.run([*DRAGOMAN, "vm", "run", "--bios", str(guests.find(name).path), "--timeout", "60", *words],
                          **{"capture_output": True, "text": True, "timeout": 90, "stdin": subprocess.DEVNULL} | options)


def logged(items: str, name: str, *words: str, engine: str = "stencil") -> list[str]:
    """Lines of the log of such a run, which must end well."""
    done = vm(name, "--engine", engine, "-d", items, *words)
    assert (done.returncode, guests.said(done.stdout.encode())) == (0, guests.find(name).expected_output), done.stderr[-2000:]
    return done.stderr.splitlines()
