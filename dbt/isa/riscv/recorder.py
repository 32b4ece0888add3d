"""The Recorder as RISC-V's manual speaks: x and f registers, NaN-boxed single precision, canonical NaN."""

from __future__ import annotations

from collections.abc import Callable

from dragoman.dbt.recipe import Recorder, Value

CANONICAL_NAN = {32: 0x7FC0_0000, 64: 0x7FF8_0000_0000_0000}
BOX = 0xFFFF_FFFF_0000_0000


class RiscvRecorder(Recorder):
    """Registers are named by operand field: rd, rs1, rs2, rs3. Writes to x0 go to the sink by the record's rd."""

    def x(self, field: str) -> Value:
        return self.get("x", field)

    def set(self, field: str, value: Value | int) -> None:
        self.put("x", field, value)

    def address(self) -> Value:
        """Of loads, stores and jalr: rs1 + imm."""
        return self.x("rs1") + self.imm()

    def f(self, field: str, bits: int = 64) -> Value:
        """An f register as a float of 32 or 64 bits; a single not NaN-boxed is the canonical NaN (D, NaN Boxing)."""
        value = self.get("f", field)
        if bits == 64:
            return value
        boxed = value.lshr(32).eq(0xFFFF_FFFF)
        return self.select(boxed, value.low(32), CANONICAL_NAN[32])

    def set_f(self, field: str, value: Value) -> None:
        """A float of 32 (boxed here) or 64 bits into an f register."""
        self.put("f", field, value if value.bits == 64 else value.widen(64) | BOX)

    def result(self, value: Value) -> None:
        """A computed float to rd: any NaN becomes the canonical one (F, NaN Generation and Propagation)."""
        self.set_f("rd", self.canonical(value, CANONICAL_NAN[value.bits]))


Semantics = Callable[[RiscvRecorder], None]
