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

# Registers with a role: what memory is reached by (one of them pinned by engines), the count of jumps back,
# where a computed one goes, and one that programs leave alone (qemu.py).
BASES, COUNTER, JUMPER, POINTER = (8, 9), 28, 31, 4
BASE_VALUE = DATA + DATA_SIZE // 2
X = (0, 1, 5, 6, 10, 11, 12, 13, 14, 15, 2)     # seven kinds of pinned but s0, some that are not
F = (0, 1, 2, 10)
INTEGER = [name for family in (integer, multiply) for name in family.FAMILY if encodable(name)]
LOADS_STORES = [name for name in memory.FAMILY if not name.startswith("fence")]
INTEGER_MEMORY = [name for name in LOADS_STORES if not name.startswith("f")]
ATOMIC = list(atomic.FAMILY)
FLOATING = [name for family in (floating, convert) for name in family.FAMILY if encodable(name)]
CSR = ["csrr.fflags", "csrr.frm", "csrr.fcsr", "csrrwi.frm", "csrrwi.frm", "csrrw.fflags", "csrrsi.fflags", "csrrci.fcsr"]
BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu")


def operands(source: random.Random, form: str) -> dict[str, int]:
    """Register and other operands of an instruction that is neither control nor memory."""
    recipe, found = FORM[form].recipe, {}
    files = {name: file for file, name in (*recipe.reads, *recipe.writes)}
    for name in ("rd", "rs1", "rs2", "rs3"):
        if name in recipe.fields:
            number = source.choice(F if files[name] == "f" else X)
            found[name] = SINK if (name, files[name], number) == ("rd", "x", 0) else number
    if "rm" in recipe.fields:
        found["rm"] = source.randint(0, 4)
    if "imm" in recipe.fields:
        found["imm"] = immediate(source, form) % 2**64
    return found


def immediate(source: random.Random, form: str) -> int:
    if form.startswith(("sll", "srl", "sra")):
        return source.randint(0, 31 if form.endswith("w") else 63)
    if form == "li":
        return source.randint(-1 << 19, (1 << 19) - 1) << 12
    if form.startswith("csrr"):
        return source.randint(0, 4)
    return source.choice((0, 1, -1, source.randint(-2048, 2047)))


def word(form: str, **fields: int) -> bytes:
    return struct.pack("<I", encode(Instruction(form, fields)))


def instruction(source: random.Random, kinds: list[list[str]]) -> bytes:
    """Of one of the kinds. A load, store or atomic is in the data pages."""
    kind = source.choice(kinds)
    form = source.choice(kind)
    if kind is INTEGER and source.randrange(3) == 0:
        return source.choice(compressed())
    fields = operands(source, form)
    if kind in (INTEGER_MEMORY, LOADS_STORES, ATOMIC):
        fields["rs1"] = source.choice(BASES)
    return word(form, **fields)


def wild_access(source: random.Random, forms: list[str]) -> bytes:
    """Most probably to nowhere. A program has one at the most: of two, a fast region may make the second one first. What is
    loaded is stored: LLVM leaves out loads whose values come to nothing (x & 0)."""
    form = source.choice(forms)
    fields = operands(source, form) | {"rs1": source.choice(X[1:])}
    if fields.get("rd", SINK) == SINK or "rs2" in fields:
        return word(form, **fields)
    return word(form, **fields) + word("fsd" if form[0] == "f" else "sd", rs2=fields["rd"], rs1=BASES[0], imm=0)


@lru_cache(maxsize=1)
def compressed() -> list[bytes]:
    """16-bit instructions on registers alone."""
    source, found = random.Random(1), []
    while len(found) < 600:
        half = struct.pack("<H", source.randrange(1 << 16) & ~3 | source.choice((0, 1, 2)))
        record = listing.decode(half + bytes(2), 0)
        if record.length == 2 and record.form in INTEGER and record.rd not in (POINTER, *BASES, COUNTER, JUMPER):
            found.append(half)
    return found


Jump = tuple[str, dict[str, int], int]          # form, operands, label; offsets come later
ENDINGS = ("on", "branch", "branch", "jump", "call", "computed", "back", "back", "back")


def ending(source: random.Random, block: int, blocks: int) -> list[bytes | Jump]:
    """Of a block: a jump forward, one back while the counter lasts, or nothing."""
    kind, forward = source.choice(ENDINGS), source.randint(block + 1, min(blocks, block + 3))
    if kind == "branch":
        return [(source.choice(BRANCHES), {"rs1": source.choice(X), "rs2": source.choice(X)}, forward)]
    if kind == "jump":
        return [("j", {}, forward)]
    if kind == "call":
        return [("jal", {"rd": source.choice(X[1:])}, forward)]
    if kind == "computed":
        return [("computed", {"rd": source.choice((SINK, *X[1:]))}, forward)]
    if kind == "back":
        return [word("addi", rd=COUNTER, rs1=COUNTER, imm=2**64 - 1),
                ("blt", {"rs1": 0, "rs2": COUNTER}, source.randint(0, block))]
    return []


@st.composite
def programs(draw: st.DrawFn, floats_too: bool = True, atomics: bool = True, wild: bool = True) -> Program:
    """hypothesis chooses how many blocks of how many instructions, and a seed for what they are: it can make the
    program shorter and keep the rest, and does not spend its time on choosing registers."""
    kinds = [INTEGER, INTEGER, INTEGER, INTEGER_MEMORY]
    kinds += [FLOATING, FLOATING, LOADS_STORES, CSR] if floats_too else []
    kinds += [ATOMIC] if atomics else []
    sizes, seed = draw(st.lists(st.integers(1, 12), min_size=1, max_size=8)), draw(st.integers(0, 2**64))
    wild_block = random.Random(f"{seed}.wild block").randrange(4 * len(sizes)) if wild else -1
    pieces: list[bytes | Jump] = []
    labels: list[int] = []
    for block, size in enumerate(sizes):
        labels.append(len(pieces))
        pieces += [instruction(random.Random(f"{seed}.{block}.{n}"), kinds) for n in range(size)]
        if block == wild_block:
            pieces.insert(labels[-1], wild_access(random.Random(f"{seed}.wild"), LOADS_STORES if floats_too else INTEGER_MEMORY))
        pieces += ending(random.Random(f"{seed}.{block}"), block, len(sizes))
    labels.append(len(pieces))
    source = random.Random(seed)
    x = [0, *(source.choice((source.choice(INTEGERS), source.randrange(1 << 64))) for _ in range(31))]
    x[BASES[0]] = x[BASES[1]] = BASE_VALUE
    x[COUNTER] = draw(st.integers(0, 40))
    values = (*floats(64, 1, False), *floats(32, 1, False))
    f = [source.choice(values) if n in F and floats_too else 0 for n in range(32)]
    code, computed = layout(pieces, labels)
    return Program(code, x, f, seed, source.randint(0, 4) if floats_too else 0, computed=computed)


def layout(pieces: list[bytes | Jump], labels: list[int]) -> tuple[bytes, frozenset[int]]:
    """The code, with the distances of jumps filled in, and where computed ones go. Such a jump is auipc, addi, jalr."""
    sizes = [len(piece) if isinstance(piece, bytes) else 12 if piece[0] == "computed" else 4 for piece in pieces]
    at = [sum(sizes[:n]) for n in range(len(pieces) + 1)]
    code, computed = b"", set()
    for n, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            code += piece
            continue
        form, fields, target = piece
        distance = at[labels[target]] - at[n]
        if form == "computed":
            computed.add(CODE + at[labels[target]])
            code += struct.pack("<I", 0x17 | JUMPER << 7) + word("addi", rd=JUMPER, rs1=JUMPER, imm=distance)
            code += word("jalr" if fields["rd"] != SINK else "jr", **({} if fields["rd"] == SINK else fields), rs1=JUMPER, imm=0)
        else:
            code += word(form, **fields, imm=PC + distance)
    return code, frozenset(computed)


assert CODE % 2 == 0
