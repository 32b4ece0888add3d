"""An ext4 image of a Debian root, configured at its first boot; made without root rights, kept in the cache folder.

usage: disk.py OUTPUT [--configured]     OUTPUT: a sparse copy; --configured: booted once, under QEMU
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.kernel import modules, qemu
from tests.kernel.console import Console, ConsoleError
from tests.kernel.initramfs import initramfs
from tests.kernel.kernel import vmlinux
from tests.kernel.root import PASSWORD, Owners, make_root
from tests.real.fetch import CACHE, CannotFetch

SIZE = "600M"
MODULES = (*modules.SETS["disk"], *modules.SETS["network"], "virtio_rng")
RECIPE = Path(__file__).with_name("root.py")  # what decides an image's content, beside Debian


def run(*command: str | Path, text: str | None = None) -> str:
    """Output of a tool of e2fsprogs. Raises CannotFetch with its own words."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=os.environ | {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})
    except FileNotFoundError:
        raise CannotFetch(f"{command[0]} is needed: apt install e2fsprogs") from None
    if done.returncode:
        raise CannotFetch(f"{' '.join(map(str, command))}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def kept(kind: str, make: Callable[[Path], None]) -> Path:
    """An image of the cache folder, made the first time, by what the recipe now says."""
    image = CACHE / "kernel" / f"disk-{kind}-{hashlib.sha256(RECIPE.read_bytes()).hexdigest()[:12]}.img"
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        partial = image.with_name(f"{image.name}.{os.getpid()}")
        try:
            make(partial)
            partial.rename(image)
        finally:
            partial.unlink(missing_ok=True)
    return image


def copy(image: Path, output: Path) -> None:
    """A copy with the holes that the image has."""
    run("cp", "--sparse=always", "--reflink=auto", image, output)


def set_owners(image: Path, root: Path, owners: Owners) -> None:
    """Gives each file of an image the mode and owner that its package says, else root: the folder's files were this user's."""
    lines = []
    for path in root.rglob("*"):
        name = f"/{path.relative_to(root)}"
        mode, user, group = owners.get(name, (0, 0, 0))
        lines += [f'set_inode_field "{name}" uid {user}', f'set_inode_field "{name}" gid {group}']
        if mode & 0o7000:  # these bits are lost where files are not unpacked by root
            lines.append(f'set_inode_field "{name}" mode 0{path.stat().st_mode & 0o170000 | mode:o}')
    run("debugfs", "-w", "-f", "-", image, text="\n".join(lines) + "\n")


def make_image(image: Path) -> None:
    """Unpacks the packages and makes the image: half a minute, most of it downloading the first time."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        owners = make_root(Path(folder))
        run("mke2fs", "-q", "-t", "ext4", "-L", "debian", "-E", "root_owner=0:0", "-d", folder, image, SIZE)
        if os.getuid():
            set_owners(image, Path(folder), owners)


def check(image: Path) -> None:
    """Raises CannotFetch where the file system is not clean."""
    run("e2fsck", "-fn", image)


def image() -> Path:
    """The image before its first boot: not to be written to; copy() it."""
    return kept("unconfigured", make_image)


def log_in(console: Console, seconds: float) -> None:
    """From the login prompt to root's shell."""
    console.expect(r"login: ", seconds)
    console.send("root\n")
    console.expect(r"Password: ", 60)
    console.send(f"{PASSWORD}\n")
    console.expect(r"# ", 60)


def configure(target: Path) -> None:
    """Boots a copy under QEMU until its login prompt, and shuts it down."""
    copy(image(), target)
    with tempfile.TemporaryDirectory() as folder:
        initrd = Path(folder) / "initrd"
        initrd.write_bytes(initramfs("disk", MODULES))
        with Console(qemu.command(vmlinux(), initrd=initrd, disk=target, network=True)) as console:
            start = time.monotonic()
            console.expect(r"^CONFIGURED \d+", 1500)
            print(f"configured after {time.monotonic() - start:.1f} s", flush=True)
            log_in(console, 600)
            print(f"logged in after {time.monotonic() - start:.1f} s", flush=True)
            console.send("poweroff\n")
            console.finish(300)
            print(f"off after {time.monotonic() - start:.1f} s", flush=True)
    check(target)


def configured() -> Path:
    """The image as it is after its first boot and a clean shutdown: not to be written to; copy() it."""
    return kept("configured", configure)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--configured"]):
        sys.exit(__doc__)
    try:
        copy(configured() if sys.argv[2:] else image(), Path(sys.argv[1]))
    except (CannotFetch, ConsoleError) as error:
        sys.exit(str(error))
