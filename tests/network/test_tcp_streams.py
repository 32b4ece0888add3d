"""TCP with much data: windows, large segments, and what waits when one side does not read."""

import socket
import struct
import threading

import pytest

from . import wire
from .guest import data
from .wire import ACK

SIZE = 1 << 20


def receive_all(peer, into):
    """Reads to the end in a thread; join it and look into the list."""
    def run():
        while piece := peer.recv(1 << 16):
            into.append(piece)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_million_bytes_out(guest, joined):
    connection, peer = joined()
    pieces = []
    thread = receive_all(peer, pieces)
    connection.send(data(SIZE))
    connection.shut()
    ended_before = guest.until(lambda: not thread.is_alive())
    thread.join()
    assert ended_before and b"".join(pieces) == data(SIZE)


def test_a_million_bytes_in(guest, joined):
    connection, peer = joined()
    thread = threading.Thread(target=lambda: (peer.sendall(data(SIZE)), peer.shutdown(socket.SHUT_WR)))
    thread.start()
    guest.until(lambda: connection.ended)
    thread.join()
    assert connection.received == data(SIZE)


def test_large_segments_both_ways(guest, joined):
    guest.checked = False  # the checksum is left to the guest
    guest.network.offload(True, True)
    connection, peer = joined(options=struct.pack("!BBHBBBB", 2, 4, 1460, 1, 3, 3, 7))
    fields = []
    receive = guest.network._link.receive
    guest.network._link.receive = lambda frame, *rest: (fields.append((frame, *rest)), receive(frame, *rest))[1]
    thread = threading.Thread(target=lambda: (peer.sendall(data(SIZE)), peer.shutdown(socket.SHUT_WR)))
    thread.start()
    guest.until(lambda: connection.ended)
    thread.join()
    assert connection.received == data(SIZE)
    large = [entry for entry in fields if len(entry[0]) > 1514]
    assert large and all(len(frame) <= 14 + 0xFFFF and (gso, start, offset) == (1460, 34, 16) for frame, gso, start, offset in large)
    assert all(entry[1] == 0 for entry in fields if len(entry[0]) <= 1514)
    # virtio 1.2, 5.1.6.2.1: the field holds the sum of the pseudo header, not complemented.
    frame = large[0][0]
    pseudo = frame[26:34] + struct.pack("!BBH", 0, 6, len(frame) - 34)
    assert int.from_bytes(frame[50:52], "big") == wire.checksum(pseudo) ^ 0xFFFF
    pieces = []
    thread = receive_all(peer, pieces)
    guest.until(lambda: connection.peer_window == 0x8000)
    connection.peer_window <<= 3
    connection.send(data(60000), mss=60000)
    connection.shut()
    thread.join(20)
    assert b"".join(pieces) == data(60000)


def test_a_host_that_does_not_read_closes_the_window(guest, joined):
    connection, peer = joined()
    sent = 0
    while connection.peer_window > 1460:
        assert sent < 64 << 20
        connection.emit(ACK, data(1460))
        connection.sequence += 1460
        sent += 1460
        guest.poll()
    tcp = guest.network._tcp
    assert tcp.buffered <= 256 << 10
    before = tcp.buffered
    connection.emit(ACK, bytes(60000))  # beyond the window
    guest.settle()
    assert tcp.buffered - before <= 1460
    pieces = []
    thread = receive_all(peer, pieces)
    guest.until(lambda: connection.peer_window == 0xFFFF)
    connection.sequence = connection.acknowledged
    connection.shut()
    guest.until(lambda: not thread.is_alive())
    assert b"".join(pieces)[:sent] == data(1460) * (sent // 1460)


def test_a_closed_window_of_the_guest_is_probed(guest, joined):
    connection, peer = joined()
    connection.answers = False
    connection.window = 0
    connection.emit(ACK)
    peer.sendall(b"abc")
    guest.until(lambda: guest.network._tcp._timer)
    guest.settle()
    assert connection.received == b""
    for probes in (1, 2, 3):
        guest.skip(61)
        assert [segment.payload for segment in connection.log[-probes:]] == [b"a"] * probes
        connection.expected -= len(connection.received)  # it was not taken
        connection.received.clear()
        connection.emit(ACK)
    connection.answers = True
    connection.window = 100
    connection.emit(ACK)
    guest.until(lambda: connection.received == b"abc")


def test_what_waits_for_the_guest_is_bounded(guest, joined):
    connection, peer = joined()
    connection.answers = False
    connection.window = 0
    connection.emit(ACK)
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(64 << 4):
            peer.send(bytes(1 << 16))
            guest.poll()
    assert 0 < guest.network._tcp.buffered <= 256 << 10


