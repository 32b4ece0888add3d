"""What the log says of a compiled region: its IR when it is asked for, its guest and host code when it is installed."""

from __future__ import annotations

import ctypes
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

from dragoman.dbt import log_text, recipe_text
from dragoman.dbt.decode import Decoder
from dragoman.dbt.host import x86_64_listing
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.riscv import contexts
from dragoman.dbt.log_text import Block, Namer, heading
from dragoman.dbt.region_image import NO_PC, RegionImage
from dragoman.dbt.region_install import exit_addresses
from dragoman.dbt.region_request import OF_PROCESSES, PLAIN, RegionRequest
from dragoman.dbt.state import PAGE_SIZE

Shown = Callable[[int, int], bool]          # whether something of the guest's [start, end) is to be logged


class RegionText:
    """For an engine; `namer` names addresses, `items` are those of the log."""

    def __init__(self, engine, namer: Namer, items: frozenset[str]) -> None:        # type: ignore[no-untyped-def]
        self.engine, self.namer, self.items = engine, namer, items
        self._decoders: dict[str, Decoder] = {}

    def ir(self, request: RegionRequest) -> Iterator[str]:
        """Of what is being compiled, before LLVM's passes."""
        from dragoman.dbt import compile_jobs, regions
        decoder = self._decoder(request, request.decoder & PLAIN != 0)
        traps = {pc: self._decoder(request, True) for pc in request.traps}
        text, _ = regions.text(regions.Isa(riscv.FORMS, riscv.PINNED), request, lambda code, pc: compile_jobs.records(decoder, traps, code, pc))
        yield f"ir of a region for {self.namer.guest(request.head)}, of {count(request.blocks)}"
        yield from (f"  {line}" for line in text.splitlines())

    def installed(self, image: RegionImage, pieces: list[tuple[int, bytes]], address: int, place: Any, shown: Shown) -> Iterator[str]:
        """All but its IR. `pieces`: (pc, bytes) of its guest code, which lies at `place`; `address`: where its host code lies."""
        for where, pc in zip(exit_addresses(image, address), image.exits, strict=True):
            self.namer.exits[where] = pc
        blocks = [self._block(pc, code, place.key(pc)) for pc, code in pieces if shown(pc, pc + len(code))]
        for block in blocks:
            if "in_asm" in self.items:
                yield f"in_asm {self.place(block)}, in a region"
                yield from log_text.in_asm(block)
            if "recipe" in self.items:
                yield f"recipe {self.place(block)}, in a region"
                yield from self._recipe(block)
        if "out_asm" in self.items:
            yield (f"out_asm of a region: host code at 0x{address:x}, {len(image.code)} bytes, of "
                   f"{sum(len(code) for _, code in pieces)} guest bytes; entries: "
                   + ", ".join(self.namer.guest(pc) for pc in image.entries))
            yield from self._out_asm(image, address, blocks)

    def _block(self, pc: int, code: bytes, page: int) -> Block:
        """Guest code that lies in one piece, on a page with this key."""
        machine = (page & contexts.CONTEXT_MASK, self.engine.inline) if self.engine.paged else None
        return Block(pc, 0, tuple(log_text.instructions(code, pc, machine, self.engine.options.cpu)), page)

    def place(self, block: Block) -> str:
        where = f"0x{block.pc:x}..0x{block.end() - 1:x} {self.namer.symbol(block.pc)}".rstrip()
        if not self.engine.paged:
            return where
        physical, context = block.page & -PAGE_SIZE | block.pc & PAGE_SIZE - 1, block.page & contexts.CONTEXT_MASK
        return f"{where} [0x{physical:x}, {contexts.describe(context)}]"

    @staticmethod
    def _recipe(block: Block) -> Iterator[str]:
        """As regions narrow it (region_recipe.py)."""
        from dragoman.dbt.region_recipe import narrow
        for one in block.instructions:
            yield f"  0x{one.record.pc:x}  {one.text}"
            recipe = riscv.FORM[one.record.form].recipe
            same = one.record.rs1 == one.record.rs2 and {("f", "rs1"), ("f", "rs2")} <= set(recipe.reads)
            yield from (f"    {line}" for line in recipe_text.lines(one.record, narrow(recipe, same)))

    def _out_asm(self, image: RegionImage, address: int, blocks: list[Block]) -> Iterator[str]:
        """The whole code, since LLVM mixes blocks; before what accesses memory, the guest instruction that does."""
        known = {one.record.pc: one for block in blocks for one in block.instructions}
        starts, at = [offset for offset, _ in image.sites], -1
        for host, text in x86_64_listing.lines(ctypes.string_at(address, len(image.code)), address, self.namer):
            now = bisect_right(starts, host - address) - 1
            if now != at and now >= 0 and image.sites[now][1] != NO_PC and image.sites[now][1] in known:
                yield heading(known[image.sites[now][1]], "")
            at = now
            yield f"    {text}"

    def _decoder(self, request: RegionRequest, plain: bool) -> Decoder:
        """That of the request's context; this log's own. plain: by which sensitive instructions trap."""
        prefix = "plain_decoder" if plain else "decoder"
        name = prefix if request.model in OF_PROCESSES else f"{prefix}{request.decoder & contexts.CONTEXT_MASK}"
        if name not in self._decoders:
            self._decoders[name] = Decoder(self.engine.image.blob(name), self.engine.options.cpu)
        return self._decoders[name]


def count(blocks: object) -> str:
    """How many, in words."""
    number = len(blocks)                    # type: ignore[arg-type]
    return f"{number} block{'s'[:number != 1]}"
