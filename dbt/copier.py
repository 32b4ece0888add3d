"""Copy-and-patch in compiled code: the stencils of a unit of blocks, copied, their holes filled, their jumps linked.

A unit runs on past branches, jumps and calls while what follows is new. Layout of the library: stencils.py.
"""

from __future__ import annotations

from dragoman.dbt.adapted import adapt_records
from dragoman.dbt.breaks import is_break, until_break
from dragoman.dbt.code_cache import (
    R_CODE,
    R_COUNTED,
    R_ENDS,
    R_EXECUTED,
    R_MISS,
    R_NEXT,
    R_PC,
    R_TARGET,
    R_UNIT,
    connect,
    make_row,
    note_bytes,
    point,
    set_code,
)
from dragoman.dbt.compiled import below, clock, compiled, load8, load16, load32, load32s, load64, store8, store32, store64
from dragoman.dbt.decode import FETCH, decode_block
from dragoman.dbt.host.x86_64_code import (
    JUMP_OPCODE,
    RCX,
    RDX,
    pad,
    put_address,
    put_constant,
    put_count,
    put_count_down,
    put_far_jump,
    put_increment,
    put_jump,
)
from dragoman.dbt.pages import NOWHERE, block_end, is_near
from dragoman.dbt.state import (
    ASK_BLOCKS,
    CACHE,
    NATIVES,
    RECORD_FORM,
    RECORD_IMM,
    RECORD_LENGTH,
    RECORD_PC,
    RECORD_RD,
    RECORD_RM,
    RECORD_RS1,
    RECORD_RS2,
    RECORD_RS3,
    RECORD_SIZE,
)
from dragoman.dbt.stencil_layout import (
    BLOCK_ENDS,
    BYTE,
    CALLS,
    ENDS,
    ENDS_BRANCH,
    ENDS_JUMP,
    ENDS_JUMP_TO,
    HOLE_SIZE,
    IMMEDIATE,
    LIBRARY,
    MAY_TRAP,
    MEMORY,
    NARROW,
    NOT,
    NOTHING,
    OTHER_SHIFT,
    RD_IS_X,
    RS1_IS_X,
    RS2_IS_X,
    SHORT,
    STENCIL_SIZE,
    WIDE,
    WIDE_VARIANT,
    ZERO,
    ZERO_VARIANT,
)
from dragoman.dbt.stencil_layout import HOLE_NUMBERS as HOLE
from dragoman.dbt.unit_record import C_NEW, OUTWARD_COUNT, outward, record_unit

C_CURSOR, C_DELTA, C_LIBRARY, C_NATIVES = CACHE["cursor"], CACHE["write_delta"], CACHE["library"], CACHE["natives"]
C_SITES, C_SITE_COUNT, C_SCRATCH = CACHE["sites"], CACHE["site_count"], CACHE["scratch"]
C_DECODER, C_CODE_BASE, C_FORMS = CACHE["decoder"], CACHE["code_base"], CACHE["forms"]
C_COUNTS, C_TIMED, C_DECODING = CACHE["counts"], CACHE["timed"], CACHE["stat_decode"]
C_BLOCKS, C_INSTRUCTIONS, C_ASK = CACHE["stat_blocks"], CACHE["stat_instructions"], CACHE["ask"]
L_CODE, L_STENCILS, L_HOLES, L_VARIANTS, L_WHERE, L_DATA, L_PLACES, L_MOVE = (LIBRARY[n] for n in (
    "code", "stencils", "holes", "variants", "where", "data", "places", "move"))
H_RD, H_RS1, H_RS2, H_RS3, H_IMM, H_RM, H_NEXT_PC, H_PC, H_TARGET, H_NEXT, H_DATA, H_SHARED = (HOLE[n] for n in (
    "rd", "rs1", "rs2", "rs3", "imm", "rm", "next_pc", "pc", "target", "next_stencil", "data", "shared"))
N_ABSENT, N_POLL, N_MISS = NATIVES.index("absent"), NATIVES.index("poll"), NATIVES.index("miss")
H_MISSES = H_SHARED + NATIVES.index("load_miss1")
FAR, HOLE_ENTRY = 0, 24

UNIT_INSTRUCTIONS, BLOCK_INSTRUCTIONS, UNIT_BLOCKS = 400, 128, 64
# Scratch memory: records of one block, then lists of (row, code), (hole, row, pc), polls (hole, pc, sample), TLB misses (hole,
# where the instruction begins, native routine), and for the log
# of stencils (uint32 host address, uint32 number).
SCRATCH_ROWS, SCRATCH_HOLES, SCRATCH_POLLS, SCRATCH_MISSES, SCRATCH_COUNTS, SCRATCH_PUTS = (
    0x4000, 0x8000, 0x1_0000, 0x1_2000, 0x1_8000, 0x1_9000)
SCRATCH_CROSSING = 0x1_F000         # the bytes of an instruction that lies on two pages
SCRATCH_SIZE = 0x2_0000
COUNT_HOLES, COUNT_POLLS, COUNT_PUTS, COUNT_MISSES = (SCRATCH_COUNTS + 8 * n for n in range(4))
NO_INSTRUCTION = 0                  # guest pc of a site: the host code behind it is of no instruction


@compiled("void(i8,i8,i8)")
def later(cache: int, hole: int, pc: int) -> None:
    """The rel32 at `hole` leads to the block at `pc`: connected when the unit is written. Instead of a row, FAR and the pc."""
    scratch = load64(cache + C_SCRATCH)
    count = load64(scratch + COUNT_HOLES)
    entry = scratch + SCRATCH_HOLES + HOLE_ENTRY * count
    store64(entry, hole)
    store64(entry + 8, make_row(cache, pc) if is_near(cache, pc) != 0 else FAR)
    store64(entry + 16, pc)
    store64(scratch + COUNT_HOLES, count + 1)


@compiled("void(i8,i8,i8)")
def note_stencil(cache: int, at: int, number: int) -> None:
    """For the log: what is copied to the host address `at`."""
    scratch = load64(cache + C_SCRATCH)
    count = load64(scratch + COUNT_PUTS)
    store32(scratch + SCRATCH_PUTS + 8 * count, at)
    store32(scratch + SCRATCH_PUTS + 8 * count + 4, number)
    store64(scratch + COUNT_PUTS, count + 1)


@compiled("void(i8,i8,i8,i8)")
def note_miss(cache: int, hole: int, start: int, number: int) -> None:
    """The rel32 at `hole` is taken when the TLB has not what the instruction at `start` needs."""
    scratch = load64(cache + C_SCRATCH)
    count = load64(scratch + COUNT_MISSES)
    entry = scratch + SCRATCH_MISSES + 24 * count
    store64(entry, hole)
    store64(entry + 8, start)
    store64(entry + 16, number)
    store64(scratch + COUNT_MISSES, count + 1)


@compiled("i8(i8,i8,i8,i8,i8)")
def hole_value(cache: int, kind: int, record: int, where: int, hole: int) -> int:
    """What a hole is filled with beside its addend; `where`: see put."""
    if kind == H_RD:
        return 8 * (load8(record + RECORD_RD) if where < 0 else where)
    if kind == H_RS1:
        return 8 * (load8(record + RECORD_RS1) if where < 0 else where)
    if kind == H_RS2:
        return 8 * load8(record + RECORD_RS2)
    if kind == H_RS3:
        return 8 * load8(record + RECORD_RS3)
    if kind == H_IMM:
        return load64(record + RECORD_IMM) if where < 0 else 0
    if kind == H_RM:
        return load8(record + RECORD_RM)
    if kind == H_NEXT_PC:
        return load64(record + RECORD_PC) + load8(record + RECORD_LENGTH)
    if kind == H_PC:
        return load64(record + RECORD_PC)
    if kind == H_DATA:
        library = load64(cache + C_LIBRARY)
        return library + load64(library + L_DATA) - hole
    return load64(load64(cache + C_NATIVES) + 8 * (kind - H_SHARED)) - hole


@compiled("i8(i8,i8,i8)")
def put_value(at: int, kind: int, value: int) -> int:
    """Fill a hole, which may become shorter; its bytes."""
    way = kind >> SHORT & 3
    if kind & WIDE != 0:
        return put_constant_shortly(at, value) if way != NOT else put_whole(at, value)
    if kind & BYTE != 0:
        store8(at, value)
        return 1
    if way == NOT or value > 127 or value < -128:
        store32(at, value)
        return 4
    if way == IMMEDIATE:
        store8(at - 2, load8(at - 2) + 2)
    else:
        modrm = at - way                                # 1 or 2 bytes before
        store8(modrm, load8(modrm) ^ 0xC0)              # mod 10, 32 bits, to 01, 8 bits
    store8(at, value)
    return 1


@compiled("i8(i8,i8)")
def put_whole(at: int, value: int) -> int:
    store64(at, value)
    return 8


@compiled("i8(i8,i8)")
def put_constant_shortly(at: int, value: int) -> int:
    """The constant of mov r64, imm64 as that of mov r32, imm32 or, negative, of mov r64, imm32, if it fits."""
    if below(value, 1 << 32) != 0:
        store8(at - 2, load8(at - 2) & ~8)              # no REX.W
        store32(at, value)
        return 4
    if value < -0x8000_0000 or value >= 0:
        return put_whole(at, value)
    store8(at, 0xC0 | load8(at - 1) & 7)
    store8(at - 1, 0xC7)
    store32(at + 1, value)
    return 5


@compiled("void(i8,i8,i8)")
def copy_code(to: int, source: int, count: int) -> None:
    """In words, so up to seven bytes more: what comes next is written over them, and the arena has room behind its limit."""
    for n in range(count + 7 >> 3):
        store64(to + 8 * n, load64(source + 8 * n))


@compiled("void(i8,i8,i8,i8,i8)")
def put(cache: int, number: int, record: int, where: int, cut: int) -> None:
    """Copy stencil `number` to the cursor and fill its holes from the record; `where` overrides the register of rd, rs1
    (a register number, or -1). cut: the jump at its end leads to what follows: leave it out."""
    library = load64(cache + C_LIBRARY)
    stencil = library + load64(library + L_STENCILS) + number * STENCIL_SIZE
    source = library + load64(library + L_CODE) + load32(stencil)
    length, holes = load16(stencil + 4), load16(stencil + 6)
    first = library + load64(library + L_HOLES) + load32(stencil + 8) * HOLE_SIZE
    at = load64(cache + C_CURSOR)
    patched = load16(stencil + 12)                  # offset of the rel32 to another block, 0: none
    if patched != 0:
        if cut != 0 and patched == length - 4 and load8(source + length - 5) == JUMP_OPCODE:
            length -= 5
            holes -= 1                              # holes are in order: it is the last
        else:
            at = pad(cache, at, patched)
    if load64(cache + C_ASK) != 0:
        note_stencil(cache, at, number)
    delta = load64(cache + C_DELTA)
    to, done = at, 0                                # where copying goes on, and what was copied of the source
    for n in range(holes):
        entry = first + n * HOLE_SIZE
        offset, kind = load16(entry), load16(entry + 2)
        size, narrow = 8 if kind & WIDE != 0 else 1 if kind & BYTE != 0 else 4, kind & NARROW
        copy_code(to + delta, source + done, offset - done)
        to += offset - done
        done = offset + size
        if narrow == H_TARGET:
            later(cache, to, load64(record + RECORD_IMM))
        elif narrow == H_NEXT:
            store32(to + delta, load32s(entry + 4) + at + length - to)
        elif narrow >= H_MISSES:
            note_miss(cache, to, at, narrow - H_SHARED)
        else:
            if narrow == H_DATA or narrow >= H_SHARED:
                outward(cache, to)
            size = put_value(to + delta, kind, load32s(entry + 4) + hole_value(cache, narrow, record, where, to))
        to += size
    copy_code(to + delta, source + done, length - done)
    store64(cache + C_CURSOR, to + length - done)


@compiled("i8(i8,i8,i8,i8,i8)")
def variant(library: int, form: int, d: int, a: int, b: int) -> int:
    """Number of the stencil for these places, or -1."""
    places = load64(library + L_PLACES)
    at = library + load64(library + L_VARIANTS) + 2 * (((form * places + d) * places + a) * places + b)
    number = load16(at)
    return -1 if number == 0xFFFF else number


@compiled("i8(i8,i8)")
def register_place(library: int, register: int) -> int:
    return load8(library + load64(library + L_WHERE) + register)


@compiled("void(i8,i8,i8,i8)")
def move(cache: int, d: int, a: int, register: int) -> None:
    """Between the place of a pinned register and its word in the state."""
    library = load64(cache + C_LIBRARY)
    scratch = load64(cache + C_SCRATCH)
    put(cache, variant(library, load64(library + L_MOVE), d, a, MEMORY), scratch, register, 0)


@compiled("void(i8,i8,i8)")
def put_form(cache: int, record: int, cut: int) -> None:
    """The stencil made for this instruction's operand places, or the all-in-memory one with moves around it."""
    library = load64(cache + C_LIBRARY)
    form = load16(record + RECORD_FORM)
    bits = load32(load64(cache + C_FORMS) + 4 * form)
    rd, rs1, rs2 = load8(record + RECORD_RD), load8(record + RECORD_RS1), load8(record + RECORD_RS2)
    d = register_place(library, rd) if bits & RD_IS_X else MEMORY
    a = register_place(library, rs1) if bits & RS1_IS_X else MEMORY
    b = register_place(library, rs2) if bits & RS2_IS_X else MEMORY
    behind = load64(record + RECORD_PC) + 4         # a kernel may be at addresses that are negative
    imm = load64(record + RECORD_IMM)
    if bits & WIDE_VARIANT != 0 and (not below(behind, 0x8000_0000) or (bits & ENDS == 0 and (imm > 0x7FFF_FFFF or imm < -0x8000_0000))):
        form = bits >> OTHER_SHIFT
    elif bits & ZERO_VARIANT != 0 and imm == 0:
        form = (bits >> OTHER_SHIFT) + (1 if bits & WIDE_VARIANT != 0 else 0)
    number = variant(library, form, d, a, b)
    if number >= 0:
        put(cache, number, record, -1, cut)
        return
    if d > ZERO and d != b and bits & MAY_TRAP == 0 and variant(library, form, d, d, b) >= 0:
        move(cache, d, a, rs1)          # two-address form
        put(cache, variant(library, form, d, d, b), record, -1, cut)
        return
    if a > ZERO:
        move(cache, MEMORY, a, rs1)
    if b > ZERO and rs2 != rs1:
        move(cache, MEMORY, b, rs2)
    if variant(library, form, d, MEMORY, MEMORY) >= 0:
        put(cache, variant(library, form, d, MEMORY, MEMORY), record, -1, cut)
        return
    put(cache, variant(library, form, MEMORY, MEMORY, MEMORY), record, -1, cut)
    if d > ZERO:
        move(cache, d, MEMORY, rd)


@compiled("i8(i8,i8)")
def miss_stub(cache: int, row: int) -> int:
    """Host code that looks up the row's pc again; made once a row, at the cursor."""
    stub = load64(row + R_MISS)
    if stub == 0:
        stub = load64(cache + C_CURSOR)
        behind = put_constant(cache, stub, RDX, load64(row + R_PC))
        store64(cache + C_CURSOR, put_jump(cache, behind, load64(load64(cache + C_NATIVES) + 8 * N_ABSENT)))
        store64(row + R_MISS, stub)
    return stub


@compiled("void(i8,i8,i8)")
def put_poll(cache: int, pc: int, sample: int) -> None:
    """Before a jump back: count the budget down; when it has run out, by a stub behind the unit to `poll`."""
    at = put_count_down(cache, load64(cache + C_CURSOR))
    store64(cache + C_CURSOR, at)
    scratch = load64(cache + C_SCRATCH)
    count = load64(scratch + COUNT_POLLS)
    entry = scratch + SCRATCH_POLLS + 24 * count
    store64(entry, at - 4)
    store64(entry + 8, pc)
    store64(entry + 16, sample)
    store64(scratch + COUNT_POLLS, count + 1)


@compiled("void(i8,i8)")
def put_jump_to(cache: int, pc: int) -> None:
    """A linked jump to the block at `pc`."""
    at = pad(cache, load64(cache + C_CURSOR), 1)
    store64(cache + C_CURSOR, put_jump(cache, at, at))
    later(cache, at + 1, pc)


@compiled("i8(i8,i8,i8)")
def is_new(cache: int, pc: int, unit: int) -> int:
    """1 if the block at `pc` has no code, but may have, and is not in this unit."""
    if is_break(cache, pc) != 0:
        return 0
    row = make_row(cache, pc)
    return 1 if load64(row + R_CODE) == 0 and load64(row + R_UNIT) != unit else 0


@compiled("i8(i8)")
def put_stubs(cache: int) -> int:
    """What a unit needs behind its code: polls, and connected jumps; where their stubs begin, which rows have in common."""
    scratch = load64(cache + C_SCRATCH)
    delta, natives = load64(cache + C_DELTA), load64(cache + C_NATIVES)
    for n in range(load64(scratch + COUNT_POLLS)):
        entry = scratch + SCRATCH_POLLS + 24 * n
        hole, stub = load64(entry), load64(cache + C_CURSOR)
        store32(hole + delta, stub - hole - 4)
        behind = put_constant(cache, stub, RDX, load64(entry + 8))
        behind = put_constant(cache, behind, RCX, load64(entry + 16))
        store64(cache + C_CURSOR, put_jump(cache, behind, load64(natives + 8 * N_POLL)))
        outward(cache, behind + 1)
    for n in range(load64(scratch + COUNT_MISSES)):
        entry = scratch + SCRATCH_MISSES + 24 * n
        stub = load64(cache + C_CURSOR)
        point(cache, load64(entry), stub)
        behind = put_address(cache, stub, RCX, load64(entry + 8))
        store64(cache + C_CURSOR, put_jump(cache, behind, load64(natives + 8 * load64(entry + 16))))
    end = load64(cache + C_CURSOR)
    for n in range(load64(scratch + COUNT_HOLES)):
        entry = scratch + SCRATCH_HOLES + HOLE_ENTRY * n
        if load64(entry + 8) == FAR:
            point(cache, load64(entry), load64(cache + C_CURSOR))
            store64(cache + C_CURSOR, put_far_jump(cache, load64(cache + C_CURSOR), load64(entry + 16),
                                                   load64(natives + 8 * N_MISS)))
        else:
            miss_stub(cache, load64(entry + 8))
            connect(cache, load64(entry), load64(entry + 8))
    return end


@compiled("void(i8,i8)")
def note_site(cache: int, pc: int) -> None:
    """For fault handlers: the host code from here on is of the instruction at `pc`."""
    count = load64(cache + C_SITE_COUNT)
    entry = load64(cache + C_SITES) + 16 * count
    store64(entry, load64(cache + C_CURSOR))
    store64(entry + 8, pc)
    store64(cache + C_SITE_COUNT, count + 1)


@compiled("void(i8)")
def count_instruction(cache: int) -> None:
    """In the counting build: the instruction that follows counts."""
    if load64(cache + C_COUNTS) != 0:
        store64(cache + C_CURSOR, put_count(cache, load64(cache + C_CURSOR)))


@compiled("i8(i8,i8,i8,i8,i8)")
def decode_here(cache: int, pc: int, end: int, records: int, maximum: int) -> int:
    """decode_block of the code in work."""
    start = clock() if load64(cache + C_TIMED) != 0 else 0
    count = decode_block(load64(cache + C_DECODER), load64(cache + C_CODE_BASE) + pc, pc, end, records, maximum)
    if start != 0:
        store64(cache + C_DECODING, load64(cache + C_DECODING) + clock() - start)
    return count


@compiled("i8(i8,i8,i8,i8,i8)")
def translate_unit(cache: int, pc: int, end: int, maximum: int, alone: int) -> int:
    """Stencil code for the block at `pc` and, unless `alone`, what follows it; returns its host address.

    Executable memory ends at `end`; 0 if the first instruction crosses it. maximum: instructions of a block.
    """
    scratch = load64(cache + C_SCRATCH)
    store64(scratch + COUNT_HOLES, 0)
    store64(scratch + COUNT_POLLS, 0)
    store64(scratch + COUNT_PUTS, 0)
    store64(scratch + COUNT_MISSES, 0)
    store64(scratch + OUTWARD_COUNT, 0)
    first_site = load64(cache + C_SITE_COUNT)
    ask = load64(cache + C_ASK)
    forms = load64(cache + C_FORMS)
    unit = make_row(cache, pc)
    store64(unit + R_NEXT, 0)           # there is something if the decoder met a fault when it was made before
    start = total = blocks = 0
    while True:
        count = decode_here(cache, pc, end, scratch, maximum)
        if load16(scratch + RECORD_FORM) == load64(load64(cache + C_DECODER) + FETCH):
            if blocks == 0:
                return 0
            put_jump_to(cache, pc)      # the block before falls to here
            break
        count = adapt_records(cache, scratch, until_break(cache, scratch, count))
        row, entry = make_row(cache, pc), load64(cache + C_CURSOR)
        if blocks == 0:
            start = entry
        store64(scratch + SCRATCH_ROWS + 16 * blocks, row)
        store64(scratch + SCRATCH_ROWS + 16 * blocks + 8, entry)
        store64(row + R_UNIT, unit)
        if row != unit:
            store64(row + R_NEXT, load64(unit + R_NEXT))
            store64(unit + R_NEXT, row)
        if ask != 0:
            note_site(cache, NO_INSTRUCTION)
        if ask & ASK_BLOCKS != 0:       # for the log: whoever enters the block polls
            put_poll(cache, pc, pc)
        if load64(row + R_COUNTED) != 0:
            store64(cache + C_CURSOR, put_increment(cache, load64(cache + C_CURSOR), row + R_EXECUTED))
        blocks += 1
        total += count
        last = scratch + (count - 1) * RECORD_SIZE
        behind = load64(last + RECORD_PC) + load8(last + RECORD_LENGTH)
        bits = load32(forms + 4 * load16(last + RECORD_FORM))
        ends, target = bits & ENDS, load64(last + RECORD_IMM)
        for n in range(count - 1):
            put_record(cache, scratch + n * RECORD_SIZE)
        more = 1 if alone == 0 and total < UNIT_INSTRUCTIONS and blocks < UNIT_BLOCKS else 0
        following = target if ends == ENDS_JUMP and bits & CALLS == 0 else behind
        area_end = block_end(cache, following)
        follow = 0
        if more != 0 and ends < ENDS_JUMP_TO and area_end != NOWHERE and following & 1 == 0 and is_near(cache, following) != 0:
            follow = is_new(cache, following, unit)
        if (ends == ENDS_BRANCH or ends == ENDS_JUMP) and target <= load64(last + RECORD_PC) and ask & ASK_BLOCKS == 0:
            put_poll(cache, load64(last + RECORD_PC), target)
        count_instruction(cache)
        if bits & NOTHING == 0:
            if bits & MAY_TRAP != 0 or ask != 0:
                note_site(cache, load64(last + RECORD_PC))
            put_form(cache, last, follow if following == target else 0)
        if follow == 0 and (ends == 0 or ends == ENDS_BRANCH):
            put_jump_to(cache, behind)
        note_bytes(cache, row, scratch, count)
        store64(row + R_ENDS, bits & BLOCK_ENDS)
        store64(row + R_TARGET, target)
        if follow == 0:
            break
        pc = following
        end = area_end
    if ask != 0:
        note_site(cache, NO_INSTRUCTION)
    code_end = put_stubs(cache)
    for n in range(blocks):
        entry = scratch + SCRATCH_ROWS + 16 * n
        set_code(cache, load64(entry), load64(entry + 8))
    store64(cache + C_BLOCKS, load64(cache + C_BLOCKS) + blocks)
    store64(cache + C_INSTRUCTIONS, load64(cache + C_INSTRUCTIONS) + total)
    if load64(cache + C_NEW) != 0 and alone == 0:
        record_unit(cache, code_end, blocks, first_site, load64(scratch + COUNT_HOLES) << 32 | total)
    return start


@compiled("void(i8,i8)")
def put_record(cache: int, record: int) -> None:
    """An instruction inside a block."""
    count_instruction(cache)
    bits = load32(load64(cache + C_FORMS) + 4 * load16(record + RECORD_FORM))
    if bits & NOTHING == 0:
        if bits & MAY_TRAP != 0 or load64(cache + C_ASK) != 0:
            note_site(cache, load64(record + RECORD_PC))
        put_form(cache, record, 0)
