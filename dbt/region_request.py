"""What a region is asked for by: guest code, and how it is to be compiled. Its digest (pack.request_key) is its name."""

from __future__ import annotations

import struct

from dragoman.dbt.state import EAGER, LAZY, NOT_PRECISE

# Bits of RegionRequest.options; above them the model of memory, and what decodes.
LAZILY, SHARED, MODEL, DECODER = 1, 2, 1 << 2, 1 << 4
EAGERLY = 1 << 31
FLAT, PAGED, STRICT, BOUNDED = range(4)  # models of memory (memory_model.py)
OF_PROCESSES = (FLAT, BOUNDED)
PLAIN = 1 << 12                 # of a machine's decoder: sensitive instructions all trap
COUNTED = 1 << 13               # beside it: each instruction counts, as in the counting build
BASE_LEVEL = 1 << 14            # of a decoder: isa/levels.BASE
_HEAD = struct.Struct("<QIIIII")


class RegionRequest:
    """`blocks`: (pc, guest bytes) in the order of their addresses, the head among them. `indirect`: blocks that were met as
    targets of indirect jumps and calls. `entries`: those entered from outside, beside head and what the region finds.
    `precise`: EAGER: registers are exact at each access; LAZY: as of an instruction before it, from which on all can be done again,
    and which the state's pc names. `shared`: memory is seen by other threads. `decoder`: BASE_LEVEL, and of a
    machine: the context of its code, PLAIN, COUNTED. `traps`: instructions at which inline code would be of no use (adapted.py)."""
    __slots__ = ("blocks", "decoder", "entries", "head", "indirect", "model", "precise", "shared", "traps")

    def __init__(self, head: int, blocks: tuple[tuple[int, bytes], ...], indirect: tuple[int, ...] = (), entries: tuple[int, ...] = (),
                 precise: int = NOT_PRECISE, shared: bool = False, model: int = FLAT, decoder: int = 0, traps: tuple[int, ...] = ()):
        self.head, self.blocks, self.indirect, self.entries, self.traps = head, blocks, indirect, entries, traps
        self.precise, self.shared, self.model, self.decoder = precise, shared, model, decoder

    def replace(self, **fields: object) -> RegionRequest:
        """The same with other values of these."""
        return RegionRequest(**{name: getattr(self, name) for name in self.__slots__} | fields)         # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegionRequest) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def size(self) -> int:
        """Guest bytes."""
        return sum(len(code) for _, code in self.blocks)

    @property
    def options(self) -> int:
        """The number by which the store tells kinds of regions apart."""
        return (0, LAZILY, EAGERLY)[self.precise] | SHARED * self.shared | MODEL * self.model | DECODER * self.decoder

    def pack(self) -> bytes:
        """As bytes, for the compiler process."""
        parts = [_HEAD.pack(self.head, len(self.blocks), len(self.indirect), len(self.entries), len(self.traps), self.options)]
        parts += [struct.pack(f"<{len(addresses)}Q", *addresses) for addresses in (self.indirect, self.entries, self.traps)]
        parts += [struct.pack("<QI", pc, len(code)) + code for pc, code in self.blocks]
        return b"".join(parts)

    @classmethod
    def parse(cls, data: bytes) -> RegionRequest:
        """From bytes that came from elsewhere: ValueError if they are no request."""
        try:
            head, blocks, *counts, options = _HEAD.unpack_from(data)
            at = _HEAD.size
            lists = []
            for count in counts:
                lists.append(struct.unpack_from(f"<{count}Q", data, at))
                at += 8 * count
            found = []
            for _ in range(blocks):
                pc, size = struct.unpack_from("<QI", data, at)
                code = data[at + 12:at + 12 + size]
                if len(code) != size:
                    raise ValueError("cut in a block")
                found.append((pc, code))
                at += 12 + size
        except struct.error as error:
            raise ValueError(f"not a region request: {error}") from None
        model = options // MODEL % (DECODER // MODEL)
        if at != len(data) or head not in {pc for pc, _ in found}:
            raise ValueError("not a region request")
        indirect, entries, traps = lists
        precise = EAGER if options & EAGERLY else LAZY if options & LAZILY else NOT_PRECISE
        return cls(head, tuple(found), indirect, entries, precise, bool(options & SHARED), model, options % EAGERLY // DECODER, traps)
