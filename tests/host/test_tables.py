"""Tables of the code cache: which of them come in pieces of 2 MiB (madvise(2), smaps in proc(5))."""

import ctypes
from pathlib import Path

import pytest

from dragoman.dbt.arena import Tables

HUGE = 1 << 21


def advised() -> list[range]:
    """Mappings of this process that are to have huge pages: flag hg."""
    found = []
    at = range(0)
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            at = range(*(int(part, 16) for part in first.split("-")))
        elif first == "VmFlags:" and "hg" in rest:
            found.append(at)
    return found


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="a kernel without huge pages")
def test_what_is_looked_up_anywhere_has_huge_pages_but_for_its_beginning():
    before = advised()
    tables = Tables({"small": 100, "large": 5 * HUGE, "plain": 5 * HUGE}, scattered=("small", "large"))
    try:
        new = [each for each in advised() if each not in before]
        start = tables.addresses["large"]
        assert len(new) == 1 and new[0].start == start + HUGE - 1 & -HUGE and new[0].stop == start + 5 * HUGE & -HUGE
        for name, size in (("small", 100), ("large", 5 * HUGE), ("plain", 5 * HUGE)):
            for at in (0, size // 2, size - 1):
                assert ctypes.string_at(tables.addresses[name] + at, 1) == b"\0"
    finally:
        tables.close()
