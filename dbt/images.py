"""Finds the engine's images: in the store, or built on the spot the first time ever (2 s for processes, 7 s for machines).

The full stencil library takes longer than a first start may: until the compiler process has made it, the small one that
comes with the engine serves.
"""

from __future__ import annotations

import os

from dragoman.dbt import image
from dragoman.dbt.files import remove
from dragoman.dbt.image import ImageError, Mapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dragoman.dbt.store import Store


class Images:
    """`path(kind)` gives the file of an image in the store, or None where nothing can be kept."""

    def __init__(self, path, prefix: str = "", functions=None, version: str = "",       # type: ignore[no-untyped-def]
                 store: Store | None = None) -> None:
        """prefix: of the names of images ("paged-"); `functions` gives the runtime's compiled functions, `version` names them;
        `store`: the one whose path() that is."""
        self.path, self.prefix, self.functions, self.version = path, prefix, functions, version
        self._engine, self._problem = (store.version, store.problem) if store is not None else ("", "")
        self.library = f"{prefix}stencils"              # its kind
        self._stencils: Mapped | None = None

    def engine(self, counting: bool) -> Mapped:
        kind = self.prefix + ("counting" if counting else "engine")
        return self._load(kind + self.version) or self._build(kind)

    def stencils(self) -> Mapped | None:
        """The full stencil library if it has been made."""
        if self._stencils is None:
            self._stencils = self._load(self.library)
        return self._stencils

    def _load(self, kind: str) -> Mapped | None:
        path = self.path(kind)
        if path is None:
            return None
        try:
            return image.load(path, self._engine)
        except ImageError:
            remove(path)                                # the compiler process takes what is there for made
        except OSError:
            pass                                        # not there, as a rule
        return None

    def _build(self, kind: str) -> Mapped:
        from dragoman.dbt import engine_image
        if os.isatty(2):                                # somebody may be waiting there
            _say(f"the translator compiles its own code for this host ({kind}), once: some seconds")
        built, path, problem = engine_image.build(kind, self.functions), self.path(kind + self.version), self._problem
        if path is not None:
            try:
                built.save(path, self._engine)
                return image.load(path, self._engine)
            except (ImageError, OSError) as error:
                problem = f"{path}: {error}"
        if problem:                                     # each start takes some seconds until that is otherwise
            _say(f"the translator's own code cannot be kept and was compiled for this run alone: {problem}")
        return built.map()


def _say(text: str) -> None:
    os.write(2, f"dragoman: {text}\n".encode(errors="surrogateescape"))
