"""The engine's own code as images: what is compiled once per machine and version, then mapped by every start.

`engine`: natives, interpreter handlers, compiled functions, decoder tables and the small stencil library; needed before the
first guest instruction. `counting`: the same with handlers that count. `stencils`: the full stencil library.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Sequence

from dragoman.dbt.image import Image
from dragoman.dbt.memory_model import MODELS, Model

STENCILS_BASE = 0x5800_0000
PR_SET_PDEATHSIG, SIGKILL = 1, 9
KINDS = tuple(model + kind for model in MODELS for kind in ("engine", "counting", "stencils"))


Functions = Callable[[], Sequence[Callable[..., int | None]]]


def build(kind: str, functions: Functions | None = None) -> Image:
    """Compile and link; imports llvmlite, and Numba for the engine: 2 s on two cores. `functions`: what the runtime adds."""
    from dragoman.dbt import stencils
    from dragoman.dbt.host.linker import link
    from dragoman.dbt.isa import riscv
    model = MODELS[kind[:kind.find("-") + 1]]
    if kind.endswith("stencils"):
        return link([], STENCILS_BASE, blobs={"library": stencils.build(riscv, True, model=model)})
    from dragoman.dbt import compiled, decode
    count = kind.endswith("counting")
    native = _in_child(lambda: _native(riscv, count, model))
    library = _in_child(lambda: stencils.build(riscv, False, count, model))
    from dragoman.dbt import numba_ir
    numba_ir.prepare()                                  # meanwhile; the others start with it
    added = [_in_child(lambda: compiled.build(functions()))] if functions else []       # the longest first
    administration = _in_child(lambda: compiled.build(for_administration()))
    translation = compiled.build(for_translation(model.paged))
    blobs = {"forms": stencils.form_words(riscv), "library": library()}
    blobs |= _context_tables() if model.paged else {"decoder": decode.tables()}
    return link([native(), translation, administration(), *(add() for add in added)], blobs=blobs)


def _context_tables() -> dict[str, bytes]:
    """The decoder's tables of each context; "plain": with every sensitive instruction as a trap."""
    from dragoman.dbt import decode
    from dragoman.dbt.isa.riscv.contexts import VALID
    return {f"{'' if inline else 'plain_'}decoder{context}": decode.tables("riscv", context, inline)
            for context in VALID for inline in (True, False)}


def _in_child(work: Callable[[], bytes]) -> Callable[[], bytes]:
    """Start the work in a forked child; the result waits for it. Raises ChildProcessError if the child fails."""
    source, sink = os.pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        status = 1
        try:
            _end_with(parent)
            os.close(source)
            with open(sink, "wb") as pipe:
                pipe.write(work())
            status = 0
        finally:
            os._exit(status)
    os.close(sink)

    def result() -> bytes:
        with open(source, "rb") as pipe:
            data = pipe.read()
        if os.waitpid(child, 0)[1]:
            raise ChildProcessError(errno.ECHILD, "a part of the engine could not be built")
        return data
    return result


def _end_with(parent: int) -> None:
    """Be killed when the parent is: it may be a guest's start that somebody interrupts."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)                                     # it is gone already


def _native(isa, count: bool, model: Model) -> bytes:    # type: ignore[no-untyped-def]
    """Natives, handlers and host stubs as one object."""
    from dragoman.dbt import interpreter, llvm, natives
    from dragoman.dbt.host import x86_64
    from dragoman.dbt.lower import METADATA
    module = llvm.parse("\n".join([x86_64.text(isa.PINNED), natives.text(isa.PINNED, model, count),
                                   interpreter.text(isa.FORMS, isa.PINNED, count, model), METADATA]))
    llvm.optimize(module, llvm.CHEAP)
    return llvm.emit(module)


def for_translation(paged: bool) -> list:       # type: ignore[type-arg]
    """The compiled functions by which guest code becomes host code; natives and Python call them by symbol."""
    from dragoman.dbt import blocks, copier, decode, pages, region_pages
    of_pages = [blocks.renew_budget, region_pages.look_over_entry] if paged else []
    return [*of_pages, blocks.resolve_block, blocks.resolve_linked, blocks.on_poll, blocks.read_clock, copier.translate_unit,
            decode.decode_block, pages.guest_pc_of]


def for_administration() -> list:               # type: ignore[type-arg]
    """And those by which Python looks after the code cache. What both need is compiled twice, at the same time."""
    from dragoman.dbt import adapted, breaks, cache_admin, code_cache, pages, region_pages, region_search, region_table, region_watch, unit_record
    return [code_cache.find_row, code_cache.next_hot, code_cache.count_less, cache_admin.splice_ranges,
            cache_admin.flush, cache_admin.enter_state, cache_admin.leave_state, cache_admin.stop_threads,
            region_search.count_around, region_search.choose_blocks, region_search.find_around, region_watch.watch_region,
            region_table.reserve_region, region_table.publish_region, region_table.drop_regions, region_table.set_suspended,
            region_table.give_up_region,
            region_table.calm_down, region_table.invalidate_code, region_table.verify_code,
            region_pages.verify_page, pages.row_at, pages.row_of_page, pages.place_of_page,
            breaks.set_break_table, adapted.set_adapted,
            unit_record.end_units, unit_record.gather_units, unit_record.index_units, unit_record.choose_units]
