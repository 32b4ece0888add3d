"""Guest bytes to decoded records, in compiled code: Capstone says which instruction, its bits say the operands.

The only user of Capstone. Its verdict is checked against the mask and match of the manual (isa/*/encoding.py), and what
it does not know is looked up there: 5.0.9 has no B, Zbc and Zicond, and refuses hints (c.li, c.lui, c.mv, c.add, c.slli into x0, c.nop with an
immediate), fence and fence.i with reserved fields, and exact conversions with a rounding mode; it accepts c.lui of 0,
which is reserved, and everything privileged. A record is laid out in state.py.

Most instructions of a program are of a few hundred kinds: what Capstone said of one is noted by the bits that tell instructions
apart, in a table of row numbers (`MEMO`), and holds for the next if the row's mask and match do. Rows of long instructions exclude each
other; those of compressed ones do not, so these are noted by all of their bits.

Capstone 6.0.0a11 knows B, but is a pre-release and spells much else differently; the look-up finds an instruction of B in
less time than Capstone takes for one that it knows. So the rows of B and the like are never reached by an id of Capstone's,
and a CPU without them (isa/levels.py) is one whose look-up begins behind them: the same tables serve both.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from _frozen_importlib_external import PathFinder  # importlib.machinery and functools would import 3 ms more

from dragoman.dbt.compiled import call5, compiled, load8, load16, load32, load64, store16, store64
from dragoman.dbt.decode_riscv import (
    RD_SHIFT,
    RM_SHIFT,
    RS1_SHIFT,
    long_immediate,
    long_registers,
    short_immediate,
    short_registers,
)
from dragoman.dbt.isa.levels import BASE, WITH_BITS

# --- a row of the table of instructions, 40 bytes
MASK, MATCH, NONZERO, LAYOUT, CHOICE, FIELDS, FORMS, ROW_SIZE = 0, 4, 8, 12, 13, 14, 16, 40
# What chooses among a row's forms (encoding.Row.choice).
ONE, BY_RM, BY_RD, BY_JALR, BY_FENCE, BY_RS1, BY_CSR = range(7)
CHOICES = {None: ONE, "rm": BY_RM, "rd": BY_RD, "jalr": BY_JALR, "fence": BY_FENCE, "rs1": BY_RS1, "csr": BY_CSR}
# What a form's byte of properties says: it ends a block; rd = 0 becomes the sink; rd = 0 makes it a nop; its immediate
# is the instruction word.
ENDS, SINKS, NOPS, WORDS = 1, 2, 4, 8
# --- a row of the table of CSRs, 16 bytes: number, then the form of each of encoding.CSR_OPERATIONS
CSR_FORMS, CSR_ROW_SIZE = "<7H", 16                                       # the forms, at 2 in a row
FORM_NUMBERS = "<12H"               # at FORMS in a row
NO_ROW = 0xFFFF

# --- the control block of a decoder, one a thread: words at these offsets
HANDLE, INSN, DISASM_ITER, CURSOR_CODE, CURSOR_SIZE, CURSOR_PC = 0, 8, 16, 24, 32, 40
ROWS, IDS, PROPERTIES, ID_COUNT, ROW_COUNT, SHORT_ROWS = 48, 56, 64, 72, 80, 88
NOP, ILLEGAL, FETCH, EMULATE, CSRS, CSR_COUNT, CSR_OTHER = range(96, 152, 8)
FIRST_ROW = 152                     # address of the first row that is looked up
MEMO = 160                          # address of a table of uint16: a row's number + 1; compressed instructions, then long ones by kind
CONTROL_SIZE = 168
SHORT_KINDS, LONG_KINDS = 1 << 16, 1 << 15
# --- cs_insn: id at 0, size at 16, mnemonic, op_str (capstone.h)
INSN_ID, INSN_BYTES, INSN_MNEMONIC, INSN_OPERANDS, INSN_SIZE = 0, 16, 42, 74, 512
# --- tables as bytes: a header of words, then the four tables at the offsets that it names
HEADER = ("arch", "mode", "rows", "ids", "properties", "id_count", "row_count", "short_rows", "nop", "illegal", "fetch",
          "emulate", "csrs", "csr_count", "csr_other", "bit_rows")
SINK_REGISTER = 32
_library: list[ctypes.CDLL] = []

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


@compiled("i8(i8,i8)")
def matches(row, word):
    """1 if the instruction is the row's."""
    if word & load32(row + MASK) != load32(row + MATCH):
        return 0
    nonzero = load32(row + NONZERO)
    return 1 if nonzero == 0 or word & nonzero != 0 else 0


@compiled("i8(i8,i8)")
def kind(size, word):
    """Place in the memo: opcode, funct3 and funct7 of a long instruction, all of a compressed one."""
    return word if size == 2 else SHORT_KINDS + ((word >> 25 & 127) << 8 | (word >> 12 & 7) << 5 | word >> 2 & 31)


@compiled("i8(i8,i8,i8,i8,i8)")
def identify(decoder, code, size, pc, word):
    """Address of the row of an instruction, or 0 if it is none."""
    rows = load64(decoder + ROWS)
    note = load64(decoder + MEMO) + 2 * kind(size, word)
    known = load16(note)
    if known != 0:
        row = rows + ROW_SIZE * (known - 1)
        if matches(row, word):
            return row
    row = ask_capstone(decoder, code, size, pc, word)
    if row == 0:
        row = look_up(decoder, size, word)
    if row != 0:
        store16(note, (row - rows) // ROW_SIZE + 1)
    return row


@compiled("i8(i8,i8,i8,i8,i8)")
def ask_capstone(decoder, code, size, pc, word):
    """The row of an instruction by Capstone's id, or 0: it knows it not, or by a name that the manual gives to something else."""
    store64(decoder + CURSOR_CODE, code)
    store64(decoder + CURSOR_SIZE, size)
    store64(decoder + CURSOR_PC, pc)
    insn = load64(decoder + INSN)
    found = call5(load64(decoder + DISASM_ITER), load64(decoder + HANDLE), decoder + CURSOR_CODE,
                  decoder + CURSOR_SIZE, decoder + CURSOR_PC, insn)
    if found & 0xFF:
        number = load32(insn + INSN_ID)
        if number < load64(decoder + ID_COUNT):
            index = load16(load64(decoder + IDS) + 2 * number)
            if index != NO_ROW and load16(insn + INSN_BYTES) == size:
                row = load64(decoder + ROWS) + ROW_SIZE * index
                if matches(row, word):
                    return row
    return 0


@compiled("i8(i8,i8,i8)")
def look_up(decoder, size, word):
    """The first row whose mask and match an instruction has, or 0."""
    rows = load64(decoder + ROWS)
    at = load64(decoder + FIRST_ROW)
    last = rows + ROW_SIZE * load64(decoder + SHORT_ROWS)
    if size == 2:
        at = last
        last = rows + ROW_SIZE * load64(decoder + ROW_COUNT)
    while at < last:
        if matches(at, word):
            return at
        at += ROW_SIZE
    return 0


@compiled("i8(i8,i8,i8)")
def choose(choice, word, registers):
    """Index among the forms of a row."""
    rd, rs1 = registers >> RD_SHIFT & 0xFF, registers >> RS1_SHIFT & 0xFF
    if choice == BY_RM:
        return word >> 12 & 7
    if choice == BY_RS1:
        return 1 if rs1 == 0 else 0
    if choice == BY_RD:
        return 1 if rd == 0 else 0
    if choice == BY_JALR:
        if rd != 0:
            return 0
        return 2 if rs1 == 1 or rs1 == 5 else 1
    if choice == BY_FENCE:
        if word == 0x0100000F:                                   # pause
            return 2
        if word >> 20 == 0x833:                                  # fence.tso
            return 1
        return 0 if word & 1 << 24 and word & 1 << 21 else 1     # stores before loads
    return 0


@compiled("i8(i8,i8)")
def csr_form(decoder, word):
    """The form of a CSR instruction by the number of the CSR, and whether it writes."""
    operation = word >> 12 & 7
    column = operation - 1 if operation > 4 else operation       # csrrw 1, csrrs 2, csrrc 3, and with immediates 4, 5, 6
    if word >> 15 & 31 == 0 and operation & 3 != 1:              # csrrs, csrrc of nothing: only a read
        column = 0
    row = load64(decoder + CSRS)
    for _ in range(load64(decoder + CSR_COUNT)):
        if load16(row) == word >> 20:
            return load16(row + 2 + 2 * column)
        row += CSR_ROW_SIZE
    return load64(decoder + CSR_OTHER)


@compiled("i8(i8,i8,i8,i8,i8)")
def decode_one(decoder, code, pc, room, record):
    """Decode the instruction at host address `code`, of which `room` bytes are executable; its properties.

    The record has the bytes that were decoded, since another thread may change those in memory at any time. `code` may be the
    record: it is decoded again.
    """
    size = 2
    word = 0
    if room >= 2:
        word = load16(code)
        if word & 3 == 3:
            size = 4
    if room >= size and size == 4:
        word = load32(code)
        if word & 3 != 3:
            word &= 0xFFFF
            size = 2
    store64(record, word)
    store64(record + 24, pc)
    form = load64(decoder + FETCH)
    registers = immediate = 0
    if room >= size:
        row = identify(decoder, record, size, pc, word)
        form = load64(decoder + ILLEGAL)
        immediate = word
        if row != 0:
            layout = load8(row + LAYOUT)
            choice = load8(row + CHOICE)
            if size == 4:
                registers = long_registers(word, load8(row + FIELDS))
            else:
                registers = short_registers(word, layout)
            index = choose(choice, word, registers)
            chosen = csr_form(decoder, word) if choice == BY_CSR else load16(row + FORMS + 2 * index)
            if chosen != form:
                form = chosen
                immediate = long_immediate(word, layout, pc) if size == 4 else short_immediate(word, layout, pc)
                if choice == BY_RM:
                    registers |= index << RM_SHIFT
                    if form == load64(decoder + EMULATE):
                        immediate = load16(row + FORMS)          # which form it is, with the mode in rm
            else:
                registers = 0
    properties = load8(load64(decoder + PROPERTIES) + form)
    if properties & WORDS:
        immediate = (word ^ 0x80000000) - 0x80000000
    if registers >> RD_SHIFT & 0xFF == 0:
        if properties & NOPS:
            form = load64(decoder + NOP)
            registers = immediate = 0
        elif properties & SINKS:
            registers |= SINK_REGISTER << RD_SHIFT
    store64(record + 8, form | size << 16 | registers)
    store64(record + 16, immediate)
    return properties


@compiled("i8(i8,i8,i8,i8,i8,i8)")
def decode_block(decoder, code, pc, end, records, maximum):
    """Decode from host address `code`, guest address `pc`, until what ends a block, or `maximum` records; their count.

    Guest memory is executable up to guest address `end`: the block ends before an instruction that crosses it. If that is
    the first one, it is the only record, of form `fetch`.
    """
    count = 0
    at = 0
    while count < maximum:
        record = records + 32 * count
        properties = decode_one(decoder, code + at, pc + at, end - pc - at, record)
        if count != 0 and load16(record + 8) == load64(decoder + FETCH):
            break
        count += 1
        if properties & ENDS:
            break
        at += load8(record + 10)
    return count


# --- Python's side

def tables(isa: str = "riscv", context: int | None = None, inline: bool = True) -> bytes:
    """What a Decoder needs of an instruction set; made when the engine is built, and kept with it.

    context: of a machine (isa/*/contexts.py), None: a process. inline: sensitive instructions may be rewritten inline.
    """
    from dragoman.dbt import decode_tables
    return decode_tables.tables(isa, context, inline)


def names() -> tuple[int, int, dict[str, int]]:
    """Capstone's number of the architecture and the mode for RV64GC, which is all it knows, and its ids by name."""
    import capstone
    from capstone import riscv
    prefix = "RISCV_INS_"
    ids = {name.removeprefix(prefix): value for name, value in vars(riscv).items() if name.startswith(prefix)}
    return capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC, ids


def library() -> ctypes.CDLL:
    """libcapstone, without its Python binding (10 ms)."""
    if not _library:                # once: a fork must not come into the midst of libc's loading (imports.py)
        spec = PathFinder.find_spec("capstone")
        path = os.path.join(os.path.dirname(spec.origin), "lib", "libcapstone.so") if spec is not None and spec.origin else ""
        _library.append(ctypes.CDLL(path if os.path.exists(path) else "libcapstone.so.5"))
    return _library[0]


class Decoder:
    """A Capstone handle with its tables: `address` is what decode_block takes. For one thread."""

    def __init__(self, data: bytes, level: str = WITH_BITS):
        """level: of isa/levels.py, for what may be looked up; `bit_rows` of the tables are those of more than BASE."""
        capstone = library()
        header = dict(zip(HEADER, struct.unpack_from(f"<{len(HEADER)}q", data), strict=True))
        self._tables = ctypes.create_string_buffer(data, len(data))
        self._insn = ctypes.create_string_buffer(INSN_SIZE)
        self._control = ctypes.create_string_buffer(CONTROL_SIZE)
        self._memo = mmap.mmap(-1, 2 * (SHORT_KINDS + LONG_KINDS), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.address, self.insn = ctypes.addressof(self._control), ctypes.addressof(self._insn)
        handle = ctypes.c_size_t()
        error = capstone.cs_open(int(header["arch"]), int(header["mode"]), ctypes.byref(handle))
        if error:
            raise OSError(f"Capstone cannot decode this instruction set: error {error}")
        base = ctypes.addressof(self._tables)
        words = {HANDLE: handle.value, INSN: self.insn, MEMO: ctypes.addressof(ctypes.c_char.from_buffer(self._memo)),
                 DISASM_ITER: ctypes.cast(capstone.cs_disasm_iter, ctypes.c_void_p).value or 0,
                 ROWS: base + header["rows"], IDS: base + header["ids"], PROPERTIES: base + header["properties"],
                 ID_COUNT: header["id_count"], ROW_COUNT: header["row_count"], SHORT_ROWS: header["short_rows"],
                 NOP: header["nop"], ILLEGAL: header["illegal"], FETCH: header["fetch"], EMULATE: header["emulate"],
                 CSRS: base + header["csrs"], CSR_COUNT: header["csr_count"], CSR_OTHER: header["csr_other"],
                 FIRST_ROW: base + header["rows"] + (ROW_SIZE * header["bit_rows"] if level == BASE else 0)}
        for offset, value in words.items():
            store64(self.address + offset, value)

    def leave_to_oracle(self, forms: Iterable[int]) -> None:
        """From now on instructions of these forms (numbers) decode to `emulate`: the runtime is to execute them."""
        words = struct.unpack_from(f"<{len(HEADER)}q", self._tables)
        of = lambda name: words[HEADER.index(name)]
        rows, csrs, wanted = of("rows"), of("csrs"), frozenset(forms)
        places = [(at, FORM_NUMBERS) for at in range(rows + FORMS, rows + FORMS + of("row_count") * ROW_SIZE, ROW_SIZE)]
        places += [(at + 2, CSR_FORMS) for at in range(csrs, csrs + of("csr_count") * CSR_ROW_SIZE, CSR_ROW_SIZE)]
        for at, layout in places:
            numbers = struct.unpack_from(layout, self._tables, at)
            struct.pack_into(layout, self._tables, at, *(of("emulate") if n in wanted else n for n in numbers))

    def close(self) -> None:
        """Give the handle back."""
        library().cs_close(ctypes.byref(ctypes.c_size_t.from_buffer(self._control, HANDLE)))
