"""In which order the hub tells what happened in several processes at once."""

import socket
from types import SimpleNamespace

import pytest

from dragoman.runtime.process.gdb.hub import Hub
from dragoman.runtime.process.gdb.link import EVENT, Link, Peer

PARENT, CHILD = 1, 2


@pytest.mark.parametrize("last_word", [True, False], ids=["exited", "killed"])
def test_a_child_s_end_is_told_before_what_its_parent_met_behind_it(last_word):
    """The two lie in sockets of their own: gdb had seen the parent's breakpoint first, on a busy host."""
    pairs = {process: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for process in (PARENT, CHILD)}
    agents = {process: Link(ends[1]) for process, ends in pairs.items()}
    hub, told = Hub.__new__(Hub), []
    hub.target = SimpleNamespace(peers={process: Peer(ends[0], process) for process, ends in pairs.items()})
    hub._take = lambda peer, event: told.append((peer.process, event[0]))
    if last_word:
        agents[CHILD].send(EVENT, "exited", 5)
    agents[CHILD].close()
    agents[PARENT].send(EVENT, "stopped", PARENT, 5, "software", 0)
    for peer in hub.target.peers.values():
        peer.running = True
        peer.take_event()
    hub._look_at_events()
    assert told == [(CHILD, "exited" if last_word else "killed"), (PARENT, "stopped")]
    for peer in hub.target.peers.values():
        peer.close()
    agents[PARENT].close()
