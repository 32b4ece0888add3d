"""The compiler process's queue: bounded, hottest first, each request once however many ask."""

from __future__ import annotations

JOBS, BYTES = 4096, 64 << 20
FIRST = 1 << 64                         # heat of what goes before all regions


class Job:
    """`waiting`: peers to be told; `pack`: name of the pack for the region, None: none."""
    __slots__ = ("heat", "key", "kind", "pack", "payload", "waiting")

    def __init__(self, kind: int, key: bytes, payload: bytes, heat: int):
        self.kind, self.key, self.payload, self.heat = kind, key, payload, heat
        self.pack: bytes | None = None
        self.waiting: list = []

    def wanted(self) -> bool:
        """Whether its result is of use to anybody."""
        return any(peer.open for peer in self.waiting) or self.pack is not None or self.heat >= FIRST


class Queue:
    def __init__(self, jobs: int = JOBS, size: int = BYTES):
        self._limits = jobs, size
        self._jobs: dict[bytes, Job] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, key: bytes) -> Job | None:
        return self._jobs.get(key)

    def add(self, job: Job) -> list[Job]:
        """A job that is not in it yet; the coldest ones, which had to go for it (it may be among them)."""
        self._jobs[job.key] = job
        self._size += len(job.payload)
        dropped = []
        while len(self._jobs) > self._limits[0] or self._size > self._limits[1]:
            dropped.append(self._remove(min(self._jobs.values(), key=lambda one: one.heat)))
        return dropped

    def take(self) -> Job | None:
        """The hottest, out of the queue."""
        while self._jobs:
            job = self._remove(max(self._jobs.values(), key=lambda one: one.heat))
            if job.wanted():
                return job
        return None

    def _remove(self, job: Job) -> Job:
        del self._jobs[job.key]
        self._size -= len(job.payload)
        return job
