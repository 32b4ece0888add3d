"""The engine's images are made before the first of these tests is timed."""

import pytest

from tests.command import dragoman
from tests.rootfs.contained import HERE


@pytest.fixture(scope="session", autouse=True)
def engines_are_built():
    """Both kinds: the first start ever compiles the engine."""
    for options in ([], ["--bounded"]):
        assert dragoman("run", *options, str(HERE / "escapes"), "no such case", timeout=600).returncode == 98
