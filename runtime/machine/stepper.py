"""One instruction at a time: what a virtual CPU executes for a debugger, by the oracle instead of native code."""

from __future__ import annotations

import ctypes
import threading

from dragoman.dbt import emulate, listing
from dragoman.dbt.decode import Decoder
from dragoman.dbt.state import EXITS, PAGE_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.runtime.machine.vcpu import Vcpu


ACCESSES = frozenset({"load", "store", "atomic", "cas"})
ATOMIC = threading.Lock()           # held in accesses, so that those of several virtual CPUs to a watched page are one after the other


class Stepper:
    """Of one virtual CPU; used by its thread. It decodes as native code does, by context, with no sensitive instruction inline."""

    def __init__(self, vcpu: Vcpu) -> None:
        self.vcpu = vcpu
        self._decoders: dict[int, Decoder] = {}         # by context

    def step(self) -> None:
        """The instruction at pc, or the trap that it takes. A wait for an interrupt is over at once, as it may be."""
        vcpu = self.vcpu
        code = self._fetch(vcpu.cpu.pc)
        if code is None:
            vcpu.cpu.exit_reason, vcpu.cpu.exit_data = EXITS["fetch"], vcpu.cpu.pc
            vcpu.call_hook()
            return
        context = vcpu.register("code_page") & PAGE_SIZE - 1
        record = listing.decode(code, vcpu.cpu.pc, own=self._decoder(context))
        vcpu.kick()
        if any(op.name in ACCESSES for op in emulate.meaning(record)[0].recipe.ops):
            with ATOMIC:
                vcpu.step(record)
        else:
            vcpu.step(record)

    def _fetch(self, pc: int) -> bytes | None:
        """The bytes of the instruction; None if it cannot be fetched."""
        low = self._parcel(pc)
        if low is None or low[0] & 3 != 3:
            return low
        high = self._parcel(pc + 2)
        return None if high is None else low + high

    def _parcel(self, address: int) -> bytes | None:
        host = self.vcpu.native.fetch_code(self.vcpu.cpu.address, address)
        return ctypes.string_at(host, 2) if host else None

    def _decoder(self, context: int) -> Decoder:
        if context not in self._decoders:
            machine = self.vcpu.machine
            self._decoders[context] = Decoder(machine.engine.image.blob(f"plain_decoder{context}"), machine.options.cpu)
        return self._decoders[context]


