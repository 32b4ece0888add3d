/* Control and status registers: access by name or number, fields and causes (privileged specification, 1.12). */
#pragma once
#include <stdint.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define read_csr(name) ({ uint64_t v_; asm volatile("csrr %0, " TEXT(name) : "=r"(v_)::"memory"); v_; })
#define write_csr(name, value) ({ asm volatile("csrw " TEXT(name) ", %0" ::"r"((uint64_t)(value)) : "memory"); })
#define set_csr(name, bits) ({ asm volatile("csrs " TEXT(name) ", %0" ::"r"((uint64_t)(bits)) : "memory"); })
#define clear_csr(name, bits) ({ asm volatile("csrc " TEXT(name) ", %0" ::"r"((uint64_t)(bits)) : "memory"); })
#define swap_csr(name, value) ({ uint64_t v_; asm volatile("csrrw %0, " TEXT(name) ", %1" : "=r"(v_) : "r"((uint64_t)(value)) : "memory"); v_; })

enum { U_MODE = 0, S_MODE = 1, M_MODE = 3 };

#define SSTATUS_SIE (1ul << 1)
#define MSTATUS_MIE (1ul << 3)
#define SSTATUS_SPIE (1ul << 5)
#define MSTATUS_MPIE (1ul << 7)
#define SSTATUS_SPP (1ul << 8)
#define MSTATUS_MPP (3ul << 11)
#define MSTATUS_FS (3ul << 13)
#define MSTATUS_MPRV (1ul << 17)
#define SSTATUS_SUM (1ul << 18)
#define SSTATUS_MXR (1ul << 19)
#define MSTATUS_TVM (1ul << 20)
#define MSTATUS_TW (1ul << 21)
#define MSTATUS_TSR (1ul << 22)
#define SSTATUS_SD (1ul << 63)
#define MPP(mode) ((uint64_t)(mode) << 11)

/* Interrupts: bits of mie and mip, and with INTERRUPT causes. */
enum { S_SOFTWARE = 1, M_SOFTWARE = 3, S_TIMER = 5, M_TIMER = 7, S_EXTERNAL = 9, M_EXTERNAL = 11 };
#define INTERRUPT (1ul << 63)
#define BIT(n) (1ul << (n))

/* Exceptions: table 3.6. */
enum {
    FETCH_MISALIGNED = 0, FETCH_ACCESS = 1, ILLEGAL = 2, BREAKPOINT = 3, LOAD_MISALIGNED = 4, LOAD_ACCESS = 5,
    STORE_MISALIGNED = 6, STORE_ACCESS = 7, ECALL_U = 8, ECALL_S = 9, ECALL_M = 11,
    FETCH_PAGE = 12, LOAD_PAGE = 13, STORE_PAGE = 15,
};
