"""Values of a snapshot: what is packed comes out again, and bytes that nobody packed are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.runtime.machine.snapshot_values import pack, unpack

VALUES = st.recursive(st.none() | st.booleans() | st.integers(-(1 << 100), 1 << 100) | st.text(max_size=5) | st.binary(max_size=20),
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8)


@settings(max_examples=50)
@given(VALUES)
def test_what_is_packed_comes_out(value):
    assert unpack(pack(value)) == value


def test_tuples_become_lists_and_paths_that_are_no_text_stay():
    assert unpack(pack({"a": (1, (b"\xff/x", "\udcff"))})) == {"a": [1, [b"\xff/x", "\udcff"]]}


@settings(max_examples=50)
@given(VALUES, st.data())
def test_what_is_cut_or_altered_is_refused_or_is_a_value(value, data):
    packed = bytearray(pack(value))
    at = data.draw(st.integers(0, len(packed) - 1))
    if data.draw(st.booleans()):
        del packed[at:]
    else:
        packed[at] ^= data.draw(st.integers(1, 255))
    try:
        unpack(bytes(packed))
    except ValueError as error:
        assert str(error).startswith("no values: ")


@pytest.mark.parametrize("data", [b"", b"\xff" * 16, b"\x02" + bytes(15) + b"{}x", pack([1])[:-1], pack([1]) + b" x"])
def test_others_are_refused(data):
    with pytest.raises(ValueError, match="no values"):
        unpack(data)
