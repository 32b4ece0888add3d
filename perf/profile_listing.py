"""Guest code beside the host code that was made of it, with the time that was spent at each host instruction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dragoman.dbt.host import x86_64_listing
from dragoman.dbt.log_text import Instruction
from dragoman.dbt.region_install import EXIT_SIZE
from dragoman.perf.profile_code import BETWEEN, Engine, Epoch, Region, Unit
from dragoman.perf.profile_shares import Piece, symbol

AROUND = 3                      # instructions shown before and behind one at which time was spent


class Line(NamedTuple):
    """`weight`: nanoseconds of CPU time; `guest`: the instruction that the host code from here on is of, else nothing."""
    weight: int
    guest: str
    host: str


def lines(piece: Piece) -> list[Line]:
    """Of a piece's hottest translation; empty if there is none, as of what is interpreted. A sample counts for the host instruction
    that was to be executed next: often the one behind that which took long."""
    unit = piece.hottest()
    if unit is None:
        return []
    engine, epoch = piece.epochs[unit]
    name = _namer(engine, epoch)
    if isinstance(unit, Region):
        known = {one.record.pc: one for one in unit.instructions()}
        return list(_beside(unit, unit.address, unit.code, known, piece.hosts[unit], name))
    blocks = [block for block in unit.blocks if block.host > unit.block(min(piece.hosts[unit])).host]
    start = unit.block(min(piece.hosts[unit])).host
    end = blocks[0].host if blocks else unit.end
    known = {one.record.pc: one for block in unit.report().blocks if block.pc == piece.pc for one in block.instructions}
    return list(_beside(unit, start, unit.code[start - unit.start:end - unit.start], known, piece.hosts[unit], name))


def _beside(unit: Unit | Region, start: int, code: bytes, known: dict[int, Instruction], weights: Counter[int],
            name: Callable[[int], str]) -> Iterator[Line]:
    at = BETWEEN
    for host, data, mnemonic, operands in x86_64_listing.disassemble(code, start):
        pc = unit.pc(host)
        guest = f"0x{pc:x}  {known[pc].text}" if pc != at and pc in known else ""
        at = pc
        note = name(int(operands, 16)) if mnemonic[0] in "jc" and operands.startswith("0x") else ""      # jumps, calls
        weight = sum(weights[address] for address in range(host, host + len(data)))
        yield Line(weight, guest, f"0x{host:x}  {mnemonic:<7} {operands}{'  # ' * bool(note)}{note}".rstrip())


def shortened(listing: list[Line]) -> Iterator[Line | None]:
    """Without what is far from all time; None in its place."""
    hot = [n for n, line in enumerate(listing) if line.weight]
    shown = {m for n in hot for m in range(n - AROUND, n + AROUND + 1)}
    left = False
    for n, line in enumerate(listing):
        if n in shown:
            left = False
            yield line
        elif not left:
            left = True
            yield None


def _namer(engine: Engine, epoch: Epoch) -> Callable[[int], str]:
    """What a host address is, or nothing."""
    routines = {address: name for name, address in engine.symbols.items()}

    def name(address: int) -> str:
        if address in routines:
            return routines[address]
        unit = epoch.unit(address) if address in engine.arena else None
        if isinstance(unit, Region):
            number = (address - unit.start) // EXIT_SIZE
            return f"exit to {symbol(unit.maps, unit.exits[number])}" if number < len(unit.exits) else ""
        if unit is not None and unit.block(address).host == address:
            return f"block {symbol(unit.maps, unit.block(address).pc)}"
        return ""
    return name
