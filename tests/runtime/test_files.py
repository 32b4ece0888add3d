"""System calls on files: results against the host's, structures in the guest's layout, own descriptors."""

import errno
import fcntl
import os
import select
import struct
import termios

import pytest

from dragoman.runtime.process.linux import ioctl
from dragoman.runtime.process.linux.stat import GENERIC
from tests.runtime.guest import BUFFERS, ROOM, Thread

AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
CIBAUD = 0x100F_0000                    # the input's speed: since glibc 2.42 tcgetattr adds it to what TCGETS gives


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789" * 10)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    return tmp_path


def path(thread, *parts):
    return thread.put(os.fsencode(os.path.join(*parts)))


def test_open_read_write_close(thread, folder):
    fd = thread("openat", AT_FDCWD, path(thread, folder, "new"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)
    assert fd >= 0 and os.stat(folder / "new").st_mode & 0o777 == 0o640
    text = thread.put(b"hello, file")
    assert thread("write", fd, text, 11) == 11
    assert thread("lseek", fd, 7, 0) == 7
    buffer = thread.room(32)
    assert thread("read", fd, buffer, 32) == 4 and thread.memory.read(buffer, 4) == b"file"
    assert thread("pread64", fd, buffer, 5, 0) == 5 and thread.memory.read(buffer, 5) == b"hello"
    assert thread("pwrite64", fd, text, 5, 100) == 5
    assert thread("ftruncate", fd, 3) == 0 and os.path.getsize(folder / "new") == 3
    assert thread("close", fd) == 0
    assert thread("close", fd) == -errno.EBADF
    assert thread("read", fd, buffer, 1) == -errno.EBADF
    assert thread("openat", AT_FDCWD, path(thread, folder, "new"), os.O_CREAT | os.O_EXCL, 0) == -errno.EEXIST
    assert thread("openat", AT_FDCWD, path(thread, folder, "none", "x"), 0, 0) == -errno.ENOENT
    assert thread("openat", AT_FDCWD, path(thread, folder, "file"), os.O_DIRECTORY, 0) == -errno.ENOTDIR
    assert thread("openat", AT_FDCWD, path(thread, folder, "link"), os.O_NOFOLLOW, 0) == -errno.ELOOP
    assert thread("openat", AT_FDCWD, thread.put(b"a" * 5000), 0, 0) == -errno.ENAMETOOLONG
    assert thread("openat", AT_FDCWD, thread.put(b""), 0, 0) == -errno.ENOENT


def test_names_that_are_not_utf8_pass_unchanged(thread, folder):
    name = os.fsencode(folder) + b"/\xff\xfe \n"
    fd = thread("openat", AT_FDCWD, thread.put(name), os.O_CREAT | os.O_WRONLY, 0o600)
    assert fd >= 0 and os.path.exists(name)
    os.close(fd)


def test_vectors(thread, folder):
    fd = os.open(folder / "file", os.O_RDWR)
    one, two = thread.room(16), thread.room(16)
    vector = thread.put(struct.pack("<4Q", one, 4, two, 6))
    assert thread("readv", fd, vector, 2) == 10
    assert thread.memory.read(one, 4) + thread.memory.read(two, 6) == b"0123456789"
    assert thread("preadv", fd, vector, 2, 3) == 10 and thread.memory.read(one, 4) == b"3456"
    assert thread("pwritev", fd, vector, 2, 0) == 10
    assert (folder / "file").read_bytes()[:10] == b"3456789012"
    assert thread("preadv2", fd, vector, 2, 3, 0, 0) == 10
    assert thread("readv", fd, vector, 1025) == -errno.EINVAL
    assert thread("readv", fd, vector, -1) == -errno.EINVAL
    assert thread("readv", fd, vector, 0) == 0
    bad = thread.put(struct.pack("<4Q", one, 4, 1 << 40, 6))
    assert thread("preadv", fd, bad, 2, 0) in (4, -errno.EFAULT)
    assert thread("preadv", fd, 1 << 40, 2, 0) == -errno.EFAULT
    os.close(fd)


def generic_stat(thread, address):
    names = "dev ino mode nlink uid gid rdev _ size blksize _ blocks atime an mtime mn ctime cn _ _".split()
    return dict(zip(names, GENERIC.unpack(thread.memory.read(address, GENERIC.size))))


def test_stat_has_the_generic_layout(thread, folder):
    assert GENERIC.size == 128
    buffer = thread.room(128)
    fd = os.open(folder / "file", os.O_RDONLY)

    def check(wanted):
        found = generic_stat(thread, buffer)
        for name in ("dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blksize", "blocks"):
            assert found[name] == getattr(wanted, f"st_{name}")
        assert found["mtime"] * 10**9 + found["mn"] == wanted.st_mtime_ns
        assert found["ctime"] * 10**9 + found["cn"] == wanted.st_ctime_ns

    assert thread("fstat", fd, buffer) == 0
    check(os.fstat(fd))
    assert thread("newfstatat", AT_FDCWD, path(thread, folder, "link"), buffer, 0) == 0
    check(os.stat(folder / "link"))
    assert thread("newfstatat", AT_FDCWD, path(thread, folder, "link"), buffer, AT_SYMLINK_NOFOLLOW) == 0
    check(os.lstat(folder / "link"))
    assert thread("newfstatat", fd, thread.put(b""), buffer, AT_EMPTY_PATH) == 0
    check(os.fstat(fd))
    assert thread("newfstatat", AT_FDCWD, thread.put(b"/dev/null"), buffer, 0) == 0
    check(os.stat("/dev/null"))
    assert thread("newfstatat", AT_FDCWD, path(thread, folder, "none"), buffer, 0) == -errno.ENOENT
    assert thread("newfstatat", fd, thread.put(b""), buffer, 0) == -errno.ENOENT
    assert thread("fstat", 9999, buffer) == -errno.EBADF
    assert thread("fstat", fd, BUFFERS + ROOM - 64) == -errno.EFAULT
    os.close(fd)


def test_statx_and_statfs_have_the_same_layout(thread, folder):
    buffer = thread.room(512)
    assert thread("statx", AT_FDCWD, path(thread, folder, "file"), 0, 0x7FF, buffer) == 0
    assert struct.unpack("<Q", thread.memory.read(buffer + 40, 8))[0] == 100        # stx_size
    assert thread("statfs", path(thread, folder), buffer) == 0
    wanted = os.statvfs(folder)
    assert struct.unpack("<2Q", thread.memory.read(buffer + 8, 16)) == (wanted.f_bsize, wanted.f_blocks)


def test_directories(thread, folder):
    fd = thread("openat", AT_FDCWD, path(thread, folder), os.O_DIRECTORY, 0)
    buffer = thread.room(4096)
    size = thread("getdents64", fd, buffer, 4096)
    data, names = thread.memory.read(buffer, size), set()
    while data:
        length = struct.unpack_from("<QqHB", data)[2]
        names.add(data[19:length].partition(b"\0")[0])
        data = data[length:]
    assert names == {b".", b"..", b"file", b"folder", b"link"}
    assert thread("getdents64", fd, buffer, 4096) == 0
    assert thread("mkdirat", fd, thread.put(b"made"), 0o700) == 0 and (folder / "made").is_dir()
    assert thread("unlinkat", fd, thread.put(b"made"), 0x200) == 0 and not (folder / "made").exists()
    assert thread("symlinkat", thread.put(b"to"), fd, thread.put(b"sym")) == 0
    assert os.readlink(folder / "sym") == "to"
    assert thread("readlinkat", fd, thread.put(b"sym"), buffer, 10) == 2 and thread.memory.read(buffer, 2) == b"to"
    assert thread("linkat", fd, thread.put(b"file"), fd, thread.put(b"hard"), 0) == 0
    assert os.stat(folder / "hard").st_nlink == 2
    assert thread("renameat2", fd, thread.put(b"hard"), fd, thread.put(b"harder"), 0) == 0
    assert thread("renameat2", fd, thread.put(b"harder"), fd, thread.put(b"file"), 1) == -errno.EEXIST
    assert thread("unlinkat", fd, thread.put(b"harder"), 0) == 0
    assert thread("fchmodat", fd, thread.put(b"file"), 0o600) == 0
    assert thread("faccessat", fd, thread.put(b"file"), os.R_OK) == 0
    assert thread("faccessat2", fd, thread.put(b"none"), os.R_OK, 0) == -errno.ENOENT
    times = thread.put(struct.pack("<4q", 5, 0, 7, 9))
    assert thread("utimensat", fd, thread.put(b"file"), times, 0) == 0
    assert os.stat(folder / "file").st_mtime_ns == 7 * 10**9 + 9
    assert thread("mknodat", fd, thread.put(b"pipe"), 0o010600, 0) == 0
    assert thread("truncate", path(thread, folder, "file"), 5) == 0 and os.path.getsize(folder / "file") == 5
    os.close(fd)


def test_working_directory(thread, folder):
    before = os.getcwd()
    try:
        assert thread("chdir", path(thread, folder)) == 0
        buffer = thread.room(4096)
        length = thread("getcwd", buffer, 4096)
        assert thread.memory.read(buffer, length) == os.fsencode(os.path.realpath(folder)) + b"\0"
        assert thread("getcwd", buffer, 2) == -errno.ERANGE
        assert thread("chdir", thread.put(b"none")) == -errno.ENOENT
    finally:
        os.chdir(before)


def test_extended_attributes(thread, folder):
    try:
        os.setxattr(folder / "file", "user.test", b"1")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error.strerror}")
    at, name, buffer = path(thread, folder, "file"), thread.put(b"user.more"), thread.room(64)
    assert thread("setxattr", at, name, thread.put(b"value"), 5, 0) == 0
    assert os.getxattr(folder / "file", "user.more") == b"value"
    assert thread("getxattr", at, name, buffer, 64) == 5
    assert thread("listxattr", at, buffer, 64) == len(b"user.test\0user.more\0")
    assert thread("removexattr", at, name) == 0
    assert thread("getxattr", at, name, buffer, 64) == -errno.ENODATA


def test_pipes_and_copies(thread, folder):
    pair = thread.room(8)
    assert thread("pipe2", pair, os.O_NONBLOCK) == 0
    read_end, write_end = struct.unpack("<2i", thread.memory.read(pair, 8))
    assert thread("write", write_end, thread.put(b"pipe"), 4) == 4
    buffer = thread.room(16)
    assert thread("read", read_end, buffer, 16) == 4
    assert thread("read", read_end, buffer, 16) == -errno.EAGAIN
    source = os.open(folder / "file", os.O_RDONLY)
    offset = thread.put(struct.pack("<q", 3))
    assert thread("splice", source, offset, write_end, 0, 4, 0) == 4
    assert struct.unpack("<q", thread.memory.read(offset, 8)) == (7,)
    assert os.read(read_end, 10) == b"3456"
    target = os.open(folder / "copy", os.O_RDWR | os.O_CREAT)
    assert thread("sendfile", target, source, offset, 5) == 5
    assert thread("copy_file_range", source, 0, target, 0, 5, 0) == 5
    assert (folder / "copy").read_bytes() == b"7890101234"
    assert thread("fallocate", target, 0, 0, 4096) == 0 and os.path.getsize(folder / "copy") == 4096
    vector = thread.put(struct.pack("<2Q", thread.put(b"splice"), 6))
    assert thread("vmsplice", write_end, vector, 1, 0) == 6 and os.read(read_end, 10) == b"splice"
    for fd in (read_end, write_end, source, target):
        os.close(fd)


def test_duplicates_and_control(thread, folder):
    fd = os.open(folder / "file", os.O_RDWR)
    copy = thread("dup", fd)
    assert thread("dup3", fd, copy, os.O_CLOEXEC) == copy
    assert thread("dup3", fd, fd, 0) == -errno.EINVAL
    assert thread("fcntl", copy, fcntl.F_GETFD, 0) == 1
    assert thread("fcntl", copy, fcntl.F_SETFD, 0) == 0 and os.get_inheritable(copy)
    high = thread("fcntl", fd, fcntl.F_DUPFD, 100)
    assert high >= 100
    lock = thread.put(struct.pack("<hh4xqqi4x", fcntl.F_WRLCK, 0, 10, 20, 0))
    assert thread("fcntl", fd, fcntl.F_SETLK, lock) == 0
    pid = os.fork()
    if not pid:
        thread("fcntl", fd, fcntl.F_GETLK, lock)
        os._exit(0 if struct.unpack("<hh4xqqi4x", thread.memory.read(lock, 32))[4] == os.getppid() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert thread("fcntl", fd, fcntl.F_SETLK, 1 << 40) == -errno.EFAULT
    assert thread("flock", fd, fcntl.LOCK_EX) == 0
    for each in (fd, copy, high):
        os.close(each)


def test_terminals(thread):
    master, slave = os.openpty()
    buffer = thread.room(128)
    assert thread("ioctl", slave, termios.TCGETS, buffer) == 0
    flags = termios.tcgetattr(slave)[:4]
    flags[2] &= ~CIBAUD
    assert struct.unpack("<4I", thread.memory.read(buffer, 16)) == tuple(flags)
    size = thread.put(struct.pack("<4H", 24, 80, 0, 0))
    assert thread("ioctl", master, termios.TIOCSWINSZ, size) == 0
    assert thread("ioctl", slave, termios.TIOCGWINSZ, buffer) == 0
    assert struct.unpack("<2H", thread.memory.read(buffer, 4)) == (24, 80)
    assert thread("ioctl", slave, termios.TCGETS, 1 << 40) == -errno.EFAULT
    os.write(master, b"x\n")
    select.select([slave], [], [])          # the kernel hands it over in its own time
    assert thread("ioctl", slave, termios.FIONREAD, buffer) == 0
    assert struct.unpack("<i", thread.memory.read(buffer, 4)) == (2,)
    os.close(master)
    os.close(slave)


def test_ioctl_of_what_is_no_terminal_or_not_known(folder, monkeypatch):
    monkeypatch.setattr(ioctl, "_named", set())
    thread = Thread(log=frozenset({"unimp"}))
    fd = os.open(folder / "file", os.O_RDONLY)
    assert thread("ioctl", fd, termios.TCGETS, thread.room(64)) == -errno.ENOTTY
    assert thread("ioctl", 9999, 0x12345678, 0) == -errno.EBADF
    assert thread("ioctl", fd, 0x12345678, 0) == thread("ioctl", fd, 0x12345678, 0) == -errno.ENOTTY
    assert thread.lines == ["ioctl request 0x12345678 is not there: ENOTTY"]
    os.close(fd)
    thread.close()


# ---- the runtime's own descriptors

def test_own_descriptors_are_out_of_reach(thread):
    own = thread.process.files.keep(os.open("/dev/null", os.O_RDONLY))
    assert own >= 1000
    low = os.open("/dev/null", os.O_RDONLY)
    assert thread("close", own) == -errno.EBADF
    assert thread("close", own | 7 << 32) == -errno.EBADF      # the kernel looks at 32 bits
    assert thread("dup3", low, own, 0) == -errno.EBADF
    assert thread("fcntl", own, fcntl.F_SETFD, 0) == -errno.EBADF
    assert thread("ioctl", own, termios.FIONCLEX, 0) == -errno.EBADF
    high = thread("fcntl", low, fcntl.F_DUPFD, own + 1)
    assert thread("close_range", own - 1, 0xFFFF_FFFF, 0) == 0
    with pytest.raises(OSError):
        os.fstat(high)
    os.fstat(own)
    assert not os.get_inheritable(own)
    os.close(low)


def test_own_descriptors_lie_above_the_guests_limit_where_there_is_room(thread):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"the hard limit of descriptors is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        assert thread.process.files.keep(os.open("/dev/null", os.O_RDONLY)) >= 1024
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1024, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- the guest's root

@pytest.fixture
def rooted(tmp_path):
    root = tmp_path / "root"
    for name in ("etc", "usr/lib", "bin", "tmp", "dev"):
        (root / name).mkdir(parents=True)
    (root / "etc/only-here").write_text("root")
    (root / "etc/hostname").write_text("guest's")
    (root / "usr/lib/thing").write_text("thing")
    (root / "lib").symlink_to("/usr/lib")               # absolute: must stay inside
    (root / "bin/up").symlink_to("../../../../../etc/only-here")
    (root / "etc/gone").symlink_to("/nowhere")
    thread = Thread(sysroot=bytes(root))
    thread.root = root
    yield thread
    thread.close()


def content(thread, name):
    fd = thread("openat", AT_FDCWD, thread.put(name), 0, 0)
    if fd < 0:
        return fd
    data = os.read(fd, 100)
    os.close(fd)
    return data


def test_absolute_paths_are_looked_for_in_the_root_first(rooted):
    assert content(rooted, b"/etc/only-here") == b"root"
    assert content(rooted, b"/etc/hostname") == b"guest's"
    assert content(rooted, b"/lib/thing") == b"thing"
    assert content(rooted, b"/bin/up") == b"root"
    assert content(rooted, b"/etc/gone") == -errno.ENOENT
    with open("/etc/passwd", "rb") as file:
        assert content(rooted, b"/etc/passwd") == file.read(100)     # only on the host
    buffer = rooted.room(128)
    assert rooted("newfstatat", AT_FDCWD, rooted.put(b"/lib/thing"), buffer, 0) == 0
    assert generic_stat(rooted, buffer)["ino"] == os.stat(rooted.root / "usr/lib/thing").st_ino
    assert rooted("newfstatat", AT_FDCWD, rooted.put(b"/lib"), buffer, AT_SYMLINK_NOFOLLOW) == 0
    assert generic_stat(rooted, buffer)["ino"] == os.lstat(rooted.root / "lib").st_ino
    assert rooted("readlinkat", AT_FDCWD, rooted.put(b"/lib"), buffer, 100) == 8
    assert rooted("faccessat", AT_FDCWD, rooted.put(b"/etc/only-here"), 4) == 0
    assert rooted.process.paths.find(b"relative") == b"relative"


def test_o_path_goes_with_other_flags_in_the_root_too(rooted):
    # openat ignores what does not go with O_PATH (open(2)); openat2 would refuse it.
    fd = rooted("openat", AT_FDCWD, rooted.put(b"/etc/only-here"), os.O_PATH | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0)
    assert fd >= 0 and os.readlink(f"/proc/self/fd/{fd}") == str(rooted.root / "etc/only-here")
    assert rooted("read", fd, rooted.room(8), 8) == -errno.EBADF
    os.close(fd)


def test_what_the_kernel_provides_is_the_hosts(rooted):
    assert rooted.process.paths.find(b"/dev") == b"/dev"
    assert rooted.process.paths.find(b"/proc") == b"/proc"
    assert rooted.process.paths.find(b"/tmp/x") == b"/tmp/x"
    assert content(rooted, b"/dev/null") == b""


def test_new_files_are_made_on_the_host_and_old_ones_found(rooted, tmp_path):
    new = os.fsencode(tmp_path / "new")
    fd = rooted("openat", AT_FDCWD, rooted.put(new), os.O_CREAT | os.O_WRONLY, 0o600)
    assert fd >= 0 and os.path.exists(new)
    os.close(fd)
    fd = rooted("openat", AT_FDCWD, rooted.put(b"/etc/hostname"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.close(fd)
    assert (rooted.root / "etc/hostname").read_bytes() == b""
    assert rooted("unlinkat", AT_FDCWD, rooted.put(b"/etc/only-here"), 0) == 0
    assert not (rooted.root / "etc/only-here").exists()


# ---- /proc/self

def test_the_executable_is_the_guests(thread, folder):
    thread.process.image.path = os.fsencode(folder / "file")
    buffer = thread.room(4096)
    for name in (b"/proc/self/exe", b"/proc/thread-self/exe", b"/proc/%d/exe" % os.getpid()):
        length = thread("readlinkat", AT_FDCWD, thread.put(name), buffer, 4096)
        assert thread.memory.read(buffer, length) == os.fsencode(folder / "file")
        assert content(thread, name) == b"0123456789" * 10
    assert thread("newfstatat", AT_FDCWD, thread.put(b"/proc/self/exe"), buffer, 0) == 0
    assert generic_stat(thread, buffer)["ino"] == os.stat(folder / "file").st_ino
    assert thread("readlinkat", AT_FDCWD, thread.put(b"/proc/self/exe"), buffer, 4) == 4
    assert thread("readlinkat", AT_FDCWD, thread.put(b"/proc/self/exe"), buffer, 0) == -errno.EINVAL
    assert thread("readlinkat", AT_FDCWD, thread.put(b"/proc/1/exe"), buffer, 4096) != len(str(folder / "file"))


def test_files_in_proc_self_tell_of_the_guest(thread, folder):
    image = thread.process.image
    image.arguments, image.environment, image.auxv = (b"prog", b"x y"), (b"A=1",), b"\1" * 16
    image.stack_pointer, image.code_start = 0x1234000, 0x10000
    assert content(thread, b"/proc/self/cmdline") == b"prog\0x y\0"
    assert content(thread, b"/proc/%d/environ" % os.getpid()) == b"A=1\0"
    assert content(thread, b"/proc/self/auxv") == b"\1" * 16
    fields = content(thread, b"/proc/self/task/%d/stat" % os.getpid())
    assert fields.startswith(b"%d (" % os.getpid())
    fd = thread("openat", AT_FDCWD, thread.put(b"/proc/self/stat"), 0, 0)
    with open(fd, "rb") as file:
        values = file.read().rpartition(b") ")[2].split()
    assert values[28 - 3] == b"%d" % 0x1234000 and values[26 - 3] == b"%d" % 0x10000
    assert thread("openat", AT_FDCWD, thread.put(b"/proc/self/maps"), os.O_WRONLY, 0) == -errno.EACCES


def test_maps_have_guest_addresses(thread, folder):
    with open(folder / "file", "rb") as file:
        at = thread.memory.map(0, 4096, 5, 2, file.fileno(), 0)
    thread.memory.set_brk(0x2000_0000)
    thread.memory.brk(0x2000_2000)
    fd = thread("openat", AT_FDCWD, thread.put(b"/proc/self/maps"), 0, 0)
    with open(fd) as file:
        lines = [line.split() for line in file]
    found = {line[0]: (line[1], line[5] if len(line) > 5 else "") for line in lines}
    assert found[f"{at:08x}-{at + 4096:08x}"] == ("r-xp", str(folder / "file"))
    assert found["20000000-20002000"] == ("rw-p", "[heap]")
    assert found[f"{BUFFERS:08x}-{BUFFERS + ROOM:08x}"][0] == "rw-p"
    assert len(lines) == len(thread.memory.snapshot())
