"""Calls of a contained guest: none of them may name one of the emulator's own descriptors."""

from __future__ import annotations

from dragoman.runtime.process.linux import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.process.process import Process
    from dragoman.runtime.process.thread import Thread

EBADF = 9
DESCRIPTORS = frozenset(("fd", "at_fd"))        # kinds of arguments


def guard(process: Process) -> None:
    """From now on, for this process and all that come from it."""
    inner, own = process.perform, process.files.own
    places: dict[int, tuple[int, ...]] = {}

    def perform(thread: Thread, number: int, arguments: tuple[int, ...]) -> int | None:
        at = places.get(number)
        if at is None:
            entry = table.lookup(number)
            kinds = entry.kinds if entry is not None else ()
            at = places[number] = tuple(n for n, kind in enumerate(kinds) if kind.partition(":")[0] in DESCRIPTORS)
        for place in at:
            if arguments[place] & 0xFFFF_FFFF in own:
                return -EBADF
        return inner(thread, number, arguments)
    process.perform = perform
