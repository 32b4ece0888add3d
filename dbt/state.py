"""Layout of the CPU state, of decoded records and of the shared tables: the only place with offsets.

The CPU state of a guest thread lies at the base of that thread's signal stack, so a host signal handler finds it in
every ucontext (uc_stack.ss_sp). All fields are 64-bit little-endian words unless a comment says otherwise.
"""

from __future__ import annotations

# --- the block that holds state and signal stack; its size is the mark by which a handler knows a guest thread
STATE_BLOCK = 0x1_0000
STATE_SIZE = 0x1000            # the signal stack is the rest

# --- registers: file "x" has a sink behind its 32, where writes to the zero register go (record field rd = SINK)
X, SINK, F = 0, 32, 264        # x[n] at X + 8*n, n = 32 is the sink; f[n] at F + 8*n

# --- how exact regions have registers at faults: see RegionRequest
NOT_PRECISE, LAZY, EAGER = range(3)

# --- engine fields
_FIELDS = """
pc              guest pc: where to go on (on entry), where it stopped (after an exit)
exit_reason     why native code was left: a number from EXITS
exit_data       what goes with the reason: fault address, trap value
host_pc         host pc of a fault (FAULT), else 0
record          the decoded record in work: set by interpreter handlers before whatever may trap
budget          int32 countdown: taken down at back edges, calls, indirect jumps and exits that the hook did; below 0: to `poll`
jump_cache      address of this thread's jump cache: JUMP_CACHE_ENTRIES of (guest pc, host code)
memory_base     host address of guest address 0
saved_rsp       host stack pointer inside `enter`, for leaving from a fault; 0 outside
mxcsr           int32 host FP control while guest code runs; int32 scratch behind it
host_mxcsr      int32 host FP control of the runtime; int32 scratch behind it
resolve         host function (state, guest pc) -> host code or 0: finds or makes the code of a block
cache           address of the code cache's control block, shared by threads (code_cache.py)
pending         bits of host signals noted by the handler, not yet taken (bit n-1 for signal n)
in_resolve      1 while this thread holds the code cache's lock: a fault then is a fetch fault
reservation     lr/sc: address reserved, or -1
reserved_value  lr/sc: value loaded by lr
frm             dynamic rounding mode as the guest wrote it (0..7)
instructions    instructions executed, counted by the counting build only
scratch0        for lowered code, within one op
scratch1
user0           for the runtime; native code does not touch it
user1
budget_reset    what `budget` is set to after a poll
on_poll         host function (state, guest pc, guest pc to count) -> host code or 0, called when the budget ran out
careful         1: the decoder met memory that cannot be read: the next block is made of one page, and nothing behind it
precise         1: registers must be exact at faults (the guest catches SIGSEGV or SIGBUS)
report          memory for the log's reports of translations (translation_report.py), 0: none
hook            host function (state) -> 1: go on at pc, 0: return to Python, 2: as without it; called at each exit; 0: none
deadline        host clock (clock()) from which on polls leave; the largest number: never
view            paged memory: address of the view in use (VIEW_*)
access          of exit "memory": bytes of the access, ACCESS_WRITE if it writes
code_page       what fetch_code found: address of the physical page, with the context in its low bits
clock_base      time = clock_offset + ((host clock - clock_base) * clock_scale >> 64): the guest's ticks
clock_scale
clock_offset
request         bits of what others ask of this thread; native code does not touch it
turn            address of TURN: until when native code may run; 0: for as long as it likes
notes           for the runtime: a buffer for events of the log, 0: none; native code does not touch it
polled          host clock at this thread's last poll; 0: it has left native code since
declines        machines: table of the sensitive sites that declined last: DECLINE_SITES of (pc, how often in a row); 0: none
user2           for the runtime, as user0
user3
"""
OFFSET: dict[str, int] = {}
MEANING: dict[str, str] = {}
_FIELDS_AT = _at = F + 8 * 32
for _line in _FIELDS.strip().splitlines():
    _name, _, _meaning = _line.partition(" ")
    OFFSET[_name], MEANING[_name] = _at, _meaning.strip()
    _at += 8
SIGINFO = (_at + 63) & -64     # siginfo_t of the noted signal (128 bytes), then of the fault (128), then spilled host registers
FAULT_INFO = SIGINFO + 128
SPILL = FAULT_INFO + 128

# --- system registers: words that the instruction set names (isa/<name>/system_registers.py), for machines only
SYSTEM, SYSTEM_WORDS = 0x800, 256
assert SPILL + 512 <= SYSTEM and SYSTEM + 8 * SYSTEM_WORDS <= STATE_SIZE
# --- in processes, which have none: how often regions were entered, 32 bits each (region_worth.py)
ENTERED, ENTERED_WORDS = SYSTEM, 2 * SYSTEM_WORDS


def place_system(names: tuple[str, ...]) -> None:
    """Give each name a word among the system registers; from then on OFFSET knows it."""
    if len(names) > SYSTEM_WORDS or OFFSET.keys() & set(names):
        raise AssertionError("too many system registers, or names that are taken")
    OFFSET.update((name, SYSTEM + 8 * n) for n, name in enumerate(names))

# --- why native code returns to the runtime. `pc` is exact in each case.
EXITS = {
    "miss": 0,          # the log is to see what was translated for pc (CACHE ask); then it is entered
    "syscall": 1,       # at the system-call instruction; the runtime moves pc behind it
    "breakpoint": 2, "illegal": 3, "misaligned": 4,    # the instruction at pc; misaligned: exit_data = address
    "code_changed": 5,  # fence.i and its like; pc is behind it
    "emulate": 6,       # the instruction at pc needs the oracle (a rounding mode that the host lacks)
    "fault": 7,         # host SIGSEGV or SIGBUS in guest code; siginfo at FAULT_INFO, exit_data = guest address
    "fetch": 8,         # pc is not in executable memory
    "poll": 9,          # budget ran out and something is pending; pc is where to go on
    "full": 10,         # the code cache is full: to be flushed when no thread is inside
    "count": 11,        # a poll met the state that `goal` asks for, or `goal` allows no more polls
    "hot": 12,          # the hot queue has entries for the runtime, or the compiler has sent something
    # machines only
    "system": 13,       # the sensitive instruction at pc, whose bits are exit_data
    "memory": 14,       # the instruction at pc accesses what tlb_fill refused: guest address exit_data, `access`
    "check": 15,        # a system register was written: interrupts may be due; pc is where to go on
    "device": 16,       # set by the hook: the instruction at pc accesses what is no RAM, at guest address exit_data
    "wait": 17,         # set by the hook: the guest waits for an interrupt; pc is where to go on
    "service": 18,      # set by the hook: the call instruction at pc is for the monitor
    "stuck": 19,        # set by the hook: the guest can make no step any more (a trap in the trap handler's first instruction)
    "stop": 20,         # a debugger wants to stop before the instruction at pc (breaks.py)
    "declined": 21,     # as "system"; the instruction was rewritten inline, but this case of it is not done there
    "adapt": 22,        # set by the hook: the site at exit_data has declined so often that it had better be a plain trap
    "kept": 23,         # code at pc is to be made, and what is kept of earlier runs for its range has not been looked at
}
assert list(EXITS.values()) == list(range(len(EXITS)))
EXIT_NAMES = {number: name for name, number in EXITS.items()}

JUMP_CACHE_BITS = 16
JUMP_CACHE_ENTRIES = 1 << JUMP_CACHE_BITS      # 16 bytes each, index (pc >> 1)
# The key of an entry that was emptied: its pc with these changed. That is odd, so no instruction's, and of another entry: a
# computed target, which is looked for before its lowest bit is cleared, does not meet it.
EMPTIED = 3
JUMP_CACHE_SIZE = JUMP_CACHE_ENTRIES * 16


def _layout(text: str) -> tuple[dict[str, int], int]:
    """Names of 64-bit words, one a line with what it means, to offsets; and the size."""
    names = [line.split()[0] for line in text.strip().splitlines()]
    return {name: 8 * n for n, name in enumerate(names)}, 8 * len(names)


# --- whose turn it is, where CPUs share host CPUs: polls leave if the word at `place` is not `word`, and from host clock `end` on
TURN, TURN_SIZE = _layout("""
place           address of a word that others may change; 0: no turn is kept now
word
end
""")

# --- paged memory: a view is TLB and jump cache of one translation context of a virtual CPU; 64 KiB aligned. The argument
# `mem` of the convention is view + VIEW_BIAS, whose low 16 bits are bextr's control word for the index of an address.
PAGE_BITS, TLB_BITS, EXEC_BITS, VIEW_JUMP_BITS = 12, 10, 8, 12
PAGE_SIZE, TLB_ENTRIES, EXEC_ENTRIES = 1 << PAGE_BITS, 1 << TLB_BITS, 1 << EXEC_BITS
VIEW_BIAS = TLB_BITS << 8 | PAGE_BITS
LAST_PARCEL = PAGE_SIZE - 2    # an instruction that begins here in a page may lie on two
NO_PAGE = 1 << 11              # a tag that matches nothing: neither a page nor a misaligned address (memory_model.py, Strict)
VIEW_READ = 0x0                # tags: guest page addresses that can be read; VIEW_WRITE: written
VIEW_WRITE = VIEW_READ + 8 * TLB_ENTRIES
VIEW_ADDEND = VIEW_WRITE + 8 * TLB_ENTRIES        # host address - guest address
VIEW_EXEC = VIEW_ADDEND + 8 * TLB_ENTRIES         # tags: guest page addresses that can be executed
VIEW_EXEC_HOST = VIEW_EXEC + 8 * EXEC_ENTRIES     # host address of that page
VIEW_EXEC_PAGE = VIEW_EXEC_HOST + 8 * EXEC_ENTRIES    # physical address of that page
VIEW_KEY = VIEW_EXEC_PAGE + 8 * EXEC_ENTRIES      # the translation context, 0: none
VIEW_USED = VIEW_KEY + 8       # when it was last chosen, in choices
VIEW_SPACE = VIEW_KEY + 16     # words for the memory subsystem: 6
VIEW_FETCHED = 0x8000         # a bit for each page, by hash, that code was fetched from: FETCHED_BITS
FETCHED_BITS = 14
VIEW_JUMPS = 0x1_0000          # the jump cache: 1 << VIEW_JUMP_BITS entries as in process mode
VIEW_SIZE = VIEW_JUMPS + (16 << VIEW_JUMP_BITS)
VIEWS = 16                     # of a virtual CPU
assert VIEW_SPACE + 48 <= VIEW_FETCHED and VIEW_FETCHED + (1 << FETCHED_BITS - 3) <= VIEW_JUMPS
ACCESS_WRITE = 0x100
DECLINE_SITES = 256
ACCESS_PLAIN = 0x200          # of exit "misaligned": no atomic operation, but a load or store

# --- the code cache's control block, shared by the threads of a process
CACHE, CACHE_SIZE = _layout("""
stencil_start   host addresses of stencil code: pins are in host registers there
stencil_end
region_start    and of compiled regions
region_end
image_start     and of the engine image (interpreter handlers, helpers)
image_end
lock            0 free, 1 held: by a thread whose in_resolve is 1
write_delta     address for writing code = address for running it + this
cursor          next free byte of stencil code (address for running)
index           table of uint32 row numbers, open addressing by guest pc; 0 = none
index_mask      entries - 1
rows            rows of the block table, ROW_SIZE each; row 0 is never used
row_count       rows in use, row 0 included
row_limit
links           jumps in code that lead to a row: (next link, address of its rel32 for running); link 0 is none
link_count
link_limit
records         memory for decoded records of the interpreter
record_cursor
record_limit
sites           fault table: (host address, guest pc) of each translated instruction, ascending
site_count
site_limit
look            1: executable memory was added since the store was looked at for it: the next head that is met twice is hot
ranges          executable guest memory: (start, end, changeable) sorted
range_count
decoder         control block of the decoder
library         stencil library (stencils.py), 0: interpreter only
natives         addresses of native routines by number (NATIVES)
handlers        addresses of the interpreter's handlers by form number
forms           per form: FORM_ENDS and other bits, uint32 (stencils.py)
engine          what resolve makes: 0 interpreter blocks, 1 stencils
counts          1: each instruction counts in `instructions` of the state, in stencil code too (the counting build)
counting        interpreter blocks count down from here before they are hot; 0: they do not count
cursor_limit    end of stencil code memory, less what the longest unit needs
scratch         memory for the records of one unit
threshold       polls after which a row goes into the hot queue, to be profiled and, at twice of it, compiled; 0: never
recall          polls from which on native code leaves with "hot", since regions are suspended (tiering.py); 0: never
judge           polls from which on native code leaves with "hot", since regions are to be judged (region_worth.py); 0: never
hot_queue       addresses of rows, HOT_QUEUE entries
hot_count
found           memory for the rows that a search finds (region_search.py), FOUND entries
computed        and for the targets of computed jumps that it may add
computed_count  of these; -1: not looked for yet
visits          searches so far
search_limit    guest bytes that the present one may find
search_pages    paged memory: (guest page, key) of the pages that the present one has found blocks on
search_page_count
regions         table of compiled regions (region_table.py), 0: none
mailbox         address of an int32 that the compiler makes nonzero when something is ready; 0: none
states          addresses of the threads' CPU states, MAX_THREADS entries and LAST_STATE, 0 = free; changed under the lock
memory_base     host address of guest address 0
code_base       host address of the guest code in work - its guest address; memory_base, where memory is flat
jump_mask       entries of a jump cache - 1
tlb_fill        paged memory: host function (state, guest address, access) -> 1: the TLB has it now, 0: refused
fetch           host function (state, pc) -> host address of the code there, `code_page` set; 0: refused. 0: flat memory
page            key of the rows in work: physical page and context, 0: flat memory
virtual         guest address of that page
adapted         guest addresses whose instructions are traps, ascending (adapted.py)
adapted_count
plain_decoders  control blocks of the decoder that makes traps of all sensitive instructions, by context
decoders        control blocks of the decoder by context
page_rows       uint32 row numbers by hash of the page, physical or, where memory is flat, guest's: the first row of a chain (page_next)
crossing        first row whose instruction lies on two pages (page_next)
ask             what the log wants to see: ASK_REPORT, ASK_BLOCKS; 0: there is no log
stop            nonzero: every thread is to leave native code at its next poll
goal            a state to stop at (GOAL_*), for comparing engines; 0: none
breaks          addresses before which native code stops: signed, ascending (breaks.py)
break_count
flushes         how often the whole cache was emptied
emptied         how often a physical page was found to have no translations left: writes to it are not noted any more
block_limit     instructions of a block at the most
virtual_time    1: the threads' clocks are the instructions that they have executed (clocks.py)
shelves         what earlier runs have left of translated units, by executable ranges (unit_record.py); 0: none is taken or kept
shelf_count
new_units       memory for records of units that are translated now: where the next goes, 0: none are made
new_units_limit
stat_blocks     blocks translated
stat_instructions   instructions in them
stat_taken_blocks   blocks of units that an earlier run has left
stat_taken_instructions
stat_resolves   calls of resolve
stat_polls      polls, each with its weight
polls_before    of these, those before the cache was last emptied
refused         what was hot and not worth a region, in succession
poll_time       host clock ticks between two polls from which on a poll counts for more than one; 0: each counts for one
stat_translate  host clock ticks in decoding and translating
timed           1: those in decoding are counted apart (--stats)
stat_decode     of stat_translate, those in decoding
""")
HOT_QUEUE, MAX_THREADS, FOUND = 4096, 4096, 8192
SEARCH_PAGES = 8               # that the blocks of one region may lie on, where memory is paged
LAST_STATE = -1                # behind the last entry of `states` that was ever in use
# ASK_REPORT: whatever was translated leaves with "miss" before it runs, with a report in the state's `report`.
# ASK_BLOCKS: each block counts the budget down when it is entered, and each poll leaves with "poll".
ASK_REPORT, ASK_BLOCKS = 1, 2

# --- a row of the block table: one guest block
ROW, ROW_SIZE = _layout("""
pc              guest pc of its first instruction
code            host code to enter it, 0: none yet
links           first link of the jumps that lead here
miss            host stub that goes to `miss` with this pc, 0: none yet
size            guest bytes
unit            first row of the unit it was translated with (a unit is invalidated as a whole)
heat            times it was met by a poll
stage           how far its promotion is: STAGE_COLD, STAGE_PROFILED, STAGE_ASKED
counted         1: its stencil code counts in `executed`
executed        times it was entered while its code counted
ends            how it ends: the bits of its last form's word in BLOCK_ENDS (stencil_layout.py)
target          of the branch or direct jump at its end
head            interpreter: its header record, 0: none yet
hash            of its guest bytes, for code_changed
region          number of the compiled region whose code `code` is, 0: none
base            while `code` is a region's: the code of the tier below, 0: none
region_size     and the region's size in guest bytes
visit           number of the last search that has met it (region_search.py)
next            another row of the same unit, 0: the last
host            host address of its bytes
page            key: physical page and context that its pc was met in; 0: flat memory
page2           the same of the second page that its only instruction lies on, 0: none
page_next       number of the next row in its chain
changes         times its bytes were found changed, or gone, while it was hot: each doubles what makes it hot again
""")
STAGE_COLD, STAGE_PROFILED, STAGE_ASKED = range(3)

# --- what a run is to stop at: registers laid out as in the CPU state (X and F; the sink does not count), then these words:
# guest pc; polls until it is given up; GOAL_PROBES host addresses of words and what is to be there (address 0: none)
GOAL_PC, GOAL_LEFT, GOAL_MEMORY = _FIELDS_AT, _FIELDS_AT + 8, _FIELDS_AT + 16
GOAL_PROBES = 8
PAGE_ROWS = 1 << 16            # entries of page_rows
GOAL_SIZE = GOAL_MEMORY + 16 * GOAL_PROBES

# routines in the engine image that compiled code must know
NATIVES = ("miss", "absent", "poll", "head", "head_counting", "head_native", "head_miss", "goto", "interpret", "guest_hash",
           "guest_copy", "safe_call",
           *(f"leave_{reason}" for reason in EXITS), "head_far",
           *(f"{access}_miss{size}" for access in ("load", "store") for size in (1, 2, 4, 8)))     # paged memory only

# --- a decoded record: four 64-bit words
RECORD_SIZE = 32
RECORD_HANDLER = 0             # as decoded: the guest's bytes; interpreter: host address of the form's handler
# word 1, bytes 8..15: form number (uint16), size in bytes (uint8), rd, rs1, rs2, rs3, rm (uint8 each)
RECORD_FORM, RECORD_LENGTH, RECORD_RD, RECORD_RS1, RECORD_RS2, RECORD_RS3, RECORD_RM = 8, 10, 11, 12, 13, 14, 15
RECORD_IMM = 16                # immediate sign-extended to 64 bits; a jump's or branch's absolute target
RECORD_PC = 24
FIELD_OFFSET = {"rd": RECORD_RD, "rs1": RECORD_RS1, "rs2": RECORD_RS2, "rs3": RECORD_RS3, "rm": RECORD_RM,
                "imm": RECORD_IMM}
FIELD_BYTES = {"rd": 1, "rs1": 1, "rs2": 1, "rs3": 1, "rm": 1, "imm": 8}


def register_offset(file: str, number: int) -> int:
    """Where register `number` of file x or f lies in the state."""
    return {"x": X, "f": F}[file] + 8 * number
