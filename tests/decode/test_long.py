"""Every 32-bit instruction of RV64G, B, Zbc and Zicond, encoded here field by field from the manual's tables, with random operands."""

import random

import pytest

from dragoman.dbt.isa.riscv import FORM, MACHINE
from dragoman.dbt.listing import Record

PC = 0x7FFF_0000
NOP = Record("nop", 4, 0, 0, 0, 0, 0, 0, PC)
SINK = 32
ROUNDS = 60


def record(form, rd=0, rs1=0, rs2=0, rs3=0, rm=0, imm=0):
    return Record(form, 4, rd, rs1, rs2, rs3, rm, imm, PC)


def r_type(opcode, funct3, funct7, rd, rs1, rs2):
    return funct7 << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def i_type(opcode, funct3, rd, rs1, imm):
    return (imm & 0xFFF) << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode


def pure(form, rd, **operands):
    """An instruction that does nothing but write an integer register."""
    return record(form, rd, **operands) if rd else NOP


def register(random):
    return random.choice((0, 1, 2, 5, 8, 31, random.randrange(32)))


def number(random, bits):
    return random.choice((0, 1, -1, (1 << bits - 1) - 1, -1 << bits - 1,
                          random.randrange(-1 << bits - 1, 1 << bits - 1)))


CASES = {}


def case(*names):
    def note(function):
        for name in names:
            CASES[name] = lambda r, name=name: function(name, r)
        return function
    return note


OP = {"add": (0x33, 0, 0), "sub": (0x33, 0, 32), "sll": (0x33, 1, 0), "slt": (0x33, 2, 0), "sltu": (0x33, 3, 0),
      "xor": (0x33, 4, 0), "srl": (0x33, 5, 0), "sra": (0x33, 5, 32), "or": (0x33, 6, 0), "and": (0x33, 7, 0),
      "addw": (0x3B, 0, 0), "subw": (0x3B, 0, 32), "sllw": (0x3B, 1, 0), "srlw": (0x3B, 5, 0), "sraw": (0x3B, 5, 32),
      **{name: (0x33, k, 1) for k, name in enumerate("mul mulh mulhsu mulhu div divu rem remu".split())},
      **{name: (0x3B, k, 1) for k, name in ((0, "mulw"), (4, "divw"), (5, "divuw"), (6, "remw"), (7, "remuw"))}}


@case(*OP)
def op(name, r):
    rd, rs1, rs2 = register(r), register(r), register(r)
    return r_type(*OP[name], rd, rs1, rs2), pure(name, rd, rs1=rs1, rs2=rs2)


OP_IMM = {"addi": (0x13, 0), "slti": (0x13, 2), "sltiu": (0x13, 3), "xori": (0x13, 4), "ori": (0x13, 6),
          "andi": (0x13, 7), "addiw": (0x1B, 0)}


@case(*OP_IMM)
def op_imm(name, r):
    rd, rs1, imm = register(r), register(r), number(r, 12)
    form = "li" if name == "addi" and rs1 == 0 else name
    return i_type(*OP_IMM[name], rd, rs1, imm), pure(form, rd, rs1=rs1, imm=imm)


SHIFT = {"slli": (0x13, 1, 0, 64), "srli": (0x13, 5, 0, 64), "srai": (0x13, 5, 0x400, 64),
         "slliw": (0x1B, 1, 0, 32), "srliw": (0x1B, 5, 0, 32), "sraiw": (0x1B, 5, 0x400, 32)}


@case(*SHIFT)
def shift(name, r):
    opcode, funct3, high, width = SHIFT[name]
    rd, rs1, imm = register(r), register(r), r.randrange(width)
    return i_type(opcode, funct3, rd, rs1, high | imm), pure(name, rd, rs1=rs1, imm=imm)


@case("lui", "auipc")
def upper(name, r):
    rd, imm = register(r), number(r, 20) << 12
    word = imm & 0xFFFFF000 | rd << 7 | (0x37 if name == "lui" else 0x17)
    return word, pure("li", rd, imm=imm if name == "lui" else PC + imm)


@case("jal")
def jal(name, r):
    rd, imm = register(r), number(r, 20) * 2
    word = (imm >> 20 & 1) << 31 | (imm >> 1 & 0x3FF) << 21 | (imm >> 11 & 1) << 20 | (imm >> 12 & 0xFF) << 12
    return word | rd << 7 | 0x6F, record("jal" if rd else "j", rd, imm=PC + imm)


@case("jalr")
def jalr(name, r):
    rd, rs1, imm = register(r), register(r), number(r, 12)
    form = "jalr" if rd else "ret" if rs1 in (1, 5) else "jr"
    return i_type(0x67, 0, rd, rs1, imm), record(form, rd, rs1, imm=imm)


BRANCH = {"beq": 0, "bne": 1, "blt": 4, "bge": 5, "bltu": 6, "bgeu": 7}


@case(*BRANCH)
def branch(name, r):
    rs1, rs2, imm = register(r), register(r), number(r, 12) * 2
    word = ((imm >> 12 & 1) << 31 | (imm >> 5 & 0x3F) << 25 | rs2 << 20 | rs1 << 15 | BRANCH[name] << 12
            | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7 | 0x63)
    return word, record(name, rs1=rs1, rs2=rs2, imm=PC + imm)


LOAD = {"lb": 0, "lh": 1, "lw": 2, "ld": 3, "lbu": 4, "lhu": 5, "lwu": 6}


@case(*LOAD)
def load(name, r):
    rd, rs1, imm = register(r), register(r), number(r, 12)
    return i_type(0x03, LOAD[name], rd, rs1, imm), record(name, rd or SINK, rs1, imm=imm)


@case("flw", "fld")
def fload(name, r):
    rd, rs1, imm = register(r), register(r), number(r, 12)
    return i_type(0x07, 2 + (name == "fld"), rd, rs1, imm), record(name, rd, rs1, imm=imm)


STORE = {"sb": (0x23, 0), "sh": (0x23, 1), "sw": (0x23, 2), "sd": (0x23, 3), "fsw": (0x27, 2), "fsd": (0x27, 3)}


@case(*STORE)
def store(name, r):
    opcode, funct3 = STORE[name]
    rs1, rs2, imm = register(r), register(r), number(r, 12)
    word = (imm >> 5 & 0x7F) << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | (imm & 31) << 7 | opcode
    return word, record(name, rs1=rs1, rs2=rs2, imm=imm)


AMO = {"lr": 2, "sc": 3, "amoswap": 1, "amoadd": 0, "amoxor": 4, "amoand": 12, "amoor": 8, "amomin": 16, "amomax": 20,
       "amominu": 24, "amomaxu": 28}


@case(*(f"{name}.{size}" for name in AMO for size in "wd"))
def amo(name, r):
    operation, size = name.split(".")
    rd, rs1, rs2 = register(r), register(r), 0 if operation == "lr" else register(r)
    word = r_type(0x2F, 2 + (size == "d"), AMO[operation] << 2 | r.randrange(4), rd, rs1, rs2)
    return word, record(name, rd or SINK, rs1, rs2)


@case("fence")
def fence(name, r):
    fm, before, after = r.choice((0, 0, 8, 3)), r.randrange(16), r.randrange(16)
    word = i_type(0x0F, 0, r.choice((0, register(r))), register(r), fm << 8 | before << 4 | after)
    if word == 0x0100000F:
        return word, NOP
    tso = (fm, before, after) == (8, 3, 3)
    return word, record("fence" if before & 1 and after & 2 and not tso else "fence.light")


@case("fence.i")
def fence_i(name, r):
    return i_type(0x0F, 1, register(r), register(r), number(r, 12)), record("fence.i")


@case("ecall", "ebreak")
def environment(name, r):
    return 0x73 | (name == "ebreak") << 20, record(name)


CSR_OPERATION = {"csrrw": 1, "csrrs": 2, "csrrc": 3, "csrrwi": 5, "csrrsi": 6, "csrrci": 7}
CSR = {1: "fflags", 2: "frm", 3: "fcsr", 0xC00: "cycle", 0xC01: "time", 0xC02: "instret"}


@case(*CSR_OPERATION)
def csr(name, r):
    number, rd, rs1 = r.choice((*CSR, 0, 4, 0x300, 0xC03, 0xC80)), register(r), register(r)
    word = i_type(0x73, CSR_OPERATION[name], rd, rs1, number)
    read = name[4] != "w" and rs1 == 0
    if number not in CSR or (number >= 0xC00 and not read):
        return word, record("illegal", imm=word)
    if read:
        return word, record(f"csrr.{CSR[number]}", rd or SINK) if number < 0xC00 else pure(f"csrr.{CSR[number]}", rd)
    immediate = name.endswith("i")
    return word, record(f"{name}.{CSR[number]}", rd or SINK, 0 if immediate else rs1, imm=rs1 if immediate else 0)


def rounded(name, mode):
    """Form and extra fields by the contract: 7 dynamic, 0..3 static, 4 for the oracle, 5 and 6 reserved."""
    if mode in (5, 6):
        return None
    if mode == 7 or name in ("fcvt.d.s", "fcvt.d.w", "fcvt.d.wu"):
        return name, 0
    if name.split(".")[1] in ("w", "wu", "l", "lu"):
        return f"{name}.{('rne', 'rtz', 'rdn', 'rup', 'rmm')[mode]}", 0
    if mode == 4 and name.split(".")[2:] and name.split(".")[2] in ("w", "wu", "l", "lu"):
        return f"{name}.rmm", 0
    if mode == 4:
        return "emulate", FORM[f"{name}.static"].number
    return f"{name}.static", 0


def rounding_case(name, r, word, integer_rd=False, **operands):
    mode = r.randrange(8)
    word |= mode << 12
    if rounded(name, mode) is None:
        return word, record("illegal", imm=word)
    form, imm = rounded(name, mode)
    if integer_rd:
        operands["rd"] = operands["rd"] or SINK
    return word, record(form, rm=mode, imm=imm, **operands)


FUSED = {"fmadd": 0x43, "fmsub": 0x47, "fnmsub": 0x4B, "fnmadd": 0x4F}
ARITHMETIC = {"fadd": 0, "fsub": 1, "fmul": 2, "fdiv": 3}
PLAIN = {"fsgnj": (4, 0), "fsgnjn": (4, 1), "fsgnjx": (4, 2), "fmin": (5, 0), "fmax": (5, 1),
         "fle": (20, 0), "flt": (20, 1), "feq": (20, 2)}
INTEGER = {"w": 0, "wu": 1, "l": 2, "lu": 3}
FORMAT = {"s": 0, "d": 1}


@case(*(f"{name}.{f}" for name in FUSED for f in FORMAT))
def fused(name, r):
    operation, f = name.split(".")
    rd, rs1, rs2, rs3 = (register(r) for _ in range(4))
    word = r_type(FUSED[operation], 0, rs3 << 2 | FORMAT[f], rd, rs1, rs2)
    return rounding_case(name, r, word, rd=rd, rs1=rs1, rs2=rs2, rs3=rs3)


@case(*(f"{name}.{f}" for name in ARITHMETIC for f in FORMAT))
def arithmetic(name, r):
    operation, f = name.split(".")
    operands = {"rd": register(r), "rs1": register(r), "rs2": register(r)}
    return rounding_case(name, r, r_type(0x53, 0, ARITHMETIC[operation] << 2 | FORMAT[f], **operands), **operands)


def unary(name, r, funct5, f, selector, integer_rd=False):
    operands = {"rd": register(r), "rs1": register(r)}
    return rounding_case(name, r, r_type(0x53, 0, funct5 << 2 | FORMAT[f], operands["rd"], operands["rs1"], selector),
                         integer_rd, **operands)


@case("fsqrt.s", "fsqrt.d")
def square_root(name, r): return unary(name, r, 11, name[-1], 0)


@case("fcvt.s.d", "fcvt.d.s")
def convert(name, r): return unary(name, r, 8, name[5], FORMAT[name[7]])


@case(*(f"fcvt.{i}.{f}" for i in INTEGER for f in FORMAT))
def to_integer(name, r): return unary(name, r, 24, name[-1], INTEGER[name.split(".")[1]], integer_rd=True)


@case(*(f"fcvt.{f}.{i}" for i in INTEGER for f in FORMAT))
def from_integer(name, r): return unary(name, r, 26, name[5], INTEGER[name.split(".")[2]])


@case(*(f"{name}.{f}" for name in PLAIN for f in FORMAT))
def plain(name, r):
    operation, f = name.split(".")
    funct5, funct3 = PLAIN[operation]
    rd, rs1, rs2 = register(r), register(r), register(r)
    word = r_type(0x53, funct3, funct5 << 2 | FORMAT[f], rd, rs1, rs2)
    return word, record(name, rd if funct5 != 20 else rd or SINK, rs1, rs2)


MOVE = {"fclass.s": (28, 0, 1), "fclass.d": (28, 1, 1), "fmv.x.w": (28, 0, 0), "fmv.x.d": (28, 1, 0),
        "fmv.w.x": (30, 0, 0), "fmv.d.x": (30, 1, 0)}


@case(*MOVE)
def move(name, r):
    funct5, f, funct3 = MOVE[name]
    rd, rs1 = register(r), register(r)
    word = r_type(0x53, funct3, funct5 << 2 | f, rd, rs1, 0)
    return word, record(name, rd, rs1) if funct5 == 30 else pure(name, rd, rs1=rs1)


# Unprivileged manual, "B" and "Zicond": opcode, funct3, funct7; or the upper twelve bits of what has one operand.
BITS = {"add.uw": (0x3B, 0, 4), "zext.h": (0x3B, 4, 0x080), "orc.b": (0x13, 5, 0x287), "rev8": (0x13, 5, 0x6B8),
        **{f"sh{n}add": (0x33, 2 * n, 16) for n in (1, 2, 3)}, **{f"sh{n}add.uw": (0x3B, 2 * n, 16) for n in (1, 2, 3)},
        "xnor": (0x33, 4, 32), "orn": (0x33, 6, 32), "andn": (0x33, 7, 32),
        "min": (0x33, 4, 5), "minu": (0x33, 5, 5), "max": (0x33, 6, 5), "maxu": (0x33, 7, 5),
        "clmul": (0x33, 1, 5), "clmulr": (0x33, 2, 5), "clmulh": (0x33, 3, 5),
        "rol": (0x33, 1, 48), "ror": (0x33, 5, 48), "rolw": (0x3B, 1, 48), "rorw": (0x3B, 5, 48),
        "bclr": (0x33, 1, 36), "bext": (0x33, 5, 36), "binv": (0x33, 1, 52), "bset": (0x33, 1, 20),
        "czero.eqz": (0x33, 5, 7), "czero.nez": (0x33, 7, 7),
        **{name: (0x13, 1, 0x600 + n) for n, name in ((0, "clz"), (1, "ctz"), (2, "cpop"), (4, "sext.b"), (5, "sext.h"))},
        **{name: (0x1B, 1, 0x600 + n) for n, name in ((0, "clzw"), (1, "ctzw"), (2, "cpopw"))}}
BIT_SHIFTS = {"slli.uw": (0x1B, 1, 0x080, 64), "rori": (0x13, 5, 0x600, 64), "roriw": (0x1B, 5, 0x600, 32),
              "bclri": (0x13, 1, 0x480, 64), "bexti": (0x13, 5, 0x480, 64), "binvi": (0x13, 1, 0x680, 64), "bseti": (0x13, 1, 0x280, 64)}


@case(*BITS)
def bits(name, r):
    opcode, funct3, high = BITS[name]
    rd, rs1, rs2 = register(r), register(r), register(r)
    if high >= 64:
        return i_type(opcode, funct3, rd, rs1, high), pure(name, rd, rs1=rs1)
    return r_type(opcode, funct3, high, rd, rs1, rs2), pure(name, rd, rs1=rs1, rs2=rs2)


@case(*BIT_SHIFTS)
def bit_shift(name, r):
    opcode, funct3, high, width = BIT_SHIFTS[name]
    rd, rs1, imm = register(r), register(r), r.randrange(width)
    return i_type(opcode, funct3, rd, rs1, high | imm), pure(name, rd, rs1=rs1, imm=imm)


def decoded(native, name):
    """ROUNDS times an instruction of this name: its word, what it decodes to, and what it should."""
    r = random.Random(name)
    for _ in range(ROUNDS):
        word, expected = CASES[name](r)
        got, = native(word.to_bytes(4, "little"), PC)
        yield word, got, expected


@pytest.mark.parametrize("name", CASES)
def test_a_cpu_without_bits_has_all_but_them(native_base, name):
    for word, got, expected in decoded(native_base, name):
        assert got == (record("illegal", imm=word) if name in BITS | BIT_SHIFTS else expected), f"{word:#010x}"


@pytest.mark.parametrize("name", CASES)
def test_instruction(native, name):
    for word, got, expected in decoded(native, name):
        assert got == expected, f"{word:#010x}"


def test_every_form_is_made_by_a_case(native):
    r = random.Random(1)
    made = {CASES[name](r)[1].form for name in CASES for _ in range(400)}
    assert made == FORM.keys() - MACHINE - {"fetch"}


@pytest.mark.parametrize("word, why", [
    (0x30200073, "mret"), (0x10200073, "sret"), (0x10500073, "wfi"), (0x12000073, "sfence.vma"),
    (0x16000073, "sinval.vma"), (0x62000073, "hfence.gvma"), (0x00200073, "uret"), (0xC0001073, "unimp"),
    (0x00100173, "ebreak with rd"), (0x06009013, "slli with bit 26"), (0x0200101B, "slliw by 32"),
    (0x1000302F | 1 << 20, "lr.d with rs2"), (0x00004023, "store of 16 bytes"), (0x00007003, "load, funct3 7"),
    (0x00002063, "branch, funct3 2"), (0x00001067, "jalr, funct3 1"), (0x04000053, "fadd.h"), (0x06000053, "fadd.q"),
    (0x58100053, "fsqrt.s with rs2 1"), (0xFFFFFFFF, "all ones"), (0x0000001F, "48-bit encoding"),
    (0x0000002B | 0x40, "custom"), (0x00000057, "vector"), (0x20000033, "Zba-like funct7"), (0x08000033, "funct7 4"),
    (0x0810403B, "packw, of Zbkb"), (0x68705013, "brev8, of Zbkb"), (0x60301013, "unary operation 3"), (0x69805013, "rev8 of RV32"),
    (0x6201101B | 1 << 25, "roriw by 32"), (0x0A000033, "clmul with funct3 0"), (0x0E001033, "Zicond's funct7 with funct3 1"),
])
def test_what_user_mode_lacks_is_illegal(native, word, why):
    assert native(word.to_bytes(4, "little"), PC) == [record("illegal", imm=word)], why
