"""Fixtures: a guest thread without a translator."""

import pytest

from tests.runtime.guest import Thread


@pytest.fixture
def thread():
    made = Thread()
    yield made
    made.close()


@pytest.fixture
def memory(thread):
    return thread.memory
