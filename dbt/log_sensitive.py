"""What the log says of sensitive instructions: how each one that is translated for a machine was rewritten, and why."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.dbt import listing
from dragoman.dbt.isa.riscv import contexts, sensitive
from dragoman.dbt.log_text import Block, Instruction

ILLEGAL = "illegal"


def lines(block: Block, level: str) -> Iterator[str]:
    """`sensitive PC CONTEXT: INSTRUCTION ; HOW, NATIVELY: REASON` for each of the block that is one."""
    context = block.page & contexts.CONTEXT_MASK
    for one in block.instructions:
        row = row_of(one, context, level)
        if row is not None:
            where = f"sensitive 0x{one.record.pc:x} {contexts.describe(context)}:"
            yield f"{where} {one.text:<30} ; {how(one, row)}, {row.natively}: {row.reason}"


def row_of(one: Instruction, context: int, level: str) -> sensitive.Sensitive | None:
    """The row of the table, None for an innocuous instruction."""
    if one.record.form == sensitive.BREAKPOINT:          # it has a short encoding, too
        return sensitive.INSTRUCTIONS[sensitive.BREAKPOINT]
    row = sensitive.find(int.from_bytes(one.code, "little")) if len(one.code) == 4 else None
    if row is None and one.record.form == ILLEGAL and context & contexts.FLOAT_OFF:
        with_float = listing.decode(one.code, one.record.pc, (contexts.EVERYTHING, True), level)
        row = sensitive.FLOAT if with_float.form != ILLEGAL else None
    return row


def how(one: Instruction, row: sensitive.Sensitive) -> str:
    """What it was rewritten to in this context; the table says what it can be at best."""
    if one.record.form == ILLEGAL:
        return "an illegal instruction here"
    if one.record.form == "nop":
        return "nothing to do"
    if sensitive.is_inline(one.record.form):
        return sensitive.INLINE
    return sensitive.TRAP if row.rewritten == sensitive.TRAP else f"{sensitive.TRAP} (inline only in part)"
