"""From a guest pc to host code, in compiled code: look up, decode, build interpreter blocks or stencil code."""

from __future__ import annotations

from dragoman.dbt.adapted import adapt_records
from dragoman.dbt.breaks import is_break, until_break
from dragoman.dbt.clocks import state_clock
from dragoman.dbt.code_cache import (
    R_CHANGES,
    R_CODE,
    R_ENDS,
    R_HEAD,
    R_MISS,
    R_PAGE2,
    R_PC,
    R_TARGET,
    R_UNIT,
    count_heat,
    executable_range,
    find_row,
    make_row,
    note_bytes,
    remember,
    set_code,
)
from dragoman.dbt.compiled import (
    call2,
    clock,
    compiled,
    load8,
    load16,
    load32,
    load32s,
    load64,
    load_acquire,
    store8,
    store16,
    store32,
    store64,
    store_release,
)
from dragoman.dbt.copier import BLOCK_INSTRUCTIONS, SCRATCH_CROSSING, decode_here, put_jump, translate_unit
from dragoman.dbt.decode import FETCH
from dragoman.dbt.pages import NOWHERE, block_end, enter_page, is_near, move_to_crossing, second_page_holds
from dragoman.dbt.state import (
    ASK_BLOCKS,
    CACHE,
    EXITS,
    GOAL_LEFT,
    GOAL_MEMORY,
    GOAL_PC,
    GOAL_PROBES,
    NATIVES,
    OFFSET,
    RECORD_FORM,
    RECORD_IMM,
    RECORD_LENGTH,
    RECORD_PC,
    RECORD_SIZE,
    SINK,
    TURN,
    F,
    X,
)
from dragoman.dbt.stencil_layout import BLOCK_ENDS, ENDS, ENDS_BRANCH, ENDS_JUMP
from dragoman.dbt.translation_report import report
from dragoman.dbt.unit_record import C_SHELVES, shelf_of
from dragoman.dbt.unit_take import CHANGEABLE, take_unit

C_ENGINE, C_COUNTING, C_DECODER, C_FORMS = CACHE["engine"], CACHE["counting"], CACHE["decoder"], CACHE["forms"]
C_CURSOR, C_CURSOR_LIMIT, C_DELTA = CACHE["cursor"], CACHE["cursor_limit"], CACHE["write_delta"]
C_RECORD_CURSOR, C_RECORD_LIMIT = CACHE["record_cursor"], CACHE["record_limit"]
C_ROW_COUNT, C_ROW_LIMIT = CACHE["row_count"], CACHE["row_limit"]
C_LINK_COUNT, C_LINK_LIMIT = CACHE["link_count"], CACHE["link_limit"]
C_SITE_COUNT, C_SITE_LIMIT = CACHE["site_count"], CACHE["site_limit"]
C_NATIVES, C_HANDLERS, C_CODE_BASE = CACHE["natives"], CACHE["handlers"], CACHE["code_base"]
C_FETCH, C_SCRATCH = CACHE["fetch"], CACHE["scratch"]
C_BLOCKS, C_INSTRUCTIONS, C_RESOLVES, C_POLLS = (
    CACHE["stat_blocks"], CACHE["stat_instructions"], CACHE["stat_resolves"], CACHE["stat_polls"])
C_ASK, C_TRANSLATE, C_LIMIT = CACHE["ask"], CACHE["stat_translate"], CACHE["block_limit"]
C_HOT_COUNT, C_MAILBOX, C_STOP, C_GOAL, C_RECALL, C_JUDGE = (CACHE[n] for n in ("hot_count", "mailbox", "stop", "goal", "recall", "judge"))
S_DEADLINE, S_CODE_PAGE, S_DATA, S_TURN = (OFFSET[n] for n in ("deadline", "code_page", "exit_data", "turn"))
T_PLACE, T_WORD, T_END = TURN["place"], TURN["word"], TURN["end"]
C_POLL_TIME, S_POLLED = CACHE["poll_time"], OFFSET["polled"]
S_REASON, S_BUDGET, S_RESET, S_PENDING, S_REQUEST, S_REPORT, S_PC, S_CAREFUL, S_CACHE = (
    OFFSET[n] for n in ("exit_reason", "budget", "budget_reset", "pending", "request", "report", "pc", "careful", "cache"))
EXIT_FETCH, EXIT_FULL, EXIT_POLL, EXIT_HOT, EXIT_MISS, EXIT_COUNT, EXIT_STOP, EXIT_KEPT = (
    EXITS[n] for n in ("fetch", "full", "poll", "hot", "miss", "count", "stop", "kept"))
N_HEAD, N_COUNTING, N_HEAD_MISS, N_GOTO, N_INTERPRET, N_HEAD_FAR = (
    NATIVES.index(n) for n in ("head", "head_counting", "head_miss", "goto", "interpret", "head_far"))

MAXIMUM = BLOCK_INSTRUCTIONS        # in an interpreter block
HEAVIEST = 32                       # weight of a poll: the host may have run something else meanwhile
PAGE = 0x1000                       # the least that can be readable or not
# What one unit may need at the most; resolve_block asks for this much before it begins.
ROOM_RECORDS, ROOM_ROWS, ROOM_LINKS, ROOM_SITES = (MAXIMUM + 520) * RECORD_SIZE, 1024, 2048, 1024


@compiled("i8(i8,i8)")
def native(cache: int, number: int) -> int:
    return load64(load64(cache + C_NATIVES) + 8 * number)


@compiled("i8(i8)")
def has_room(cache: int) -> int:
    """1 if every table can take another unit."""
    if load64(cache + C_CURSOR) > load64(cache + C_CURSOR_LIMIT):
        return 0
    if load64(cache + C_RECORD_CURSOR) + ROOM_RECORDS > load64(cache + C_RECORD_LIMIT):
        return 0
    if load64(cache + C_ROW_COUNT) + ROOM_ROWS > load64(cache + C_ROW_LIMIT):
        return 0
    if load64(cache + C_LINK_COUNT) + ROOM_LINKS > load64(cache + C_LINK_LIMIT):
        return 0
    return 1 if load64(cache + C_SITE_COUNT) + ROOM_SITES <= load64(cache + C_SITE_LIMIT) else 0


@compiled("i8(i8,i8)")
def head_of(cache: int, row: int) -> int:
    """The row's header record, made if it is new: for now one that leaves to `miss`."""
    head = load64(row + R_HEAD)
    if head == 0:
        head = load64(cache + C_RECORD_CURSOR)
        store64(cache + C_RECORD_CURSOR, head + RECORD_SIZE)
        store64(head, native(cache, N_HEAD_MISS))
        store64(head + 8, 0)
        store64(head + RECORD_IMM, 0)
        store64(head + RECORD_PC, load64(row + R_PC))
        store64(row + R_HEAD, head)
    return head


@compiled("i8(i8,i8)")
def head_to(cache: int, pc: int) -> int:
    """The header record by which a block goes on at `pc`: the row's own, or one that looks the pc up each time."""
    if is_near(cache, pc) != 0:
        return head_of(cache, make_row(cache, pc))
    head = load64(cache + C_RECORD_CURSOR)
    store64(cache + C_RECORD_CURSOR, head + RECORD_SIZE)
    store64(head, native(cache, N_HEAD_FAR))
    store64(head + 8, 0)
    store64(head + RECORD_IMM, 0)
    store64(head + RECORD_PC, pc)
    return head


@compiled("i8(i8,i8,i8)")
def put_goto(cache: int, record: int, pc: int) -> int:
    """A pseudo-record that goes to the block at `pc`."""
    store64(record, native(cache, N_GOTO))
    store64(record + 8, 0)
    store64(record + RECORD_IMM, head_to(cache, pc))
    store64(record + RECORD_PC, pc)
    return record + RECORD_SIZE


@compiled("i8(i8,i8,i8,i8)")
def interpret_block(cache: int, row: int, end: int, maximum: int) -> int:
    """Decode the block of the row into records that the interpreter runs; returns its host code, 0: its first instruction
    crosses `end`."""
    pc = load64(row + R_PC)
    # Headers of other blocks are made at the cursor meanwhile: the body is decoded behind room for three of them.
    head = head_of(cache, row)
    body = load64(cache + C_RECORD_CURSOR) + 3 * RECORD_SIZE
    count = decode_here(cache, pc, end, body, maximum)
    if load16(body + RECORD_FORM) == load64(load64(cache + C_DECODER) + FETCH):
        return 0
    count = adapt_records(cache, body, until_break(cache, body, count))
    note_bytes(cache, row, body, count)
    handlers, forms = load64(cache + C_HANDLERS), load64(cache + C_FORMS)
    for n in range(count):
        record = body + n * RECORD_SIZE
        store64(record, load64(handlers + 8 * load16(record + RECORD_FORM)))
    last = body + (count - 1) * RECORD_SIZE
    bits = load32(forms + 4 * load16(last + RECORD_FORM))
    ends = bits & ENDS
    behind = load64(last + RECORD_PC) + load8(last + RECORD_LENGTH)
    tail = body + count * RECORD_SIZE
    store64(row + R_ENDS, bits & BLOCK_ENDS)
    store64(row + R_TARGET, load64(last + RECORD_IMM))
    if ends == ENDS_BRANCH or ends == ENDS_JUMP:
        store64(last + RECORD_IMM, head_to(cache, load64(last + RECORD_IMM)))
    if ends == 0 or ends == ENDS_BRANCH:
        tail = put_goto(cache, tail, behind)
    store64(cache + C_RECORD_CURSOR, tail)
    store64(cache + C_BLOCKS, load64(cache + C_BLOCKS) + 1)
    store64(cache + C_INSTRUCTIONS, load64(cache + C_INSTRUCTIONS) + count)
    counting = load64(cache + C_COUNTING) << load64(row + R_CHANGES)
    store64(head + RECORD_IMM, body)
    store64(head + 8, counting)
    store_release(head, native(cache, N_COUNTING if counting != 0 else N_HEAD))    # other threads read without the lock
    store64(row + R_UNIT, row)
    code = load64(cache + C_CURSOR)
    if load64(row + R_MISS) == 0:
        store64(row + R_MISS, code)         # the thunk serves as stub too: the header says what the block is
        write = code + load64(cache + C_DELTA)
        store8(write, 0x48)                 # mov rcx, header; jmp interpret
        store8(write + 1, 0xB9)
        store64(write + 2, head)
        store64(cache + C_CURSOR, put_jump(cache, code + 10, native(cache, N_INTERPRET)))
    else:
        code = load64(row + R_MISS)
    set_code(cache, row, code)
    return code


@compiled("i8(i8,i8,i8,i8,i8)")
def make_code(cache: int, pc: int, end: int, maximum: int, alone: int) -> int:
    """Code of the engine's kind; 0 if the first instruction crosses `end`. alone: of one block."""
    if load64(cache + C_ENGINE) == 0:
        return interpret_block(cache, make_row(cache, pc), end, maximum)
    return translate_unit(cache, pc, end, maximum, alone)


@compiled("i8(i8,i8,i8)")
def resolve_block(cache: int, state: int, pc: int) -> int:
    """resolve_linked for who comes by a computed jump: the thread's jump cache will have it."""
    code = resolve_linked(cache, state, pc)
    if code != 0:
        remember(cache, state, pc, code)
    return code


@compiled("i8(i8,i8,i8)")
def resolve_linked(cache: int, state: int, pc: int) -> int:
    """Host code of the guest block at `pc`, made if it is new; 0 with the exit reason set if it can't be.

    Runs under the lock; the guest's bytes are read before anything is changed, so a fault on them leaves the cache whole.
    The jump cache is not filled: it is to hold computed targets only, which regions.py looks for there.
    """
    store64(cache + C_RESOLVES, load64(cache + C_RESOLVES) + 1)
    if enter_page(cache, state, pc) == 0:
        store64(state + S_PC, pc)
        store64(state + S_DATA, pc)
        store64(state + S_REASON, EXIT_FETCH)
        return 0
    if is_break(cache, pc) != 0:
        store64(state + S_PC, pc)
        store64(state + S_REASON, EXIT_STOP)
        return 0
    row = find_row(cache, pc)
    code = load64(row + R_CODE) if row != 0 else 0
    if code != 0 and load64(row + R_PAGE2) != 0:
        code = second_page_holds(cache, state, row)
    if code == 0:
        return make_block(cache, state, pc) if load64(cache + C_ASK) == 0 else make_block_reported(cache, state, pc)
    return code


@compiled("i8(i8,i8,i8)")
def make_block_reported(cache: int, state: int, pc: int) -> int:
    """make_block for the log: leaves with "miss" when it was made, so that Python sees the report before it runs."""
    cursor, sites, blocks = load64(cache + C_CURSOR), load64(cache + C_SITE_COUNT), load64(cache + C_BLOCKS)
    if make_block(cache, state, pc) != 0:
        store64(state + S_REASON, EXIT_MISS)
        report(cache, load64(state + S_REPORT), pc, cursor, sites, blocks)
    return 0


@compiled("i8(i8,i8,i8)")
def make_block(cache: int, state: int, pc: int) -> int:
    """Make the block's code; 0 with the exit reason set if that can't be.

    Where the decoder met memory that cannot be read (a fault ends it, at this pc), the runtime calls again, `careful`: then
    only the page of `pc` is looked at, and behind it for nothing but an instruction that crosses its end.
    """
    store64(state + S_PC, pc)
    end, code = block_end(cache, pc), 0
    if end == NOWHERE or pc & 1:
        store64(state + S_REASON, EXIT_FETCH)
        return 0
    if has_room(cache) == 0:
        store64(state + S_REASON, EXIT_FULL)
        return 0
    start, limit = clock(), load64(cache + C_LIMIT)
    if load64(cache + C_FETCH) != 0:
        code = make_code(cache, pc, end, limit, 0)
        if code == 0:
            code = make_crossing(cache, state, pc, end)
    elif load64(state + S_CAREFUL) != 0:
        page_end = (pc | PAGE - 1) + 1
        code = make_code(cache, pc, page_end if page_end < end else end, limit, 1)
        if code == 0:
            code = make_code(cache, pc, end, 1, 1)
        store64(state + S_CAREFUL, 0)
    else:
        if load64(cache + C_SHELVES) != 0:
            shelf = shelf_of(cache, pc)
            if shelf != 0:
                code = take_unit(cache, shelf, pc)
            elif load64(executable_range(cache, pc) + CHANGEABLE) == 0:
                store64(state + S_REASON, EXIT_KEPT)
                return 0
        if code == 0:
            code = make_code(cache, pc, end, limit, 0)
    store64(cache + C_TRANSLATE, load64(cache + C_TRANSLATE) + clock() - start)
    if code == 0:
        store64(state + S_REASON, EXIT_FETCH)
    return code


@compiled("i8(i8,i8,i8,i8)")
def make_crossing(cache: int, state: int, pc: int, end: int) -> int:
    """Code of the one instruction at `pc` that goes on on the page at `end`; 0 if that cannot be fetched."""
    first = load64(cache + C_CODE_BASE) + pc
    host = call2(load64(cache + C_FETCH), state, end)
    store64(state + S_DATA, end)
    if host == 0:
        return 0
    copy = load64(cache + C_SCRATCH) + SCRATCH_CROSSING
    store16(copy, load16(first))
    store16(copy + 2, load16(host))
    store64(cache + C_CODE_BASE, copy - pc)
    code = make_code(cache, pc, pc + 4, 1, 1)
    row = find_row(cache, pc)
    if load64(row + R_PAGE2) == 0:              # from its page's chain into that of crossing ones
        move_to_crossing(cache, row)
    store64(row + R_PAGE2, load64(state + S_CODE_PAGE))
    return code


@compiled("i8(i8,i8,i8)")
def goal_met(goal: int, state: int, pc: int) -> int:
    """1 if this poll is where the goal (state.py) says to stop, or one too many."""
    left = load64(goal + GOAL_LEFT) - 1
    store64(goal + GOAL_LEFT, left)
    if left < 0:
        return 1
    if load64(goal + GOAL_PC) != pc:
        return 0
    for n in range(SINK):
        if load64(goal + X + 8 * n) != load64(state + X + 8 * n) or load64(goal + F + 8 * n) != load64(state + F + 8 * n):
            return 0
    probe = goal + GOAL_MEMORY
    for n in range(GOAL_PROBES):
        address = load64(probe + 16 * n)
        if address != 0 and load64(address) != load64(probe + 16 * n + 8):
            return 0
    return 1


@compiled("i8(i8,i8,i8,i8)")
def read_clock(cache: int, a: int, b: int, c: int) -> int:
    """clock() for Python."""
    return clock()


@compiled("i8(i8,i8)")
def turn_over(state: int, now: int) -> int:
    """1 if the host CPU is for another, or it is time to ask."""
    turn = load64(state + S_TURN)
    if turn == 0:
        return 0
    place = load64(turn + T_PLACE)
    return 0 if place == 0 or (load_acquire(place) == load64(turn + T_WORD) and now < load64(turn + T_END)) else 1


@compiled("i8(i8,i8)")
def is_wanted(cache: int, state: int) -> int:
    """1 if somebody wants the thread out of native code: a signal, another thread, a timer, the scheduler."""
    if load64(state + S_PENDING) | load64(state + S_REQUEST) | load64(cache + C_STOP) != 0:
        return 1
    now = state_clock(state)
    return 1 if now >= load64(state + S_DEADLINE) else turn_over(state, now)


@compiled("i8(i8,i8)")
def poll_weight(cache: int, state: int) -> int:
    """How many polls this one counts for: where a turn of a loop is long, polls are rare, and what matters is time."""
    before, now, unit = load64(state + S_POLLED), clock(), load64(cache + C_POLL_TIME)
    store64(state + S_POLLED, now)
    if before == 0 or unit == 0 or now - before < 2 * unit:
        return 1
    weight = (now - before) // unit
    return weight if weight < HEAVIEST else HEAVIEST


@compiled("i8(i8)")
def renew_budget(state: int) -> int:
    """A poll of a region of paged memory, without the lock. 1: there is a new budget; 0: on_poll has something to do. No heat is
    counted: it is hot already."""
    cache = load64(state + S_CACHE)
    mailbox = load64(cache + C_MAILBOX)
    store32(state + S_BUDGET, load64(state + S_RESET))          # first: who wants the thread from now on takes it away again
    if is_wanted(cache, state) != 0 or load64(cache + C_GOAL) | load64(cache + C_HOT_COUNT) | load64(cache + C_ASK) != 0:
        return 0
    if mailbox != 0 and load32s(mailbox) != 0:
        return 0
    return 1


@compiled("i8(i8,i8)")
def has_come(cache: int, word: int) -> int:
    """1 if there have been as many polls as this word of the control block says."""
    polls = load64(cache + word)
    return 1 if polls != 0 and load64(cache + C_POLLS) >= polls else 0


@compiled("i8(i8,i8,i8,i8)")
def on_poll(cache: int, state: int, pc: int, sample: int) -> int:
    """The budget ran out: leave if something is pending, else count heat for `sample` and go on at `pc`."""
    weight = poll_weight(cache, state)
    store64(cache + C_POLLS, load64(cache + C_POLLS) + weight)
    store32(state + S_BUDGET, load64(state + S_RESET))
    if is_wanted(cache, state) != 0:
        store64(state + S_REASON, EXIT_POLL)
        return 0
    goal = load64(cache + C_GOAL)
    if goal != 0 and goal_met(goal, state, pc) != 0:
        store64(state + S_REASON, EXIT_COUNT)
        return 0
    if enter_page(cache, state, sample) != 0:
        count_heat(cache, sample, weight)
    mailbox = load64(cache + C_MAILBOX)
    if load64(cache + C_HOT_COUNT) != 0 or (mailbox != 0 and load32s(mailbox) != 0) or has_come(cache, C_RECALL) | has_come(cache, C_JUDGE) != 0:
        store64(state + S_REASON, EXIT_HOT)
        return 0
    if load64(cache + C_ASK) & ASK_BLOCKS != 0:
        store64(state + S_REASON, EXIT_POLL)
        return 0
    return resolve_linked(cache, state, pc)
