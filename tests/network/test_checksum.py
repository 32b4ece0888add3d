"""The internet checksum against RFC 1071's example and its own plain algorithm."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from dragoman.runtime.machine.network.checksum import add, partial_sum, pseudo_header

from . import wire


def test_the_example_of_rfc_1071():
    assert partial_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


def test_nothing_and_zeros_sum_to_0():
    assert [partial_sum(bytes(size)) for size in (0, 1, 2, 1460, 5000)] == [0] * 5


def test_all_ones_stay_all_ones():
    assert [partial_sum(b"\xff" * size) for size in (2, 1460, 5000)] == [0xFFFF] * 3


@given(st.binary(max_size=64), st.integers(0, 5000))
def test_as_the_plain_algorithm(data, size):
    data = (data * (size // (len(data) or 1) + 1))[:size]
    assert partial_sum(memoryview(data)) ^ 0xFFFF == wire.checksum(data)


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.integers(1, 255), st.integers(0, 0xFFFF), st.binary(max_size=99))
def test_pseudo_header(source, target, protocol, length, data):
    whole = source + target + struct.pack("!BBH", 0, protocol, length) + data
    header = pseudo_header(source, target, protocol, length)
    assert add(header, partial_sum(data)) ^ 0xFFFF == wire.checksum(whole)
