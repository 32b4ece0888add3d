"""The decoder as native code, compiled once for all tests."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import pytest

from dragoman.dbt import compiled, decode, listing, state


@cache
def _decode_block() -> Callable[..., int]:
    return compiled.jit(decode.decode_block)


class Native:
    """decode_block in native code over a buffer of its own."""

    def __init__(self, level: str) -> None:
        self.block = _decode_block()
        self.decoder = decode.Decoder(decode.tables(), level)
        self.records = ctypes.create_string_buffer(state.RECORD_SIZE * 256)

    def __call__(self, code: bytes, pc: int = 0x10000, maximum: int = 1, room: int | None = None) -> list:
        source = ctypes.create_string_buffer(code, len(code) + 4)
        end = pc + (len(code) if room is None else room)
        count = self.block(self.decoder.address, ctypes.addressof(source), pc, end,
                           ctypes.addressof(self.records), maximum)
        size = state.RECORD_SIZE
        return [listing.unpack(self.records[k * size:(k + 1) * size]) for k in range(count)]


@pytest.fixture(scope="session")
def native() -> Callable[..., list[listing.Record]]:
    return Native(decode.WITH_BITS)


@pytest.fixture(scope="session")
def native_base() -> Callable[..., list[listing.Record]]:
    """Of a CPU without B, Zbc and Zicond."""
    return Native(decode.BASE)
