"""The console: nothing is lost on the way, nothing waits for who does not read, and Ctrl-] is for the monitor."""

import os
import pty
import socket
import threading

import pytest

from dragoman.runtime.machine import console as console_module
from dragoman.runtime.machine.attachment import Attachment
from dragoman.runtime.machine.console import INPUT_LIMIT, KEPT, OUTPUT_LIMIT, Console
from dragoman.runtime.machine.menu import Action, Menu


def read_all(descriptor):
    """All that comes until the other end is closed."""
    data = bytearray()
    while piece := os.read(descriptor, 1 << 16):
        data += piece
    return bytes(data)


class Pipes:
    """A console between two pipes."""

    def __init__(self, **options):
        self.console = Console()
        self.source, self.typing = os.pipe()
        self.output, self.target = os.pipe()
        self.attachment = Attachment(self.console, self.source, self.target, **options)


@pytest.fixture
def pipes():
    made = Pipes()
    yield made
    os.close(made.output)               # whatever is left has no reader
    made.attachment.close()
    for descriptor in (made.source, made.target):
        os.close(descriptor)


def typed(console, size):
    """Wait for this many bytes as a guest does: by being told."""
    told, data = threading.Event(), bytearray()
    console.on_input = told.set
    while len(data) < size:
        data += console.read(size - len(data))
        if len(data) < size:
            assert told.wait(10), f"only {len(data)} of {size} bytes came"
            told.clear()
    return bytes(data)


def test_output_arrives_in_order(pipes):
    assert pipes.console.write(b"one ") == 4
    assert pipes.console.write(b"two") == 3
    assert os.read(pipes.output, 100) in (b"one ", b"one two")


def test_input_is_passed_on_to_its_end(pipes):
    data = bytes(range(256)) * 256      # far more than the guest may be behind
    writing = threading.Thread(target=lambda: (os.write(pipes.typing, data), os.close(pipes.typing)))
    writing.start()
    assert typed(pipes.console, len(data)) == data
    writing.join()
    pipes.console.write(b"alive")       # the end of the input is not the machine's end
    assert os.read(pipes.output, 100) == b"alive"


def test_control_bytes_in_a_pipe_are_the_guests(pipes):
    os.write(pipes.typing, b"\x1dq\x03\x04")
    assert typed(pipes.console, 4) == b"\x1dq\x03\x04"
    os.close(pipes.typing)


def test_a_reader_that_has_stopped(pipes):
    """The machine goes on; what has no room is counted; what had room comes when the reader goes on."""
    piece, taken = b"0123456789abcdef" * 4096, 0
    for _ in range(2 * OUTPUT_LIMIT // len(piece)):
        taken += pipes.console.write(piece)
    assert OUTPUT_LIMIT <= taken < 2 * OUTPUT_LIMIT
    assert pipes.console.dropped == 2 * OUTPUT_LIMIT - taken
    seen = bytearray()
    while len(seen) < taken:
        seen += os.read(pipes.output, 1 << 16)
    assert seen[:len(piece)] == piece and len(seen) == taken
    os.close(pipes.typing)


def test_all_is_shown_at_the_end():
    made = Pipes()
    made.console.write(b"x" * 500_000)
    closing = threading.Thread(target=lambda: (made.attachment.close(), os.close(made.target)))
    closing.start()
    assert len(read_all(made.output)) == 500_000
    closing.join()


def test_a_reader_that_is_gone():
    gone = threading.Event()
    made = Pipes(ended=gone.set)
    os.close(made.output)
    made.console.write(b"x")
    assert gone.wait(10) and made.attachment.broken
    assert made.console.write(b"more") == 4
    made.attachment.close()


def test_a_socket_is_both_ends():
    ours, theirs = socket.socketpair()
    console, ended = Console(), threading.Event()
    attachment = Attachment(console, ours.fileno(), ours.fileno(), end_of_input=ended.set)
    theirs.sendall(b"to the guest")
    assert typed(console, 12) == b"to the guest"
    console.write(b"to the client")
    assert theirs.recv(100) == b"to the client"
    theirs.close()
    assert ended.wait(10)
    attachment.close()
    ours.close()


def test_a_terminal_that_does_not_read():
    """The menu works although the terminal takes no output."""
    outer, inner = pty.openpty()
    console, quit_typed = Console(), threading.Event()
    menu = Menu((Action("q", "quit", quit_typed.set),), lambda text: None)
    attachment = Attachment(console, inner, inner, menu.feed)
    while console.write(b"x" * 65536) == 65536:
        continue
    os.write(outer, b"\x1d")
    os.write(outer, b"q\n")             # the terminal is not raw here: lines
    assert quit_typed.wait(10)
    os.close(outer)
    attachment.close()
    os.close(inner)


def test_what_nobody_sees_is_kept_for_the_next():
    console = Console()
    for n in range(KEPT):
        assert console.write(b"%07d\n" % n) == 8
    assert console.dropped == 0
    output, target = os.pipe()
    source, typing = os.pipe()
    attachment = Attachment(console, source, target)
    seen = b""
    while len(seen) < KEPT:
        seen += os.read(output, KEPT)
    assert seen.endswith(b"%07d\n" % (KEPT - 1)) and len(seen) == KEPT
    attachment.close()
    assert not console.attached
    for descriptor in (output, target, source, typing):
        os.close(descriptor)


def test_input_has_a_limit():
    console = Console()
    assert console.type(b"x" * (INPUT_LIMIT + 1)) == INPUT_LIMIT
    assert console.room() == 0 and console.type(b"y") == 0
    assert console.read(1) == b"x" and console.room() == 1
    assert console_module.INPUT_LIMIT == INPUT_LIMIT


# ---- the menu

@pytest.fixture
def menu():
    said, done = [], []
    made = Menu((Action("q", "quit", lambda: done.append("q")), Action("i", "statistics", lambda: "numbers\n")), said.append)
    made.said, made.done = said, done
    return made


@pytest.mark.parametrize(("typed_bytes", "guest", "done", "said"), [
    (b"ls\r", b"ls\r", [], []), (b"\x03\x1a\x1c", b"\x03\x1a\x1c", [], []), (b"a\x1dqb", b"ab", ["q"], []), (b"\x1dQ", b"", ["q"], []),
    (b"\x1d\x1d", b"\x1d", [], []), (b"\x1d\x1dq", b"\x1dq", [], []), (b"\x1di", b"", [], ["numbers\n"]), (b"\xff\x1d", b"\xff", [], []),
])
def test_menu(menu, typed_bytes, guest, done, said):
    assert (menu.feed(typed_bytes), menu.done, menu.said) == (guest, done, said)


def test_menu_is_typed_a_byte_at_a_time(menu):
    assert [menu.feed(bytes((byte,))) for byte in b"a\x1dq\x1d\x1d"] == [b"a", b"", b"", b"", b"\x1d"]
    assert menu.done == ["q"]


@pytest.mark.parametrize("key", [b"h", b"?", b"\r", b"\xe9"])
def test_other_keys_show_the_help(menu, key):
    assert menu.feed(b"\x1d" + key) == b""
    assert "Ctrl-] q" in menu.said[0] and "statistics" in menu.said[0] and "Ctrl-] Ctrl-]" in menu.said[0]
