"""The command lines of qemu-system-riscv64 that the machines of tests are compared with."""

from __future__ import annotations

import shutil
from pathlib import Path

QEMU = "qemu-system-riscv64"


def available() -> bool:
    """Whether there is one here."""
    return shutil.which(QEMU) is not None


def command(kernel: Path, *, initrd: Path | None = None, append: str = "console=ttyS0 quiet", harts: int = 1, memory: str = "256M",
            disk: Path | None = None, network: bool = False, firmware: Path | str = "default") -> list[str]:
    """A virt machine with its console on standard input and output; disk is a raw image, network the user-mode one."""
    words = [QEMU, "-machine", "virt", "-nographic", "-no-reboot", "-m", memory, "-smp", str(harts), "-bios", str(firmware)]
    words += ["-kernel", str(kernel), "-append", append]
    words += ["-initrd", str(initrd)] if initrd else []
    words += ["-drive", f"file={disk},format=raw,if=none,id=disk", "-device", "virtio-blk-device,drive=disk"] if disk else []
    words += ["-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net"] if network else ["-net", "none"]
    return words
