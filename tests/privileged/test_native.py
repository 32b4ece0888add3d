"""The compiled functions as native code: Numba takes them, and they do what they do as plain Python."""

from __future__ import annotations

import random

import pytest

from dragoman.dbt import compiled
from dragoman.dbt.compiled import clock, wrap
from dragoman.dbt.isa.riscv.system_registers import NAMES
from dragoman.runtime.machine.riscv import csrs, exits, interrupts, pmp, traps
from dragoman.runtime.machine.riscv.csr_table import NUMBERS, address
from tests.privileged.hart import MASK, Hart

WORDS = [*NAMES, "pc", "reservation", "mxcsr"]
VALUES = (0, 1, 2, 8, 0x222, 0xAAA, 0x1F9F_9F1F, 0x8000_0000, 1 << 53, 1 << 63, MASK)
COUNTING = {number for name, number in NUMBERS.items() if name in ("mcycle", "minstret", "cycle", "instret", "time")}


def pair(r: random.Random) -> tuple[Hart, Hart]:
    """Two harts with the same registers."""
    first, second = Hart(), Hart()
    for name in NAMES:
        value = r.choice((*VALUES, r.getrandbits(64)))
        first[name] = second[name] = value if name != "mode" else r.choice((0, 1, 3))
    first["csr_table"] = second["csr_table"] = address()
    first["zero"] = second["zero"] = 0
    first["clock_scale"] = second["clock_scale"] = r.choice((1 << 55, (1 << 64) - 1, 1))
    return first, second


def test_numba_takes_the_hook_and_all_that_it_calls(monkeypatch):
    monkeypatch.undo()                      # with the memory subsystem as it is
    text = compiled.ir([exits.on_exit, exits.go_on, exits.raise_trap])
    assert all(f"@{name}(" in text for name in ("execute_csr", "csr_write", "do_sret", "select_view", "explain_access"))


@pytest.fixture(scope="module")
def native():
    return {function.__name__: compiled.jit(function) for function in (
        traps.take_trap, interrupts.pending_interrupt, interrupts.host_clock_of, pmp.pmp_check, csrs.csr_allowed, csrs.csr_read)}


def test_native_code_does_the_same(native):
    r = random.Random(5)
    for _ in range(150):
        python, machine = pair(r)
        numbers = (r.choice(list(NUMBERS.values())), r.randrange(4096))
        calls = [(csrs.csr_allowed, (number, r.randrange(2))) for number in numbers]
        calls += [(csrs.csr_read, (number,)) for number in numbers[:1] if number not in COUNTING]
        calls += [(pmp.pmp_check, (wrap(r.choice(VALUES)), r.randrange(1, 8), r.choice((0, 1, 3)))), (interrupts.pending_interrupt, ()),
                  (interrupts.host_clock_of, (wrap(r.choice((*VALUES, clock()))),)),
                  (traps.take_trap, (wrap(r.choice((2, 13, 1 << 63 | 5))), r.randrange(1000)))]
        for function, arguments in calls:
            assert function(python.address, *arguments) == native[function.__name__](machine.address, *arguments), function
            assert [python[word] for word in WORDS] == [machine[word] for word in WORDS]
