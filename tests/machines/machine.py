"""Command lines of `dragoman vm run` for tests, and files that machines boot from."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.command import DRAGOMAN
from tests.kernel.kernel import busybox, vmlinux
from tests.real.fetch import CannotFetch

APPEND = "console=ttyS0 quiet"
# What busybox's udhcpc runs when it has an address.
LEASE = b"""#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig $interface $ip netmask $subnet
route add default gw $router
mkdir -p /etc; echo nameserver $dns >/etc/resolv.conf
echo "LEASE $ip $router $dns"
"""


def kernel() -> Path:
    """Debian's kernel; skips the test where it cannot be fetched."""
    try:
        busybox()
        return vmlinux()
    except CannotFetch as reason:
        pytest.skip(f"no kernel: {reason}")


def command(initrd: Path, *options: str | Path, harts: int = 1, append: str = APPEND) -> list[str]:
    """Boots Debian's kernel with an initial RAM disk."""
    words = ["vm", "run", "--kernel", kernel(), "--initrd", initrd, "--append", append, "--cpus", harts, *options]
    return [*DRAGOMAN, *map(str, words)]


def lines(output: bytes, first: str, last: str) -> list[str]:
    """What is printed between the last line that begins with `first` and the next that begins with `last`."""
    found = output.decode(errors="replace").replace("\r", "").splitlines()
    start = max(number for number, line in enumerate(found) if line.startswith(first)) + 1
    return found[start:next(number for number in range(start, len(found)) if found[number].startswith(last))]


@contextlib.contextmanager
def served(folder: Path) -> Iterator[int]:
    """An HTTP server on this host's loopback; its port."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def make_root(root: Path, programs: Iterable[tuple[str, str]]) -> None:
    """A folder to boot from: busybox, Debian's kernel and modules by symbolic links, and (path, text) of scripts."""
    image = kernel()
    for folder in ("bin", "sbin", "boot", "lib", "dev", "proc", "sys", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "bin/busybox").write_bytes(busybox().read_bytes())
    (root / "bin/busybox").chmod(0o755)
    (root / "boot" / image.name).symlink_to(image)
    (root / "lib/modules").symlink_to(image.parents[1] / "usr/lib/modules")
    for path, text in programs:
        (root / path).write_text(text)
        (root / path).chmod(0o755)
