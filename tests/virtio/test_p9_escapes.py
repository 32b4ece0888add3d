"""Nothing outside the shared directory is reached by 9P: links, `..`, renames, special names, hostile messages."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.virtio.p9_message import REQUESTS
from tests.virtio.p9_client import ROOT, Client, Refused, string


@pytest.fixture
def outside(tmp_path):
    """Holds what the guest must not see; the share is beside it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (tmp_path / "share" / "sub" / "inner").mkdir(parents=True)
    return tmp_path / "outside"


@pytest.fixture
def share(outside):
    return outside.parent / "share"


@pytest.fixture
def client(share):
    client = Client(share)
    yield client
    client.driver.device.close()


def unchanged(outside):
    return os.listdir(outside) == ["secret"] and (outside / "secret").read_bytes() == b"secret"


def test_dot_dot_ends_at_the_root(client, share):
    root = client.stat(ROOT)["qid"]
    for names in ((b"..",), (b"..", b".."), (b"sub", b"..", b".."), (b"sub", b"inner", b"..", b"..", b"..", b"..")):
        assert client.stat(client.walk(*names))["qid"] == root
    with pytest.raises(Refused, match="ENOENT"):
        client.walk(b"..", b"outside")


@pytest.mark.parametrize("name", [b"", b".", b"..", b"../outside", b"sub/inner", b"/", b"/etc", b"../outside/secret", b"a\0b", b"sub/../../outside"])
def test_names_that_are_paths(client, share, outside, name):
    file = client.create(b"file")
    for attempt in (lambda: client.create(name), lambda: client.mkdir(name), lambda: client.unlink(name), lambda: client.unlink(name, 0x200),
                    lambda: client.symlink(name, b"x"), lambda: client.link(file, name), lambda: client.rename(b"file", name),
                    lambda: client.rename(name, b"new"), lambda: client.on_name(18, name, 0o100644, 0, 0, 0),
                    lambda: client.call(20, struct.pack("<II", file, ROOT) + string(name))):
        with pytest.raises(Refused, match="EINVAL"):
            attempt()
    if name != b"..":
        with pytest.raises(Refused, match="EINVAL"):
            client.walk(name)
    assert unchanged(outside) and sorted(os.listdir(share)) == ["file", "sub"]


@pytest.mark.parametrize("link", [b"host", b"guest"])
@pytest.mark.parametrize("target", ["../outside", "ABSOLUTE", "../outside/secret", "/proc/self/root", "."])
def test_symbolic_links_are_not_followed(client, share, outside, target, link):
    """Whether the host or the guest made them, last or on the way."""
    target = str(outside) if target == "ABSOLUTE" else target
    if link == b"host":
        (share / "host").symlink_to(target)
    else:
        client.symlink(link, target.encode())
    fid = client.walk(link)
    with pytest.raises(Refused, match="ENOTDIR"):
        client.walk(b"secret", fid=fid)
    for attempt in (lambda: client.open(fid), lambda: client.create(b"x", fid=fid), lambda: client.mkdir(b"x", fid=fid),
                    lambda: client.unlink(b"secret", fid=fid), lambda: client.rename(b"secret", b"x", fid, ROOT),
                    lambda: client.create(link, 0o101), lambda: client.create(link, 0o1101), lambda: client.setattr(fid, 8)):
        with pytest.raises(Refused):
            attempt()
    client.link(fid, b"copy")
    assert os.path.islink(share / "copy") and unchanged(outside)


def test_a_directory_replaced_by_a_link_between_walk_and_use(client, share, outside):
    sub, inner = client.walk(b"sub"), client.walk(b"sub", b"inner")
    (share / "sub").rename(share / "old")
    (share / "sub").symlink_to(outside)
    client.create(b"secret", fid=sub)
    assert (share / "old" / "secret").exists() and unchanged(outside)
    client.driver.device.server.files.most_places = 1          # so that descriptors are closed and names used again
    client.walk(b"old")
    for fid in (sub, inner):
        with pytest.raises(Refused):
            client.create(b"more", fid=fid)
    assert unchanged(outside)


def test_a_file_replaced_by_a_link_between_walk_and_open(client, share, outside):
    client.create(b"file")
    fid = client.walk(b"file")
    (share / "file").unlink()
    (share / "file").symlink_to(outside / "secret")
    assert client.read(client.open(fid)) == b""
    with pytest.raises(Refused, match="ENXIO"):
        client.open(client.walk(b"file"))


def test_a_directory_moved_out_does_not_lead_upwards(client, share, outside):
    inner = client.walk(b"sub", b"inner")
    (share / "sub" / "inner").rename(outside.parent / "inner")
    up = client.walk(b"..", fid=inner)
    assert client.stat(up)["qid"] == client.stat(client.walk(b"sub"))["qid"]
    with pytest.raises(Refused):
        client.walk(b"..", b"outside", fid=inner)


def test_renames_that_would_make_a_circle_of_names(client, share):
    """After changes by others on the host, a name may seem to be below itself."""
    client.mkdir(b"a")
    client.mkdir(b"b", fid=client.walk(b"a"))
    a, b = client.walk(b"a"), client.walk(b"a", b"b")
    (share / "a" / "b").rename(share / "b")
    client.rename(b"a", b"a", ROOT, b)
    assert (share / "b" / "a").is_dir()
    client.driver.device.server.files.most_places = 1
    client.walk(b"sub")
    for fid in (a, b):
        with pytest.raises(Refused):
            client.stat(fid)
    assert client.driver.transport.state()["device"]["fids"]


def test_the_memory_of_this_process_is_not_shared():
    client = Client("/")
    with pytest.raises(Refused, match="EACCES"):
        client.walk(b"proc", b"self")
    client.driver.device.close()


def test_fids_that_are_not_there_and_fids_in_use(client):
    for kind, (_, fields) in REQUESTS.items():
        if fields[0] == 4 and kind not in (100, 104):
            body = b"".join(b"\0\0" if field in ("s", "n") else b"\xee" * field for field in fields)
            with pytest.raises(Refused):
                client.call(kind, body)


@pytest.mark.parametrize("message", [
    b"", b"\7", struct.pack("<IBH", 7, 110, 0), struct.pack("<IBH", 0, 110, 0), struct.pack("<IBH", 0xFFFFFFFF, 110, 0),
    struct.pack("<IBHIIHH", 19, 110, 0, ROOT, 9, 1, 0xFFFF), struct.pack("<IBHIIH", 17, 110, 0, ROOT, 9, 17),
    struct.pack("<IBHIQI", 23, 118, 0, ROOT, 0, 0xFFFFFFFF), struct.pack("<IBHIQI", 23, 116, 0, ROOT, 0, 0xFFFFFFFF)])
def test_messages_that_are_cut_or_lie_about_sizes(client, message):
    reply = client.raw(message)
    assert reply == b"" or reply[4] == 7
    client.mkdir(b"after")


@pytest.mark.parametrize("room", [10, 11, 20])
def test_a_reply_that_does_not_fit(client, room):
    reply = client.raw(struct.pack("<IBHIQ", 19, 24, 0, ROOT, 0x7FF), room)
    assert reply == b"" if room < 11 else reply[4:5] == b"\7"


names = st.sampled_from([b"", b"..", b"sub", b"inner", b"file", b"link", b"../outside", b"secret"])
numbers = st.one_of(st.integers(0, 3), st.integers(0, (1 << 64) - 1), st.sampled_from([1 << 63, (1 << 63) - 1, 0xFFFFFFFF, 0o101, 0o40755, 0o120777]))


@st.composite
def messages(draw):
    kind = draw(st.sampled_from(sorted(REQUESTS)))
    body = b""
    for field in REQUESTS[kind][1]:
        if field == "s":
            body += string(draw(names))
        elif field == "n":
            several = draw(st.lists(names, max_size=4))
            body += struct.pack("<H", len(several)) + b"".join(map(string, several))
        else:
            body += (draw(numbers) & (1 << 8 * field) - 1).to_bytes(field, "little")
    body += draw(st.binary(max_size=20)) if kind == 118 else b""
    body = body[:draw(st.one_of(st.just(len(body)), st.integers(0, len(body))))]
    return struct.pack("<IBH", 7 + len(body), kind, 1) + body


@settings(deadline=None, max_examples=60)
@given(st.lists(messages(), max_size=25))
def test_hostile_messages(tmp_path_factory, sent):
    base = tmp_path_factory.mktemp("hostile")
    (base / "outside").mkdir()
    (base / "outside" / "secret").write_bytes(b"secret")
    (base / "share" / "sub" / "inner").mkdir(parents=True)
    (base / "share" / "link").symlink_to("../outside")
    client = Client(base / "share")
    for message in sent:
        reply = client.raw(message)
        assert struct.unpack_from("<I", reply) == (len(reply),)
    client.driver.device.close()
    assert unchanged(base / "outside") and sorted(os.listdir(base)) == ["outside", "share"]
