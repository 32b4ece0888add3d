"""Loading: formats, where things go, and files that are refused with one clear line."""

import gzip
import os
import struct

import pytest

from dragoman.runtime.machine.loader import LoadError
from dragoman.runtime.machine.riscv.boot import boot
from tests.board.parts import Ram

BASE, MIB = 0x8000_0000, 1 << 20
TREE = b"\xd0\x0d\xfe\xed" + b"tree" * 100


def linux(content=b"\x13\0\0\0" * 1000, text_offset=0x20_0000, size=0, flags=0, magic2=b"RSC\x05", pe=b""):
    """A Linux Image (boot-image-header.rst)."""
    code = b"MZ\0\0\0\0\0\0" if pe else b"\x13\0\0\0" * 2
    return code + struct.pack("<QQQIIQ8s4sI", text_offset, size, flags, 2, 0, 0, b"RISCV\0\0\0", magic2, 64 if pe else 0) + pe + content


def pe_header(*sections):
    """COFF header with a section table: sections are (size, offset in the file)."""
    table = b"".join(struct.pack("<8sIIII12xI", b".text", 0, 0, size, offset, 0) for size, offset in sections)
    return b"PE\0\0" + struct.pack("<HHIIIHH", 0x5064, len(sections), 0, 0, 0, 8, 0) + bytes(8) + table


def elf(segments=((BASE, BASE, b"code" * 8, 64),), entry=BASE, machine=243, kind=2, bits=2, order=1):
    """An ELF file; segments are (virtual, physical, content, size in memory)."""
    offset, table, content = 64 + 56 * len(segments), b"", b""
    for virtual, physical, data, in_memory in segments:
        table += struct.pack("<IIQQQQQQ", 1, 7, offset + len(content), virtual, physical, len(data), in_memory, 4096)
        content += data
    ident = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 0, 0, 0) + table + content


class Files:
    """Boots files of a temporary folder."""

    def __init__(self, folder, ram=None):
        self.folder, self.ram, self.initrd_at = folder, ram or Ram(), None

    def path(self, name, data):
        if data is not None:
            (self.folder / name).write_bytes(data)
            return self.folder / name
        return None

    def tree(self, initrd):
        self.initrd_at = initrd
        return TREE

    def boot(self, kernel=None, initrd=None, firmware=None, bare=False, tree=None):
        return boot(self.ram, self.path("kernel", kernel), self.path("initrd", initrd), self.path("firmware", firmware), bare,
                    tree or self.tree)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_a_linux_image_starts_at_its_offset_in_s_mode_with_hart_and_tree(files):
    image = linux(size=8 * MIB)
    start = files.boot(image, b"initrd" * 1000)
    assert (start.pc, start.privilege, start.all_harts) == (BASE + 0x20_0000, 1, False)
    assert start.registers(3) == {10: 3, 11: start.device_tree, 12: 0}
    assert files.ram.read(start.pc, len(image)) == image
    assert files.ram.read(start.device_tree, len(TREE)) == TREE and start.device_tree % 8 == 0
    first, end = files.initrd_at
    assert files.ram.read(first, end - first) == b"initrd" * 1000
    assert first % 4096 == 0 and start.pc + 8 * MIB <= first and end <= start.device_tree


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: gzip.compress(data) + b"padding"])
def test_a_kernel_may_be_packed_with_gzip(files, pack):
    image = linux()
    start = files.boot(pack(image))
    assert files.ram.read(start.pc, len(image)) == image


def test_an_efi_program_that_unpacks_itself_is_unpacked(files):
    image = linux()
    packed = gzip.compress(image)
    zboot = b"MZ\0\0zimg" + struct.pack("<II8x32s", 128, len(packed), b"gzip") + bytes(72) + packed
    start = files.boot(zboot)
    assert files.ram.read(start.pc, len(image)) == image
    with pytest.raises(LoadError, match="kernel: the file is cut short"):
        files.boot(zboot[:-10])


def test_an_efi_stub_image_is_loaded_and_a_cut_one_refused(files):
    whole = linux(content=bytes(1000), pe=pe_header((500, 200), (300, 700)))
    start = files.boot(whole)
    assert files.ram.read(start.pc, len(whole)) == whole
    with pytest.raises(LoadError, match="kernel: the file is cut short"):
        files.boot(whole[:900])


def test_an_elf_kernel_is_loaded_by_physical_addresses_and_its_bss_is_zero(files):
    files.ram.write(BASE, b"\xFF" * 0x4000)
    start = files.boot(elf([(0xFFFF_FFFF_8000_0000, BASE + 0x1000, b"text", 0x100), (0xFFFF_FFFF_8000_2000, BASE + 0x3000, b"data", 0x10)],
                           entry=0xFFFF_FFFF_8000_0002), bare=True)
    assert (start.pc, start.privilege, start.all_harts) == (BASE + 0x1002, 3, True)
    assert files.ram.read(BASE + 0x1000, 0x100) == b"text" + bytes(0xFC)
    assert files.ram.read(BASE + 0x3000, 0x11) == b"data" + bytes(12) + b"\xFF"


@pytest.mark.parametrize("firmware", [b"\x13\0\0\0" * 0x8_0001, elf([(0, 0, b"firm", 0x20_0001)], entry=0, kind=3),
                                      elf([(BASE, BASE, b"firm", 0x20_0001)])], ids=["raw", "pie", "elf"])
def test_firmware_is_told_where_the_kernel_is(files, firmware):
    # OpenSBI, fw_dynamic.h: magic "OSBI", version 2, address and mode of the next stage, options, boot hart.
    start = files.boot(linux(), b"initrd", firmware)
    assert (start.pc, start.privilege, start.all_harts) == (BASE, 3, True)
    assert struct.unpack("<6Q", files.ram.read(start.registers(0)[12], 48)) == (0x4942534F, 2, BASE + 0x40_0000, 1, 0, 0)
    assert files.ram.read(BASE, 4) == (firmware[:4] if firmware[:4] != b"\x7fELF" else b"firm")
    assert files.initrd_at[1] <= start.dynamic < start.device_tree


def test_firmware_alone_is_told_of_no_kernel(files):
    start = files.boot(firmware=b"\x13\0\0\0")
    assert struct.unpack("<Q", files.ram.read(start.dynamic + 16, 8)) == (0,)


REFUSED = {
    "nothing to boot": {},
    "initrd .*no kernel": {"initrd": b"x", "firmware": b"x"},
    "kernel .*kernel: the file is empty": {"kernel": b""},
    "initrd .*initrd: the file is empty": {"kernel": linux(), "initrd": b""},
    "firmware .*firmware: the file is empty": {"firmware": b""},
    "is no kernel for RISC-V": {"kernel": b"#!/bin/sh\n" * 100},
    "is for Arm 64, not for RISC-V": {"kernel": linux(magic2=b"ARM\x64")},
    "is for x86, not for RISC-V": {"kernel": bytes(0x202) + b"HdrS" + bytes(100)},
    "is for x86-64, not for RISC-V": {"kernel": elf(machine=62)},
    "firmware .*is for Arm 64": {"firmware": elf(machine=183)},
    "is for 32 bits": {"kernel": elf(bits=1)},
    "is for a big-endian machine": {"kernel": elf(order=2)},
    "big-endian machine": {"kernel": linux(flags=1)},
    "is not an executable ELF file": {"kernel": elf(kind=1)},
    "has no program headers": {"kernel": elf([])},
    "has nothing to load": {"kernel": elf([(BASE, BASE, b"", 0)])},
    "cut short .in the ELF header": {"kernel": elf()[:40]},
    "cut short .in the program headers": {"kernel": elf()[:100]},
    "cut short .a segment": {"kernel": elf()[:-1]},
    "two segments": {"kernel": elf([(BASE, BASE, b"abcd", 4), (BASE + 2, BASE + 2, b"efgh", 4)])},
    "needs 32 bytes of memory at 0x0": {"kernel": elf([(0, 0, b"", 32)])},
    "needs 64 MiB of memory": {"kernel": elf([(BASE, BASE, b"x", 64 * MIB)])},
    "needs 17592186042368 MiB": {"kernel": elf([(BASE, BASE, b"x", (1 << 64) - 1 - BASE)])},
    "needs 100 MiB of memory at 0x80200000": {"kernel": linux(size=100 * MIB)},
    "needs .* at 0x800000000000000": {"kernel": linux(text_offset=(1 << 63) - BASE)},
    "needs 64 bytes of memory at 0x80000000; the guest has 0x80200000": {"kernel": elf(), "firmware": b"x"},
    "is packed with zstd; unpack it first": {"kernel": b"\x28\xb5\x2f\xfd" + bytes(100)},
    "is packed with xz": {"kernel": b"\xfd7zXZ\0" + bytes(100)},
    "gzip data without an end": {"kernel": gzip.compress(os.urandom(10000))[:5000]},
    "damaged gzip data": {"kernel": gzip.compress(linux())[:-8] + bytes(8)},
    "unpacked, it is larger than the guest's memory of 64 MiB": {"kernel": gzip.compress(bytes(64 * MIB + 1))},
    "larger than the guest's memory of 64 MiB": {"kernel": linux(), "initrd": bytes(64 * MIB + 1)},
    "initrd .*60 MiB do not fit beside the kernel": {"kernel": linux(size=3 * MIB), "initrd": bytes(60 * MIB)},
    "cut short .in the section table": {"kernel": linux(content=b"", pe=pe_header((1, 1))[:30])},
    "command line is too long": {"kernel": linux(), "tree": lambda initrd: bytes(3 * MIB)},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_booted_is_refused_in_one_line_and_nothing_is_written(files, message):
    with pytest.raises(LoadError, match=message) as caught:
        files.boot(**REFUSED[message])
    assert "\n" not in str(caught.value) and files.ram.writes == 0


@pytest.mark.parametrize(("name", "reason"), [
    ("missing", "No such file or directory"), (".", "Is a directory"), ("a\0b", "null"), ("line\nend", "'.*line.nend': No such file"),
    ("/dev/zero", "larger than the guest's memory")])
def test_a_file_that_cannot_be_read_is_refused(files, name, reason):
    with pytest.raises(LoadError, match=reason) as caught:
        boot(files.ram, os.path.join(files.folder, name), None, None, False, files.tree)
    assert "\n" not in str(caught.value)


def test_a_memory_that_is_too_small_is_refused(tmp_path):
    with pytest.raises(LoadError, match="too small"):
        Files(tmp_path, Ram(1 * MIB)).boot(linux())


def test_every_cut_of_every_format_is_refused_or_boots(files):
    for whole in (elf(), linux(content=bytes(64), pe=pe_header((100, 200))), gzip.compress(linux(content=b""))):
        for length in range(1, len(whole)):
            try:
                files.boot(whole[:length])
            except LoadError as refused:
                assert "\n" not in str(refused)
