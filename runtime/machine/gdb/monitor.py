"""The commands of gdb's `monitor`: what a machine can tell that the protocol has no request for."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.runtime.gdb.protocol import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.machine.gdb.target import MachineTarget

MOST_BYTES, LINE = 0x1000, 16


class Wrong(Exception):
    """A command that cannot be done; the message is for the user."""


def address_of(text: str) -> int:
    """Of a number as C writes it. Raises Wrong."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise Wrong(f"{text} is no address")
    return value


def helps(target: MachineTarget, thread: int, words: list[str]) -> str:
    return "".join(f"{name:20}{text}\n" for name, (_, text) in COMMANDS.items())


def harts(target: MachineTarget, thread: int, words: list[str]) -> str:
    return "".join(f"{'*' if each == thread else ' '} {each}  {target.describe(each)}\n" for each in target.threads())


def mmu(target: MachineTarget, thread: int, words: list[str]) -> str:
    if len(words) != 1:
        raise Wrong("info mmu ADDRESS")
    return "".join(f"{line}\n" for line in target.walk(target.machine.harts[thread - 1], address_of(words[0])).lines)


def statistics(target: MachineTarget, thread: int, words: list[str]) -> str:
    return target.machine.statistics()


def examine(target: MachineTarget, thread: int, words: list[str]) -> str:
    if not 1 <= len(words) <= 2:
        raise Wrong("xp ADDRESS [BYTES]")
    address, size = address_of(words[0]), address_of(words[1]) if len(words) == 2 else LINE
    if not 1 <= size <= MOST_BYTES:
        raise Wrong(f"1 to {MOST_BYTES} bytes")
    try:
        data = target.read_physical(address, size)
    except Malformed:
        raise Wrong(f"{size} bytes at {address:#x} are not all in RAM") from None
    return "".join(f"{address + at:#014x}: {data[at:at + LINE].hex(' ')}\n" for at in range(0, size, LINE))


COMMANDS: dict[str, tuple[Callable[[MachineTarget, int, list[str]], str], str]] = {
    "help": (helps, "this list"),
    "info harts": (harts, "the virtual CPUs, with privilege and pc"),
    "info mmu": (mmu, "ADDRESS: how the selected hart translates it, page table by page table"),
    "stats": (statistics, "exits, traps, translation, as --stats prints at the end"),
    "xp": (examine, "ADDRESS [BYTES]: RAM by physical address"),
}


def run(target: MachineTarget, thread: int, text: str) -> str:
    """What the command has to say; lines."""
    words = text.split()
    for length in (2, 1):
        known = COMMANDS.get(" ".join(words[:length]))
        if known is not None:
            try:
                return known[0](target, thread, words[length:])
            except Wrong as problem:
                return f"{problem}\n"
    return f"no command {text.strip()}: it is one of {', '.join(COMMANDS)}\n"
