"""The translator for machines: blocks of physical pages, decoders by context, CPUs whose memory is seen through views."""

from __future__ import annotations

import ctypes

from dragoman.dbt.cpu import Cpu
from dragoman.dbt.decode import Decoder
from dragoman.dbt.engine import Engine, EngineCpu
from dragoman.dbt.images import Images
from dragoman.dbt.region_request import PAGED, STRICT
from dragoman.dbt.state import VIEW_JUMP_BITS
from dragoman.dbt.store import Store, digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dragoman.dbt.cpu import Cpu
    from dragoman.dbt.region_places import Pages


class PagedCpu(EngineCpu):
    """A virtual CPU. The memory subsystem gives it its views (word user3) and chooses one before it runs."""

    def _make_tables(self) -> None:
        """The memory subsystem does that: jump caches are parts of views."""


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
        store = Store.open(options.cold)
        super().__init__(options, 0, Images(store.path, "strict-" if strict else "paged-", functions, f"-{digest(folders)}"), store)
        symbols = self.image.symbols
        for name, value in {"tlb_fill": symbols["tlb_fill"], "fetch": symbols["fetch_code"], "code_base": 0,
                            "jump_mask": (1 << VIEW_JUMP_BITS) - 1, "decoders": ctypes.addressof(self._decoders)}.items():
            self.set_control(name, value)

    def first_decoder(self) -> Decoder:
        prefix = "decoder" if self.inline else "plain_decoder"
        found = {int(name.removeprefix(prefix)): Decoder(self.image.blob(name))
                 for name in self.image.blobs if name.startswith(prefix)}
        self.decoders = found
        self._decoders = (ctypes.c_uint64 * (max(found) + 1))(*(found[n].address if n in found else 0 for n in range(max(found) + 1)))
        return found[min(found)]

    def place(self, cpu: Cpu, row: int) -> Pages | None:
        from dragoman.dbt.region_places import Pages
        return Pages.of(self, cpu, row)

    def cpu(self) -> PagedCpu:
        """The state of a new virtual CPU."""
        cpu = super().cpu()
        cpu.hook = self.image.symbols["on_exit"]
        return cpu                                          # type: ignore[return-value]

    def row_of(self, cpu: Cpu, pc: int) -> int:
        return self.locked("row_at", cpu.address, ctypes.c_int64(pc).value)

    def close(self) -> None:
        """Give all memory back, for who makes several machines one after the other; no CPU of it runs again."""
        self.arena.close()
        self.tables.close()
        for decoder in self.decoders.values():
            decoder.close()
        for image in (self.image, self.images.stencils()):
            if image is not None:
                image.unmap()
