"""Roots for these tests, and the two ways of containing a guest."""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.command import dragoman

HERE = Path(__file__).parent
WAYS = ("namespaces", "descriptors")
NOT_HERE = "no namespaces"


@cache
def problem(way: str) -> str:
    """Why this host has not this way; empty if it has."""
    done = dragoman("run", "--rootfs", str(HERE), "--containment", way, "/nothing", timeout=120)
    return done.stderr if done.returncode == 126 else ""


def need(way: str) -> None:
    if problem(way):
        pytest.skip(problem(way))


class Root:
    """A root with the program `escapes`, and a folder beside it that nothing inside may reach."""

    def __init__(self, folder: Path):
        self.path, self.outside = folder / "root", folder / "outside"
        for made in (self.path / "bin", self.outside):
            made.mkdir(parents=True)
        (self.path / "bin/escapes").hardlink_to(HERE / "escapes") if folder.stat().st_dev == HERE.stat().st_dev else (
            self.path / "bin/escapes").write_bytes((HERE / "escapes").read_bytes())
        (self.path / "bin/escapes").chmod(0o755)
        self.secret = self.outside / "secret"
        self.secret.write_text("outside")
        (self.outside / "victim").write_text("outside")

    def run(self, way: str, case: str, *words: object, options: tuple[str, ...] = (), **more) -> subprocess.CompletedProcess:
        need(way)
        return dragoman("run", "--rootfs", str(self.path), "--containment", way, *options, "/bin/escapes", case,
                        *map(str, words or (self.secret,)), **more)

    def untouched(self) -> bool:
        """Whether all outside is as it was."""
        return ({path.name: path.read_text() for path in self.outside.iterdir()} == {"secret": "outside", "victim": "outside"}
                and not os.stat(self.secret).st_mode & 0o111)
