"""Bare packets to a process: what gdb would not send, what breaks off, noise."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gdb.machine import Client
from tests.gdb_process.debugged import PATIENCE, waiting

PC = 32


@pytest.fixture
def started(binary, tmp_path):
    """A client of a part of the guest that has made no step yet, and the guest's process."""
    with contextlib.ExitStack() as stack:
        def start(part, *options):
            place, process = stack.enter_context(waiting(binary, part, options=options, folder=tmp_path))
            client = Client(str(place))
            stack.callback(client.close)
            return client, process
        yield start


def test_it_stands_before_the_first_instruction_and_runs_by_itself_without_its_client(started, binary):
    client, process = started("calls")
    entry = int.from_bytes(binary.read_bytes()[24:32], "little")
    assert client.ask(b"?")[:3] == b"T05" and client.register(PC) == entry
    assert client.ask(b"Z0,%x,4" % entry) == b"OK"
    client.close()
    assert process.wait(PATIENCE) == 45


@pytest.fixture(scope="module")
def standing(binary, tmp_path_factory):
    with waiting(binary, "endless", folder=tmp_path_factory.mktemp("standing")) as (place, process):
        client = Client(str(place))
        yield client
        client.close()


@pytest.mark.parametrize("request_", [
    b"m", b"m0", b"mx,1", b"m0,1", b"mfffffffffffffff8,8", b"m4000000000,1", b"mfffffffffffffffff,1", b"M10000,2:00", b"X10000,4:abc", b"p", b"pffff",
    b"P1", b"P1=00", b"Gzz", b"G00", b"Hgp", b"Hgp1.1", b"Hg77777777", b"Tp0.99999999", b"T", b"vCont", b"vCont;t", b"vCont;c:p1.1", b"vCont;c1",
    b"vCont;r1:-1", b"vCont;r1,zz", b"vCont;C", b"Z0", b"Z2,0,0", b"Z2,10000,ffffffff", b"Z2,3ffffffffc,8", b"z1,zz,1", b"c-1", b"Czz", b"D;77777777",
    b"qXfer:auxv:read::0", b"qXfer:auxv:read::fffffff,1", b"qXfer:exec-file:read:77777777:0,10", b"qXfer:exec-file:read:zz:0,10",
    b"qThreadExtraInfo,9", b"QPassSignals:zz", b"vFile:open:00", b"vFile:open:zz,0,0", b"vFile:open:00,0,0", b"vFile:pread:5", b"vKill;77777777"])
def test_what_is_malformed_is_an_error(standing, request_):
    answer = standing.ask(request_)
    assert answer[:1] == b"E" and len(answer) == 3
    assert standing.ask(b"?")[:1] == b"T"


@pytest.mark.parametrize("request_", [b"vMustReplyEmpty", b"Z9,0,1", b"!", b"q", b"vFile:unlink:2f", b"qXfer:osdata:read::0,10", b"\xff", b""])
def test_what_is_not_known_is_answered_by_nothing(standing, request_):
    assert standing.ask(request_) == b""


def test_files_are_read_only_and_no_others_than_opened_ones(standing, binary):
    path = os.fsencode(binary).hex().encode()
    assert standing.ask(b"vFile:open:%s,1,0" % path) == b"F-1,d"                # EACCES
    assert standing.ask(b"vFile:open:2f6e6f7768657265,0,0") == b"F-1,2"         # /nowhere, ENOENT
    for descriptor in (b"0", b"1", b"3", b"ffffffff"):
        assert standing.ask(b"vFile:pread:%s,10,0" % descriptor) == b"F-1,9"    # EBADF
        assert standing.ask(b"vFile:close:%s" % descriptor) == b"F-1,9"
    answer = standing.ask(b"vFile:open:%s,0,0" % path)
    assert standing.ask(b"vFile:pread:%s,4,0" % answer[1:]) == b"F4;\x7fELF"
    assert standing.ask(b"vFile:close:%s" % answer[1:]) == b"F0"


def test_runs_at_full_speed_beside_breakpoints_and_stops_when_asked(started, binary):
    """The guest counts for ever. A breakpoint that is not met leaves its loop alone: single steps make some 10,000 rounds a second of CPU
    time, the interpreter some millions, stencils more."""
    text = subprocess.run(["riscv64-linux-gnu-nm", binary], check=True, capture_output=True, text=True).stdout
    counter, = (int(line.split()[0], 16) for line in text.splitlines() if line.endswith(" counter"))
    client, process = started("endless")
    assert client.ask(b"Z0,10000,2") == b"OK"
    spent, count = cpu_seconds(process.pid), 0
    while count < 5_000_000:
        client.send(b"vCont;c")
        time.sleep(0.2)
        client.interrupt()
        assert client.receive()[:3] == b"T02"
        count = client.word(counter)
        assert cpu_seconds(process.pid) - spent < 20


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_long_and_broken_packets(started):
    client, _ = started("endless")
    assert client.ask(b"QStartNoAckMode") == b"OK"
    client.send(b"m" + b"0" * 100_000)
    assert client.receive() == b"E07"
    client.socket.sendall(b"$?#00" + b"noise\xff" + b"$?" + b"$qC#b4")      # wrong, nothing, cut, right
    assert client.receive()[:2] == b"QC"
    client.socket.sendall(b"-")
    assert client.receive()[:2] == b"QC"


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(
    st.binary(max_size=60),
    st.builds(lambda start, rest: start + rest,
              st.sampled_from([b"m", b"M", b"X", b"p", b"P", b"G", b"H", b"T", b"Z", b"z", b"q", b"Q", b"qXfer:", b"vFile:", b"vFile:pread:",
                               b"qXfer:auxv:read::", b"qXfer:siginfo:read::", b"QPassSignals:", b"qThreadExtraInfo,", b"vFile:open:"]),
              st.text("0123456789abcdefp.,:;=-/", max_size=40).map(str.encode))))
def test_no_request_hurts(standing, content):
    """Whatever is in a packet: one answer comes, and the guest stands still. Left out are those that end or let go."""
    if content[:1] in (b"c", b"C", b"s", b"S", b"k", b"D", b"\x03") or content.startswith((b"vCont;", b"vKill", b"QStartNoAck")):
        return
    escaped = content.replace(b"}", b"}]").replace(b"#", b"}\x03").replace(b"$", b"}\x04")
    standing.socket.sendall(b"$%s#%02x" % (escaped, sum(escaped) % 256))
    while standing._read.read(1) != b"$":
        pass
    while standing._read.read(1) != b"#":
        pass
    standing._read.read(2)
    assert standing.ask(b"?")[:1] == b"T"
