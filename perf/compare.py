"""Two reports, contender by contender: what became slower or faster beyond the noise, and what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dragoman.perf.compared_rows import SECONDS, Unit, rows
from dragoman.perf.contenders import BY_NAME
from dragoman.perf.report_file import ReportError
from dragoman.perf.results import Report, Result, Series

LEAST = 0.05        # of the old median: a difference below is none, however quiet both measurements were
RULE = f"medians differ by more than {LEAST:.0%} and by more than half of both ranges together"
SLOWER, FASTER, SAME, UNSAID, BROKEN, MENDED = "slower", "faster", "same", "one round", "fails now", "failed before"


@dataclass(frozen=True)
class Change:
    """One contender of one workload, then and now; or a row of a suite that is no programs, whose columns have names of their own."""

    workload: str
    contender: str
    old: Series
    new: Series
    unit: Unit = SECONDS

    @property
    def factor(self) -> float:
        """How many times as much it costs: the new median as a multiple of the old one, of rates the other way round. Above 1 is slower."""
        before, now = (self.new.median, self.old.median) if self.unit.higher else (self.old.median, self.new.median)
        return now / before if before else math.nan

    @property
    def noise(self) -> float:
        """By which medians may differ without meaning anything; NaN where a series has a single round."""
        if min(len(self.old.wall), len(self.new.wall)) < 2:
            return math.nan
        return max(LEAST * self.old.median, (self.old.high - self.old.low) / 2 + (self.new.high - self.new.low) / 2)

    @property
    def verdict(self) -> str:
        if self.new.failure or self.old.failure:
            return SAME if self.new.failure and self.old.failure else BROKEN if self.new.failure else MENDED
        if math.isnan(self.noise):
            return UNSAID
        difference = self.new.median - self.old.median
        return SAME if abs(difference) <= self.noise else SLOWER if (difference > 0) != self.unit.higher else FASTER

    @property
    def ours(self) -> bool:
        """Whether it is about Dragoman: all but QEMU and the host are."""
        return self.contender not in BY_NAME or BY_NAME[self.contender].options is not None

    @property
    def is_regression(self) -> bool:
        """Whether Dragoman got worse: when QEMU or the host did, it is the machine that has changed."""
        return self.verdict in (SLOWER, BROKEN) and self.ours


@dataclass
class Comparison:
    """All changes, and lines about what could not be compared."""

    changes: list[Change]
    notes: list[str]

    def regressions(self) -> list[Change]:
        return [change for change in self.changes if change.is_regression]

    def with_verdict(self, *verdicts: str) -> list[Change]:
        """The largest changes first."""
        return sorted((change for change in self.changes if change.verdict in verdicts),
                      key=lambda change: -abs(math.log(change.factor)) if change.factor > 0 else 0)

    def counted(self) -> str:
        """In words: of how many."""
        found = [(verdict, len(self.with_verdict(verdict))) for verdict in (SLOWER, FASTER, BROKEN, MENDED, SAME, UNSAID)]
        return ", ".join(f"{count} {verdict}" for verdict, count in found if count)


def expect_common(old: Report, programs: Iterable[str], lists: Iterable[str], name: str) -> None:
    """Not to measure for half an hour and then have nothing to compare: names of programs, and of the report's lists of rows, that are to be
    measured. Raises ReportError."""
    if not {result.name for result in old.results} & set(programs) and not any(getattr(old, rows) for rows in lists):
        raise ReportError(f"{name}: has nothing in common with what is to be measured")


def compare(old: Report, new: Report, name: str) -> Comparison:
    """What both have measured; `name` is the old one's, for messages. Raises ReportError if that is nothing."""
    before = {(result.suite, result.name): result for result in old.results}
    changes: list[Change] = []
    notes: list[str] = []
    for result in new.results:
        then = before.get((result.suite, result.name))
        if then is None:
            continue
        if then.command[1:] != result.command[1:]:
            notes.append(f"{result.name} is not compared: it had other arguments in {name}")
            continue
        changes += _changes(then, result)
    drift = _drift(changes)
    known = rows(old)
    changes += [Change(*key, known[key][0], series, unit) for key, (series, unit) in rows(new).items() if key in known]
    if not changes:
        raise ReportError(f"{name}: has nothing in common with what was measured now" + (f" ({notes[0]})" if notes else ""))
    if old.host.get("CPU") != new.host.get("CPU"):
        notes.append(f"{name} is from another CPU: {old.host.get('CPU', 'unknown')}")
    return Comparison(changes, [*notes, *drift])


def _changes(then: Result, now: Result) -> Iterable[Change]:
    for contender, series in now.series.items():
        old = then.series.get(contender)
        if old is not None and contender in BY_NAME and (old.wall or old.failure) and (series.wall or series.failure):
            yield Change(now.name, contender, old, series)


def _drift(changes: list[Change]) -> list[str]:
    """How much the host itself seems to have changed: by those that are not Dragoman."""
    factors = [change.factor for change in changes if not change.ours and change.factor > 0]
    if not factors:
        return []
    drift = math.exp(sum(map(math.log, factors)) / len(factors))
    return [f"QEMU and native programs, which are not ours, took {drift:.2f} times as long as then: so much is the host's"]
