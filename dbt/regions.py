"""The region compiler: many guest blocks as one LLVM function, registers in SSA values, loops and calls inside.

A region is entered with the number of an entry in `target`, pinned registers in the arguments and all others in the
state; it leaves by `exit_PC` (a linked jump), by a jump-cache probe, or through a native (poll, miss, leave_REASON).
region_flow.py says which registers live where; region_code.py writes blocks; here is the whole, as text and as image.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from dragoman.dbt.recipe import Form
from dragoman.dbt.region_block import Block, Instruction
from dragoman.dbt.region_code import Writer
from dragoman.dbt.region_flow import Flow
from dragoman.dbt.region_image import RegionImage, link
from dragoman.dbt.region_request import RegionRequest

NAME = "region"
# guest bytes and their pc -> decoded records (state.RECORD_SIZE bytes each)
Decode = Callable[[bytes, int], bytes]
_RECORD = struct.Struct("<QHBBBBBBqQ")


class Isa(NamedTuple):
    """What regions ask of an instruction set."""
    forms: tuple[Form, ...]
    pinned: tuple[int, ...]     # register of x in each pinned slot


def instructions(isa: Isa, records: bytes) -> list[Instruction]:
    return [Instruction(isa.forms[number], size, rd, rs1, rs2, rs3, rm, imm, pc)
            for _, number, size, rd, rs1, rs2, rs3, rm, imm, pc in _RECORD.iter_unpack(records)]


def read_blocks(isa: Isa, request: RegionRequest, decode: Decode) -> dict[int, Block]:
    """The request's blocks, decoded; one that runs into the start of another ends there."""
    starts = {pc for pc, _ in request.blocks}
    blocks: dict[int, Block] = {}
    for pc, code in request.blocks:
        listing = instructions(isa, decode(code, pc))
        cut = next((n for n, one in enumerate(listing) if n and one.pc in starts), len(listing))
        blocks[pc] = Block(pc, listing[:cut])
    return blocks


def text(isa: Isa, request: RegionRequest, decode: Decode) -> tuple[str, Flow]:
    """The module's IR, and what is where."""
    flow = Flow(read_blocks(isa, request, decode), request, isa.pinned)
    return Writer(flow, isa.pinned, request).module(NAME), flow


def compile_region(request: RegionRequest, isa: Isa, decode: Decode) -> bytes:
    """Code of a region as bytes (region_image.py). Needs llvmlite."""
    from dragoman.dbt import llvm
    ir, flow = text(isa, request, decode)
    module = llvm.parse(ir)
    llvm.optimize(module, llvm.CHEAP)
    return link(llvm.emit(module), NAME, flow.entries, flow.located).pack()


__all__ = ["NAME", "Decode", "Isa", "RegionImage", "RegionRequest", "compile_region", "text"]
