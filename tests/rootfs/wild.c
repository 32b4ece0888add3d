/* Accesses far outside the guest's address space: prints the address that each faults at.
   riscv64-linux-gnu-gcc -O1 -static -s -nostdlib -ffreestanding -fno-stack-protector -march=rv64gc */
typedef unsigned long word;

static long call(long number, long a, long b, long c, long d)
{
    register long a0 __asm__("a0") = a, a1 __asm__("a1") = b, a2 __asm__("a2") = c, a3 __asm__("a3") = d;
    register long a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a7) : "memory");
    return a0;
}

struct action { void (*handler)(int, char *, char *); word flags, mask; };

static void print(word value, char end)
{
    char text[18];
    for (int at = 0; at < 16; at++)
        text[at] = "0123456789abcdef"[value >> (60 - 4 * at) & 15];
    text[16] = end;
    call(64, 1, (long)text, 17, 0);
}

static void handler(int number, char *info, char *context)
{
    print(*(word *)(info + 16), '\n');
    *(word *)(context + 176) += 4;                  /* uc_mcontext.pc: behind the access */
}

/* The least and the greatest addresses of each half, around the window's end (2^38), and where an x86-64 host has its own. */
static const word places[] = {
    0, 8, 4096, (1ul << 38) - 1, 1ul << 38, (1ul << 38) + 8, 1ul << 39, 0x555555554000 - (1ul << 38), 1ul << 46, (1ul << 47) - 4096,
    1ul << 47, 1ul << 63, -(1ul << 31), -(1ul << 32), -(1ul << 40), -(1ul << 46), -4096, -8,
};

void _start(void)
{
    struct action action = { handler, 4, 0 };
    call(134, 11, (long)&action, 0, 8);
    for (int round = 0; round < 40; round++)
        for (unsigned at = 0; at < sizeof places / sizeof *places; at++) {
            word place = places[at], value = 0x0102030405060708;
            if (round && round != 39) {             /* hot by the last round */
                place = (word)&value;
            }
            __asm__ volatile(".option push\n.option norvc\nsd %1, 0(%0)\nld %1, 0(%0)\nsb %1, 0(%0)\n"
                             "amoadd.d zero, %1, (%2)\n.option pop"
                             : : "r"(place), "r"(value), "r"(place & -8ul) : "memory");
        }
    call(94, 0, 0, 0, 0);
}
