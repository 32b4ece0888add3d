"""A made-up report for tests."""

from dragoman.perf.contenders import CONTENDERS
from dragoman.perf.results import Report, Result, Series


def result(name: str, suite: str = "compute", instructions: int = 10**9, **seconds: float) -> Result:
    """A result with three runs around each of the given medians."""
    series = {name: Series([at * 0.9, at, at * 1.1], [at] * 3, [10_000_000] * 3) for name, at in seconds.items()}
    return Result(name, suite, f"about <{name}>", ["/x/" + name], instructions, series)


def report(*results: Result) -> Report:
    return Report("2026-01-01T00:00:00+00:00", {"CPU": "a & b"}, {c.name: c.label for c in CONTENDERS}, 3, False,
                  list(results))


FULL = report(result("one", interpreter=4, stencil=1, region=0.5, cold=0.8, warm=0.5, qemu=2, native=0.25),
              result("two", interpreter=4, stencil=4, region=0.5, cold=0.8, warm=0.5, qemu=2, native=0.25),
              result("three", "start", 9, warm=0.05, qemu=0.01))
FULL.results[1].series["region"] = Series(failure="wrong output: b'<x>'")
FULL.notes.append("native three is left out: a < b")
FULL.translation.append({"name": "libc", "instructions": 1000, "decode": 0.2, "interpreter": 0.3, "stencil": 0.4,
                         "bytes": 30.0})
FULL.results[0].series["stencil"].statistics = {"seconds": {
    "whole": 1.0, "before": 0.1, "run": 0.8, "start": 0.05, "translate": 0.05, "decode": 0.04, "promote": 0.02, "compile": 0.03, "native": 0.5,
    "calls": 0.1, "python": 0.1, "compiler": 0.4}}
MACHINE = result("fib", "machine compute", stencil=1, qemu=2)
FULL.results.append(MACHINE)
TOLD = {"whole": 4.0, "before": 0.5, "run": 3.0, "start": 0.4, "translate": 1.0, "decode": 0.25, "native": 2.0, "devices": 1.5, "waiting": 1.0,
        "promote": 0.25, "compile": 0.0, "python": 0.25}
FULL.machines.append(Result("machine", MACHINE.suite, "in a machine that <runs> fib", ["vm", "run"],
                            series={"stencil": Series(statistics={"seconds": TOLD})}))
FULL.memory.append({"name": "page <faults>", "rounds": {"trace": [90, 100, 110], "qemu": [9, 10]}, "trace": 100, "qemu": 9.5})
FULL.fills.append({"name": "a load", "nanoseconds": 2.5, "rounds": {"nanoseconds": [2.4, 2.5, 2.7]}})
FULL.states.append({"name": "idle", "text": "at <rest>", "numbers": {"stencil": [0.5, 0.0, 0.7]}})
FULL.curves.append({"name": "steps", "description": "writes <lines>", "instructions": 4000, "regions": {"cold": [0.3], "stencil": []},
                    "points": {"cold": [(0.0, 0), (0.2, 1000), (0.4, 4000)], "stencil": [(0.0, 0), (0.1, 1000), (0.5, 4000)]}})
