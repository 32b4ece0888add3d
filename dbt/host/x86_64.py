"""Native code between Python and guest code on x86-64 Linux: entry, signal handlers, system-call stubs; as assembly.

No symbol outside the engine image but `dispatch` is used, nothing is pushed where a handler may have to leave, and all
of it may run at any moment of a signal. A handler finds the thread's CPU state in the ucontext, where the kernel notes
the signal stack: the state is its base, and its size STATE_BLOCK is the mark of a guest thread.
"""

from __future__ import annotations

from dragoman.dbt import state
from dragoman.dbt.state import CACHE, EXITS, FAULT_INFO, OFFSET, SIGINFO, STATE_BLOCK, register_offset

PIN_REGISTERS = ("r12", "r13", "r14", "r15", "r8", "r9", "r11")    # of the pinned slots p0.. in sites.ARGUMENTS
SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
GLOBAL = ("enter", "on_fault", "on_signal", "restore", "safe_call", "plain_call", "take_pending", "guest_hash", "guest_copy", "detach", "in_turn")

# --- ucontext_t and siginfo_t (Linux, arch/x86/include/uapi/asm/sigcontext.h): offsets
UC_STACK_SP, UC_STACK_SIZE, UC_RSP, UC_RIP, UC_ERROR, UC_MASK = 16, 32, 160, 168, 192, 296
UC_REGISTER = {"r8": 40, "r9": 48, "r11": 64, "r12": 72, "r13": 80, "r14": 88, "r15": 96}
SI_CODE, SI_ADDR, SI_SIZE = 8, 16, 128

# --- siginfo_t of a SIGSEGV or SIGBUS that somebody sent: the kernel must never hold these two back, so they do not
# share the place of the other signals
SENT_INFO = state.SPILL + 256
assert SENT_INFO + SI_SIZE <= state.STATE_SIZE

SIGBUS, SIGSEGV = 7, 11
NEVER_BLOCKED = 1 << SIGBUS - 1 | 1 << SIGSEGV - 1
NOT_MADE = -512                # of safe_call: a signal came first, the guest's pc stays at its system call

# --- system calls that are made without leaving native code: field user0 of the state is 0 or the address of a table of
# 64-bit words, then of an entry of 32 bits for each of the guest's call numbers. Entry: host number in bits 0 to 15,
# bit 16 + n: argument n is a pointer; WAITS_ON_WORD: futex; DIRECT: it is made here. user1 is 1 while a call is made.
DIRECT_TABLE, IN_CALL = OFFSET["user0"], OFFSET["user1"]
(DIRECT_WINDOW, DIRECT_COUNT, DIRECT_ENTRIES, DIRECT_LENGTH, DIRECT_NUMBER, DIRECT_RESULT,
 DIRECT_ARGUMENTS) = range(0, 56, 8)
DIRECT_HEADER = DIRECT_ARGUMENTS + 6 * 8       # size of the window, calls made, entries, length of the instruction, and
POINTERS_AT, WAITS_ON_WORD, DIRECT = 16, 1 << 24, 1 << 31      # offsets in the state: number, result, six arguments
HOOK_NOT_MINE = 2              # of the hook: as if there were none
CALL_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
FUTEX_COMMAND, FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET = 0x7F, 0, 1, 9, 10
FNV_START, FNV_PRIME = 0xCBF2_9CE4_8422_2325, 0x100_0000_01B3
RT_SIGACTION, RT_SIGPROCMASK, RT_SIGRETURN, GETPID, CLONE, RT_TGSIGQUEUEINFO, EXIT_GROUP = 13, 14, 15, 39, 56, 297, 231
SIGCHLD, SIG_SETMASK = 17, 2


def _enter(pinned: tuple[int, ...]) -> list[str]:
    """enter(state): runs guest code from state.pc until it leaves. Eight bytes align the stack and keep the state."""
    return [
        "enter:", *(f"push {r}" for r in SAVED), "sub rsp, 8", "mov [rsp], rdi",
        f"mov [rdi+{OFFSET['saved_rsp']}], rsp",
        f"stmxcsr [rdi+{OFFSET['host_mxcsr']}]", "enter_again:", f"ldmxcsr [rdi+{OFFSET['mxcsr']}]",
        f"mov rsi, [rdi+{OFFSET['memory_base']}]", f"mov rdx, [rdi+{OFFSET['pc']}]",
        *(f"mov {r}, [rdi+{register_offset('x', n)}]" for r, n in zip(PIN_REGISTERS, pinned)),
        "call dispatch",
        "dragoman_resume:", "mov rdi, [rsp]",
        f"stmxcsr [rdi+{OFFSET['mxcsr']}]", f"ldmxcsr [rdi+{OFFSET['host_mxcsr']}]", "exits:",
        *_hook(), *_direct_call(), "enter_out:", "mov rdi, [rsp]", f"mov qword ptr [rdi+{OFFSET['saved_rsp']}], 0",
        "add rsp, 8", *(f"pop {r}" for r in reversed(SAVED)), "ret"]


def _hook() -> list[str]:
    """If there is one it may have done what was asked for: then go on, or tell Python by "poll" that somebody asks for this
    thread. Exits count the budget down, too: a guest that traps again and again may have no other place that does."""
    return [f"mov rax, [rdi+{OFFSET['hook']}]", "test rax, rax", "jz no_hook", "call rax", "mov rdi, [rsp]",
            "test rax, rax", "jz enter_out", f"cmp rax, {HOOK_NOT_MINE}", "je no_hook",
            f"cmp qword ptr [rdi+{OFFSET['request']}], 0", "jne hook_asked",
            f"dec dword ptr [rdi+{OFFSET['budget']}]", "jns enter_again",
            # first: who wants the thread from now on takes it away again
            f"mov eax, [rdi+{OFFSET['budget_reset']}]", f"mov [rdi+{OFFSET['budget']}], eax",
            f"mov qword ptr [rdi+{OFFSET['exit_reason']}], {EXITS['poll']}", f"call [rdi+{OFFSET['hook']}]", "mov rdi, [rsp]",
            "test rax, rax", "jnz enter_again", "jmp enter_out",
            "hook_asked:", f"mov qword ptr [rdi+{OFFSET['exit_reason']}], {EXITS['poll']}", "jmp enter_out", "no_hook:"]


def _direct_call() -> list[str]:
    """If guest code left for a system call of the table: make it and go on; else fall through to `enter_out`.

    A signal, or somebody who stops the world, is met as in `safe_call`, and behind the call as if by a poll.
    """
    pointers = [line for n, register in enumerate(CALL_ARGUMENTS) for line in (
        f"test ebx, {1 << POINTERS_AT + n}", f"jz direct_{n}", f"test {register}, {register}", f"jz direct_{n}",
        f"cmp {register}, r12", "jae enter_out", f"add {register}, rbp", f"direct_{n}:")]
    return [
        f"cmp qword ptr [rdi+{OFFSET['exit_reason']}], {EXITS['syscall']}", "jne enter_out",
        f"mov r14, [rdi+{DIRECT_TABLE}]", "test r14, r14", "jz enter_out",
        f"mov rax, [r14+{DIRECT_NUMBER}]", "mov rax, [rdi+rax]",
        f"cmp rax, [r14+{DIRECT_ENTRIES}]", "jae enter_out",
        f"mov ebx, [r14+4*rax+{DIRECT_HEADER}]", "test ebx, ebx", "jns enter_out", "mov r15, rdi",
        f"mov rbp, [r15+{OFFSET['memory_base']}]", f"mov r12, [r14+{DIRECT_WINDOW}]",
        *(line for n, register in enumerate(CALL_ARGUMENTS)
          for line in (f"mov rax, [r14+{DIRECT_ARGUMENTS + 8 * n}]", f"mov {register}, [r15+rax]")),
        f"test ebx, {WAITS_ON_WORD}", "jz direct_pointers", "mov eax, esi", f"and eax, {FUTEX_COMMAND}",
        f"cmp eax, {FUTEX_WAKE}", "je direct_pointers", f"cmp eax, {FUTEX_WAKE_BITSET}", "je direct_pointers",
        f"or ebx, {1 << POINTERS_AT + 3}", f"cmp eax, {FUTEX_WAIT}", "je direct_pointers",
        f"cmp eax, {FUTEX_WAIT_BITSET}", "jne enter_out",
        "direct_pointers:", *pointers, "movzx eax, bx",
        # before the look at `stop`: who stops the world and does not see this mark has set it
        "mov ecx, 1", f"xchg [r15+{IN_CALL}], rcx",
        f"mov rcx, [r15+{OFFSET['cache']}]", f"cmp qword ptr [rcx+{CACHE['stop']}], 0", "jne direct_not_made",
        "direct_window:", f"cmp qword ptr [r15+{OFFSET['pending']}], 0", "jne direct_not_made", "syscall",
        "direct_window_end:", f"mov rcx, [r14+{DIRECT_RESULT}]", "mov [r15+rcx], rax",
        "xor ecx, ecx", f"xchg [r15+{IN_CALL}], rcx",           # orders the store before the look at `stop`
        f"mov rcx, [r14+{DIRECT_LENGTH}]", f"add [r15+{OFFSET['pc']}], rcx", f"lock inc qword ptr [r14+{DIRECT_COUNT}]",
        "mov rdi, r15", f"cmp qword ptr [r15+{OFFSET['pending']}], 0", "jne direct_poll",
        f"mov rcx, [r15+{OFFSET['cache']}]", f"cmp qword ptr [rcx+{CACHE['stop']}], 0", "je enter_again",
        "direct_poll:", f"mov qword ptr [r15+{OFFSET['exit_reason']}], {EXITS['poll']}", "jmp exits",
        "direct_not_made:", f"mov qword ptr [r15+{IN_CALL}], 0"]


def _out_of_window(name: str, otherwise: str) -> list[str]:
    """A thread whose rip (rax) is between the test of `pending` and the call's end goes to the stub's not-made exit."""
    return [f"lea r10, [rip+{name}_window]", "cmp rax, r10", f"jb {otherwise}",
            f"lea r10, [rip+{name}_window_end]", "cmp rax, r10", f"jae {otherwise}",
            f"lea r10, [rip+{name}_not_made]", f"mov [rdx+{UC_RIP}], r10", "ret"]


def _copy_siginfo(to: str, offset: int) -> list[str]:
    return [line for n in range(0, SI_SIZE, 16)
            for line in (f"movups xmm0, [rsi+{n}]", f"movups [{to}+{offset + n}], xmm0")]


def _within(label: str, start: str, otherwise: str) -> list[str]:
    """Falls into `label` if rip (rax) is in the range at `start` of the cache's control block (rcx)."""
    return [f"cmp rax, [rcx+{CACHE[start + '_start']}]", f"jb {otherwise}",
            f"cmp rax, [rcx+{CACHE[start + '_end']}]", f"jae {otherwise}", f"{label}:"]


def _on_fault(pinned: tuple[int, ...]) -> list[str]:
    """A fault of guest code ends `enter`; one that was sent is a signal as any; any other is a fault of ours."""
    return [
        "on_fault:", f"cmp dword ptr [rsi+{SI_CODE}], 0", "jle fault_sent",
        f"cmp qword ptr [rdx+{UC_STACK_SIZE}], {STATE_BLOCK}", "jne fault_stray",
        f"mov rax, [rdx+{UC_RIP}]", *_out_of_window("hash", "fault_copy"),
        "fault_copy:", *_out_of_window("copy", "fault_cpu"), "fault_cpu:",
        f"mov r8, [rdx+{UC_STACK_SP}]", f"mov rcx, [r8+{OFFSET['cache']}]", "test rcx, rcx", "jz fault_stray",
        f"mov r9d, {EXITS['fault']}",
        f"cmp qword ptr [r8+{OFFSET['saved_rsp']}], 0", "je fault_stray",     # the runtime's own call into the image
        f"cmp qword ptr [r8+{OFFSET['in_resolve']}], 0", "je fault_where",
        # the decoder met guest memory that cannot be read: this thread holds the lock
        f"mov r9d, {EXITS['fetch']}", f"mov qword ptr [r8+{OFFSET['in_resolve']}], 0",
        f"mov qword ptr [rcx+{CACHE['lock']}], 0", "jmp fault_leave",
        "fault_where:", *_within("fault_stencil", "stencil", "fault_not_stencil"),
        *(line for r, n in zip(PIN_REGISTERS, pinned)
          for line in (f"mov r10, [rdx+{UC_REGISTER[r]}]", f"mov [r8+{register_offset('x', n)}], r10")),
        "jmp fault_leave",
        "fault_not_stencil:", *_within("fault_region", "region", "fault_not_region"), "jmp fault_leave",
        "fault_not_region:", *_within("fault_leave", "image", "fault_stray"),
        *_copy_siginfo("r8", FAULT_INFO),
        f"mov r10, [rsi+{SI_ADDR}]", f"sub r10, [r8+{OFFSET['memory_base']}]", f"mov [r8+{OFFSET['exit_data']}], r10",
        f"mov r10, [rdx+{UC_ERROR}]", f"mov [r8+{OFFSET['scratch1']}], r10",
        f"mov [r8+{OFFSET['host_pc']}], rax", f"mov [r8+{OFFSET['exit_reason']}], r9",
        f"mov r10, [r8+{OFFSET['saved_rsp']}]", f"mov [rdx+{UC_RSP}], r10",
        "lea r10, [rip+dragoman_resume]", f"mov [rdx+{UC_RIP}], r10", "ret",
        # restore the default action and return: the instruction faults again, and the host process dies of it
        "fault_stray:", "sub rsp, 40", "xor eax, eax", *(f"mov [rsp+{n}], rax" for n in (0, 8, 16, 24)),
        "mov rsi, rsp", "xor edx, edx", "mov r10d, 8", f"mov eax, {RT_SIGACTION}", "syscall", "add rsp, 40", "ret",
        "fault_sent:", f"mov r9d, {SENT_INFO}", f"cmp edi, {SIGSEGV}", "je note", f"cmp edi, {SIGBUS}", "je note"]


def _on_signal() -> list[str]:
    """Note the signal, and have the kernel keep all others until the runtime has taken this one.

    With SA_RESTART the kernel has moved rip back onto `syscall`, so that a call that is to be made again is in the
    window, and one that ends with EINTR is behind it. A library's thread that has not blocked the signal passes it on
    to the main thread.
    """
    return [
        "on_signal:", f"mov r9d, {SIGINFO}",
        "note:", f"cmp qword ptr [rdx+{UC_STACK_SIZE}], {STATE_BLOCK}", "jne note_stray",
        f"mov r8, [rdx+{UC_STACK_SP}]", "add r9, r8", *_copy_siginfo("r9", 0),
        f"mov rax, {~NEVER_BLOCKED}", f"mov [rdx+{UC_MASK}], rax",
        "lea ecx, [rdi-1]", "mov eax, 1", "shl rax, cl", f"lock or [r8+{OFFSET['pending']}], rax",
        f"mov dword ptr [r8+{OFFSET['budget']}], -1",
        f"mov rax, [rdx+{UC_RIP}]", *_out_of_window("safe", "note_direct"),
        "note_direct:", *_out_of_window("direct", "note_done"), "note_done:", "ret",
        "note_stray:", "mov r10, rsi", "mov edx, edi", f"mov eax, {GETPID}", "syscall", "mov edi, eax", "mov esi, eax",
        f"mov eax, {RT_TGSIGQUEUEINFO}", "syscall", "ret",
        "restore:", f"mov eax, {RT_SIGRETURN}", "syscall"]


def _calls() -> list[str]:
    """safe_call(state, frame) and plain_call(frame) make the system call that the frame has: number and arguments.
    take_pending(state): the bits of the signals noted so far, which then are taken.
    guest_hash(address, size): FNV-1a, 64 bits, of guest memory; -1 if it cannot be read: other threads unmap and cut files.
    guest_copy(to, from, size): 0, or -1 if one of them cannot be accessed; a part may have been written then.
    """
    arguments = ["mov rdi, [rsi+8]", "mov rdx, [rsi+24]", "mov r10, [rsi+32]", "mov r8, [rsi+40]", "mov r9, [rsi+48]"]
    return [
        "safe_call:", "mov r11, rdi", "mov rax, [rsi]", *arguments, "mov rsi, [rsi+16]",
        "safe_window:", f"cmp qword ptr [r11+{OFFSET['pending']}], 0", "jne safe_not_made", "syscall",
        "safe_window_end:", "ret",
        "safe_not_made:", f"mov rax, {NOT_MADE}", "ret",
        "plain_call:", "mov rsi, rdi", "mov rax, [rsi]", *arguments, "mov rsi, [rsi+16]", "syscall", "ret",
        "take_pending:", "xor eax, eax", f"xchg [rdi+{OFFSET['pending']}], rax", "ret",
        "guest_hash:", f"movabs rax, {FNV_START}", f"movabs r8, {FNV_PRIME}", "test rsi, rsi", "jz hash_window_end",
        "hash_window:", "movzx ecx, byte ptr [rdi]", "xor rax, rcx", "imul rax, r8", "inc rdi", "dec rsi", "jnz hash_window",
        "hash_window_end:", "ret", "hash_not_made:", "mov rax, -1", "ret",
        "guest_copy:", "mov rcx, rdx", "xor eax, eax", "copy_window:", "rep movsb", "copy_window_end:", "ret",
        "copy_not_made:", "mov rax, -1", "ret"]


def _detach() -> list[str]:
    """detach(steps): a process makes these system calls that is nobody's child: it is made by one that then is gone, whose number is
    returned, or -errno. `steps`: rows of four words, a call's number and three arguments; a negative number is the end of the process.

    Neither returns into Python, which is not whole in them: other threads may have asked for its lock, or held one of libc's. All
    signals are blocked in both, so that they end neither.
    """
    mask = [f"mov eax, {RT_SIGPROCMASK}", f"mov edi, {SIG_SETMASK}", "mov r10d, 8"]
    clone = [f"mov eax, {CLONE}", *(f"xor {name}, {name}" for name in ("edi", "esi", "edx", "r10d", "r8d"))]
    return [
        "detach:", "push rbx", "sub rsp, 16", "mov rbx, rdi",
        "mov qword ptr [rsp], -1", *mask, "mov rsi, rsp", "lea rdx, [rsp+8]", "syscall",
        *clone, "syscall", "test rax, rax", "jnz detached",         # no signal at its end
        *clone, f"mov edi, {SIGCHLD}", "syscall", "test rax, rax", "jnz detach_end",
        "detach_step:", "mov rax, [rbx]", "test rax, rax", "js detach_end",
        "mov rdi, [rbx+8]", "mov rsi, [rbx+16]", "mov rdx, [rbx+24]", "syscall", "add rbx, 32", "jmp detach_step",
        "detach_end:", f"mov eax, {EXIT_GROUP}", "xor edi, edi", "syscall",
        "detached:", "mov rbx, rax", *mask, "lea rsi, [rsp+8]", "xor edx, edx", "syscall",
        "mov rax, rbx", "add rsp, 16", "pop rbx", "ret"]


def _in_turn() -> list[str]:
    """in_turn(steps): these system calls one after the other, whatever comes of each. `steps`: rows of seven words, a call's number,
    whose place the result takes, and six arguments; a negative number ends them. Who holds Python's lock keeps it meanwhile."""
    return [
        "in_turn:", "push rbx", "mov rbx, rdi",
        "turn_step:", "mov rax, [rbx]", "test rax, rax", "js turn_end",
        *(f"mov {register}, [rbx+{8 * n + 8}]" for n, register in enumerate(CALL_ARGUMENTS)),
        "syscall", "mov [rbx], rax", "add rbx, 56", "jmp turn_step", "turn_end:", "pop rbx", "ret"]


def text(pinned: tuple[int, ...]) -> str:
    """Module text; `pinned` is the guest register in each pinned slot. Symbols: GLOBAL; wants `dispatch`."""
    lines = [".intel_syntax noprefix", ".text", *(f".globl {name}" for name in GLOBAL), ".p2align 4",
             *_enter(pinned), *_on_fault(pinned), *_on_signal(), *_calls(), *_detach(), *_in_turn(), ".att_syntax"]
    return "\n".join(f'module asm "{line}"' for line in lines)
