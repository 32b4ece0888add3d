"""What is noted of one instruction is used for others of its kind: that must never make another instruction of them."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.dbt.isa.riscv import contexts, encoding, sensitive

# Words that differ in few bits from one with an opcode of their own, so that they meet in the memo.
_MATCHES = [row.match for row in encoding.BITS + encoding.LONG]
_WORDS = st.builds(lambda match, noise: match ^ noise, st.sampled_from(_MATCHES), st.integers(0, (1 << 25) - 1).map(lambda n: n << 7))


def test_rows_of_long_instructions_exclude_each_other():
    for context in contexts.VALID:
        for one, other in itertools.combinations(encoding.BITS + encoding.LONG + sensitive.privileged_rows(context), 2):
            both = one.mask & other.mask
            assert one.match & both != other.match & both, (one.name, other.name)


@settings(deadline=None, max_examples=300)
@given(st.lists(_WORDS, min_size=2, max_size=8))
def test_it_decodes_as_if_it_had_met_nothing_before(native, words):
    met = [native(word.to_bytes(4, "little")) for word in words]
    for word, records in zip(words, met):
        native.decoder._memo[:] = bytes(len(native.decoder._memo))
        assert native(word.to_bytes(4, "little")) == records
