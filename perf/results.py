"""What was measured, and what follows from it: medians, spreads, ratios, geometric means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = "dragoman perf 1"      # of what as_json gives; another number where an older reader would be misled


@dataclass
class Series:
    """The runs of one contender on one workload: seconds and bytes, one entry a round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    failure: str = ""
    statistics: dict = field(default_factory=dict)
    """What --stats-json told of a run beside the rounds."""

    @property
    def median(self) -> float:
        return statistics.median(self.wall) if self.wall else math.nan

    @property
    def spread(self) -> float:
        """Half the range, as a part of the median."""
        return (max(self.wall) - min(self.wall)) / 2 / self.median if len(self.wall) > 1 and self.median else math.nan

    @property
    def low(self) -> float:
        return min(self.wall, default=math.nan)

    @property
    def high(self) -> float:
        return max(self.wall, default=math.nan)

    @property
    def cpu_median(self) -> float:
        return statistics.median(self.cpu) if self.cpu else math.nan

    @property
    def peak(self) -> int:
        return max(self.memory, default=0)

    def part(self, name: str) -> float:
        """Seconds that the engine itself measured: start, translate, compile or calls; 0 where it says nothing."""
        return float(self.statistics.get("seconds", {}).get(name, 0))

    @property
    def steady(self) -> float:
        """The median without the start of Dragoman, without translation and compilation."""
        return max(self.median - self.part("start") - self.part("translate") - self.part("compile"), 1e-6)


@dataclass
class Result:
    """One workload under all contenders."""

    name: str
    suite: str
    description: str
    command: list[str]
    instructions: int = 0
    series: dict[str, Series] = field(default_factory=dict)
    bytes: int = 0
    """That were moved, of a workload that measures how fast that is."""

    def seconds(self, contender: str, steady: bool = False) -> float:
        series = self.series.get(contender)
        if series is None or series.failure or not series.wall:
            return math.nan
        return series.steady if steady else series.median

    def cpu(self, contender: str) -> float:
        """Seconds of CPU time."""
        return self.series[contender].cpu_median if contender in self.series else math.nan

    def speed(self, contender: str, base: str, steady: bool = False) -> float:
        """How many times as fast as `base`; NaN where one of the two is missing."""
        return self.seconds(base) / self.seconds(contender, steady)

    def rate(self, contender: str) -> float:
        """Guest instructions per second."""
        return self.instructions / self.seconds(contender) if self.instructions else math.nan


@dataclass
class Report:
    """A whole measurement."""

    made: str
    host: dict[str, str]
    contenders: dict[str, str]
    """Name -> label, in the order of columns."""
    rounds: int
    quick: bool
    results: list[Result] = field(default_factory=list)
    machines: list[Result] = field(default_factory=list)
    """One for each machine that ran the programs of a suite of machines: what it told of itself as a whole, no times of programs."""
    curves: list[dict] = field(default_factory=list)
    """Rows of the suite warmup: `points` of each contender, (seconds since the start, guest instructions until then); `regions`,
    seconds since the start when each came to use."""
    translation: list[dict] = field(default_factory=list)
    """Rows of the suite translate; in `rounds`, here and below, all numbers that a row has the medians of."""
    memory: list[dict] = field(default_factory=list)
    """Rows of the suite memory: in a second, under each scheme."""
    fills: list[dict] = field(default_factory=list)
    """And what one fill of a machine's TLB takes, in nanoseconds."""
    states: list[dict] = field(default_factory=list)
    """Rows of machine:snapshot: `text` says what `numbers` of each contender, one a round, are."""
    failed: list[str] = field(default_factory=list)
    """What went wrong outside of results."""
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def base(self) -> str:
        """The contender that speeds are told by: QEMU if it was measured, else the host, else the interpreter."""
        for name in ("qemu", "native", "interpreter"):
            if any(not math.isnan(result.seconds(name)) for result in self.results):
                return name
        return next(iter(self.shown()), "interpreter")

    def shown(self) -> list[str]:
        """The contenders of whom there is anything."""
        return [name for name in self.contenders if any(name in result.series for result in self.results)]

    def failures(self) -> list[str]:
        return [f"{result.name}: {self.contenders[name]}: {series.failure}"
                for result in self.results for name, series in result.series.items() if series.failure] + self.failed

    def suites(self) -> list[str]:
        return list(dict.fromkeys(result.suite for result in self.results))

    def mean(self, value: Callable[[Result], float], suite: str = "") -> float:
        """Geometric mean of a value over the results (of a suite) that have it; NaN if none has."""
        values = [value(result) for result in self.results if suite in ("", result.suite)]
        values = [value for value in values if value > 0]
        return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan

    def means(self, suite: str = "") -> dict[str, dict[str, float]]:
        """Contender -> geometric means: seconds, CPU seconds, instructions/s, steady speed against base, speed against each."""
        base = self.base

        def of(name: str) -> dict[str, float]:
            return {"wall": self.mean(lambda result: result.seconds(name), suite), "cpu": self.mean(lambda result: result.cpu(name), suite),
                    "rate": self.mean(lambda result: result.rate(name), suite),
                    "steady": self.mean(lambda result: result.speed(name, base, steady=True), suite)} | {
                f"to {other}": to(name, other) for other in self.shown()}

        def to(name: str, other: str) -> float:
            return self.mean(lambda result: result.speed(name, other), suite)
        there = {name for result in self.results if suite in ("", result.suite) for name in result.series}
        return {name: of(name) for name in self.shown() if name in there}

    def as_json(self) -> dict:
        """The measurement with its summary, of plain types; NaN becomes None."""
        whole = asdict(self)
        for result, row in zip(self.results, whole["results"], strict=True):
            for name, series in result.series.items():
                row["series"][name] |= {
                    "median": series.median, "low": series.low, "high": series.high, "spread": series.spread, "cpu_median": series.cpu_median,
                    "peak": series.peak, "steady": result.seconds(name, steady=True), "rate": result.rate(name),
                    "speed": result.speed(name, self.base)}
        whole = {"format": FORMAT} | whole | {"base": self.base, "failures": self.failures(),
                  "means": {suite: self.means(suite) for suite in self.suites()}}
        return _plain(whole)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
