"""A store in a folder of its own, and entries to put there."""

import pytest

from dragoman.dbt.pack import Entry, make_entry
from dragoman.dbt.store import Store

HEAD, OPTIONS = 0x1_0000, 2


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", "/dev/null")           # nor there, if not here
    return Store.open()


def entry(number=0, head=HEAD, options=OPTIONS, size=40):
    """An entry that differs from those of other numbers in every part."""
    key = number.to_bytes(4, "little") * 4
    return Entry(make_entry(key, head, options, [(head, b"guest%d" % number)], bytes([number & 0xFF]) * size))


def pack(head=HEAD):
    """As another process sees the pack that `store` has."""
    return Store.open().pack("a guest file")
