"""The memory subsystem as these tests need it: it notes what it is asked."""

from __future__ import annotations

import pytest

from dragoman.runtime.machine.riscv import context, csrs, sensitive


class Memory:
    """Views selected and translations flushed, in order."""

    def __init__(self) -> None:
        self.selected: list[int] = []
        self.flushed: list[tuple[int, int]] = []
        self.forgotten = 0

    def select_view(self, state: int, key: int) -> None:
        self.selected.append(key)

    def flush_tlb(self, state: int, address: int, asid: int) -> None:
        self.flushed.append((address, asid))

    def forget_translations(self, state: int) -> None:
        self.forgotten += 1


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    noted = Memory()
    monkeypatch.setattr(context, "select_view", noted.select_view)
    monkeypatch.setattr(sensitive, "flush_tlb", noted.flush_tlb)
    monkeypatch.setattr(csrs, "forget_translations", noted.forget_translations)
    return noted
