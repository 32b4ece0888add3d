"""Boots a RISC-V machine: kernel, initrd, device tree and firmware in guest memory, and the harts' first registers."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from dragoman.runtime.machine.loader import (
    GZIP,
    PACKED,
    Image,
    LoadError,
    Memory,
    check_place,
    gunzip,
    printable,
    read_elf,
    read_file,
    size_text,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    Path = str | bytes | os.PathLike

EM_RISCV = 243
# Linux, Documentation/arch/riscv/boot-image-header.rst: text_offset image_size flags version magic2 offset of the PE header
IMAGE_HEADER = Struct("<8xQQQI20xII")
IMAGE_MAGIC, BIG_ENDIAN = 0x0543_5352, 1
OTHER_IMAGES = {(0x38, b"ARM\x64"): "Arm 64", (0x202, b"HdrS"): "x86", (0x38, b"\xcd\x23\x82\x81"): "LoongArch"}
PE_SECTION = Struct("<16xII16x")                # size and offset in the file
ZBOOT = Struct("<4x4sII8x32s")                  # Linux, drivers/firmware/efi/libstub/zboot-header.S: magic offset size compression
HUGE = 2 << 20                                  # Linux wants to be on a boundary of this
DYNAMIC = Struct("<6Q")                         # OpenSBI, fw_dynamic.h: magic version next_addr next_mode options boot_hart
DYNAMIC_MAGIC, DYNAMIC_VERSION = 0x4942_534F, 2
SUPERVISOR, MACHINE = 1, 3                      # privilege levels
PAGE = 1 << 12
TOP = 1 << 32                                   # initrd and device tree stay below, for firmware that counts in 32 bits
TREE_ROOM, TREE_SLACK = 256 << 10, 64 << 10     # bytes; the slack is for nodes that firmware adds
A0, A1, A2 = 10, 11, 12


@dataclass(frozen=True)
class Start:
    """How the harts begin: at `pc`, at a privilege level, with these registers (SBI, "hart state management"; OpenSBI, fw_base.S)."""

    pc: int
    privilege: int            # 1: S, below the monitor's own SBI; 3: M, firmware or a kernel without any
    all_harts: bool           # false: the others wait for SBI's hart_start
    device_tree: int          # its address
    dynamic: int              # address of OpenSBI's fw_dynamic_info; 0: none

    def registers(self, hart: int) -> dict[int, int]:
        """Number of an x register -> its first value; all others are 0."""
        return {A0: hart, A1: self.device_tree, A2: self.dynamic}


def boot(ram: Memory, kernel: Path | None, initrd: Path | None, firmware: Path | None, bare: bool,
         tree: Callable[[tuple[int, int] | None], bytes]) -> Start:
    """Put all files into guest memory and say how to start. `tree(initrd's start and end)` gives the device tree.

    Without `firmware` the kernel runs in S mode on the monitor's SBI, or, if it is `bare`, in M mode on nothing. Raises LoadError before
    anything is written.
    """
    if kernel is None and firmware is None:
        raise LoadError("nothing to boot: neither a kernel nor firmware was given")
    if initrd is not None and kernel is None:
        raise LoadError(f"initrd {printable(initrd)}: there is no kernel that could use it")
    high = min(ram.base + ram.size, TOP)
    tree_at = (high - TREE_ROOM) // HUGE * HUGE
    end = tree_at - PAGE        # one page for fw_dynamic_info
    if end <= ram.base:
        raise LoadError(f"a memory of {size_text(ram.size)} is too small to boot")
    images, low = [], ram.base
    if firmware is not None:
        image = read_firmware(firmware, ram)
        check_place(image, "firmware", ram.base, end)
        images.append(image)
        low = -(-image.end // HUGE) * HUGE
    entry = 0
    if kernel is not None:
        image = read_kernel(kernel, ram, low)
        check_place(image, "kernel", low, end)
        images.append(image)
        low, entry = image.end, image.entry
    where = None
    if initrd is not None:
        data = read_file(initrd, ram.size, "initrd")
        start = (end - len(data)) // PAGE * PAGE
        if start < low:
            raise LoadError(f"initrd {printable(initrd)}: {size_text(len(data))} do not fit beside the kernel; "
                            f"{size_text(max(end - low, 0))} of memory are left for it")
        where = (start, start + len(data))
    blob = tree(where)
    if len(blob) > high - tree_at - TREE_SLACK:
        raise LoadError(f"the kernel's command line is too long: the device tree has {size_text(len(blob))}")
    for image in images:
        image.write(ram)
    if where:
        ram.write(where[0], data)
    ram.write(tree_at, blob)
    if firmware is not None:
        ram.write(end, DYNAMIC.pack(DYNAMIC_MAGIC, DYNAMIC_VERSION, entry, SUPERVISOR, 0, 0))
    in_machine_mode = firmware is not None or bare
    return Start(images[0].entry, MACHINE if in_machine_mode else SUPERVISOR, in_machine_mode, tree_at, end if firmware is not None else 0)


def read_firmware(path: Path, ram: Memory) -> Image:
    """Firmware as ELF file or as memory image; the latter, and one that runs anywhere, goes to the start of RAM. Raises LoadError."""
    data, name = read_file(path, ram.size, "firmware"), printable(path)
    if not data.startswith(b"\x7fELF"):
        return Image(name, ram.base, ram.base, ram.base + len(data), [(ram.base, memoryview(data))], True)
    image = read_elf(data, f"firmware {name}", EM_RISCV)
    image.name = name
    if image.movable:
        image.move_to(ram.base)
    return image


def read_kernel(path: Path, ram: Memory, low: int) -> Image:
    """A kernel: Linux Image (with EFI stub or without), ELF, either in gzip; what can move goes to `low` or above. Raises LoadError."""
    data, name = read_file(path, ram.size, "kernel"), f"kernel {printable(path)}"
    data = _unpacked(data, ram.size, name)
    if data.startswith(b"\x7fELF"):
        image = read_elf(data, name, EM_RISCV)
        if image.movable:
            image.move_to(low)
    elif data[56:60] == IMAGE_MAGIC.to_bytes(4, "little"):
        image = _linux_image(data, name, ram.base, low)
    else:
        for (offset, magic), machine in OTHER_IMAGES.items():
            if data[offset:offset + len(magic)] == magic:
                raise LoadError(f"{name}: is for {machine}, not for RISC-V")
        for magic, packer in PACKED.items():
            if data.startswith(magic):
                raise LoadError(f"{name}: is packed with {packer}; unpack it first")
        raise LoadError(f"{name}: is no kernel for RISC-V (a Linux Image or an ELF file is wanted, gzip allowed)")
    image.name = printable(path)
    return image


def _unpacked(data: bytes, most: int, name: str) -> bytes:
    """What is in a gzip file or in an EFI program that unpacks itself (vmlinuz.efi); else the data itself."""
    if data[:2] == b"MZ" and data[4:8] == b"zimg" and len(data) >= ZBOOT.size:
        _, offset, size, packer = ZBOOT.unpack_from(data)
        if offset + size > len(data):
            raise LoadError(f"{name}: the file is cut short (packed kernel up to byte {offset + size:#x} of {len(data):#x})")
        if packer.rstrip(b"\0") != b"gzip":
            raise LoadError(f"{name}: is packed with {packer.rstrip(bytes(1)).decode(errors='replace')!r}; unpack it first")
        data = data[offset:offset + size]
    return gunzip(data, most, name) if data.startswith(GZIP) else data


def _linux_image(data: bytes, name: str, base: int, low: int) -> Image:
    if len(data) < IMAGE_HEADER.size:
        raise LoadError(f"{name}: the file is cut short (in the Image header)")
    text_offset, size, flags, _, _, pe = IMAGE_HEADER.unpack_from(data)
    if flags & BIG_ENDIAN:
        raise LoadError(f"{name}: is for a big-endian machine")
    if data[:2] == b"MZ" and data[pe:pe + 4] == b"PE\0\0":
        _check_sections(data, pe, name)
    start = max(base + text_offset, -(-low // HUGE) * HUGE)
    return Image(name, start, start, start + max(size, len(data)), [(start, memoryview(data))], True)


def _check_sections(data: bytes, pe: int, name: str) -> None:
    """The PE header of an EFI stub tells how long the file is (PE format, "section table")."""
    count = int.from_bytes(data[pe + 6:pe + 8], "little")
    table = pe + 24 + int.from_bytes(data[pe + 20:pe + 22], "little")
    for place in range(table, table + count * PE_SECTION.size, PE_SECTION.size):
        if place + PE_SECTION.size > len(data):
            raise LoadError(f"{name}: the file is cut short (in the section table)")
        size, offset = PE_SECTION.unpack_from(data, place)
        if offset + size > len(data):
            raise LoadError(f"{name}: the file is cut short (a section ends at byte {offset + size:#x} of {len(data):#x})")
