"""What a machine tells of itself (`--stats`, the console's menu): exits by reason, traps, translation, memory, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dragoman.dbt.state import EXIT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dragoman.runtime.machine.machine import Machine

MEMORY_ROWS = {
    "second": "filled from the second level", "walks": "guest page tables walked", "refused": "accesses refused",
    "switches": "views chosen", "recycled": "views emptied for others", "traced": "page tables traced", "synced": "page tables compared",
    "dropped": "entries dropped", "fences": "fences of all addresses", "fence_pages": "fences of a page", "resets": "all forgotten",
}
ENGINE_ROWS = {
    "stat_blocks": "blocks translated", "stat_instructions": "instructions in them", "code_bytes": "bytes of host code", "flushes": "times emptied",
    "adapted": "sensitive sites retranslated as traps", "regions": "regions in use", "regions_dropped": "regions dropped",
}

PAGE_ROWS = ("in the host's memory", "of these shared with a snapshot or clones, until they are written", "of these its own")


def table(title: str, rows: Iterable[tuple[str, int]]) -> list[str]:
    """A heading and the rows that are not 0."""
    lines = [f"{count:>14,}  {name}" for name, count in rows if count]
    return [title, *lines] if lines else []


def report(machine: Machine) -> str:
    """All of it, as lines."""
    lines: list[str] = []
    for hart in machine.harts:
        lines += [f"hart {hart.hart_id}"]
        for _, title, rows in machine.architecture.exit_rows(hart):
            lines += ["  " + line for line in table(title, rows)]
        python = sorted(((EXIT_NAMES[reason], count) for reason, count in hart.exits.items()), key=lambda row: -row[1])
        lines += ["  " + line for line in table("exits to Python", python)]
        turns = (("waited for a host CPU", hart.turn.waits), ("lost it to another machine or hart", hart.turn.losses))
        lines += ["  " + line for line in table("turns", turns)]
        mmu = machine.translation.mmus[hart.hart_id]
        lines += ["  " + line for line in table("memory", ((text, mmu.word(f"stat_{name}")) for name, text in MEMORY_ROWS.items()))]
    if machine.options.count:
        lines += table("", [("instructions executed", sum(hart.cpu.instructions for hart in machine.harts))])[1:]
    pages = machine.memory.pages()
    if pages is not None:
        lines += table("RAM, in pages of 4 KiB", zip(PAGE_ROWS, pages))
    engine = machine.engine.statistics()
    lines += table("translation", ((text, int(engine.get(name, 0))) for name, text in ENGINE_ROWS.items()))
    lines.append(f"{engine['translate_seconds']:14.3f}  seconds in translating")
    return "\n".join(lines) + "\n"
