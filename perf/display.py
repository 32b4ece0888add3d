"""What is seen of a measurement while it goes on."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from dragoman.perf import words
from dragoman.perf.results import Report, Result
from dragoman.perf.table import lines_of_cell, overview


class Display:
    """A session's watcher: on a terminal the newest rows above a bar, else a line for each workload."""

    def __init__(self, report: Report, console: Console):
        self.report, self.console = report, console
        self.progress = Progress(BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(),
                                 TextColumn("{task.description}", markup=False), console=console)
        self.task = self.progress.add_task("", total=0)
        self.live = Live(console=console, get_renderable=self.render, transient=True, refresh_per_second=4)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def render(self) -> Group:
        results = [result for result in self.report.results if result.series]
        room = max(1, (self.console.height - 8) // lines_of_cell(self.console.width))
        table = overview(self.report, results[-room:], "So far", self.console.width) if results else Text("")
        return Group(table, self.progress)

    def runs(self, count: int) -> None:
        self.progress.update(self.task, total=(self.progress.tasks[0].total or 0) + count)

    def begins(self, text: str) -> None:
        self.progress.update(self.task, description=text)

    def ran(self) -> None:
        self.progress.advance(self.task)

    def measured(self, result: Result) -> None:
        if self.console.is_terminal:
            return
        shown = [f"{self.report.contenders[name]} {words.seconds(series.median) if not series.failure else 'failed'}"
                 + (f" {words.throughput(result.bytes / series.median)}" if result.bytes and not series.failure else "")
                 for name, series in result.series.items()]
        self.console.print(f"{result.name}: {', '.join(shown)}", soft_wrap=True, highlight=False)
