"""The block device on raw images and overlays, on a disk that is full, and saved in the middle of requests."""

import errno
import os
import resource
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.virtio.block import Block
from dragoman.runtime.machine.virtio.image import DiskError, Image
from dragoman.runtime.machine.virtio.overlay import open_disk
from tests.virtio.driver import Driver, Ram

IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = b"\0", b"\1", b"\2"
SECTORS = 64
CONTENTS = b"".join(struct.pack("<Q", sector) * 64 for sector in range(SECTORS))
MODES = ["rw", "cow", "cow=OVERLAY"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(CONTENTS)
    return path


class Disk:
    """A driver's block layer."""

    def __init__(self, image: Image, ram: Ram | None = None, refuse: int = 0, start: bool = True):
        self.reports: list[str] = []
        self.driver = Driver(Block(image, "serial", self.reports.append), ram or Ram(size=8 << 20), refuse, start)

    def request(self, kind, sector=0, *data, room=0):
        return self.driver.request(struct.pack("<IIQ", kind, 0, sector), *data, room=(room, 1), indirect=True)

    def read(self, sector, sectors=1):
        answer = self.request(IN, sector, room=512 * sectors)
        assert answer[-1:] == OK
        return answer[:-1]

    def write(self, sector, data):
        assert self.request(OUT, sector, data) == OK

    def range(self, kind, sector, sectors, flags=0):
        return self.request(kind, 0, struct.pack("<QII", sector, sectors, flags))

    def close(self):
        self.driver.device.close()


def disk(file, mode="rw", **options):
    return Disk(open_disk(bytes(file), mode.replace("OVERLAY", f"{file}.overlay")), **options)


@pytest.mark.parametrize("mode", MODES)
def test_reads_and_writes(file, mode):
    it = disk(file, mode)
    assert it.read(0, SECTORS) == CONTENTS
    it.write(3, b"A" * 512)
    it.write(62, b"B" * 1024)
    assert it.request(FLUSH) == OK
    expected = bytearray(CONTENTS)
    expected[3 * 512:4 * 512], expected[62 * 512:] = b"A" * 512, b"B" * 1024
    assert it.read(0, SECTORS) == expected
    it.close()
    assert file.read_bytes() == (expected if mode == "rw" else CONTENTS)
    with_overlay = disk(file, MODES[2])
    assert with_overlay.read(0, SECTORS) == (CONTENTS if mode == "cow" else expected)


def test_a_header_in_pieces(file):
    it = disk(file)
    header = struct.pack("<IIQ", IN, 0, 5)
    assert it.driver.request(header[:3], header[3:9], header[9:], room=(100, 300, 113))[:512] == CONTENTS[5 * 512:6 * 512]


@pytest.mark.parametrize("mode", [*MODES, "ro"])
@pytest.mark.parametrize(("kind", "sector", "size"), [
    (IN, SECTORS, 512), (IN, SECTORS - 1, 1024), (IN, 1 << 63, 512), (IN, (1 << 64) - 1, 512), (IN, 0, 100),
    (OUT, SECTORS, 512), (OUT, (1 << 55) - 1, 512), (OUT, 0, 511)])
def test_requests_outside_the_disk(file, mode, kind, sector, size):
    it = disk(file, mode)
    answer = it.request(kind, sector, room=size) if kind == IN else it.request(kind, sector, bytes(size))
    assert answer[-1:] == IOERR
    assert file.read_bytes() == CONTENTS and it.reports == []


def test_a_disk_that_is_only_read(file):
    file.chmod(0o444)
    it = disk(file, "ro")
    assert it.driver.features >> 5 & 1
    assert it.request(OUT, 0, bytes(512)) == it.range(WRITE_ZEROES, 0, 8) == it.range(DISCARD, 0, 8) == IOERR
    assert it.read(1) == CONTENTS[512:1024] and it.request(FLUSH) == OK
    assert file.read_bytes() == CONTENTS


def test_get_id_and_unknown_requests(file):
    it = disk(file)
    assert it.request(GET_ID, room=20) == b"serial".ljust(20, b"\0") + OK
    assert it.request(77)[-1:] == UNSUPP


def test_configuration(file):
    """5.2.4: capacity at 0, seg_max at 12, blk_size at 20, max_discard_sectors at 36."""
    it = disk(file)
    read = it.driver.transport.read
    assert read(0x100, 8) == SECTORS and read(0x10C, 4) == 254 and read(0x114, 4) == 512 and read(0x124, 4) > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("unmap", [0, 1])
def test_write_zeroes(file, mode, unmap):
    it = disk(file, mode)
    assert it.range(WRITE_ZEROES, 3, 30, unmap) == OK
    assert it.read(0, SECTORS) == CONTENTS[:3 * 512] + bytes(30 * 512) + CONTENTS[33 * 512:]
    it.close()
    assert len(file.read_bytes()) == len(CONTENTS)


@pytest.mark.parametrize("mode", MODES)
def test_discard_touches_nothing_else(file, mode):
    it = disk(file, mode)
    it.write(8, b"X" * 512 * 24)
    assert it.range(DISCARD, 9, 20) == OK
    contents = it.read(0, SECTORS)
    assert contents[:8 * 512] + contents[32 * 512:] == CONTENTS[:8 * 512] + CONTENTS[32 * 512:]
    assert contents[8 * 512:9 * 512] == contents[29 * 512:30 * 512] == b"X" * 512


@pytest.mark.parametrize(("kind", "sector", "sectors", "flags", "status"), [
    (DISCARD, 0, 8, 1, UNSUPP), (WRITE_ZEROES, 0, 8, 2, UNSUPP), (DISCARD, SECTORS - 1, 2, 0, IOERR),
    (WRITE_ZEROES, (1 << 64) - 1, 1, 0, IOERR), (WRITE_ZEROES, 0, 0xFFFFFFFF, 0, IOERR), (WRITE_ZEROES, 0, 0, 0, OK)])
def test_ranges_that_are_refused(file, kind, sector, sectors, flags, status):
    it = disk(file)
    assert it.range(kind, sector, sectors, flags) == status
    assert it.request(kind, 0, bytes(15)) == it.request(kind, 0, bytes(16 * 65)) == IOERR
    assert file.read_bytes() == CONTENTS


@pytest.mark.parametrize("readable", [b"", bytes(15)])
def test_a_request_without_a_header(file, readable):
    it = disk(file)
    it.driver.submit(readable, room=(1,))
    assert it.driver.get(0x70) & 64 and len(it.driver.reports) == 1


def test_a_request_without_status(file):
    it = disk(file)
    it.driver.submit(struct.pack("<IIQ", OUT, 0, 0), bytes(512))
    assert it.driver.get(0x70) & 64 and file.read_bytes() == CONTENTS


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk(file, mode):
    """RLIMIT_FSIZE makes the host's file system refuse to write on; the guest is told, the user once."""
    it = disk(file, mode)
    it.write(0, b"1" * 512)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, old[1]))
    try:
        assert it.request(OUT, 50, b"2" * 512) == it.request(OUT, 56, b"2" * 512) == IOERR
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert len(it.reports) == 1 and os.strerror(errno.EFBIG) in it.reports[0]
    assert it.read(0, SECTORS) == b"1" * 512 + CONTENTS[512:]
    it.write(50, b"3" * 512)
    assert it.read(50) == b"3" * 512


def test_an_unaligned_image_reads_as_filled_up(file):
    file.write_bytes(b"x" * 700)
    it = disk(file, "ro")
    assert it.read(1) == b"x" * 188 + bytes(324)


def test_without_flush_each_write_goes_through(file, monkeypatch):
    it = disk(file, refuse=1 << 9)
    flushed = []
    monkeypatch.setattr(it.driver.device.image, "flush", lambda: flushed.append(1))
    it.write(0, bytes(512))
    assert flushed == [1]


@pytest.mark.parametrize(("text", "message"), [
    ("MISSING,rw", "No such file"), ("EMPTY,rw", "empty"), ("FOLDER,rw", "directory"), ("FOLDER,ro", "neither"),
    ("FILE,cow=FILE2", "not an overlay"), ("FILE,cow=MISSING/x", "No such file")])
def test_disks_that_cannot_be_used(tmp_path, file, text, message):
    (tmp_path / "EMPTY").touch()
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FILE").write_bytes(CONTENTS)
    (tmp_path / "FILE2").write_bytes(CONTENTS)
    name, mode = text.split(",")
    with pytest.raises(DiskError, match=message) as error:
        open_disk(bytes(tmp_path / name), mode.replace("=", f"={tmp_path}/"))
    assert "\n" not in str(error.value)


def test_a_disk_that_another_machine_uses(file):
    it = disk(file)
    for mode in ("rw", "ro", "cow"):
        with pytest.raises(DiskError, match="in use"):
            disk(file, mode)
    it.close()
    first, second = disk(file, "cow"), disk(file, "cow")
    first.write(0, b"1" * 512)
    assert second.read(0) == CONTENTS[:512]
    with pytest.raises(DiskError, match="in use"):
        disk(file)


def test_an_overlay_of_another_image(file):
    disk(file, MODES[2]).close()
    file.write_bytes(CONTENTS * 2)
    with pytest.raises(DiskError, match="another size"):
        disk(file, MODES[2])


def test_an_overlay_has_what_was_flushed(file):
    """As after kill -9: the file is not closed. What was flushed is there, all else is the image's or the new contents."""
    it = disk(file, MODES[2])
    it.write(8, b"F" * 512)
    assert it.request(FLUSH) == OK
    it.write(40, b"G" * 512)
    copy = file.with_suffix(".killed")
    copy.write_bytes(file.with_suffix(".overlay").read_bytes())
    after = Disk(open_disk(bytes(file), f"cow={copy}"))
    assert after.read(8) == b"F" * 512 and after.read(0, 8) == CONTENTS[:8 * 512]
    assert after.read(40) in (b"G" * 512, CONTENTS[40 * 512:41 * 512])


operations = st.lists(st.tuples(st.sampled_from([OUT, WRITE_ZEROES, IN]), st.integers(0, SECTORS - 1), st.integers(1, 20), st.integers(1, 255)),
                      max_size=15)


@settings(deadline=None, max_examples=50)
@given(operations, st.sampled_from(MODES))
def test_any_operations_leave_what_a_plain_array_has(tmp_path_factory, done, mode):
    file = tmp_path_factory.mktemp("disk") / "disk"
    file.write_bytes(CONTENTS)
    it, expected = disk(file, mode), bytearray(CONTENTS)
    for kind, sector, count, value in done:
        count = min(count, SECTORS - sector)
        place = slice(sector * 512, (sector + count) * 512)
        if kind == OUT:
            expected[place] = bytes([value]) * (count * 512)
            it.write(sector, expected[place])
        elif kind == WRITE_ZEROES:
            expected[place] = bytes(count * 512)
            assert it.range(kind, sector, count, value & 1) == OK
        else:
            assert it.read(sector, count) == expected[place]
    assert it.read(0, SECTORS) == expected
    it.close()
    if mode == MODES[2]:
        assert disk(file, mode).read(0, SECTORS) == expected


class Slow(Image):
    """An image whose reads and flushes wait until they are let go."""

    def __init__(self, path):
        super().__init__(bytes(path))
        self.gate, self.entered = threading.Event(), threading.Event()

    def try_read(self, views, offset):
        return False

    def read(self, views, offset):
        self.entered.set()
        self.gate.wait()
        super().read(views, offset)

    def flush(self):
        self.entered.set()
        self.gate.wait()


def start_slow_requests(file):
    """A read that hangs in the host, with a write and a flush behind it."""
    image = Slow(file)
    it = Disk(image)
    areas = it.driver.submit(struct.pack("<IIQ", IN, 0, 7), room=(512, 1))[2]
    image.entered.wait()
    it.driver.submit(struct.pack("<IIQ", OUT, 0, 9), b"W" * 512, room=(1,))
    it.driver.submit(struct.pack("<IIQ", FLUSH, 0, 0), room=(1,))
    assert it.driver.rings[0].waiting() == 0
    return it, image, areas


def test_a_snapshot_in_the_middle_of_requests(file):
    it, image, areas = start_slow_requests(file)
    threading.Timer(0.05, image.gate.set).start()
    state = it.driver.transport.state()
    ring = it.driver.rings[0]
    assert ring.waiting() == 3 and it.driver.line.level
    assert it.driver.contents(areas) == CONTENTS[7 * 512:8 * 512] + OK
    assert file.read_bytes()[9 * 512:10 * 512] == b"W" * 512
    it.close()
    other = Disk(Image(bytes(file)), it.driver.ram, start=False)
    other.driver.take_over(it.driver, state)
    for _ in range(3):
        ring.take()
    assert other.read(9) == b"W" * 512


def test_nothing_is_written_to_the_guest_after_a_reset(file):
    it, image, areas = start_slow_requests(file)
    threading.Timer(0.05, image.gate.set).start()
    it.driver.put(0x70, 0)
    it.driver.ram.write(areas[0][0], b"?" * 512)
    it.driver.start()
    it.driver.events.run()
    assert it.driver.rings[0].waiting() == 0
    assert it.read(7) == CONTENTS[7 * 512:8 * 512]


def test_a_temporary_overlay_is_part_of_a_snapshot(file):
    it = disk(file, "cow")
    it.write(5, b"5" * 512)
    it.write(60, b"6" * 512)
    state = it.driver.transport.state()
    it.close()
    other = disk(file, "cow", ram=it.driver.ram, start=False)
    other.driver.device.image.write([memoryview(bytearray(b"?" * 512))], 20 * 512)
    other.driver.take_over(it.driver, state)
    expected = bytearray(CONTENTS)
    expected[5 * 512:6 * 512], expected[60 * 512:61 * 512] = b"5" * 512, b"6" * 512
    assert other.read(0, SECTORS) == expected


def test_a_snapshot_of_another_disk_is_refused(file):
    it = disk(file)
    state = it.driver.transport.state()
    it.close()
    file.write_bytes(CONTENTS + bytes(512))
    with pytest.raises(DiskError, match="snapshot"):
        disk(file, start=False).driver.transport.restore(state)
