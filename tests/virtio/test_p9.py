"""A directory shared by 9P: each request of Linux's client against what the host then sees."""

import os
import socket
import stat
import struct
import subprocess

import pytest

from tests.virtio.p9_client import ROOT, Client, Refused, string


@pytest.fixture
def share(tmp_path):
    (tmp_path / "share" / "sub").mkdir(parents=True)
    (tmp_path / "share" / "file").write_bytes(b"contents")
    (tmp_path / "share" / "sub" / "inner").write_bytes(b"inner")
    return tmp_path / "share"


@pytest.fixture
def client(share):
    client = Client(share)
    yield client
    client.driver.device.close()


def refused(name):
    return pytest.raises(Refused, match=name)


def test_configuration_and_version(share):
    client = Client(share, mount=False)
    assert client.driver.device.config() == b"\5\0share"
    assert client.call(100, struct.pack("<I", 1 << 30) + string(b"9P2000.u")).endswith(string(b"unknown"))
    with refused("ENOTSUP"):
        client.call(102, bytes(20))
    with refused("EBADF"):
        client.walk()


def test_read_and_write(client, share):
    fid = client.open(client.walk(b"file"), 2)
    assert client.read(fid) == b"contents" and client.read(fid, 3, 2) == b"te" and client.read(fid, 100) == b""
    assert client.write(fid, b"XYZ", 6) == 3
    assert (share / "file").read_bytes() == b"contenXYZ"
    assert client.read(fid, 0, 0) == b"" and client.write(fid, b"") == 0
    client.call(50, struct.pack("<II", fid, 0))
    client.call(50, struct.pack("<II", fid, 1))
    client.clunk(fid)
    with refused("EBADF"):
        client.read(fid)


def test_large_transfers(client, share):
    data = os.urandom(100_000)
    fid = client.create(b"large")
    assert client.write(fid, data) == len(data)
    assert client.read(fid) == data == (share / "large").read_bytes()


def test_create(client, share):
    old = os.umask(0o077)
    try:
        fid = client.create(b"new", 0o101 | 0o200, 0o664)
    finally:
        os.umask(old)
    client.write(fid, b"1")
    assert (share / "new").read_bytes() == b"1" and stat.S_IMODE((share / "new").stat().st_mode) == 0o664
    with refused("EEXIST"):
        client.create(b"new", 0o101 | 0o200)
    client.create(b"new", 0o101 | 0o1000)
    assert (share / "new").read_bytes() == b""
    with refused("EBADF"):          # an opened fid is no directory to create in
        client.call(14, struct.pack("<I", fid) + string(b"x") + struct.pack("<III", 0o101, 0o644, 0))


def test_names(client, share):
    client.mkdir(b"made", 0o2750)
    assert stat.S_IMODE((share / "made").stat().st_mode) == 0o2750
    made = client.walk(b"made")
    client.symlink(b"link", b"../file", fid=made)
    assert os.readlink(share / "made" / "link") == "../file"
    assert client.call(22, struct.pack("<I", client.walk(b"made", b"link"))) == string(b"../file")
    client.link(client.walk(b"file"), b"hard", made)
    assert os.path.samefile(share / "file", share / "made" / "hard")
    client.link(client.walk(b"made", b"link"), b"hardlink", made)
    assert os.readlink(share / "made" / "hardlink") == "../file"
    client.on_name(18, b"fifo", stat.S_IFIFO | 0o600, 0, 0, 0, fid=made)
    assert stat.S_ISFIFO((share / "made" / "fifo").stat().st_mode)
    client.rename(b"hard", b"moved", made, ROOT)
    assert (share / "moved").read_bytes() == b"contents"
    client.call(20, struct.pack("<II", client.walk(b"moved"), made) + string(b"again"))
    assert (share / "made" / "again").exists() and not (share / "moved").exists()
    client.unlink(b"again", fid=made)
    with refused("ENOTEMPTY"):
        client.unlink(b"made", 0x200)
    with refused("EISDIR"):
        client.unlink(b"sub")
    client.call(122, struct.pack("<I", client.walk(b"sub", b"inner")))
    client.call(122, struct.pack("<I", client.walk(b"sub")))
    assert not (share / "sub").exists()
    with refused("EBUSY"):
        client.call(122, struct.pack("<I", client.walk()))


@pytest.mark.parametrize("count", [40, 100, 100_000])
def test_lists(client, share, count):
    for number in range(30):
        (share / "sub" / f"{number:02}").touch()
    (share / "sub" / "link").symlink_to("x")
    (share / "sub" / "folder").mkdir()
    found = client.list(client.open(client.walk(b"sub")), count)
    assert found == {b".": 4, b"..": 4, b"link": 10, b"folder": 4, b"inner": 8, **{b"%02d" % number: 8 for number in range(30)}}


def test_qids_tell_files_apart(client, share):
    def qid(*names):
        return client.stat(client.walk(*names))["qid"]
    assert qid()[0] == 0x80 and qid(b"file")[0] == 0
    assert qid(b"file")[5:] != qid(b"sub")[5:] == qid(b"sub")[5:]
    before = qid(b"file")
    (share / "file").write_bytes(b"longer contents")
    assert qid(b"file")[5:] == before[5:] and qid(b"file") != before


def test_walk_stops_at_what_is_not_there(client):
    reply = client.call(110, struct.pack("<IIH", ROOT, 50, 3) + string(b"sub") + string(b"none") + string(b"x"))
    assert struct.unpack_from("<H", reply) == (1,) and len(reply) == 2 + 13
    with refused("EBADF"):
        client.stat(50)
    with refused("ENOENT"):
        client.walk(b"none")
    with refused("EBADF"):
        client.call(110, struct.pack("<IIH", ROOT, client.walk(), 0))     # in use


def test_attributes(client, share):
    fid, host = client.walk(b"file"), share / "file"
    got, info = client.stat(fid), host.stat()
    for name in ("mode", "uid", "gid", "nlink", "size", "blocks"):
        assert got[name] == getattr(info, f"st_{name}")
    assert got["mtime"] * 10**9 + got["mtime_ns"] == info.st_mtime_ns
    client.setattr(fid, 1, mode=0o640)
    client.setattr(fid, 8, size=3)
    client.setattr(fid, 0x20 | 0x100, mtime=1000, mtime_ns=7)
    after = host.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640 and host.read_bytes() == b"con"
    assert after.st_mtime_ns == 1000 * 10**9 + 7 and after.st_atime_ns == info.st_atime_ns
    client.setattr(fid, 0x10 | 0x80, atime=(1 << 64) - 5)          # before 1970
    assert host.stat().st_atime_ns == -5 * 10**9 and client.stat(fid)["atime"] == (1 << 64) - 5
    client.setattr(fid, 0x30)
    assert abs(host.stat().st_mtime - (share / "sub").stat().st_mtime) < 100
    client.setattr(fid, 6, uid=0xFFFFFFFF, gid=0xFFFFFFFF)
    for bad, name in (({"valid": 0xA0 | 0x110, "mtime_ns": 10**9}, "EINVAL"), ({"valid": 8, "size": 1 << 63}, "EFBIG")):
        with refused(name):
            client.setattr(fid, **bad)
    with refused("EISDIR"):
        client.setattr(ROOT, 8)


def test_a_link_has_attributes_of_its_own(client, share):
    client.symlink(b"link", b"file")
    fid = client.walk(b"link")
    before = (share / "file").stat()
    client.setattr(fid, 0x120, mtime=5)
    assert os.lstat(share / "link").st_mtime == 5 and (share / "file").stat() == before


def test_statfs(client, share):
    values = struct.unpack("<IIQQQQQQI", client.call(8, struct.pack("<I", ROOT)))
    assert values[0] == 0x01021997 and values[2] == os.statvfs(share).f_blocks and values[8] == os.statvfs(share).f_namemax


def test_extended_attributes(client, share):
    try:
        os.setxattr(share / "file", "user.old", b"1")
    except OSError:
        pytest.skip("no extended attributes here")
    fid = client.walk(b"file")
    client.call(32, struct.pack("<I", fid) + string(b"user.new") + struct.pack("<QI", 5, 0))
    assert client.write(fid, b"val") == 3 and client.write(fid, b"ue", 3) == 2
    with refused("EINVAL"):
        client.write(fid, b"!", 5)
    client.clunk(fid)
    assert os.getxattr(share / "file", "user.new") == b"value"
    size, = struct.unpack("<Q", client.call(30, struct.pack("<II", client.walk(b"file"), 90) + string(b"user.new")))
    assert size == 5 and client.read(90) == b"value" and client.read(90, 2, 2) == b"lu"
    client.call(30, struct.pack("<II", client.walk(b"file"), 91) + string(b""))
    assert {b"user.old", b"user.new"} <= set(client.read(91).split(b"\0"))
    with refused("ENODATA"):
        client.call(30, struct.pack("<II", client.walk(b"file"), 92) + string(b"user.none"))
    fid = client.walk(b"file")
    client.call(32, struct.pack("<I", fid) + string(b"user.old") + struct.pack("<QI", 0, 2))
    client.clunk(fid)
    assert "user.old" not in os.listxattr(share / "file")


def lock(fid, kind, start=0, length=0):
    return struct.pack("<IBIQQI", fid, kind, 0, start, length, 1) + string(b"guest")


def test_locks(client, share):
    first, second = client.open(client.walk(b"file"), 2), client.open(client.walk(b"file"), 2)
    assert client.call(52, lock(first, 1, 0, 4)) == b"\0"
    assert client.call(52, lock(second, 1, 2, 4)) == b"\1"             # blocked
    assert client.call(52, lock(second, 1, 4, 4)) == b"\0"
    query = struct.pack("<IBQQI", second, 1, 0, 2, 1) + string(b"guest")
    assert client.call(54, query) == struct.pack("<BQQI", 1, 0, 4, 1) + string(b"guest")
    assert client.call(52, lock(first, 2)) == b"\0"
    assert client.call(54, query)[0] == 2                              # F_UNLCK: nothing in the way
    client.clunk(first)
    for bad in (lock(second, 3), lock(second, 1, 1 << 63), lock(second, 1, 0, (1 << 64) - 1)):
        with refused("EINVAL"):
            client.call(52, bad)


def test_what_is_special_is_not_opened(client, share):
    """A FIFO would block the machine; the guest's kernel has its own."""
    os.mkfifo(share / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(share)
        server.bind("socket")
    for name in (b"fifo", b"socket"):
        with refused("ENXIO"):
            client.open(client.walk(name))
        with refused("ENXIO"):
            client.create(name, 0o101)


def test_only_read(share):
    client = Client(share, readonly=True)
    assert client.read(client.open(client.walk(b"file"))) == b"contents"
    fid = client.walk(b"file")
    for flags in (1, 2, 0o1000):
        with refused("EROFS"):
            client.open(fid, flags)
    for change in (lambda: client.create(b"new"), lambda: client.mkdir(b"new"), lambda: client.unlink(b"file"), lambda: client.setattr(fid, 1),
                   lambda: client.rename(b"file", b"new"), lambda: client.symlink(b"new", b"x"), lambda: client.link(fid, b"new"),
                   lambda: client.call(122, struct.pack("<I", fid)), lambda: client.on_name(18, b"new", stat.S_IFIFO, 0, 0, 0),
                   lambda: client.call(32, struct.pack("<I", fid) + string(b"user.x") + struct.pack("<QI", 1, 0))):
        with refused("EROFS"):
            change()
    assert sorted(os.listdir(share)) == ["file", "sub"]


def test_renamed_directories_are_found_though_their_descriptors_were_closed(client, share):
    inner, sub = client.walk(b"sub", b"inner"), client.walk(b"sub")
    client.driver.device.server.files.most_places = 1
    client.mkdir(b"other")
    client.rename(b"sub", b"moved", ROOT, client.walk(b"other"))
    assert client.read(client.open(inner)) == b"inner"
    assert b"inner" in client.list(client.open(sub))


def test_few_descriptors_serve_many_fids(client, share):
    client.driver.device.server.files.most_places = 16
    before = len(os.listdir("/proc/self/fd"))
    fids = [client.walk(b"sub", b"inner") for _ in range(100)]
    assert len(os.listdir("/proc/self/fd")) <= before + 16
    assert all(client.stat(fid)["size"] == 5 for fid in fids)
    (share / "sub" / "inner").unlink()
    (share / "sub" / "other").write_bytes(b"")
    (share / "sub" / "inner").write_bytes(b"another")
    with refused("ESTALE"):
        client.stat(fids[0])
    for fid in fids:
        client.clunk(fid)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_deep_tree(client, share):
    """Deeper than Python's recursion and PATH_MAX go."""
    client.driver.device.server.files.most_places = 16
    fid = ROOT
    for _ in range(1100):
        client.mkdir(b"deep", fid=fid)
        above, fid = fid, client.walk(b"deep", fid=fid)
        if above != ROOT:
            client.clunk(above)
    for _ in range(20):
        client.walk(b"file")
    assert client.driver.device.server.fids[fid].node.fd < 0      # closed, and reached again by 1100 names
    assert client.stat(fid)["nlink"] == 2
    client.driver.transport.restore(client.driver.transport.state())
    assert client.stat(fid)["nlink"] == 2
    subprocess.run(["rm", "-r", share / "deep"], check=True)


def test_a_snapshot_keeps_open_files(client, share):
    fid, folder = client.open(client.walk(b"sub", b"inner"), 2), client.open(client.walk(b"sub"))
    gone = client.walk(b"file")
    writing = client.walk(b"sub", b"inner")
    client.call(32, struct.pack("<I", writing) + string(b"user.x") + struct.pack("<QI", 4, 0))
    client.write(writing, b"ab")
    state = client.driver.transport.state()
    (share / "file").unlink()
    other = Client(share, ram=client.driver.ram, mount=False)
    other.driver.take_over(client.driver, state)
    assert other.read(fid) == b"inner" and other.write(fid, b"I") == 1 and b"inner" in other.list(folder)
    assert other.write(writing, b"cd", 2) == 2
    with refused("EINVAL"):
        other.write(writing, b"e", 4)
    with refused("ENOENT"):
        other.stat(gone)
