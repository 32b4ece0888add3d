# Where every hart starts, in machine mode; and enter(), which runs a function in any mode until its first trap.
    .file "start.S"                 # else the name of a temporary file is in the symbols

#define STACK_SIZE 16384
#define MAX_HARTS 8
#define MSTATUS_MPP 0x1800
#define MSTATUS_FS 0x2000
#define MSTATUS_MPRV 0x20000

# The frame that enter() keeps; mscratch points to it as long as the function runs.
#define FRAME_TRAP 112
#define FRAME_SIZE 128

    .section .text.start
    .globl _start
_start:
    la t0, trap_entry
    csrw mtvec, t0
    csrw mscratch, zero
    csrw mie, zero
    li t0, MSTATUS_FS
    csrw mstatus, t0
    li t0, -1                       # PMP: one NAPOT region that is all memory, R, W and X, for S and U mode
    csrw pmpaddr0, t0
    li t0, 0x1f
    csrw pmpcfg0, t0
    csrr t0, mhartid
    li t1, MAX_HARTS
    bgeu t0, t1, park
    la sp, stacks
    addi t1, t0, 1
    li t2, STACK_SIZE
    mul t1, t1, t2
    add sp, sp, t1
    bnez t0, wait
    la t1, device_tree
    sd a1, (t1)
    la t1, bss_start
    la t2, bss_end
1:  sd zero, (t1)
    addi t1, t1, 8
    bltu t1, t2, 1b
    call main
    call finish
park:
    wfi
    j park

# The other harts wait for a function, which start_harts() gives them.
wait:
    la t1, harts_run
1:  lw t2, (t1)
    beqz t2, 1b
    fence r, rw
    la t1, harts_function
    ld t1, (t1)
    mv a0, t0
    jalr t1
    j park

    .data
    .globl device_tree
    .globl harts_function
    .globl harts_run
    .align 3
device_tree: .dword 0               # all in .data, since hart 0 clears .bss
harts_function: .dword 0
harts_run: .word 0

    .text
# void enter(struct trap *trap, long mode, uint64_t function, uint64_t a, uint64_t b, uint64_t offset)
# Calls function(a, b) in the mode (0 U, 1 S, 3 M) until the first trap into M mode, and tells in *trap which that was.
# A function that returns does so to an ecall. Its stack is this one, at offset from here: where its code sees it.
    .globl enter
    .align 2
enter:
    addi sp, sp, -FRAME_SIZE
    sd ra, 0(sp)
    sd s0, 8(sp)
    sd s1, 16(sp)
    sd s2, 24(sp)
    sd s3, 32(sp)
    sd s4, 40(sp)
    sd s5, 48(sp)
    sd s6, 56(sp)
    sd s7, 64(sp)
    sd s8, 72(sp)
    sd s9, 80(sp)
    sd s10, 88(sp)
    sd s11, 96(sp)
    sd a0, FRAME_TRAP(sp)
    csrw mscratch, sp
    li t0, MSTATUS_MPP
    csrc mstatus, t0
    slli a1, a1, 11
    csrs mstatus, a1
    csrw mepc, a2
    mv a0, a3
    mv a1, a4
    la ra, leave
    add ra, ra, a5
    add sp, sp, a5
    mret
    .globl leave
    .align 2
leave:
    ecall

# All traps into M mode come here; in a vectored table, its first row.
    .globl trap_entry
    .align 8
trap_entry:
    j trap
    .rept 15                        # an interrupt, where mtvec is vectored: a row for each cause
    j trap_vectored
    .endr
trap_vectored:
    csrr a1, mcause                 # the mark of having come by the table; nobody needs a1 any more
    j 1f
trap:
    li a1, 0
1:  csrrw sp, mscratch, sp
    beqz sp, unexpected
    li t0, MSTATUS_MPRV             # before any access to memory that is not meant to be translated
    csrrc t1, mstatus, t0
    ld t0, FRAME_TRAP(sp)
    csrr t2, mcause
    sd t2, 0(t0)
    csrr t2, mepc
    sd t2, 8(t0)
    csrr t2, mtval
    sd t2, 16(t0)
    sd t1, 24(t0)
    sd a0, 32(t0)
    sd a1, 40(t0)
    csrw mscratch, zero
    ld ra, 0(sp)
    ld s0, 8(sp)
    ld s1, 16(sp)
    ld s2, 24(sp)
    ld s3, 32(sp)
    ld s4, 40(sp)
    ld s5, 48(sp)
    ld s6, 56(sp)
    ld s7, 64(sp)
    ld s8, 72(sp)
    ld s9, 80(sp)
    ld s10, 88(sp)
    ld s11, 96(sp)
    addi sp, sp, FRAME_SIZE
    ret
unexpected:
    csrrw sp, mscratch, sp
    csrr a0, mcause
    csrr a1, mepc
    csrr a2, mtval
    call unexpected_trap
    j park
