"""How instructions of RV64GC, Zba, Zbb, Zbc, Zbs and Zicond are encoded: bit patterns from the manual, and the forms they decode to. Pure data.

A pattern is read from bit 31 (or 15) down: literal bits, or fields by name with the widths below; a field followed by !
must not be zero (reserved, or another instruction's; two of them: together). An operand layout (decode_riscv.py) says
where the operands are; for long instructions, the register fields are those of the pattern. Rows are tried in order
where Capstone's verdict does not do. Source: RISC-V unprivileged specification 20240411, 2, 5-8, 12-16, 27, 35, and its
chapters "B" and "Zicond".
"""

from __future__ import annotations

from typing import NamedTuple

# Widths of fields. In compressed patterns a trailing quote marks a three-bit register field (x8..x15).
WIDTH = {"rd": 5, "rs1": 5, "rs2": 5, "rs3": 5, "rm": 3, "imm12": 12, "imm20": 20, "imm7": 7, "imm5": 5, "shamt6": 6,
         "shamt5": 5, "fm": 4, "pred": 4, "succ": 4, "csr": 12, "zimm": 5, "aq": 1, "rl": 1,
         "rd'": 3, "rs1'": 3, "rs2'": 3, "i1": 1, "i2": 2, "i3": 3, "i5": 5, "i6": 6, "i8": 8, "i11": 11}

# name, operand layout, pattern
_LONG = """
lui       LUI    imm20 rd 0110111
auipc     AUIPC  imm20 rd 0010111
jal       J      imm20 rd 1101111
jalr      I      imm12 rs1 000 rd 1100111
beq       B      imm7 rs2 rs1 000 imm5 1100011
bne       B      imm7 rs2 rs1 001 imm5 1100011
blt       B      imm7 rs2 rs1 100 imm5 1100011
bge       B      imm7 rs2 rs1 101 imm5 1100011
bltu      B      imm7 rs2 rs1 110 imm5 1100011
bgeu      B      imm7 rs2 rs1 111 imm5 1100011
lb        I      imm12 rs1 000 rd 0000011
lh        I      imm12 rs1 001 rd 0000011
lw        I      imm12 rs1 010 rd 0000011
ld        I      imm12 rs1 011 rd 0000011
lbu       I      imm12 rs1 100 rd 0000011
lhu       I      imm12 rs1 101 rd 0000011
lwu       I      imm12 rs1 110 rd 0000011
sb        S      imm7 rs2 rs1 000 imm5 0100011
sh        S      imm7 rs2 rs1 001 imm5 0100011
sw        S      imm7 rs2 rs1 010 imm5 0100011
sd        S      imm7 rs2 rs1 011 imm5 0100011
addi      I      imm12 rs1 000 rd 0010011
slti      I      imm12 rs1 010 rd 0010011
sltiu     I      imm12 rs1 011 rd 0010011
xori      I      imm12 rs1 100 rd 0010011
ori       I      imm12 rs1 110 rd 0010011
andi      I      imm12 rs1 111 rd 0010011
slli      SHIFT  000000 shamt6 rs1 001 rd 0010011
srli      SHIFT  000000 shamt6 rs1 101 rd 0010011
srai      SHIFT  010000 shamt6 rs1 101 rd 0010011
addiw     I      imm12 rs1 000 rd 0011011
slliw     SHIFT  0000000 shamt5 rs1 001 rd 0011011
srliw     SHIFT  0000000 shamt5 rs1 101 rd 0011011
sraiw     SHIFT  0100000 shamt5 rs1 101 rd 0011011
add       R      0000000 rs2 rs1 000 rd 0110011
sub       R      0100000 rs2 rs1 000 rd 0110011
sll       R      0000000 rs2 rs1 001 rd 0110011
slt       R      0000000 rs2 rs1 010 rd 0110011
sltu      R      0000000 rs2 rs1 011 rd 0110011
xor       R      0000000 rs2 rs1 100 rd 0110011
srl       R      0000000 rs2 rs1 101 rd 0110011
sra       R      0100000 rs2 rs1 101 rd 0110011
or        R      0000000 rs2 rs1 110 rd 0110011
and       R      0000000 rs2 rs1 111 rd 0110011
mul       R      0000001 rs2 rs1 000 rd 0110011
mulh      R      0000001 rs2 rs1 001 rd 0110011
mulhsu    R      0000001 rs2 rs1 010 rd 0110011
mulhu     R      0000001 rs2 rs1 011 rd 0110011
div       R      0000001 rs2 rs1 100 rd 0110011
divu      R      0000001 rs2 rs1 101 rd 0110011
rem       R      0000001 rs2 rs1 110 rd 0110011
remu      R      0000001 rs2 rs1 111 rd 0110011
addw      R      0000000 rs2 rs1 000 rd 0111011
subw      R      0100000 rs2 rs1 000 rd 0111011
sllw      R      0000000 rs2 rs1 001 rd 0111011
srlw      R      0000000 rs2 rs1 101 rd 0111011
sraw      R      0100000 rs2 rs1 101 rd 0111011
mulw      R      0000001 rs2 rs1 000 rd 0111011
divw      R      0000001 rs2 rs1 100 rd 0111011
divuw     R      0000001 rs2 rs1 101 rd 0111011
remw      R      0000001 rs2 rs1 110 rd 0111011
remuw     R      0000001 rs2 rs1 111 rd 0111011
fence     NONE   fm pred succ imm5 000 imm5 0001111
fence.i   NONE   imm12 imm5 001 imm5 0001111
ecall     NONE   000000000000 00000 000 00000 1110011
ebreak    NONE   000000000001 00000 000 00000 1110011
csrrw     R      csr rs1 001 rd 1110011
csrrs     R      csr rs1 010 rd 1110011
csrrc     R      csr rs1 011 rd 1110011
csrrwi    ZIMM   csr zimm 101 rd 1110011
csrrsi    ZIMM   csr zimm 110 rd 1110011
csrrci    ZIMM   csr zimm 111 rd 1110011
flw       I      imm12 rs1 010 rd 0000111
fld       I      imm12 rs1 011 rd 0000111
fsw       S      imm7 rs2 rs1 010 imm5 0100111
fsd       S      imm7 rs2 rs1 011 imm5 0100111
fmv.x.w   R      1110000 00000 rs1 000 rd 1010011
fmv.x.d   R      1110001 00000 rs1 000 rd 1010011
fmv.w.x   R      1111000 00000 rs1 000 rd 1010011
fmv.d.x   R      1111001 00000 rs1 000 rd 1010011
fcvt.s.d  R      0100000 00001 rs1 rm rd 1010011
fcvt.d.s  R      0100001 00000 rs1 rm rd 1010011
"""
# By extension: what is more than RV64GC. No two patterns of these and those above have a word in common.
_BITS = {
    "zba": """
add.uw    R      0000100 rs2 rs1 000 rd 0111011
sh1add    R      0010000 rs2 rs1 010 rd 0110011
sh2add    R      0010000 rs2 rs1 100 rd 0110011
sh3add    R      0010000 rs2 rs1 110 rd 0110011
sh1add.uw R      0010000 rs2 rs1 010 rd 0111011
sh2add.uw R      0010000 rs2 rs1 100 rd 0111011
sh3add.uw R      0010000 rs2 rs1 110 rd 0111011
slli.uw   SHIFT  000010 shamt6 rs1 001 rd 0011011
""",
    "zbb": """
andn      R      0100000 rs2 rs1 111 rd 0110011
orn       R      0100000 rs2 rs1 110 rd 0110011
xnor      R      0100000 rs2 rs1 100 rd 0110011
clz       R      0110000 00000 rs1 001 rd 0010011
ctz       R      0110000 00001 rs1 001 rd 0010011
cpop      R      0110000 00010 rs1 001 rd 0010011
sext.b    R      0110000 00100 rs1 001 rd 0010011
sext.h    R      0110000 00101 rs1 001 rd 0010011
clzw      R      0110000 00000 rs1 001 rd 0011011
ctzw      R      0110000 00001 rs1 001 rd 0011011
cpopw     R      0110000 00010 rs1 001 rd 0011011
zext.h    R      0000100 00000 rs1 100 rd 0111011
min       R      0000101 rs2 rs1 100 rd 0110011
minu      R      0000101 rs2 rs1 101 rd 0110011
max       R      0000101 rs2 rs1 110 rd 0110011
maxu      R      0000101 rs2 rs1 111 rd 0110011
rol       R      0110000 rs2 rs1 001 rd 0110011
rolw      R      0110000 rs2 rs1 001 rd 0111011
ror       R      0110000 rs2 rs1 101 rd 0110011
rorw      R      0110000 rs2 rs1 101 rd 0111011
rori      SHIFT  011000 shamt6 rs1 101 rd 0010011
roriw     SHIFT  0110000 shamt5 rs1 101 rd 0011011
orc.b     R      001010000111 rs1 101 rd 0010011
rev8      R      011010111000 rs1 101 rd 0010011
""",
    "zbc": """
clmul     R      0000101 rs2 rs1 001 rd 0110011
clmulr    R      0000101 rs2 rs1 010 rd 0110011
clmulh    R      0000101 rs2 rs1 011 rd 0110011
""",
    "zbs": """
bclr      R      0100100 rs2 rs1 001 rd 0110011
bclri     SHIFT  010010 shamt6 rs1 001 rd 0010011
bext      R      0100100 rs2 rs1 101 rd 0110011
bexti     SHIFT  010010 shamt6 rs1 101 rd 0010011
binv      R      0110100 rs2 rs1 001 rd 0110011
binvi     SHIFT  011010 shamt6 rs1 001 rd 0010011
bset      R      0010100 rs2 rs1 001 rd 0110011
bseti     SHIFT  001010 shamt6 rs1 001 rd 0010011
""",
    "zicond": """
czero.eqz R      0000111 rs2 rs1 101 rd 0110011
czero.nez R      0000111 rs2 rs1 111 rd 0110011
""",
}
# Of machines only (privileged manual, 3.3, 4.2 and Svinval).
_PRIVILEGED = """
mret            NONE  0011000 00010 00000 000 00000 1110011
sret            NONE  0001000 00010 00000 000 00000 1110011
wfi             NONE  0001000 00101 00000 000 00000 1110011
sfence.vma      NONE  0001001 rs2 rs1 000 00000 1110011
sinval.vma      NONE  0001011 rs2 rs1 000 00000 1110011
sfence.w.inval  NONE  0001100 00000 00000 000 00000 1110011
sfence.inval.ir NONE  0001100 00001 00000 000 00000 1110011
"""
# Written once for both widths: {2} is the funct3 of a word or doubleword access, {f} the two bits of a float format.
_ATOMIC = """
lr        R      00010 aq rl 00000 rs1 {2} rd 0101111
sc        R      00011 aq rl rs2 rs1 {2} rd 0101111
amoswap   R      00001 aq rl rs2 rs1 {2} rd 0101111
amoadd    R      00000 aq rl rs2 rs1 {2} rd 0101111
amoxor    R      00100 aq rl rs2 rs1 {2} rd 0101111
amoand    R      01100 aq rl rs2 rs1 {2} rd 0101111
amoor     R      01000 aq rl rs2 rs1 {2} rd 0101111
amomin    R      10000 aq rl rs2 rs1 {2} rd 0101111
amomax    R      10100 aq rl rs2 rs1 {2} rd 0101111
amominu   R      11000 aq rl rs2 rs1 {2} rd 0101111
amomaxu   R      11100 aq rl rs2 rs1 {2} rd 0101111
"""
_FLOAT = """
fmadd     R      rs3 {f} rs2 rs1 rm rd 1000011
fmsub     R      rs3 {f} rs2 rs1 rm rd 1000111
fnmsub    R      rs3 {f} rs2 rs1 rm rd 1001011
fnmadd    R      rs3 {f} rs2 rs1 rm rd 1001111
fadd      R      00000 {f} rs2 rs1 rm rd 1010011
fsub      R      00001 {f} rs2 rs1 rm rd 1010011
fmul      R      00010 {f} rs2 rs1 rm rd 1010011
fdiv      R      00011 {f} rs2 rs1 rm rd 1010011
fsqrt     R      01011 {f} 00000 rs1 rm rd 1010011
fsgnj     R      00100 {f} rs2 rs1 000 rd 1010011
fsgnjn    R      00100 {f} rs2 rs1 001 rd 1010011
fsgnjx    R      00100 {f} rs2 rs1 010 rd 1010011
fmin      R      00101 {f} rs2 rs1 000 rd 1010011
fmax      R      00101 {f} rs2 rs1 001 rd 1010011
fle       R      10100 {f} rs2 rs1 000 rd 1010011
flt       R      10100 {f} rs2 rs1 001 rd 1010011
feq       R      10100 {f} rs2 rs1 010 rd 1010011
fclass    R      11100 {f} 00000 rs1 001 rd 1010011
fcvt.w    R      11000 {f} 00000 rs1 rm rd 1010011
fcvt.wu   R      11000 {f} 00001 rs1 rm rd 1010011
fcvt.l    R      11000 {f} 00010 rs1 rm rd 1010011
fcvt.lu   R      11000 {f} 00011 rs1 rm rd 1010011
fcvt._.w  R      11010 {f} 00000 rs1 rm rd 1010011
fcvt._.wu R      11010 {f} 00001 rs1 rm rd 1010011
fcvt._.l  R      11010 {f} 00010 rs1 rm rd 1010011
fcvt._.lu R      11010 {f} 00011 rs1 rm rd 1010011
"""
# name, form of the long instruction, operand layout, pattern. Hints are the instruction they look like.
_SHORT = """
c.addi4spn addi   CIW       000 i8! rd' 00
c.fld      fld    CL8       001 i3 rs1' i2 rd' 00
c.lw       lw     CL4       010 i3 rs1' i2 rd' 00
c.ld       ld     CL8       011 i3 rs1' i2 rd' 00
c.fsd      fsd    CS8       101 i3 rs1' i2 rs2' 00
c.sw       sw     CS4       110 i3 rs1' i2 rs2' 00
c.sd       sd     CS8       111 i3 rs1' i2 rs2' 00
c.nop      nop    NONE      000 i1 00000 i5 01
c.addi     addi   CI        000 i1 rd i5 01
c.addiw    addiw  CI        001 i1 rd! i5 01
c.li       li     CLI       010 i1 rd i5 01
c.addi16sp addi   CI16SP    011 i1! 00010 i5! 01
c.lui      li     CLUI      011 i1! rd i5! 01
c.srli     srli   CBSHIFT   100 i1 00 rd' i5 01
c.srai     srai   CBSHIFT   100 i1 01 rd' i5 01
c.andi     andi   CBI       100 i1 10 rd' i5 01
c.sub      sub    CA        100 0 11 rd' 00 rs2' 01
c.xor      xor    CA        100 0 11 rd' 01 rs2' 01
c.or       or     CA        100 0 11 rd' 10 rs2' 01
c.and      and    CA        100 0 11 rd' 11 rs2' 01
c.subw     subw   CA        100 1 11 rd' 00 rs2' 01
c.addw     addw   CA        100 1 11 rd' 01 rs2' 01
c.j        j      CJ        101 i11 01
c.beqz     beq    CB        110 i3 rs1' i5 01
c.bnez     bne    CB        111 i3 rs1' i5 01
c.slli     slli   CISHIFT   000 i1 rd i5 10
c.fldsp    fld    CI8SP     001 i1 rd i5 10
c.lwsp     lw     CI4SP     010 i1 rd! i5 10
c.ldsp     ld     CI8SP     011 i1 rd! i5 10
c.jr       jalr   CJR       100 0 rs1! 00000 10
c.mv       addi   CMV       100 0 rd rs2! 10
c.ebreak   ebreak NONE      100 1 00000 00000 10
c.jalr     jalr   CJALR     100 1 rs1! 00000 10
c.add      add    CR        100 1 rd rs2! 10
c.fsdsp    fsd    CSS8      101 i6 rs2 10
c.swsp     sw     CSS4      110 i6 rs2 10
c.sdsp     sd     CSS8      111 i6 rs2 10
"""


class Row(NamedTuple):
    """One instruction: bits & mask == match, and bits & nonzero != 0 unless nonzero is 0.

    `forms`: form names among which `choice` selects by operands: None takes the first, "rm" by the rounding mode,
    "rd" [rd = 0], "jalr" [jump and link, jump, return], "fence" [full, light, pause], "rs1" [rs1 = 0], "csr" by the
    table of CSR numbers (decode_tables.py), so that there are none here.
    """
    name: str
    layout: str
    mask: int
    match: int
    nonzero: int
    fields: frozenset[str]
    choice: str | None
    forms: tuple[str, ...]


ILLEGAL, EMULATE = "illegal", "emulate"
CSR_OPERATIONS = ("csrr", "csrrw", "csrrs", "csrrc", "csrrwi", "csrrsi", "csrrci")     # csrr: one that does not write
USER_CSRS = {0x001: "fflags", 0x002: "frm", 0x003: "fcsr", 0xC00: "cycle", 0xC01: "time", 0xC02: "instret"}
FLOAT_CSRS = frozenset({"fflags", "frm", "fcsr"})
_EXACT = ("fcvt.d.s", "fcvt.d.w", "fcvt.d.wu")                               # never round


def choice(name: str, fields: frozenset[str]) -> tuple[str | None, tuple[str, ...]]:
    """The forms that a long instruction (or what a compressed one stands for) decodes to."""
    if "rm" in fields:
        if name in _EXACT:
            return "rm", (*[name] * 5, ILLEGAL, ILLEGAL, name)
        if name.startswith(("fcvt.w", "fcvt.l")):
            return "rm", (*[f"{name}.{mode}" for mode in ("rne", "rtz", "rdn", "rup", "rmm")], ILLEGAL, ILLEGAL, name)
        away = f"{name}.rmm" if name.split(".")[2:] and name.split(".")[2] in ("w", "wu", "l", "lu") else EMULATE
        return "rm", (*[f"{name}.static"] * 4, away, ILLEGAL, ILLEGAL, name)
    if name.startswith("csr"):
        return "csr", ()
    return {"lui": (None, ("li",)), "auipc": (None, ("li",)), "jal": ("rd", ("jal", "j")),
            "jalr": ("jalr", ("jalr", "jr", "ret")), "addi": ("rs1", ("addi", "li")),
            "fence": ("fence", ("fence", "fence.light", "nop"))}.get(name, (None, (name,)))


def row(name: str, layout: str, pattern: str, form: str) -> Row:
    """The row of a pattern in the notation above."""
    mask = match = nonzero = bits = 0
    fields = set()
    for word in pattern.split():
        field = word.rstrip("!")
        width = WIDTH.get(field, len(word))
        mask, match, nonzero, bits = mask << width, match << width, nonzero << width, bits + width
        if field not in WIDTH:
            mask |= (1 << width) - 1
            match |= int(word, 2)
        else:
            fields.add(field)
            if word.endswith("!"):
                nonzero |= (1 << width) - 1
    assert bits in (16, 32), f"{name} has {bits} bits"
    return Row(name, layout, mask, match, nonzero, frozenset(fields), *choice(form, frozenset(fields)))


def _rows() -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    long = [line.split(maxsplit=2) for line in _LONG.strip().splitlines()]
    for suffix, funct3, fmt in (("w", "010", None), ("d", "011", None), ("s", None, "00"), ("d", None, "01")):
        for line in (_ATOMIC if funct3 else _FLOAT).strip().splitlines():
            name, layout, pattern = line.split(maxsplit=2)
            name = name.replace("_", suffix) if "_" in name else f"{name}.{suffix}"
            long.append([name, layout, pattern.replace("{2}", funct3 or "").replace("{f}", fmt or "")])
    short = (line.split(maxsplit=3) for line in _SHORT.strip().splitlines())
    return (tuple(row(name, layout, pattern, name) for name, layout, pattern in long),
            tuple(row(name, layout, pattern, form) for name, form, layout, pattern in short))


LONG, SHORT = _rows()
BITS = tuple(row(name, layout, pattern, name) for patterns in _BITS.values() for name, layout, pattern in
             (line.split(maxsplit=2) for line in patterns.strip().splitlines()))
PRIVILEGED = tuple(row(name, layout, pattern, "system") for name, layout, pattern in
                   (line.split(maxsplit=2) for line in _PRIVILEGED.strip().splitlines()))
