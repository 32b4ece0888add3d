"""The platform-level interrupt controller: from the lines of devices to the external interrupts of harts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dragoman.runtime.machine.device import WordDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCES = 96                 # 1 to 96; 0 means "no interrupt"
PRIORITY_BITS = 7            # priorities and thresholds 0 to 7, WARL
PRIORITY, PENDING = 0x0, 0x1000
ENABLE, ENABLE_STRIDE = 0x2000, 0x80
CONTEXT, CONTEXT_STRIDE = 0x20_0000, 0x1000
THRESHOLD, CLAIM = 0, 4      # in a context's page
WORDS = SOURCES // 32 + 1
LOW = (1 << 32) - 1


class Source:
    """The line of one interrupt source."""

    def __init__(self, plic: Plic, number: int):
        self.plic, self.number = plic, number

    def set(self, level: bool) -> None:
        self.plic.set_level(self.number, level)


class Plic(WordDevice):
    """SiFive's PLIC as Linux's irq-sifive-plic and QEMU's `virt` know it (RISC-V PLIC specification 1.0.0).

    A context is a hart in a privilege mode; `targets[n](level)` drives its external interrupt. Gateways are for level-triggered lines
    (section 1.2.3): a high line makes a request, which stays pending until it is claimed, even if the line falls; after completion a line
    that is still high makes the next one.
    """

    size = 0x60_0000

    def __init__(self) -> None:
        self.targets: Sequence[Callable[[bool], object]] = ()
        self.priority = [0] * (SOURCES + 1)
        self.levels = self.pending = self.claimed = 0     # a bit for each source
        self.enable: list[int] = []          # the same, for each context
        self.threshold: list[int] = []
        self.asserted: list[bool] = []       # what each target was told last

    def connect(self, targets: Sequence[Callable[[bool], object]]) -> None:
        """Give the external interrupts that it drives, one for each context: in the order of the device tree."""
        self.targets = targets
        self.enable, self.threshold, self.asserted = [0] * len(targets), [0] * len(targets), [False] * len(targets)
        self._update()

    def line(self, number: int) -> Source:
        """The line of a source, 1 to 96."""
        if not 1 <= number <= SOURCES:
            raise ValueError(f"interrupt source {number}: 1 to {SOURCES} are there")
        return Source(self, number)

    def set_level(self, source: int, level: bool) -> None:
        """The line of a source is high or low now."""
        bit = 1 << source
        if not level:
            self.levels &= ~bit
        elif not self.levels & bit:
            self.levels |= bit
            self._request(bit)

    def _request(self, bit: int) -> None:
        """What a source's gateway does: one request at a time, while the line is high."""
        if bit & self.levels & ~self.claimed & ~self.pending:
            self.pending |= bit
            self._update()

    def _best(self, context: int) -> int:
        """The enabled pending source of the highest priority, of equal ones the lowest; 0: none. Priority 0 never interrupts."""
        best = highest = 0
        candidates = self.pending & self.enable[context]
        while candidates:
            source = (candidates & -candidates).bit_length() - 1
            candidates &= candidates - 1
            if self.priority[source] > highest:
                best, highest = source, self.priority[source]
        return best

    def _update(self) -> None:
        """Tell the targets whose level changes."""
        for context, target in enumerate(self.targets):
            level = self.priority[self._best(context)] > self.threshold[context]
            if level != self.asserted[context]:
                self.asserted[context] = level
                target(level)

    def _claim(self, context: int) -> int:
        """The source that the context shall serve now. The threshold does not matter here (section 7)."""
        source = self._best(context)
        if source:
            self.claimed |= 1 << source
            self.pending &= ~(1 << source)
            self._update()
        return source

    def _complete(self, source: int) -> None:
        """A claimed source was served.

        Section 8 ignores this unless the source is enabled for the context; QEMU does not, and kernels that move an interrupt to another
        hart while its handler runs (Linux before 6.16) would never see it again.
        """
        if source <= SOURCES:
            self.claimed &= ~(1 << source)
            self._request(1 << source)

    def read_word(self, offset: int) -> int:
        if offset >= CONTEXT:
            context, register = divmod(offset - CONTEXT, CONTEXT_STRIDE)
            if context >= len(self.targets):
                return 0
            return self.threshold[context] if register == THRESHOLD else self._claim(context) if register == CLAIM else 0
        if offset >= ENABLE:
            context, word = divmod(offset - ENABLE, ENABLE_STRIDE)
            return self.enable[context] >> 8 * word & LOW if context < len(self.targets) else 0
        if offset >= PENDING:
            return self.pending >> 8 * (offset - PENDING) & LOW
        return self.priority[offset // 4] if offset // 4 <= SOURCES else 0

    def write_word(self, offset: int, value: int) -> None:
        if offset >= CONTEXT:
            context, register = divmod(offset - CONTEXT, CONTEXT_STRIDE)
            if context >= len(self.targets):
                return
            if register == CLAIM:
                self._complete(value)
            elif register == THRESHOLD:
                self.threshold[context] = value & PRIORITY_BITS
        elif offset >= ENABLE:
            context, word = divmod(offset - ENABLE, ENABLE_STRIDE)
            if context < len(self.targets) and word < 4 * WORDS:
                kept = self.enable[context] & ~(LOW << 8 * word)
                self.enable[context] = (kept | value << 8 * word) & (2 << SOURCES) - 2   # no source 0, none beyond the last
        elif 1 <= offset // 4 <= SOURCES:
            self.priority[offset // 4] = value & PRIORITY_BITS
        self._update()

    # --- snapshots

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_NUMBERS, *_LISTS)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a saved state, and tell the targets. Raises ValueError where it is that of a board with other contexts."""
        for name in _LISTS:
            if len(state[name]) != len(getattr(self, name)):
                raise ValueError(f"PLIC: {len(state[name])} of {name}, {len(getattr(self, name))} here")
            setattr(self, name, list(state[name]))
        for name in _NUMBERS:
            setattr(self, name, state[name])
        for context, target in enumerate(self.targets):
            self.asserted[context] = False
            target(False)
        self._update()


_NUMBERS = ("levels", "pending", "claimed")
_LISTS = ("priority", "enable", "threshold")
