"""Which blocks make a region: executed ones, from the hot head on, with the computed targets that the jump cache has seen."""

from __future__ import annotations

import ctypes
import os
from collections import deque

from dragoman.dbt.region_flow import Block
from dragoman.dbt.region_request import RegionRequest
from dragoman.dbt.state import JUMP_CACHE_ENTRIES, RECORD_SIZE, ROW

INSTRUCTIONS = 3000                     # of a region
NEAR = 0x8000                           # a computed target further away is another function's business
_SIZE = ROW["size"]


class Grower:
    """Reads the block table and the guest's code of an engine."""

    def __init__(self, engine, isa) -> None:            # type: ignore[no-untyped-def]
        self.engine, self.isa = engine, isa
        self._decode = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 6)(engine.image.symbols["decode_block"])

    def decode(self, code: bytes, pc: int) -> bytes:
        """Records of a block; under no lock: the caller holds tiering's."""
        source, records = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(RECORD_SIZE * (len(code) // 2))
        count = self._decode(self.engine.decoder.address, ctypes.addressof(source), pc, pc + len(code),
                             ctypes.addressof(records), len(code) // 2)
        return records.raw[:RECORD_SIZE * count]

    def size(self, pc: int) -> int:
        """Bytes of the executed block at `pc`, 0: none."""
        row = self.engine.locked("find_row", pc)
        return ctypes.c_uint64.from_address(row + _SIZE).value if row else 0

    def computed(self, cpu) -> list[int]:               # type: ignore[no-untyped-def]
        """Targets of computed jumps that this thread has met."""
        table = (ctypes.c_uint64 * (2 * JUMP_CACHE_ENTRIES)).from_address(cpu.jump_cache)
        return [pc for pc, code in zip(table[::2], table[1::2]) if code and pc & 1 == 0]

    def grow(self, cpu, head: int, precise: bool, shared: bool) -> RegionRequest | None:    # type: ignore[no-untyped-def]
        from dragoman.dbt.regions import instructions
        targets = self.computed(cpu)
        found: dict[int, bytes] = {}
        todo, total = deque([head]), 0
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while todo and total < INSTRUCTIONS:
                pc = todo.popleft()
                size = self.size(pc) if pc not in found else 0
                if not size:
                    continue
                try:
                    code = os.pread(memory, size, self.engine.memory_base + pc)
                except OSError:
                    continue
                found[pc] = code
                block = Block(pc, instructions(self.isa, self.decode(code, pc)))
                total += len(block.code)
                todo.extend(block.targets())
                if block.calls:
                    todo.append(block.next_pc)
                if block.end == "jump_to" and block.hint != "return":
                    todo.extend(t for t in targets if abs(t - pc) < NEAR)
        finally:
            os.close(memory)
        if head not in found:
            return None
        return RegionRequest(head, tuple(sorted(found.items())), tuple(t for t in targets if t in found), (), precise, shared)
