"""TCP when frames to the guest are lost, refused for want of buffers, or never answered."""

import threading

import pytest

from .guest import Connection, data
from .wire import ACK, RST, SYN


@pytest.fixture
def server(sockets):
    return sockets()


def payload_of(frame):
    """Bytes of TCP payload of a frame with the plain header or a SYN's."""
    return len(frame) - 34 - (frame[46] >> 4 << 2) if frame[12:14] == b"\x08\x00" and frame[23] == 6 else 0


def test_a_lost_answer_to_a_syn_is_sent_again(guest, server):
    lost = []
    guest.lose = lambda frame: len(lost) < 2 and not lost.append(frame)
    connection = Connection(guest, 40000, server[1])
    connection.emit(SYN)
    connection.sequence += 1
    guest.until(lambda: lost)
    guest.settle()
    connection.emit(SYN, sequence=1000)  # the guest's own second try
    guest.settle()
    assert len(lost) == 2
    guest.skip(1)
    guest.until(lambda: connection.expected is not None)
    assert connection.log[0].flags == SYN | ACK


def test_a_lost_end_is_sent_again(guest, server):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    lost = []
    guest.lose = lambda frame: not lost and not lost.append(frame)
    peer.close()
    guest.until(lambda: lost)
    assert not connection.ended
    guest.skip(1)
    guest.until(lambda: connection.ended)


@pytest.mark.parametrize("every", [3, 5, 31])
def test_a_stream_with_losses_arrives_whole(guest, server, every):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    count = [0]

    def lose(frame):
        count[0] += bool(payload_of(frame))
        return bool(payload_of(frame)) and count[0] % every == 1
    guest.lose = lose
    thread = threading.Thread(target=lambda: (peer.sendall(data(200_000)), peer.close()))
    thread.start()

    def done():
        guest.skipped += 0.05  # time passes faster than it does
        return connection.ended
    guest.until(done)
    thread.join()
    assert connection.received == data(200_000)


def test_one_lost_segment_is_sent_again_after_three_acknowledgments(guest, server):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    lost = []
    guest.lose = lambda frame: bool(payload_of(frame)) and not lost and not lost.append(frame)
    peer.sendall(data(14600))
    peer.close()
    guest.until(lambda: lost)
    guest.settle()
    assert connection.received == data(14600)


def test_a_guest_without_buffers_gets_the_frames_when_it_has_some(guest, server):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    guest.is_full = True
    peer.sendall(data(5000))
    guest.until(lambda: guest.network._tcp._waiting)
    guest.is_full = False
    guest.network.resume()
    guest.settle()
    assert connection.received == data(5000)


def test_a_guest_that_never_says_that_it_has_buffers_gets_them_in_time(guest, server):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    guest.is_full = True
    peer.sendall(data(5000))
    guest.until(lambda: guest.network._tcp._waiting)
    guest.is_full = False
    guest.skip(1)
    guest.until(lambda: connection.received == data(5000))


def test_a_guest_that_is_silent_for_long_is_given_up(guest, server):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    peer.settimeout(20)
    connection.answers = False
    peer.sendall(b"hello")
    guest.until(lambda: connection.received)
    guest.skip(400)
    assert guest.network._tcp.connections
    for _ in range(20):
        guest.skip(61)
    assert not guest.network._tcp.connections
    assert connection.log[-1].flags == RST | ACK
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_a_window_that_shrinks_to_nothing_is_no_loss(guest, server):
    connection = Connection(guest, 40000, server[1]).connect()
    peer, _ = server[0].accept()
    connection.window = 1000
    connection.emit(ACK)
    peer.sendall(data(3000))
    guest.until(lambda: connection.received == data(3000))
    sent = [(segment.sequence, len(segment.payload)) for segment in connection.log if segment.payload]
    assert sum(size for _, size in sent) == 3000
