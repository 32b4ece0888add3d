"""Threads come and go while the debugger's agent looks at them."""

from types import SimpleNamespace

from dragoman.runtime.process.gdb.debugger import Debugger


class Coming:
    """A thread; while it is looked at another one comes, as it may whenever Python changes threads."""

    def __init__(self, threads: dict) -> None:
        self._threads = threads

    mode = property(lambda thread: thread._come())
    free = property(lambda thread: thread._come())
    parked = property(lambda thread: thread._come())

    def _come(self) -> bool:
        self._threads[len(self._threads)] = SimpleNamespace(parked=False, mode="run", free=False)
        return False


def test_a_thread_that_comes_while_one_waits_for_the_first():
    """It was seen as a debugger that waited a minute and gave up, one time in 300."""
    threads: dict = {}
    threads[0] = Coming(threads)
    files = SimpleNamespace(keep=lambda descriptor: descriptor)
    debugger = Debugger(SimpleNamespace(threads=threads, files=files, engine=None))
    assert not debugger.any_parked()
    debugger.halted = False
    debugger.nobody_left()
    debugger.settle()
    assert len(threads) == 4
