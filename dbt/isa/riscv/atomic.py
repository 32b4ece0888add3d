"""The A extension: load-reserved, store-conditional and atomic memory operations, all sequentially consistent.

A misaligned address traps. A reservation is an address and the value seen there: sc succeeds if memory still holds
the value, as in other translators, so it also succeeds after a change and a change back (the manual: it fails).
"""

from __future__ import annotations

from dragoman.dbt.isa.riscv.recorder import RiscvRecorder, Semantics
from dragoman.dbt.recipe import Value

NO_RESERVATION = -1


def aligned(i: RiscvRecorder, size: int) -> Value:
    address = i.x("rs1")
    i.trap_if((address & size - 1).ne(0), "misaligned", address)
    return address


def load_reserved(size: int) -> Semantics:
    def lr(i: RiscvRecorder) -> None:
        address = aligned(i, size)
        i.fence()      # lr.rl may not overtake an earlier store; the record does not say whether rl was set
        value = i.load(address, size, signed=True)
        i.set_field("reservation", address)
        i.set_field("reserved_value", value)
        i.set("rd", value)
    return lr


def store_conditional(size: int) -> Semantics:
    def sc(i: RiscvRecorder) -> None:
        address = aligned(i, size)
        reserved = i.field("reservation").eq(address)
        done = i.compare_and_swap(address, size, i.field("reserved_value"), i.x("rs2"), reserved)
        i.set_field("reservation", NO_RESERVATION)
        i.set("rd", (~done).widen(64))
    return sc


def amo(operation: str, size: int) -> Semantics:
    return lambda i: i.set("rd", i.atomic(operation, aligned(i, size), size, i.x("rs2")))


SIZES = {"w": 4, "d": 8}
OPERATIONS = {"swap": "swap", "add": "add", "xor": "xor", "and": "and", "or": "or",
              "min": "min", "max": "max", "minu": "umin", "maxu": "umax"}

FAMILY: dict[str, Semantics] = {
    **{f"lr.{w}": load_reserved(size) for w, size in SIZES.items()},
    **{f"sc.{w}": store_conditional(size) for w, size in SIZES.items()},
    **{f"amo{name}.{w}": amo(operation, size) for name, operation in OPERATIONS.items() for w, size in SIZES.items()},
}
