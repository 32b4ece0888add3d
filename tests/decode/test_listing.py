"""Instructions as text where Capstone has none: the form, and operands in the manual's order."""

import pytest

from dragoman.dbt import decode, listing


# As GNU as 2.40 assembles them; Zicond by the manual.
@pytest.mark.parametrize(("word", "text"), [
    (0x20C5_A533, "sh1add a0, a1, a2"), (0x08B5_003B, "nop"), (0x0855_151B, "slli.uw a0, a0, 0x5"),
    (0x6005_1513, "clz a0, a0"), (0x6BF5_5593, None), (0x6B85_5593, "rev8 a1, a0"), (0x63F5_5513, "rori a0, a0, 0x3f"),
    (0x0800_453B | 10 << 15, "zext.h a0, a0"), (0x0AC5_9533, "clmul a0, a1, a2"), (0x2875_5513, "orc.b a0, a0"),
    (0x4805_1513, "bclri a0, a0, 0x0"), (0x0EC5_D533, "czero.eqz a0, a1, a2"),
])
def test_bits(word, text):
    code = word.to_bytes(4, "little")
    assert listing.disassemble(code, 0x1000) == (text or f".4byte {word:#010x}")
    assert listing.decode(code, level=decode.BASE).form == "illegal"
