"""The test guest, compiled once, and runs of it under gdb."""

import pytest

from tests.gdb_process import debugged


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    return debugged.guest(tmp_path_factory.getbasetemp())


@pytest.fixture
def debug(binary, tmp_path):
    """debug(part, script): gdb's lines, and the guest's exit status."""
    def run(part, script, before="", options=()):
        with debugged.waiting(binary, part, options=options, folder=tmp_path) as (place, process):
            lines = debugged.gdb(binary, place, script, before)
            return lines, process.wait(debugged.PATIENCE)
    return run
