"""Guest memory: copies that cannot crash, and the mmap family against a model and against what the host has mapped."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.dbt.compiled import build
from dragoman.dbt.host.linker import link
from dragoman.runtime.memory import areas, mappings
from dragoman.runtime.memory.mappings import Area, Mappings
from dragoman.runtime.memory.space import BEGINNING, AddressSpace
from dragoman.runtime.memory.window import (
    MAP_ANONYMOUS,
    MAP_DENYWRITE,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    MAP_SHARED,
    NOWHERE,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    GuestFault,
)
from tests.runtime.guest import BUFFERS, ROOM, WINDOW, Engine

PAGE = 4096
RW, RX, RWX = PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE | PROT_EXEC
ANON = MAP_PRIVATE | MAP_ANONYMOUS
EPERM, ENOMEM, EFAULT, EEXIST, EINVAL, ENAMETOOLONG = 1, 12, 14, 17, 22, 36


# ---- places

LOADERS = [(RX, MAP_PRIVATE), (PROT_READ, MAP_PRIVATE | MAP_DENYWRITE)]
OTHERS = [(PROT_READ, MAP_PRIVATE), (RX, MAP_SHARED), (RX, ANON)]


def program_file(path, build_id):
    path.write_bytes(b"\x7fELF" + build_id.ljust(BEGINNING, b"\0") + bytes(3 * PAGE))
    return os.open(path, os.O_RDONLY)


def test_a_program_file_lies_at_one_place_whatever_else_is_mapped(memory, tmp_path):
    files = [program_file(tmp_path / f"{n}", bytes([n])) for n in range(8)]
    copy = program_file(tmp_path / "copy", bytes([3]))
    places = {}
    for turn in (files, files[::-1]):
        for fd in turn:
            prot, flags = LOADERS[fd % 2]
            at = memory.map(0, 3 * PAGE, prot, flags, fd, 0)
            assert places.setdefault(fd, at) == at > 0
        if turn is files:
            assert len(set(places.values())) == len(files)
            assert memory.map(0, 3 * PAGE, RX, MAP_PRIVATE, copy, 0) not in places.values()     # it is taken
            for fd in files:
                memory.unmap(places[fd], 3 * PAGE)
            assert memory.map(0, 3 * PAGE, RX, MAP_PRIVATE, copy, 0) == places[files[3]]       # known by content
            memory.unmap(places[files[3]], 3 * PAGE)
            memory.map(0, 64 * PAGE, RW, ANON)
    for fd in (*files, copy):
        os.close(fd)


def test_other_mappings_lie_where_room_is(memory, tmp_path):
    fd = program_file(tmp_path / "file", b"0")
    settled = memory.settled(fd, PAGE)
    assert settled
    for prot, flags in OTHERS:
        assert memory.map(0, PAGE, prot, flags, fd, 0) not in (settled, -EINVAL)
    assert memory.map(0, PAGE, RX, MAP_PRIVATE, fd, PAGE) != settled
    assert memory.map(BUFFERS + ROOM, PAGE, RX, MAP_PRIVATE, fd, 0) != settled              # asked for
    assert memory.map(0, PAGE, RX, MAP_PRIVATE, fd, 0) == settled
    with open("/dev/zero", "rb") as device:
        assert memory.settled(device.fileno(), PAGE) == 0
    assert memory.settled(fd, WINDOW) == memory.settled(-1, PAGE) == 0
    os.close(fd)


# ---- copies

def test_what_is_written_is_read(memory):
    for size in (1, 8, 4095, 4096, 4097, 100_000):
        data = os.urandom(size)
        memory.write(BUFFERS + 3, data)
        assert memory.read(BUFFERS + 3, size) == data


@pytest.mark.parametrize("address", [0, 1, BUFFERS - 1, BUFFERS + ROOM, WINDOW - 8, WINDOW, WINDOW + BUFFERS, 1 << 38,
                                     1 << 47, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1])
def test_wild_addresses_are_faults(memory, address):
    for size in (1, 16, 8192):
        with pytest.raises(GuestFault):
            memory.read(address, size)
        with pytest.raises(GuestFault):
            memory.write(address, bytes(size))
    with pytest.raises(GuestFault):
        memory.read_string(address)


def test_copies_across_the_end_are_faults(memory):
    end = BUFFERS + ROOM
    with pytest.raises(GuestFault):
        memory.read(end - 8, 9)
    with pytest.raises(GuestFault):
        memory.write(end - 8, bytes(9))
    assert len(memory.read_some(end - 8, 9)) == 8
    assert memory.read(end - 8, 8) == bytes(8)


def test_protection_counts(memory):
    memory.protect(BUFFERS, PAGE, PROT_READ)
    assert memory.read(BUFFERS, 4) == bytes(4)
    with pytest.raises(GuestFault):
        memory.write(BUFFERS, b"x")
    memory.protect(BUFFERS, PAGE, PROT_NONE)
    with pytest.raises(GuestFault):
        memory.read(BUFFERS, 4)


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 4094, 4095])
def test_strings(memory, length):
    text = bytes(1 + n % 255 for n in range(length))
    memory.write(BUFFERS + 5, text + b"\0")
    assert memory.read_string(BUFFERS + 5) == text
    at = BUFFERS + ROOM - length - 1      # the NUL is the last byte that can be read
    memory.write(at, text + b"\0")
    assert memory.read_string(at) == text
    memory.write(at + length, b"x")
    with pytest.raises(GuestFault if length < 4095 else OSError):
        memory.read_string(at)


def test_a_string_without_end(memory):
    memory.write(BUFFERS, b"a" * 10_000)
    with pytest.raises(OSError) as caught:
        memory.read_string(BUFFERS)
    assert caught.value.errno == ENAMETOOLONG


def test_pointers_for_the_kernel(memory):
    assert memory.host(0) == 0
    assert memory.host(BUFFERS) == memory.base + BUFFERS
    for wild in (WINDOW, 1 << 47, (1 << 64) - 1):
        assert memory.host(wild) == NOWHERE


# ---- mappings

def test_places_are_deterministic_and_from_the_top(memory):
    first = memory.map(0, 3 * PAGE, RW, ANON)
    second = memory.map(0, PAGE, RW, ANON)
    assert second == first - PAGE
    assert memory.unmap(first, PAGE) == 0
    assert memory.map(0, PAGE, RW, ANON) == first


def test_hints(memory):
    assert memory.map(0x2345678, PAGE, RW, ANON) == 0x2346000
    assert memory.map(0x2345678, PAGE, RW, ANON) != 0x2346000
    assert memory.map(5, PAGE, RW, ANON) > 0x10000


@pytest.mark.parametrize(("arguments", "error"), [
    ((0, 0, RW, ANON), EINVAL), ((1, PAGE, RW, ANON | MAP_FIXED), EINVAL), ((0, PAGE, RW, ANON | MAP_FIXED), EPERM),
    ((0xF000, PAGE, RW, ANON | MAP_FIXED), EPERM), ((WINDOW, PAGE, RW, ANON | MAP_FIXED), ENOMEM),
    ((WINDOW - PAGE, 2 * PAGE, RW, ANON | MAP_FIXED), ENOMEM), ((0, WINDOW, RW, ANON), ENOMEM),
    ((0, 1 << 63, RW, ANON), ENOMEM), ((0, (1 << 64) - 1, RW, ANON), ENOMEM), ((0, PAGE, RW, MAP_PRIVATE, 9999), 9),
    ((BUFFERS, PAGE, RW, ANON | MAP_FIXED_NOREPLACE), EEXIST), ((0, PAGE, RW, MAP_PRIVATE, -1, 7), EINVAL),
    ((1 << 63, PAGE, RW, ANON | MAP_FIXED), ENOMEM),
])
def test_refusals_of_mmap(memory, arguments, error):
    before = memory.snapshot()
    assert memory.map(*arguments) == -error
    assert repr(memory.snapshot()) == repr(before)


def test_a_file_is_seen_through_its_mapping(memory, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 32)
    with open(path, "r+b") as file:
        shared = memory.map(0, 2 * PAGE, RW, MAP_SHARED, file.fileno(), 0)
        private = memory.map(0, PAGE, RW, MAP_PRIVATE, file.fileno(), PAGE)
    memory.write(private, b"private")
    memory.write(shared + PAGE, b"shared")
    assert path.read_bytes()[PAGE:PAGE + 6] == b"shared"
    assert memory.read(private, 7) == b"private"


def test_a_refused_fixed_mapping_of_a_file_leaves_no_hole(memory, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    assert memory.map(BUFFERS, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == -13
    os.close(fd)
    check(memory)


def test_unmapped_memory_is_reserved_again(memory):
    at = memory.map(0, 4 * PAGE, RW, ANON)
    memory.write(at, b"x" * PAGE)
    assert memory.unmap(at + PAGE, PAGE) == 0
    with pytest.raises(GuestFault):
        memory.read(at + PAGE, 1)
    assert memory.read(at, 1) == b"x"
    check(memory)
    assert memory.unmap(at + 1, PAGE) == -EINVAL
    assert memory.unmap(at, 0) == -EINVAL
    assert memory.unmap(WINDOW - PAGE, 2 * PAGE) == -EINVAL
    assert memory.unmap((1 << 64) - PAGE, PAGE) == -EINVAL
    assert memory.unmap(0x5000_0000, PAGE) == 0     # nothing there is no error


def test_mprotect_changes_what_lies_before_a_hole(memory):
    at = memory.map(0, 4 * PAGE, RW, ANON)
    memory.unmap(at + 2 * PAGE, PAGE)
    assert memory.protect(at, 4 * PAGE, PROT_READ) == -ENOMEM
    assert [area.prot for area in memory.table.within(at, at + 4 * PAGE)] == [PROT_READ, RW]
    assert memory.protect(at + 1, PAGE, RW) == -EINVAL
    assert memory.protect(at, 0, RW) == 0
    assert memory.protect(0x5000_0000, PAGE, RW) == -ENOMEM
    assert memory.protect(at, (1 << 64) - PAGE, RW) == -ENOMEM
    check(memory)


def test_the_engine_hears_of_executable_memory(memory):
    engine = memory.engine
    at = memory.map(0, 4 * PAGE, RX, ANON)
    assert engine.told == [("set", at, at + 4 * PAGE, False)]
    memory.protect(at + PAGE, PAGE, RW)
    assert engine.told[1:] == [("clear", at + PAGE, at + 2 * PAGE)]
    memory.protect(at + PAGE, PAGE, RX)
    assert engine.ranges[at + PAGE] is False
    memory.protect(at + 2 * PAGE, PAGE, RWX)
    memory.protect(at + 2 * PAGE, PAGE, RX)
    assert engine.ranges[at + 2 * PAGE] is True     # was writable while executable: code may have been written
    memory.unmap(at, 4 * PAGE)
    assert engine.ranges == {}
    memory.map(at, PAGE, RX, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
    assert engine.ranges == {at: True}
    memory.map(at, PAGE, RW, ANON | MAP_FIXED)
    assert engine.ranges == {}


def test_executable_pages_are_not_so_on_the_host(memory):
    memory.map(0, PAGE, RWX, ANON)
    memory.map(0, PAGE, PROT_EXEC, ANON)
    assert not [line for line in host_lines(memory) if "x" in line[2]]
    check(memory)


def test_mremap(memory):
    at = memory.map(0x2000_0000, 2 * PAGE, RW, ANON)
    memory.write(at, b"one" + bytes(PAGE - 3) + b"two")
    assert memory.remap(at, 2 * PAGE, 4 * PAGE, 0, 0) == at            # there is room behind it
    assert memory.read(at + PAGE, 3) == b"two" and memory.read(at + 2 * PAGE, 1) == b"\0"
    memory.map(at + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED)
    assert memory.remap(at, 4 * PAGE, 8 * PAGE, 0, 0) == -ENOMEM
    check(memory)
    moved = memory.remap(at, 4 * PAGE, 8 * PAGE, 1, 0)
    assert moved > 0 and moved != at and memory.read(moved + PAGE, 3) == b"two"
    with pytest.raises(GuestFault):
        memory.read(at, 1)
    assert memory.remap(moved, 8 * PAGE, PAGE, 0, 0) == moved
    with pytest.raises(GuestFault):
        memory.read(moved + PAGE, 1)
    assert memory.remap(moved, PAGE, PAGE, 3, 0x3000_0000) == 0x3000_0000
    assert memory.read(0x3000_0000, 3) == b"one"
    kept = memory.remap(0x3000_0000, PAGE, PAGE, 5, 0)                  # DONTUNMAP
    assert memory.read(kept, 3) == b"one" and memory.read(0x3000_0000, 3) == bytes(3)
    check(memory)


@pytest.mark.parametrize(("arguments", "error"), [
    ((BUFFERS + 1, PAGE, PAGE, 0, 0), EINVAL), ((BUFFERS, PAGE, 0, 0, 0), EINVAL),
    ((BUFFERS, PAGE, PAGE, 8, 0), EINVAL),
    ((BUFFERS, PAGE, PAGE, 2, 0x3000_0000), EINVAL), ((BUFFERS, PAGE, PAGE, 3, BUFFERS), EINVAL),
    ((0x5000_0000, PAGE, 2 * PAGE, 1, 0), EFAULT), ((BUFFERS, PAGE, PAGE, 3, WINDOW), EINVAL),
    ((WINDOW, PAGE, PAGE, 1, 0), EFAULT), ((BUFFERS, ROOM, WINDOW, 1, 0), ENOMEM),
])
def test_refusals_of_mremap(memory, arguments, error):
    assert memory.remap(*arguments) == -error
    check(memory)


def test_brk(memory):
    memory.set_brk(0x1000_0123)
    start = 0x1000_1000
    assert memory.brk(0) == start
    assert memory.brk(start + 5000) == start + 5000
    memory.write(start + 8191, b"x")
    assert memory.brk(start + 100) == start + 100
    with pytest.raises(GuestFault):
        memory.read(start + PAGE, 1)
    assert memory.brk(start - PAGE) == start + 100
    memory.map(start + 16 * PAGE, PAGE, RW, ANON | MAP_FIXED)
    assert memory.brk(start + 20 * PAGE) == start + 100     # something is in the way
    assert memory.brk(1 << 63) == start + 100
    check(memory)


def test_the_limit_on_address_space(memory):
    memory.limit = memory.table.total + 2 * PAGE
    assert memory.map(0, 2 * PAGE, RW, ANON) > 0
    assert memory.map(0, PAGE, RW, ANON) == -ENOMEM


def test_madvise(memory):
    memory.write(BUFFERS, b"x")
    assert memory.advise(BUFFERS, PAGE, 4) == 0
    assert memory.read(BUFFERS, 1) == b"\0"
    assert memory.advise(BUFFERS, ROOM + PAGE, 4) == -ENOMEM
    assert memory.advise(BUFFERS + 1, PAGE, 4) == -EINVAL
    assert memory.advise(BUFFERS, PAGE, 12345) == -EINVAL
    assert memory.advise(1 << 63, PAGE, 4) == -EINVAL


def test_reset_leaves_nothing(memory):
    memory.map(0, PAGE, RX, ANON)
    memory.reset()
    assert memory.snapshot() == [] and memory.engine.ranges == {}
    check(memory)


def test_a_fork_does_not_inherit_a_held_lock(memory):
    pid = os.fork()
    if not pid:
        os._exit(0 if memory.map(0, PAGE, RW, ANON) > 0 and memory.read(BUFFERS, 4) == bytes(4) else 1)
    assert os.waitpid(pid, 0)[1] == 0


# ---- against the host and a model

def host_lines(memory):
    """(start, end, permissions) of the host's mappings in the window, in guest addresses."""
    with open("/proc/self/maps") as file:
        for line in file:
            span, permissions = line.split()[:2]
            start, end = (int(number, 16) - memory.base for number in span.split("-"))
            if end > 0 and start < memory.size:
                yield max(start, 0), min(end, memory.size), permissions


def check(memory):
    """The table and the host agree, and the window has no hole."""
    at = 0
    for start, end, permissions in host_lines(memory):
        assert start == at, f"hole at {at:#x}"
        at = end
        areas = memory.table.within(start, end)
        readable = "r" in permissions
        assert all(readable == bool(area.prot & 7) or area.prot == PROT_WRITE for area in areas)
        if readable:
            assert memory.table.covered_to(start, end) == end
            assert all(("w" in permissions) == bool(area.prot & PROT_WRITE) for area in areas)
            assert all(("s" in permissions) == area.shared for area in areas)
    assert at == memory.size
    assert memory.table.total == sum(area.end - area.start for area in memory.snapshot())


PAGES = st.integers(0, 15)
COUNTS = st.integers(1, 6)
PROTS = st.sampled_from([PROT_NONE, PROT_READ, RW, RX, RWX])
OPERATIONS = st.lists(st.one_of(
    st.tuples(st.just("map"), PAGES, COUNTS, PROTS), st.tuples(st.just("unmap"), PAGES, COUNTS),
    st.tuples(st.just("protect"), PAGES, COUNTS, PROTS),
    st.tuples(st.just("remap"), PAGES, COUNTS, COUNTS, PAGES)), max_size=25)
FIRST = 0x2000_0000


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(OPERATIONS)
def test_any_sequence_leaves_table_host_and_engine_equal(operations):
    memory = AddressSpace(1 << 30)
    memory.engine = Engine()
    model = {}      # page -> protection
    try:
        for name, page, count, *more in operations:
            at, size, span = FIRST + page * PAGE, count * PAGE, range(page, page + count)
            if name == "map":
                assert memory.map(at, size, more[0], ANON | MAP_FIXED) == at
                model |= dict.fromkeys(span, more[0])
            elif name == "unmap":
                assert memory.unmap(at, size) == 0
                model = {key: prot for key, prot in model.items() if key not in span}
            elif name == "protect":
                hole = next((key for key in span if key not in model), None)
                assert memory.protect(at, size, more[0]) == (0 if hole is None else -ENOMEM)
                model |= dict.fromkeys(range(page, page + count if hole is None else hole), more[0])
            else:
                new_count, place = more
                target = FIRST + (place + 32) * PAGE
                old = [model.get(key) for key in span]
                result = memory.remap(at, size, new_count * PAGE, 3, target)
                if result >= 0:
                    new = range(place + 32, place + 32 + new_count)
                    prot = old[0]
                    model = {key: value for key, value in model.items() if key not in span and key not in new}
                    model |= dict.fromkeys(new, prot)
                else:   # more than one area, or none: the target has gone in any case, as in the kernel
                    new = range(place + 32, place + 32 + new_count)
                    if memory.table.is_free(target, target + new_count * PAGE):
                        model = {key: value for key, value in model.items() if key not in new}
            found = {(address - FIRST) // PAGE: area.prot for area in memory.snapshot()
                     for address in range(area.start, area.end, PAGE)}
            assert found == model
            assert set(memory.engine.ranges) == {FIRST + key * PAGE for key, prot in model.items() if prot & PROT_EXEC}
        check(memory)
    finally:
        memory.close()


@pytest.fixture(scope="module")
def operations():
    """Addresses of the compiled operations on a table."""
    return link([build(getattr(areas, name) for name in mappings.OPERATIONS)]).map().symbols


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 10), st.integers(0, 1)), max_size=40),
       length=st.integers(1, 12))
@settings(deadline=None)
@pytest.mark.parametrize("compiled", [False, True])
def test_the_table_finds_gaps(steps, length, compiled, operations):
    table, model = Mappings(), {}
    if compiled:
        table.use(operations)
    for add, start, size, prot in steps:
        table.remove(start, start + size)
        model = {key: value for key, value in model.items() if not start <= key < start + size}
        if add:
            table.add(Area(start, start + size, prot))
            model |= dict.fromkeys(range(start, start + size), prot)
    fits = [at for at in range(61 - length) if not any(at + n in model for n in range(length))]
    assert table.gap(length, 0, 60) == (max(fits) if fits else None)
    assert table.gap_above(length, 0, 60) == (min(fits) if fits else None)
    assert {at: area.prot for area in table.areas for at in range(area.start, area.end)} == model
    assert all(not (one.end == two.start and one.like(two)) for one, two in zip(table.areas, table.areas[1:]))
