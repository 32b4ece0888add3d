"""System calls other than those on files: waiting, sockets, events, time, ids and limits, IPC, memory."""

import array
import errno
import os
import resource
import select
import signal
import socket
import struct
import time

import pytest

from dragoman.runtime.memory.window import GuestFault
from dragoman.runtime.process.linux import table
from tests.runtime.guest import BUFFERS, Thread

TIMESPEC = struct.Struct("<qq")
EVENT = struct.Struct("<I4xQ")


# ---- waiting

def test_ppoll(thread):
    r, w = os.pipe()
    fds = thread.put(struct.pack("<ihhihh", r, select.POLLIN, 0, w, select.POLLOUT, 0))
    zero = thread.put(TIMESPEC.pack(0, 0))
    assert thread("ppoll", fds, 2, zero, 0, 8) == 1
    assert struct.unpack("<ihhihh", thread.memory.read(fds, 16))[2::3] == (0, select.POLLOUT)
    os.write(w, b"x")
    assert thread("ppoll", fds, 2, 0, 0, 8) == 2
    assert thread("ppoll", 1 << 40, 2, zero, 0, 8) == -errno.EFAULT
    short = thread.put(TIMESPEC.pack(0, 20_000_000))
    empty = thread.put(struct.pack("<ihh", r, select.POLLPRI, 0))
    start = time.monotonic()
    assert thread("ppoll", empty, 1, short, thread.put(bytes(8)), 8) == 0
    assert time.monotonic() - start >= 0.02
    os.close(r)
    os.close(w)


def test_pselect6(thread):
    r, w = os.pipe()
    os.write(w, b"x")
    bits = thread.put((1 << r).to_bytes(128, "little"))
    mask = thread.put(struct.pack("<2Q", thread.put(bytes(8)), 8))
    assert thread("pselect6", r + 1, bits, 0, 0, 0, mask) == 1
    assert thread.memory.read(bits, 128) == (1 << r).to_bytes(128, "little")
    assert thread("pselect6", r + 1, bits, 0, 0, 0, 0) == 1
    bad = thread.put(struct.pack("<2Q", 1 << 45, 8))
    assert thread("pselect6", r + 1, bits, 0, 0, 0, bad) == -errno.EFAULT
    assert thread("pselect6", r + 1, bits, 0, 0, 0, 1 << 45) == -errno.EFAULT
    os.close(r)
    os.close(w)


@pytest.mark.parametrize("call", ["epoll_pwait", "epoll_pwait2"])
def test_epoll_events_are_converted(thread, call):
    epoll = thread("epoll_create1", os.O_CLOEXEC)
    pipes = [os.pipe() for _ in range(3)]
    for number, (r, w) in enumerate(pipes):
        event = thread.put(EVENT.pack(select.EPOLLIN | select.EPOLLET, 0x1234_5678_9ABC_0000 + number))
        assert thread("epoll_ctl", epoll, 1, r, event) == 0
        os.write(w, b"x")
    events = thread.room(16 * 8)
    wait = -1 if call == "epoll_pwait" else 0
    assert thread(call, epoll, events, 8, wait, 0, 8) == 3
    found = {EVENT.unpack(thread.memory.read(events + 16 * n, 16)) for n in range(3)}
    assert found == {(select.EPOLLIN, 0x1234_5678_9ABC_0000 + n) for n in range(3)}
    assert thread("epoll_ctl", epoll, 2, pipes[0][0], 0) == 0
    assert thread("epoll_ctl", epoll, 2, pipes[0][0], 0) == -errno.ENOENT
    assert thread("epoll_ctl", epoll, 1, pipes[0][0], 1 << 45) == -errno.EFAULT
    none = 0 if call == "epoll_pwait" else thread.put(TIMESPEC.pack(0, 0))
    assert thread(call, epoll, events, 8, none, 0, 8) == 0
    assert thread(call, epoll, events, 0, none, 0, 8) == -errno.EINVAL
    assert thread(call, epoll, events, -1, none, 0, 8) == -errno.EINVAL
    for fd in (epoll, *sum(pipes, ())):
        os.close(fd)


# ---- sockets

def test_tcp(thread):
    server = thread("socket", socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0)
    one = thread.put(struct.pack("<i", 1))
    assert thread("setsockopt", server, socket.SOL_SOCKET, socket.SO_REUSEADDR, one, 4) == 0
    address = thread.put(struct.pack("<HH4s8x", socket.AF_INET, 0, socket.inet_aton("127.0.0.1")))
    assert thread("bind", server, address, 16) == 0 and thread("listen", server, 5) == 0
    length = thread.put(struct.pack("<I", 16))
    assert thread("getsockname", server, address, length) == 0
    client = thread("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
    assert thread("connect", client, address, 16) == 0
    peer = thread.room(16)
    accepted = thread("accept4", server, peer, length, socket.SOCK_NONBLOCK)
    assert accepted >= 0
    assert thread.memory.read(peer, 2) == struct.pack("<H", socket.AF_INET)
    assert thread("getpeername", client, peer, length) == 0
    assert thread.memory.read(peer, 8) == thread.memory.read(address, 8)
    assert thread("sendto", client, thread.put(b"hello"), 5, 0, 0, 0) == 5
    buffer = thread.room(16)
    assert thread("recvfrom", accepted, buffer, 16, 0, 0, 0) == 5 and thread.memory.read(buffer, 5) == b"hello"
    assert thread("recvfrom", accepted, buffer, 16, 0, 0, 0) == -errno.EAGAIN
    value = thread.room(4)
    assert thread("getsockopt", client, socket.SOL_SOCKET, socket.SO_TYPE, value, thread.put(struct.pack("<I", 4))) == 0
    assert thread.memory.read(value, 4) == struct.pack("<i", socket.SOCK_STREAM)
    assert thread("shutdown", client, socket.SHUT_WR) == 0
    assert thread("recvfrom", accepted, buffer, 16, 0, 0, 0) == 0
    for fd in (server, client, accepted):
        os.close(fd)


def message(thread, data, control=b"", name=(0, 0), room=None):
    """A guest msghdr with one buffer."""
    buffer = thread.put(data) if room is None else thread.room(room)
    vector = thread.put(struct.pack("<2Q", buffer, len(data) if room is None else room))
    at = thread.put(control)
    return buffer, thread.put(struct.pack("<QI4xQQQQI4x", *name, vector, 1, at, len(control), 0))


def test_messages_carry_descriptors(thread):
    left, right = socket.socketpair()
    r, w = os.pipe()
    fds = array.array("i", [w]).tobytes()
    control = struct.pack("<QII", 16 + len(fds), socket.SOL_SOCKET, socket.SCM_RIGHTS) + fds.ljust(8, b"\0")
    _, header = message(thread, b"take it", control)
    assert thread("sendmsg", left.fileno(), header, 0) == 7
    buffer, header = message(thread, b"", bytes(64), room=100)
    assert thread("recvmsg", right.fileno(), header, socket.MSG_CMSG_CLOEXEC) == 7
    assert thread.memory.read(buffer, 7) == b"take it"
    fields = struct.unpack("<QI4xQQQQI4x", thread.memory.read(header, 56))
    assert fields[1] == 0 and fields[5] == 24 and fields[6] == socket.MSG_CMSG_CLOEXEC
    got = thread.memory.read(fields[4], 24)
    assert struct.unpack("<QIIi", got[:20])[1:3] == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    os.write(struct.unpack_from("<i", got, 16)[0], b"through")
    assert os.read(r, 10) == b"through"
    assert thread("recvmsg", right.fileno(), 1 << 45, 0) == -errno.EFAULT
    assert thread("sendmsg", left.fileno(), BUFFERS - 8, 0) == -errno.EFAULT


def test_several_messages_at_once(thread):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    headers = b"".join(thread.memory.read(message(thread, data)[1], 56) + bytes(8) for data in (b"one", b"three"))
    array_ = thread.put(headers)
    assert thread("sendmmsg", left.fileno(), array_, 2, 0) == 2
    assert struct.unpack("<I", thread.memory.read(array_ + 64 + 56, 4)) == (5,)
    buffers = [message(thread, b"", room=10) for _ in range(3)]
    array_ = thread.put(b"".join(thread.memory.read(header, 56) + bytes(8) for _, header in buffers))
    assert thread("recvmmsg", right.fileno(), array_, 3, socket.MSG_DONTWAIT, 0) == 2
    assert [thread.memory.read(buffers[n][0], 5) for n in (0, 1)] == [b"one\0\0", b"three"]
    assert struct.unpack("<I", thread.memory.read(array_ + 56, 4)) == (3,)


def test_unix_sockets_and_pairs(thread, tmp_path):
    pair = thread.room(8)
    assert thread("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, pair) == 0
    left, right = struct.unpack("<2i", thread.memory.read(pair, 8))
    os.write(left, b"x")
    assert os.read(right, 1) == b"x"
    path = os.fsencode(tmp_path / "s")
    name = thread.put(struct.pack("<H", socket.AF_UNIX) + path + b"\0")
    server = thread("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)
    assert thread("bind", server, name, 3 + len(path)) == 0 and os.path.exists(path)
    assert thread("listen", server, 1) == 0
    client = thread("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0)
    assert thread("connect", client, name, 3 + len(path)) == 0
    for fd in (left, right, server, client):
        os.close(fd)


def test_a_socket_filter(thread):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    code = thread.put(struct.pack("<HBBI", 6, 0, 0, 0))        # return 0: drop all
    program = thread.put(struct.pack("<H6xQ", 1, code))
    assert thread("setsockopt", right.fileno(), socket.SOL_SOCKET, 26, program, 16) == 0
    left.send(b"x")
    right.setblocking(False)
    with pytest.raises(BlockingIOError):
        right.recv(1)


# ---- events

def test_events(thread, tmp_path):
    event = thread("eventfd2", 5, os.O_NONBLOCK)
    assert os.read(event, 8) == (5).to_bytes(8, "little")
    timer = thread("timerfd_create", time.CLOCK_MONOTONIC, 0)
    assert thread("timerfd_settime", timer, 0, thread.put(struct.pack("<4q", 0, 0, 0, 1000)), 0) == 0
    assert os.read(timer, 8) == (1).to_bytes(8, "little")
    assert thread("timerfd_gettime", timer, thread.room(32)) == 0
    notify = thread("inotify_init1", 0)
    assert thread("inotify_add_watch", notify, thread.put(os.fsencode(tmp_path)), 0x100) == 1
    (tmp_path / "new").touch()
    assert b"new" in os.read(notify, 100)
    memory = thread("memfd_create", thread.put(b"name"), 1)
    assert "memfd:name" in os.readlink(f"/proc/self/fd/{memory}")
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    signals = thread("signalfd4", -1, thread.put((1 << signal.SIGUSR2 - 1).to_bytes(8, "little")), 8, 0)
    os.kill(os.getpid(), signal.SIGUSR2)
    assert os.read(signals, 128)[:4] == struct.pack("<I", signal.SIGUSR2)
    signal.pthread_sigmask(signal.SIG_SETMASK, old)
    child = os.fork()
    if not child:
        os._exit(0)
    process = thread("pidfd_open", child, 0)
    assert select.select([process], [], [], 10)[0]
    os.waitpid(child, 0)
    for fd in (event, timer, notify, memory, signals, process):
        os.close(fd)


# ---- time

def test_clocks(thread):
    at = thread.room(16)
    for clock in (time.CLOCK_REALTIME, time.CLOCK_MONOTONIC, time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_BOOTTIME):
        before = time.clock_gettime(clock)
        assert thread("clock_gettime", clock, at) == 0
        seconds, nanoseconds = TIMESPEC.unpack(thread.memory.read(at, 16))
        assert before <= seconds + nanoseconds / 1e9 + 1e-6 <= before + 5
    assert thread("clock_gettime", 99, at) == -errno.EINVAL
    assert thread("clock_gettime", 0, 1 << 45) == -errno.EFAULT
    assert thread("clock_getres", 1, 0) == 0
    assert thread("gettimeofday", at, 0) == 0
    assert abs(TIMESPEC.unpack(thread.memory.read(at, 16))[0] - time.time()) < 5
    assert thread("times", thread.room(32)) > 0
    assert thread("times", 0) > 0


def test_sleeping_tells_what_is_left(thread):
    request, rest = thread.put(TIMESPEC.pack(10, 0)), thread.room(16)
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert thread("nanosleep", request, rest) == -errno.EINTR
    assert 9 <= TIMESPEC.unpack(thread.memory.read(rest, 16))[0] < 10
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert thread("clock_nanosleep", 1, 0, request, rest) == -errno.EINTR
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert thread("nanosleep", thread.put(TIMESPEC.pack(0, 1)), 0) == 0
    assert thread("nanosleep", thread.put(TIMESPEC.pack(0, 10**9)), 0) == -errno.EINVAL
    assert thread("nanosleep", 0, 0) == -errno.EFAULT


# ---- ids, names, limits

def test_ids(thread):
    assert thread("getpid") == os.getpid() and thread("getppid") == os.getppid()
    assert thread("getuid") == os.getuid() and thread("getegid") == os.getegid()
    at = thread.room(16)
    assert thread("getresuid", at, at + 4, at + 8) == 0
    assert struct.unpack("<3I", thread.memory.read(at, 12)) == os.getresuid()
    assert thread("getresuid", 1 << 45, at, at) == -errno.EFAULT
    assert thread("getgroups", 0, 0) == len(os.getgroups())
    assert thread("getpgid", 0) == os.getpgid(0) and thread("getsid", 0) == os.getsid(0)
    mask = thread("umask", 0o22)
    assert thread("umask", mask) == 0o22


def test_uname_names_the_guests_machine(thread):
    at = thread.room(390)
    assert thread("uname", at) == 0
    fields = [thread.memory.read(at + 65 * n, 65).rstrip(b"\0").decode() for n in range(6)]
    assert fields[:2] == list(os.uname()[:2]) and fields[4] == "riscv64"
    assert thread("uname", 1 << 45) == -errno.EFAULT


def test_limits_that_would_hurt_the_host_are_the_guests_only(thread):
    at = thread.room(16)
    for number in (resource.RLIMIT_STACK, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CORE):
        before = resource.getrlimit(number)
        hard = before[1] % (1 << 64)
        new = thread.put(struct.pack("<2Q", 1 << 20, hard))
        if number == resource.RLIMIT_CORE and hard < 1 << 20:
            new = thread.put(struct.pack("<2Q", 0, hard))
        assert thread("prlimit64", 0, number, new, at) == 0
        assert struct.unpack("<2Q", thread.memory.read(at, 16))[1] == hard
        assert thread("prlimit64", os.getpid(), number, 0, at) == 0
        assert thread.memory.read(at, 16) == thread.memory.read(new, 16)
        assert resource.getrlimit(number) == before
    assert thread("mmap", 0, 1 << 21, 3, 0x22, -1, 0) == -errno.ENOMEM      # RLIMIT_AS counts
    assert thread("setrlimit", resource.RLIMIT_STACK, thread.put(struct.pack("<2Q", 2, 1))) == -errno.EINVAL
    assert thread("getrlimit", resource.RLIMIT_NOFILE, at) == 0
    assert struct.unpack("<2Q", thread.memory.read(at, 16)) == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert thread("getrlimit", 16, at) == -errno.EINVAL
    assert thread("setrlimit", resource.RLIMIT_NOFILE, 0) == -errno.EFAULT
    assert thread("prlimit64", 0, resource.RLIMIT_STACK, 1 << 45, 0) == -errno.EFAULT


def test_odds_and_ends(thread):
    at = thread.room(256)
    assert thread("getrandom", at, 32, 0) == 32 and thread.memory.read(at, 32) != bytes(32)
    assert thread("sysinfo", at) == 0
    assert thread("getrusage", 0, at) == 0
    assert thread("getcpu", at, at + 4, 0) == 0
    assert thread("sched_yield") == 0
    size = thread("sched_getaffinity", 0, 128, at)
    assert int.from_bytes(thread.memory.read(at, size), "little").bit_count() == len(os.sched_getaffinity(0))
    assert thread("personality", 0xFFFF_FFFF) == 0
    assert thread("membarrier", 0, 0, 0) >= 0
    assert thread("rseq", at, 32, 0, 0) == -errno.ENOSYS
    assert thread("prctl", 16, at) == 0
    with open("/proc/self/comm", "rb") as file:
        assert thread.memory.read_string(at) == file.read().strip()
    assert thread("prctl", 15, 1 << 45) == -errno.EFAULT
    assert thread("prctl", 22, 2, 0) == -errno.EINVAL          # a filter of system calls would be for the guest's
    header = thread.put(struct.pack("<Ii", 0x20080522, 0))
    assert thread("capget", header, at) == 0


def test_a_call_that_is_not_there_is_named_once(monkeypatch):
    monkeypatch.setattr(table, "_named", set())
    thread = Thread(strace=True)
    assert thread(9999) == thread(9999) == -errno.ENOSYS
    assert thread.lines == ["system call 9999 (an unknown one) is not there: ENOSYS"]
    thread.close()


# ---- memory

def test_memory_calls(thread):
    at = thread("mmap", 0, 8192, 3, 0x22, -1, 0)
    assert thread("mprotect", at, 4096, 5) == 0 and thread.memory.engine.ranges == {at: False}
    assert thread(259, at, at + 4096, 0) == 0 and thread.memory.engine.looked == 1
    assert thread(259, at, at + 4096, 2) == -errno.EINVAL
    vector = thread.room(16)
    thread.memory.write(at + 4096, b"x")
    assert thread("mincore", at, 8192, vector) == 0 and thread.memory.read(vector, 2)[1] & 1
    assert thread("mincore", 0x5000_0000, 4096, vector) == -errno.ENOMEM
    assert thread("mincore", at, 8192, 1 << 45) == -errno.EFAULT
    assert thread("msync", at, 8192, 4) == 0
    assert thread("msync", 0x5000_0000, 4096, 4) == -errno.ENOMEM
    assert thread("mlock", at, 4096) == 0 and thread("munlock", at, 4096) == 0
    assert thread("madvise", at + 4096, 4096, 4) == 0 and thread.memory.read(at + 4096, 1) == b"\0"
    assert thread("mremap", at, 8192, 4096, 1, 0) == at
    assert thread("munmap", at, 4096) == 0
    assert thread("mmap", 0, 4096, 3, 0, -1, 0) == -errno.EINVAL
    assert thread("mmap", 0, 4096, 3, 2, 9999, 0) == -errno.EBADF
    assert thread("mmap", 0, 4096, 3, 2, 9999, (1 << 64) - 4096) in (-errno.EBADF, -errno.EOVERFLOW)


# Linux 6.12, include/uapi/asm/hwprobe.h: FD, C, ZCA, ZCD; ZBA, ZBB, ZBS, ZBC, ZICOND.
@pytest.mark.parametrize(("cpu", "extensions"), [("rv64gc", 0x2800_0000_0003), ("rv64gcb", 0x2808_0000_00BB)])
def test_hwprobe(cpu, extensions):
    thread = Thread(cpu=cpu)
    pairs = thread.put(struct.pack("<qQqQqQqQ", 3, 0, 4, 0, 12345, 7, 10, 7))
    assert thread(258, pairs, 4, 0, 0, 0) == 0
    assert struct.unpack("<qQqQqQqQ", thread.memory.read(pairs, 64)) == (3, 1, 4, extensions, -1, 0, -1, 0)    # 10 is newer
    assert thread(258, 1 << 45, 3, 0, 0, 0) == -errno.EFAULT
    thread.close()


def test_hwprobe_of_a_set_of_cpus(thread):
    """Documentation/arch/riscv/hwprobe.rst."""
    pairs, cpus = thread.put(struct.pack("<qQ", 4, 0)), thread.put(struct.pack("<Q", 1))
    assert thread(258, pairs, 1, 8, cpus, 0) == 0
    thread.memory.write(cpus, bytes(8))
    assert thread(258, pairs, 1, 8, cpus, 0) == -errno.EINVAL              # none of them is online
    assert thread(258, pairs, 1, 8, 1 << 45, 0) == -errno.EFAULT
    assert thread(258, pairs, 1, 0, 0, 2) == -errno.EINVAL


@pytest.mark.parametrize(("key", "value", "has"), [
    (4, 0x3, True), (4, 0x2808_0000_00BB, True), (4, 0x2808_0000_00BF, False), (7, (1 << 38) - 1, True), (7, 1, False), (12345, 0, False)])
def test_hwprobe_which_cpus(thread, key, value, has):
    """Bits are asked for, other values must be equal; an unknown key is no CPU's."""
    pairs, cpus, which = thread.put(struct.pack("<qQ", key, value)), thread.put(struct.pack("<Q", 1)), 1
    assert thread(258, pairs, 1, 8, cpus, which) == 0
    assert struct.unpack("<Q", thread.memory.read(cpus, 8)) == (int(has),)
    assert struct.unpack("<qQ", thread.memory.read(pairs, 16)) == ((key, value) if key < 100 else (-1, 0))
    thread.memory.write(cpus, bytes(8))                                     # an empty set: all that are online
    assert thread(258, pairs, 1, 8, cpus, which) == 0
    assert bool(struct.unpack("<Q", thread.memory.read(cpus, 8))[0]) == has
    thread.memory.write(cpus, b"\0\xee")
    assert thread(258, pairs, 1, 1, cpus, which) == 0                       # what has no room is left out
    assert bool(thread.memory.read(cpus, 1)[0]) == has and thread.memory.read(cpus + 1, 1) == b"\xee"
    assert thread(258, pairs, 1, 0, 0, which) == thread(258, pairs, 1, 8, 0, which) == -errno.EINVAL


# ---- IPC

def test_shared_memory(thread):
    identifier = thread("shmget", 0, 8192, 0o600)
    if identifier == -errno.ENOSYS:
        pytest.skip("no System V IPC here")
    at = thread("shmat", identifier, 0, 0)
    assert at > 0
    again = thread("shmat", identifier, 0, 0o10000)
    thread.memory.write(at, b"shared")
    assert thread.memory.read(again, 6) == b"shared"
    with pytest.raises(GuestFault):
        thread.memory.write(again, b"x")
    assert thread("shmat", identifier, BUFFERS, 0) == -errno.EINVAL        # something is there
    assert thread("shmat", identifier, at + 1, 0) == -errno.EINVAL
    assert thread("shmdt", at) == 0 and thread("shmdt", at) == -errno.EINVAL
    assert thread("shmdt", again) == 0
    data = thread.room(112)
    assert thread("shmctl", identifier, 2, data) == 0
    assert struct.unpack("<Q", thread.memory.read(data + 48, 8)) == (8192,)
    assert thread("shmctl", identifier, 0, 0) == 0
    assert thread("shmat", identifier, 0, 0) < 0


def test_semaphores(thread):
    identifier = thread("semget", 0, 3, 0o600)
    if identifier == -errno.ENOSYS:
        pytest.skip("no System V IPC here")
    assert thread("semctl", identifier, 1, 16, 7) == 0                     # SETVAL
    values = thread.room(8)
    assert thread("semctl", identifier, 0, 13, values) == 0                # GETALL
    assert struct.unpack("<3H", thread.memory.read(values, 6)) == (0, 7, 0)
    assert thread("semop", identifier, thread.put(struct.pack("<Hhh", 1, -2, 0)), 1) == 0
    assert thread("semctl", identifier, 1, 12, 0) == 5                     # GETVAL
    data = thread.room(88)
    assert thread("semctl", identifier, 0, 2, data) == 0                   # IPC_STAT
    key, uid, gid, cuid, cgid, mode = struct.unpack("<iIIIII", thread.memory.read(data, 24))
    otime, ctime, count = struct.unpack("<qqQ", thread.memory.read(data + 48, 24))
    assert mode & 0o777 == 0o600 and uid == os.getuid() and count == 3 and abs(ctime - time.time()) < 60 and otime
    assert thread("semctl", identifier, 0, 2, 1 << 45) == -errno.EFAULT
    thread.memory.write(data + 20, struct.pack("<I", 0o640))
    assert thread("semctl", identifier, 0, 1, data) == 0                   # IPC_SET
    assert thread("semctl", identifier, 0, 0, 0) == 0


def test_message_queues(thread):
    identifier = thread("msgget", 0, 0o600)
    if identifier == -errno.ENOSYS:
        pytest.skip("no System V IPC here")
    assert thread("msgsnd", identifier, thread.put(struct.pack("<q", 3) + b"text"), 4, 0) == 0
    buffer = thread.room(32)
    assert thread("msgrcv", identifier, buffer, 16, 0, 0) == 4
    assert thread.memory.read(buffer, 12) == struct.pack("<q", 3) + b"text"
    assert thread("msgctl", identifier, 0, 0) == 0
