"""Resource limits: those that would hurt the host process are kept for the guest here, the others are the kernel's."""

from __future__ import annotations

from dragoman.runtime.process.linux.descriptors import PAIR, RLIMIT_NOFILE
from dragoman.runtime.process.linux.host import NR, address_of, call
from dragoman.runtime.process.native.layout import P_LIMITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.runtime.process.native.layout import Block

RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_AS, COUNT = 1, 2, 3, 4, 9, 16
INFINITY = (1 << 64) - 1
EPERM, EINVAL = 1, 22
# DATA and AS: Python's memory and the reserved window would count. STACK: the host's own threads would get it.
# CORE: the host writes no core file of its own.
# NOFILE: only its hard part, so that the runtime can open descriptors of its own where the guest has come to its limit.
VIRTUAL = (RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_AS, RLIMIT_NOFILE)


def host_limit(resource: int) -> tuple[int, int]:
    """Soft and hard limit of this process on the host."""
    pair = bytes(PAIR.size)
    call(NR["prlimit64"], 0, resource, 0, address_of(pair))
    return PAIR.unpack(pair)


class Limits:
    """The guest's limits, as (soft, hard)."""

    def __init__(self) -> None:
        self.virtual: dict[int, tuple[int, int]] = {}
        self._block: Block | None = None
        self.core_changed: Callable[[], None] | None = None     # told when RLIMIT_CORE is another one

    def tell(self, block: Block) -> None:
        """Into a process's block, from now on: which of them are no more what the host has."""
        self._block = block
        for resource in self.virtual:
            block[P_LIMITED] |= 1 << resource

    def keep(self, resource: int, soft: int, hard: int) -> None:
        """One of VIRTUAL is this from now on."""
        self.virtual[resource] = soft, hard
        if self._block is not None:
            self._block[P_LIMITED] |= 1 << resource

    def get(self, resource: int) -> tuple[int, int]:
        return self.virtual.get(resource) or host_limit(resource)

    def set(self, resource: int, soft: int, hard: int) -> int:
        """Change one of VIRTUAL; 0 or -errno."""
        old_hard = self.get(resource)[1]
        if soft > hard:
            return -EINVAL
        if hard > old_hard and call(NR["geteuid"]):
            return -EPERM
        if resource == RLIMIT_NOFILE:
            pair = PAIR.pack(soft, max(hard, host_limit(resource)[1]))
            result = call(NR["prlimit64"], 0, resource, address_of(pair), 0)
            if result < 0:
                return result
        self.keep(resource, soft, hard)
        if resource == RLIMIT_CORE and self.core_changed is not None:
            self.core_changed()
        return 0
