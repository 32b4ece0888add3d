"""Virtio rings of a guest that means harm: random rings, descriptors that change meanwhile, DMA into running code, a balloon that takes all."""

import random
import resource
import struct

import pytest

from tests.hostile.machines import ENGINES, MEMORY, run, survives
from tests.hostile.program import FENCE_I, PLIC, RAM, RET, VIRTIO, Program, addi, branch, jalr, jump, load, store

END, RINGS, DATA = RAM + MEMORY, RAM + 0x40_0000, RAM + 0x80_0000
DESCRIPTORS, AVAILABLE, USED = RINGS, RINGS + 0x1000, RINGS + 0x2000
NEXT, WRITE, INDIRECT = 1, 2, 4
# Registers (virtio 1.2, table 4.1)
FEATURES, FEATURES_SELECT, SELECT, SIZE, READY, NOTIFY, ACK, STATUS, DESC, DRIVER, DEVICE, CONFIG = (
    0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, 0x80, 0x90, 0xA0, 0x100)
SLOTS = {"block": 0, "net": 1, "9p": 2, "entropy": 3, "balloon": 4}
INFLATE, LOW = 0, (1 << 32) - 1
PAGE = 4096


class Driver:
    """Writes a program's accesses to one device."""

    def __init__(self, program: Program, slot: int) -> None:
        self.program, self.base = program, VIRTIO + 0x1000 * slot

    def put(self, register: int, value: int) -> None:
        self.program.li(10, self.base + register)
        self.program.li(11, value)
        self.program.add(store(2, 11, 10))

    def poke(self, address: int, value: int, funct3: int = 3) -> None:
        self.program.li(10, address)
        self.program.li(11, value)
        self.program.add(store(funct3, 11, 10))

    def start(self, features: int, queue: int, size: int, descriptors: int, available: int, used: int) -> None:
        for status in (0, 1, 3):
            self.put(STATUS, status)
        for half in (0, 1):
            self.put(FEATURES_SELECT, half)
            self.put(FEATURES, features >> 32 * half & LOW)
        self.put(STATUS, 11)
        self.put(SELECT, queue)
        self.put(SIZE, size)
        for register, address in ((DESC, descriptors), (DRIVER, available), (DEVICE, used)):
            self.put(register, address & LOW)
            self.put(register + 4, address >> 32)
        self.put(READY, 1)
        self.put(STATUS, 15)

    def submit(self, chain: list[tuple[int, int, int]], count: int, queue: int = 0) -> None:
        """A chain of (address, length, flags) as the count-th request; waits until it is done."""
        for n, (address, length, flags) in enumerate(chain):
            last = n == len(chain) - 1
            self.poke(DESCRIPTORS + 16 * n, address)
            self.poke(DESCRIPTORS + 16 * n + 8, length | (flags | (0 if last else NEXT)) << 32 | (n + 1) << 48)
        self.poke(AVAILABLE + 4 + 2 * ((count - 1) % 8), 0, 1)
        self.poke(AVAILABLE + 2, count, 1)
        self.put(NOTIFY, queue)
        program = self.program
        program.li(10, USED + 2)
        program.li(11, count)
        program.add(load(5, 12, 10), branch(1, 12, 11, -4))         # until the used index is there


def address(r: random.Random) -> int:
    """Above the program, so that it is not written over; or anything that is no RAM."""
    return r.choice((RINGS, DESCRIPTORS + 16, AVAILABLE, USED, DATA, DATA + 0x1001, END - 16, END - 1, END, RAM - 16, 0, PLIC, 0x1000_0000, 1 << 40,
                     (1 << 64) - 16, r.randrange(RINGS, END), r.randrange(RINGS, END) & ~0xFFF, r.getrandbits(64) | 1 << 63))


def descriptor(r: random.Random) -> bytes:
    length = r.choice((0, 1, 16, 512, 4096, 1 << 20, LOW, r.getrandbits(32), 16 * r.randrange(20)))
    flags = r.choice((0, NEXT, NEXT, WRITE, WRITE | NEXT, INDIRECT, INDIRECT | NEXT, r.getrandbits(16)))
    return struct.pack("<QIHH", address(r), length, flags, r.choice((0, 1, 2, 3, r.randrange(8), r.getrandbits(16))))


@pytest.mark.parametrize("device", SLOTS)
def test_random_rings(tmp_path, device):
    r, program = random.Random(device), Program()
    driver = Driver(program, SLOTS[device])
    disk, share = tmp_path / "disk", tmp_path / "share"
    disk.write_bytes(bytes(1 << 20))
    share.mkdir()
    program.areas[DESCRIPTORS] = b"".join(descriptor(r) for _ in range(256))
    program.areas[AVAILABLE] = r.randbytes(PAGE)
    for _ in range(40):
        where = (DESCRIPTORS, AVAILABLE, USED) if r.random() < 0.7 else (address(r), address(r), address(r))
        size = r.choice((8, 8, 256, 1, 0, 3, 1 << 15, r.getrandbits(32)))
        driver.start(1 << 32 | r.getrandbits(32), r.choice((0, 0, 1, 2, r.getrandbits(16))), size, *where)
        for n in range(r.randrange(8)):
            at = r.randrange(64)
            driver.poke(DESCRIPTORS + 16 * at, int.from_bytes(descriptor(r)[:8], "little"))
            driver.poke(DESCRIPTORS + 16 * at + 8, int.from_bytes(descriptor(r)[8:], "little"))
            driver.poke(AVAILABLE + 2, r.choice((n + 1, r.getrandbits(16))), 1)
            driver.poke(AVAILABLE + 4 + 2 * (n % 8), r.choice((at, r.getrandbits(16))), 1)
            driver.put(NOTIFY, r.choice((0, 0, 1, 2, r.getrandbits(32))))
            if r.random() < 0.2:
                driver.put(CONFIG + 4 * r.randrange(8), r.getrandbits(32))
            if r.random() < 0.1:
                driver.put(r.choice((READY, STATUS, ACK, SELECT)), r.choice((0, 1, 15, r.getrandbits(32))))
    driver.put(STATUS, 0)
    end = survives(tmp_path, program, "--disk", str(disk), "--share", str(share), "--net", "user")
    assert end.error.count("\n") <= 16, "a driver that does wrong for ever must not fill the user's screen"
    assert disk.stat().st_size == 1 << 20 and list(share.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "firmware.bin", "share"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_disk_that_is_read_into_running_code(tmp_path, engine):
    """A function's page is read from disk between its calls: after a fence it is what the disk has, each time."""
    program, disk = Program(), tmp_path / "disk"
    driver = Driver(program, 0)
    function = DATA
    program.areas[function] = struct.pack("<II", addi(5, 5, 1), RET)
    program.areas[DATA + PAGE] = struct.pack("<IIQ", 0, 0, 0) + struct.pack("<IIQ", 0, 0, 1)          # requests: read sector 0, 1
    disk.write_bytes(b"".join(struct.pack("<II", addi(5, 5, by), RET).ljust(512, b"\0") for by in (100, 1000)))
    program.add(addi(5, 0, 0))
    program.li(20, function)
    driver.start(1 << 32, 0, 8, DESCRIPTORS, AVAILABLE, USED)
    for count in range(1, 21):
        program.add(jalr(1, 20))
        driver.submit([(DATA + PAGE + 16 * (count % 2), 16, 0), (function, 512, WRITE), (DATA + 2 * PAGE, 1, WRITE)], count)
        program.add(FENCE_I)
    program.li(10, 1 + 10 * 1000 + 9 * 100)             # 1, then sectors 1, 0, 1, ...; the last one is not called
    program.add(branch(0, 5, 10, 8), jump(0))
    survives(tmp_path, program, "--disk", str(disk), engine=engine)


def test_a_balloon_that_takes_all_memory(tmp_path):
    """With the page that runs, its handler and the rings: zeros are no instructions, so the hart is stuck in the end."""
    program = Program()
    driver = Driver(program, 1)                         # entropy is in slot 0
    pages = MEMORY // PAGE
    program.areas[DATA] = struct.pack(f"<{pages}I", *range(RAM // PAGE, RAM // PAGE + pages))
    driver.start(1 << 32, INFLATE, 8, DESCRIPTORS, AVAILABLE, USED)
    driver.submit([(DATA, 4 * pages, 0)], 1)
    program.add(FENCE_I, jump(0))
    end = run(tmp_path, program, "--timeout", "5")
    assert end.status == 124 or (end.status == 1 and "trap handler" in end.error)


def test_a_balloon_that_takes_what_is_not_there(tmp_path):
    """Page numbers outside RAM, at its ends, the same ones again and again; and all free memory, which is zeros then."""
    program = Program()
    driver = Driver(program, 1)
    numbers = [0, LOW, RAM // PAGE - 1, END // PAGE, END // PAGE - 1, *[END // PAGE - 2] * 500, *range(DATA // PAGE + 16, END // PAGE)]
    program.areas[DATA] = struct.pack(f"<{len(numbers)}I", *numbers)
    program.areas[DATA + 32 * PAGE] = b"\xff" * PAGE
    driver.start(1 << 32, INFLATE, 8, DESCRIPTORS, AVAILABLE, USED)
    driver.submit([(DATA, 4 * len(numbers), 0)], 1)
    program.li(10, DATA + 32 * PAGE)
    program.add(load(3, 12, 10), branch(0, 12, 0, 8), jump(0))
    survives(tmp_path, program)


def test_a_disk_whose_host_is_full(tmp_path):
    """RLIMIT_FSIZE in place of a full file system: the guest is told of an I/O error, the user in one line."""
    program, disk = Program(), tmp_path / "disk"
    size = 5 << 30                                      # of holes; beyond the limit, which RAM and translations are below
    with open(disk, "wb") as file:
        file.truncate(size)
    driver = Driver(program, 0)
    status = DATA + PAGE
    program.areas[DATA] = struct.pack("<IIQ", 1, 0, (4 << 30) // 512)              # write
    program.areas[status] = b"\xff"
    driver.start(1 << 32, 0, 8, DESCRIPTORS, AVAILABLE, USED)
    for count in range(1, 4):
        driver.submit([(DATA, 16, 0), (DATA + 2 * PAGE, 512, 0), (status, 1, WRITE)], count)
    program.li(10, status)
    program.add(load(4, 12, 10), addi(11, 0, 1), branch(0, 12, 11, 8), jump(0))     # VIRTIO_BLK_S_IOERR
    end = survives(tmp_path, program, "--disk", str(disk), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 30, 4 << 30)))
    assert end.error.count("File too large") == 1, end.error
    assert disk.stat().st_size == size
