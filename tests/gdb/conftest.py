"""The test guest, compiled once."""

import pytest

from tests.gdb import machine


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    return machine.guest(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def names(binary):
    return machine.symbols(binary)
