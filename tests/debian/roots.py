"""Roots of Debian's riscv64 packages for the tests of this folder, and running a program in one, here or under QEMU.

A root is unpacked, not installed: no maintainer script runs, so what such scripts would make (the links of
update-alternatives, /etc/passwd) and the installer's /etc/hosts are made here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.command import DRAGOMAN
from tests.debian import inside
from tests.real.fetch import CannotFetch, kept_root

SUITE, ARCHITECTURE = "trixie", "riscv64"
BASE = "base-files base-passwd dash bash coreutils sed grep mawk gzip tar findutils diffutils".split()
LINKS = {"usr/bin/awk": "mawk"}
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"}


def debian_root(packages: Sequence[str], links: Mapping[str, str] | None = None) -> Path:
    """A root with these packages, BASE and what they depend on, made the first time and kept in the user's cache folder.

    links: path in the root -> what a symbolic link there leads to, for update-alternatives. Skips the test, with the
    reason, where packages cannot be fetched.
    """
    try:
        root = kept_root(SUITE, ARCHITECTURE, [*BASE, *packages])
    except CannotFetch as reason:
        pytest.skip(f"no Debian root: {reason}")
    for path, target in {**LINKS, **(links or {})}.items():
        if not os.path.lexists(root / path):
            (root / path).symlink_to(target)
    for name in ("passwd", "group"):
        if not (root / "etc" / name).exists():
            shutil.copy(root / f"usr/share/base-passwd/{name}.master", root / "etc" / name)
    if not (root / "etc/hosts").exists():
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    return root


def run(root: Path, argv: Sequence[str], *options: str, timeout: float = 120, environment: Mapping[str, str] | None = None,
        **more) -> subprocess.CompletedProcess[bytes]:
    """Run a program of the root, argv[0] a guest path, with options of `dragoman run`; more: as of subprocess.run."""
    return finished([*DRAGOMAN, "run", "-L", str(root), *options, *argv], timeout, environment, **more)


def run_inside(root: Path, argv: Sequence[str], *options: str, timeout: float = 120, environment: Mapping[str, str] | None = None,
               **more) -> subprocess.CompletedProcess[bytes]:
    """The same where the root is all that there is: no -L, nothing of the host's. Skips the test where that cannot be done."""
    if reason := inside.obstacle(binfmt=False):
        pytest.skip(f"a root cannot be entered: {reason}")
    return finished([*inside.dragoman(root, *options), *argv], timeout, environment, **more)


def run_under_qemu(root: Path, argv: Sequence[str], timeout: float = 300, environment: Mapping[str, str] | None = None,
                   **more) -> subprocess.CompletedProcess[bytes]:
    """The same under qemu-riscv64, children included."""
    if reason := inside.obstacle(binfmt=True):
        pytest.skip(f"no comparison with QEMU: {reason}")
    return finished([*inside.qemu(root), *argv], timeout, environment, **more)


def finished(command: Sequence[str], timeout: float, environment: Mapping[str, str] | None, *, input: bytes = b"",
             **more) -> subprocess.CompletedProcess[bytes]:
    """The end of a command in a session of its own, all of which is killed if it takes longer than `timeout` seconds.

    Raises subprocess.TimeoutExpired, with the output up to then.
    """
    variables = ENVIRONMENT | {name: value for name, value in os.environ.items() if name.startswith("XDG")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                          env={**variables, **(environment or {})}, **more) as process:
        try:
            output, error = process.communicate(input, timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(list(command), process.returncode, output, error)
