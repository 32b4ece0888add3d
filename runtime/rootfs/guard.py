"""Calls of a contained guest: none of them may name one of the emulator's own descriptors, and some have handlers of their own."""

from __future__ import annotations

from dragoman.runtime.process.linux import table
from dragoman.runtime.process.native.layout import P_GUARDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dragoman.runtime.process.process import Process

DESCRIPTORS = frozenset(("fd", "at_fd"))                # kinds of arguments
PATHS = frozenset(("path", "link", "name"))
EPERM, EBADF = 1, 9


def guard(process: Process, handlers: Mapping[int, Callable[..., int | None]] | None = None) -> None:
    """From now on, for this process and all that come from it. handlers: instead of the usual ones, where given; then a call with
    a path that has none is refused."""
    own = process.files.own
    table.import_all()
    for number, entry in table.SYSCALLS.items():
        kinds = [kind.partition(":")[0] for kind in entry.kinds]
        usual = entry.handler
        if handlers is not None:
            refused = bool(PATHS & set(kinds)) and number not in handlers
            usual = _refuse if refused else handlers.get(number, usual)
        places = tuple(n for n, kind in enumerate(kinds) if kind in DESCRIPTORS)
        entry.handler = _guarded(usual, places, own)
        at = P_GUARDED + number
        process.block[at] |= sum(1 << n for n in places) << 8 * (at % 8)


def _refuse(thread: table.Thread, *_: int) -> int:
    return -EPERM


def _guarded(handler: Callable[..., int | None], places: tuple[int, ...], own: set[int]) -> Callable[..., int | None]:
    if not places:
        return handler

    def guarded(thread: table.Thread, *arguments: int) -> int | None:
        for place in places:
            if arguments[place] & 0xFFFF_FFFF in own:
                return -EBADF
        return handler(thread, *arguments)
    return guarded

