"""Bare packets to a machine: what gdb would not send, what it cannot be asked to do, and what breaks off."""

import random
import socket

import pytest

from dragoman.runtime.gdb.protocol import packet
from dragoman.runtime.machine.gdb.server import NoPlace
from tests.gdb.machine import Client, free_port, ours

PC, A0 = 32, 10


@pytest.fixture
def client(binary):
    """Of a machine that has made no step yet."""
    with ours(binary) as machine:
        made = Client(machine.gdb.port)
        yield made
        made.close()


@pytest.fixture(scope="module")
def standing(binary):
    """As client, for tests that do not let the machine go on."""
    with ours(binary) as machine:
        made = Client(machine.gdb.port)
        yield made
        made.close()


def loop_of_second(client: Client, counter: int) -> int:
    """Lets the second hart run in its endless loop, which it has begun when it counts; the address that it stands at."""
    assert client.ask(b"Z2,%x,8" % counter) == b"OK"
    assert client.ask(b"vCont;c:2") == b"T05watch:%x;thread:2;" % counter
    assert client.ask(b"z2,%x,8" % counter) == b"OK"
    client.send(b"vCont;c:2")
    client.interrupt()
    assert client.receive() == b"T02thread:1;"
    assert client.ask(b"Hg2") == b"OK"
    return client.register(PC)


def test_both_harts_wait_before_the_first_instruction(client, names):
    assert client.ask(b"?") == b"T05thread:1;"
    assert client.ask(b"qfThreadInfo") == b"m1,2" and client.ask(b"qsThreadInfo") == b"l"
    assert [client.register(PC), client.register(A0)] == [names["_start"], 0]
    assert client.ask(b"Hg2") == b"OK"
    assert [client.register(PC), client.register(A0)] == [names["_start"], 1]


def test_actions_are_for_threads(client, names):
    """The first instruction, auipc, is 4 bytes."""
    assert client.ask(b"vCont;s:2") == b"T05thread:2;"
    assert client.register(PC) == names["_start"] + 4
    assert client.ask(b"Hg1") == b"OK" and client.register(PC) == names["_start"]
    assert client.ask(b"vCont;s:1") == b"T05thread:1;" and client.register(PC) == names["_start"] + 4


def test_runs_until_it_is_interrupted(client, names):
    """The second hart counts for ever."""
    client.send(b"vCont;c:2")
    client.interrupt()
    assert client.receive() == b"T02thread:1;"
    for _ in range(3):
        before = client.word(names["second"])
        assert client.word(names["second"]) == before   # it stands still
        client.send(b"vCont;c:2")
        while client.ask(b"m0,1") != b"E10":            # no request is taken while it runs
            pass
        client.interrupt()
        assert client.receive() == b"T02thread:1;"
        assert client.word(names["second"]) > before


def test_breakpoints_of_both_kinds_hold_while_hot_code_runs(client, names):
    """The loop has run as one block: to break within it drops that."""
    loop = loop_of_second(client, names["second"])
    for kind, word in ((b"0", b"swbreak"), (b"1", b"hwbreak")):
        assert b"swbreak+" in client.ask(b"qSupported:swbreak+;hwbreak+")
        assert client.ask(b"Z%s,%x,2" % (kind, loop)) == b"OK"
        before = client.word(names["second"])
        for _ in range(3):                              # it goes on past the one it stands at, once it was told of it
            assert client.ask(b"vCont;c:2") == b"T05%s:;thread:2;" % word
            assert client.register(PC) == loop
        assert client.word(names["second"]) - before in (2, 3)
        assert client.ask(b"z%s,%x,2" % (kind, loop)) == b"OK"


def test_watches_an_atomic_operation(client, names):
    """100 times touch, then look, then the operation: the value was 99."""
    watched = names["watched"]
    assert client.ask(b"Z1,%x,4" % names["trap"]) == b"OK"
    assert client.ask(b"Z1,%x,2" % names["look"]) == b"OK"
    assert client.ask(b"vCont;c:1") == b"T05thread:1;" and client.register(PC) == names["look"]
    assert client.ask(b"Z3,%x,8" % watched) == b"OK" and client.ask(b"Z4,%x,1" % (watched + 8)) == b"OK"
    assert client.ask(b"vCont;c:1") == b"T05rwatch:%x;thread:1;" % watched and client.word(watched) == 99
    assert client.ask(b"vCont;c:1") == b"T05rwatch:%x;thread:1;" % watched and client.word(watched) == 100
    assert client.ask(b"z3,%x,8" % watched) == b"OK" and client.ask(b"z4,%x,1" % (watched + 8)) == b"OK"
    assert client.ask(b"vCont;c:1") == b"T05thread:1;" and client.register(PC) == names["trap"]


def test_code_that_is_written_is_executed(client, names):
    """The loop of the second hart becomes `j .` (0xA001), which it was not when it was translated."""
    loop = loop_of_second(client, names["second"])
    assert client.ask(b"X%x,2:\x01\xa0" % loop) == b"OK" and client.ask(b"m%x,2" % loop) == b"01a0"
    before = client.word(names["second"])
    for _ in range(2):
        client.send(b"vCont;c:2")
        client.interrupt()
        client.receive()
        client.ask(b"Hg2")
        assert client.register(PC) == loop and client.word(names["second"]) == before


@pytest.mark.parametrize("request_", [
    b"m", b"m0", b"m0,", b"mx,1", b"m-1,1", b"m0x0,1", b"m80000000,1,1", b"mfffffffffffffffff,1", b"M80000000,2:00", b"M80000000,1:0",
    b"M80000000,1:zz",
    b"X80000000,4:abc", b"X80000000", b"p", b"pzz", b"pffff", b"P1", b"P1=", b"P1=00", b"P=0000000000000000", b"Gzz", b"G00", b"Hx1", b"Hg3", b"Hg",
    b"T0", b"T3", b"T", b"vCont", b"vCont;", b"vCont;t", b"vCont;c:9", b"vCont;c1", b"vCont;c:", b"Z0", b"Z0,", b"Z0,1", b"Z0,1,2,3", b"Z2,0,0",
    b"Z2,0,ffffffff", b"Z4,ffffffffffffffff,8", b"z1,zz,1", b"c-1", b"s,", b"qRcmd,1", b"qRcmd,zz", b"qXfer:features:read:none:0,10",
    b"qXfer:features:read:target.xml:0", b"qXfer:features:read:target.xml:fffffff,1", b"qThreadExtraInfo,9"])
def test_what_is_malformed_is_an_error(standing, request_):
    answer = standing.ask(request_)
    assert answer[:1] == b"E" and len(answer) == 3
    assert standing.ask(b"?")[:1] == b"T"               # it goes on talking, and stands still


@pytest.mark.parametrize("request_", [b"vMustReplyEmpty", b"vFile:open:00", b"Z9,0,1", b"!", b"q", b"Q", b"v", b"\xff\xfe", b"qNothing", b"i", b""])
def test_what_is_not_known_is_answered_by_nothing(standing, request_):
    assert standing.ask(request_) == b""


@pytest.mark.parametrize("address", [0, 0x1000_0000, 0x7FFF_FFFF, 0x8200_0000, (1 << 64) - 1, 1 << 63])
def test_devices_and_nothing_are_no_memory(standing, address):
    """32 MiB of RAM from 0x80000000 on; no translation in M mode."""
    standing.ask(b"Hg2")
    assert standing.ask(b"m%x,1" % address) == standing.ask(b"M%x,1:00" % address) == b"E0e"
    assert standing.ask(b"M%x,8:0000000000000000" % (0x8200_0000 - 4)) == b"E0e"
    assert standing.ask(b"m%x,8" % (0x8200_0000 - 4)) == b"00000000"      # as far as there is memory


def test_checksums_acknowledgements_and_long_packets(client):
    assert client.ask(b"QStartNoAckMode") == b"OK"
    client.socket.sendall(b"$?#00" + b"noise\xff" + b"$?" + b"$qC#b4")      # wrong, nothing, cut, right
    assert client.receive() == b"QC1"
    client.send(b"m" + b"0" * 100_000)
    assert client.receive() == b"E07"
    client.socket.sendall(b"-")
    assert client.receive() == b"E07"


def test_registers_refuse_what_cannot_be(client):
    text = b""
    while (part := client.ask(b"qXfer:features:read:target.xml:%x,1000" % len(text)))[:1] == b"m":
        text += part[1:]
    numbers = {row.split(b'"')[1]: int(row.split(b'regnum="')[1].split(b'"')[0]) for row in (text + part[1:]).split(b"<reg ")[1:]}
    assert client.ask(b"P%x=0200000000000000" % numbers[b"priv"]) == b"E16"
    assert client.ask(b"P%x=0000000000000000" % numbers[b"time"]) == b"E16"
    assert client.ask(b"P0=0500000000000000") == b"OK" and client.register(0) == 0
    # satp.MODE 5 is reserved: the write has no effect (privileged manual 10.1.11).
    assert client.ask(b"P%x=0000000000000050" % numbers[b"satp"]) == b"OK" and client.register(numbers[b"satp"]) == 0
    assert client.ask(b"P%x=ff000000" % numbers[b"fcsr"]) == b"OK"
    assert client.register(numbers[b"frm"]) == 7 and client.register(numbers[b"fflags"]) == 31


def test_noise_hurts_nobody(binary):
    """Bytes of all kinds, packets cut and changed, then the end of the connection; again and again."""
    chance = random.Random(1)
    with ours(binary, gdb_wait=False) as machine:
        for _ in range(5):
            made = Client(machine.gdb.port)
            for _ in range(200):
                letters = bytes(chance.choice(b"?gGmMXpPHTqQzZv0123456789abcdef,;:=#$}*+-") for _ in range(chance.randrange(40)))
                body = chance.choice((letters, chance.randbytes(20), b"m" + letters, b"qXfer:" + letters))
                made.socket.sendall(chance.choice((packet(body), body)))
            made.socket.shutdown(socket.SHUT_WR)
            while made.socket.recv(1 << 16):
                pass
            made.close()
        assert not machine.report


def test_goes_on_without_breakpoints_when_the_client_is_gone(binary, names):
    with ours(binary) as machine:
        client = Client(machine.gdb.port)
        assert client.ask(b"Z0,%x,2" % names["bump"]) == client.ask(b"Z2,%x,8" % names["watched"]) == b"OK"
        client.send(b"vCont;c")
        assert client.receive()[:3] == b"T05"
        client.close()
        assert machine.wait(100) and machine.status == 0


def test_detach_and_the_end(binary):
    with ours(binary) as machine:
        client = Client(machine.gdb.port)
        assert client.ask(b"D") == b"OK"
        assert machine.wait(100) and machine.status == 0


def test_kill(binary):
    with ours(binary) as machine:
        Client(machine.gdb.port).send(b"k")
        assert machine.wait(100) and machine.report == "stopped"


def test_the_client_hears_of_the_end(binary):
    with ours(binary) as machine:
        client = Client(machine.gdb.port)
        client.send(b"vCont;c")
        assert machine.wait(100)
    assert client.receive() == b"W00"


def test_a_port_in_use_and_a_path_that_cannot_be(binary):
    port = free_port()
    with socket.socket() as taken, pytest.raises(NoPlace, match=f"--gdb {port}: Address already in use"):
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with ours(binary, gdb=str(port)):
            pass
    with pytest.raises(NoPlace, match="--gdb unix:/none/here: No such file"), ours(binary, gdb="unix:/none/here"):
        pass


def test_a_socket_of_the_file_system(binary, tmp_path):
    path = tmp_path / "gdb"
    with ours(binary, gdb=f"unix:{path}"):
        client = Client(str(path))
        assert client.ask(b"qC") == b"QC1"
    assert not path.exists()
