"""What a guest process's native code does at an exit without coming back to Python: signals, the mask, mappings.

`layout.py` has the words that Python and this code share. All else is compiled into the engine's image (`dbt/compiled.py`)
and imported only when that is built. What is rare is left to Python: these functions decline, having changed nothing.
"""

from __future__ import annotations

import os

from dragoman.dbt import engine
from dragoman.dbt.store import digest
from dragoman.runtime.memory.mappings import OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dragoman.dbt.engine import Engine
    from dragoman.runtime.options import RunOptions

_HERE = os.path.dirname(os.path.abspath(__file__))
# Whose sources the functions are made of.
FOLDERS = (_HERE, os.path.join(os.path.dirname(os.path.dirname(_HERE)), "memory"))


def functions() -> Sequence[Callable[..., int | None]]:
    """For the image."""
    from dragoman.runtime.memory import areas
    from dragoman.runtime.process.native import serve
    return [serve.serve_exit, areas.take_table, *(getattr(areas, name) for name in OPERATIONS)]


def version() -> str:
    """What names of images end with."""
    return f"-{digest(FOLDERS)}"


def make_engine(options: RunOptions, base: int, kind: type[Engine] = engine.Engine) -> Engine:
    """For a guest process whose memory begins at `base`. Raises OSError or MemoryError where the host lacks something."""
    return engine.make(options, base, kind, functions, version())
