"""The translator for machines: blocks of physical pages, decoders by context, CPUs whose memory is seen through views."""

from __future__ import annotations

import ctypes

from dragoman.dbt.cpu import Cpu
from dragoman.dbt.decode import Decoder
from dragoman.dbt.engine import Engine, EngineCpu
from dragoman.dbt.images import Images
from dragoman.dbt.region_request import PAGED, STRICT
from dragoman.dbt.state import DECLINE_SITES, OFFSET, VIEW_JUMP_BITS
from dragoman.dbt.store import Store, digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dragoman.dbt.cpu import Cpu
    from dragoman.dbt.region_places import Pages

MOST_ADAPTED = 4096


class PagedCpu(EngineCpu):
    """A virtual CPU. The memory subsystem gives it its views (word user3) and chooses one before it runs."""

    def _make_tables(self) -> None:
        """The memory subsystem makes the most of them: jump caches are parts of views."""
        self._declines = (ctypes.c_uint64 * (2 * DECLINE_SITES))()
        self.words[OFFSET["declines"] // 8] = ctypes.addressof(self._declines)

    def empty_jumps(self) -> None:
        """`flush` looks after all views."""


class PagedEngine(Engine):
    """One a machine. `functions` gives the runtime's compiled functions; they become symbols of the image, tlb_fill,
    fetch_code and the hook `on_exit` among them."""

    make_cpu = PagedCpu
    paged = True

    def __init__(self, options, functions: Callable[[], Sequence[Callable]], folders: Sequence[str],    # type: ignore
                 inline: bool = True, strict: bool = False) -> None:
        """folders: where the sources of the functions are. inline: sensitive instructions may be rewritten into code. strict:
        misaligned accesses leave with "misaligned"."""
        self.inline, self.model = inline, STRICT if strict else PAGED
        self.adapted: set[int] = set()                  # guest addresses of sites that are plain traps
        self._kept: list[object] = []                   # memory that native code reads
        store = Store.open(options.cold)
        super().__init__(options, 0, Images(store.path, "strict-" if strict else "paged-", functions, f"-{digest(folders)}", store), store)
        symbols = self.image.symbols
        for name, value in {"tlb_fill": symbols["tlb_fill"], "fetch": symbols["fetch_code"], "code_base": 0,
                            "jump_mask": (1 << VIEW_JUMP_BITS) - 1, "decoders": self._table_of(self.decoders),
                            "plain_decoders": self._table_of(self.plain_decoders)}.items():
            self.set_control(name, value)

    def adapt(self, pc: int) -> None:
        """The sensitive instruction at this guest address is a plain trap from now on. There is room for MOST_ADAPTED."""
        with self._promotes:
            if pc in self.adapted or len(self.adapted) >= MOST_ADAPTED:
                return
            self.adapted.add(pc)
            table = sorted(address - (address >> 63 << 64) for address in self.adapted)
            words = (ctypes.c_int64 * len(table))(*table)
            self.locked("set_adapted", ctypes.addressof(words), len(table))
            self._kept[2:] = [words]
            self.locked("invalidate_code", pc, pc + 1)

    def first_decoder(self) -> Decoder:
        self.plain_decoders = self._decoders_of("plain_decoder")
        self.decoders = self._decoders_of("decoder") if self.inline else self.plain_decoders
        return self.decoders[min(self.decoders)]

    def _decoders_of(self, prefix: str) -> dict[int, Decoder]:
        """By context."""
        return {int(name.removeprefix(prefix)): Decoder(self.image.blob(name), self.options.cpu)
                for name in self.image.blobs if name.startswith(prefix)}

    def _table_of(self, decoders: dict[int, Decoder]) -> int:
        """Address of a table of their control blocks by context."""
        size = max(decoders) + 1
        table = (ctypes.c_uint64 * size)(*(decoders[n].address if n in decoders else 0 for n in range(size)))
        self._kept.append(table)
        return ctypes.addressof(table)

    def place(self, cpu: Cpu, row: int) -> Pages | None:
        from dragoman.dbt.region_places import Pages
        return Pages.of(self, cpu, row)

    def cpu(self) -> PagedCpu:
        """The state of a new virtual CPU."""
        cpu = super().cpu()
        cpu.hook = self.image.symbols["on_exit"]
        return cpu                                          # type: ignore[return-value]

    def statistics(self) -> dict[str, int | float]:
        return super().statistics() | {"adapted": len(self.adapted)}

    def row_of(self, cpu: Cpu, pc: int) -> int:
        return self.locked("row_at", cpu.address, ctypes.c_int64(pc).value)

    def close(self) -> None:
        """Give all memory back, for who makes several machines one after the other; no CPU of it runs again."""
        if self._tiering is not None:
            self._tiering.close()
        self.arena.close()
        self.tables.close()
        for decoder in {*self.decoders.values(), *self.plain_decoders.values()}:
            decoder.close()
        for image in (self.image, self.images.stencils()):
            if image is not None:
                image.unmap()
