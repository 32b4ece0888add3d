"""What becomes of hot code: `--engine region` compiles it on the spot, in this process."""

from __future__ import annotations

import _thread

from dragoman.dbt.region_image import RegionImage
from dragoman.dbt.region_install import Regions


class Tiering:
    """Promotion of an engine's hot blocks to regions."""

    def __init__(self, engine) -> None:                 # type: ignore[no-untyped-def]
        self.engine, self.regions = engine, Regions(engine)
        self._gate = _thread.allocate_lock()
        self._grower = None

    def on_hot(self, cpu) -> None:                      # type: ignore[no-untyped-def]
        """The interpreter has met the block at cpu.pc often enough."""
        with self._gate:
            self.engine.locked("calm_down", cpu.pc)
            if self.engine.options.count:
                return                                  # regions do not count
            from dragoman.dbt import region_growth, regions
            from dragoman.dbt.isa import riscv
            isa = regions.Isa(riscv.FORMS, riscv.PINNED)
            if self._grower is None:
                self._grower = region_growth.Grower(self.engine, isa)  # type: ignore
            request = self._grower.grow(cpu, cpu.pc, bool(self.engine.precise), len(self.engine.cpus) > 1)  # type: ignore
            if request is not None:  # type: ignore
                image = RegionImage.parse(regions.compile_region(request, isa, self._grower.decode))  # type: ignore
                self.regions.install(image, [(pc, len(code)) for pc, code in request.blocks])  # type: ignore
