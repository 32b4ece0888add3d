"""Random programs for hypothesis: blocks of instructions, branches and calls forward, bounded loops, loads and stores."""

from __future__ import annotations

import random
import struct
from functools import lru_cache

from hypothesis import strategies as st

from dragoman.dbt import listing
from dragoman.dbt.isa.riscv import FORM, atomic, convert, integer, memory, multiply
from dragoman.dbt.isa.riscv import float as floating
from tests.engines.program import CODE, DATA, DATA_SIZE, Program
from tests.isa.assemble import encodable, encode
from tests.isa.case import PC, Instruction
from tests.isa.reader import SINK
from tests.isa.values import INTEGERS, floats

# Registers with a role: what memory is reached by (one of them pinned by engines), and the count of jumps back.
BASES, COUNTER, JUMPER = (8, 9), 28, 31
BASE_VALUE = DATA + DATA_SIZE // 2
X = (0, 1, 5, 6, 10, 11, 12, 13, 14, 15, 2)     # seven kinds of pinned but s0, some that are not
F = (0, 1, 2, 10)
INTEGER = [name for family in (integer, multiply) for name in family.FAMILY if encodable(name)]
LOADS_STORES = [name for name in memory.FAMILY if not name.startswith("fence")]
INTEGER_MEMORY = [name for name in LOADS_STORES if not name.startswith("f")]
ATOMIC = list(atomic.FAMILY)
FLOATING = [name for family in (floating, convert) for name in family.FAMILY if encodable(name)]
CSR = ["csrr.fflags", "csrr.frm", "csrr.fcsr", "csrrwi.frm", "csrrw.fflags", "csrrsi.fflags", "csrrci.fcsr"]
BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu")


def operands(draw: st.DrawFn, form: str) -> dict[str, int]:
    """Register and other operands of an instruction that is neither control nor memory."""
    recipe, found = FORM[form].recipe, {}
    files = {name: file for file, name in (*recipe.reads, *recipe.writes)}
    for name in ("rd", "rs1", "rs2", "rs3"):
        if name in recipe.fields:
            number = draw(st.sampled_from(F if files[name] == "f" else X))
            found[name] = SINK if (name, files[name], number) == ("rd", "x", 0) else number
    if "rm" in recipe.fields:
        found["rm"] = draw(st.integers(0, 3))
    if "imm" in recipe.fields:
        found["imm"] = draw(immediate(form)) % 2**64
    return found


def immediate(form: str) -> st.SearchStrategy[int]:
    if form.startswith(("sll", "srl", "sra")):
        return st.integers(0, 31 if form.endswith("w") else 63)
    if form == "li":
        return st.integers(-1 << 19, (1 << 19) - 1).map(lambda n: n << 12)
    if form.startswith("csrr"):
        return st.integers(0, 3)
    return st.integers(-2048, 2047) | st.sampled_from((0, 1, -1))


def word(form: str, **fields: int) -> bytes:
    return struct.pack("<I", encode(Instruction(form, fields)))


def access(draw: st.DrawFn, form: str, wild: bool) -> bytes:
    """A load, store or atomic in the data pages; a wild one anywhere."""
    fields = operands(draw, form)
    fields["rs1"] = draw(st.sampled_from(X[1:])) if wild else draw(st.sampled_from(BASES))
    if form in ATOMIC and not wild:             # aligned, at the base
        return word(form, **fields)
    return word(form, **fields)


@lru_cache(maxsize=1)
def compressed() -> list[bytes]:
    """16-bit instructions on registers alone."""
    source, found = random.Random(1), []
    while len(found) < 600:
        half = struct.pack("<H", source.randrange(1 << 16) & ~3 | source.choice((0, 1, 2)))
        record = listing.decode(half + bytes(2), 0)
        roles = (*BASES, COUNTER, JUMPER)
        if record.length == 2 and record.form in INTEGER and record.rd not in roles:
            found.append(half)
    return found


@st.composite
def programs(draw: st.DrawFn, floats_too: bool = True, atomics: bool = True, wild: bool = True) -> Program:
    """Blocks that begin with a label; each ends with a jump forward, one back while the counter lasts, or nothing."""
    kinds = [INTEGER, INTEGER, INTEGER, INTEGER_MEMORY]
    if floats_too:
        kinds += [FLOATING, LOADS_STORES, CSR]
    if atomics:
        kinds.append(ATOMIC)
    blocks = draw(st.integers(1, 6))
    pieces: list[bytes | tuple[str, dict[str, int], int]] = []     # words, or jumps whose offset comes later
    labels: list[int] = []
    for block in range(blocks):
        labels.append(len(pieces))
        for _ in range(draw(st.integers(0, 8))):
            kind = draw(st.sampled_from(kinds))
            form = draw(st.sampled_from(kind))
            if kind is INTEGER and draw(st.integers(0, 2)) == 0:
                pieces.append(draw(st.sampled_from(compressed())))
            elif kind in (INTEGER_MEMORY, LOADS_STORES, ATOMIC):
                pieces.append(access(draw, form, wild and draw(st.integers(0, 30)) == 0))
            else:
                pieces.append(word(form, **operands(draw, form)))
        ending = draw(st.sampled_from(("on", "branch", "jump", "call", "computed", "back")))
        if ending == "branch":
            pieces.append((draw(st.sampled_from(BRANCHES)), operands_of_branch(draw), draw(st.integers(block + 1, blocks))))
        elif ending == "jump":
            pieces.append(("j", {}, draw(st.integers(block + 1, blocks))))
        elif ending == "call":
            pieces.append(("jal", {"rd": draw(st.sampled_from(X[1:]))}, draw(st.integers(block + 1, blocks))))
        elif ending == "computed":
            pieces.append(("computed", {"rd": draw(st.sampled_from((SINK, *X[1:])))}, draw(st.integers(block + 1, blocks))))
        elif ending == "back":
            pieces.append(word("addi", rd=COUNTER, rs1=COUNTER, imm=2**64 - 1))
            pieces.append(("blt", {"rs1": 0, "rs2": COUNTER}, draw(st.integers(0, block))))
    labels.append(len(pieces))
    x = [0, *(draw(st.sampled_from(INTEGERS) | st.integers(0, 2**64 - 1)) for _ in range(31))]
    x[BASES[0]] = x[BASES[1]] = BASE_VALUE
    x[COUNTER] = draw(st.integers(0, 12))
    values = st.sampled_from((*floats(64, 1, False), *floats(32, 1, False)))
    f = [draw(values) if n in F and floats_too else 0 for n in range(32)]
    seed = draw(st.integers(0, 2**32))
    data = random.Random(seed).randbytes(DATA_SIZE) if seed else bytes(DATA_SIZE)
    return Program(layout(pieces, labels), x, f, data, draw(st.integers(0, 3)) if floats_too else 0)


def operands_of_branch(draw: st.DrawFn) -> dict[str, int]:
    return {"rs1": draw(st.sampled_from(X)), "rs2": draw(st.sampled_from(X))}


def layout(pieces: list[bytes | tuple[str, dict[str, int], int]], labels: list[int]) -> bytes:
    """The code, with the distances of jumps filled in. A computed jump is auipc, addi, jalr."""
    sizes = [len(piece) if isinstance(piece, bytes) else 12 if piece[0] == "computed" else 4 for piece in pieces]
    at = [sum(sizes[:n]) for n in range(len(pieces) + 1)]
    code = b""
    for n, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            code += piece
            continue
        form, fields, target = piece
        distance = at[labels[target]] - at[n]
        if form == "computed":
            code += struct.pack("<I", 0x17 | JUMPER << 7) + word("addi", rd=JUMPER, rs1=JUMPER, imm=distance)
            code += word("jalr" if fields["rd"] != SINK else "jr", **({} if fields["rd"] == SINK else fields), rs1=JUMPER, imm=0)
        else:
            code += word(form, **fields, imm=PC + distance)
    return code


assert CODE % 2 == 0
