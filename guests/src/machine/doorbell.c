/* Two machines with shared memory and a doorbell (dragoman vm run --doorbell): turns by interrupt, atomics; alone it only says so. */
#include "board.h"

#define ROUNDS 200
#define ADDITIONS 20000
#define BELL 0x10200000ul
#define BELL_IRQ 12
#define BELL_REGISTER(offset) REGISTER(uint32_t, BELL + (offset))
enum { MAGIC = 0x00, NUMBER = 0x04, RING = 0x08, PENDING = 0x0c, SIZE = 0x10, PLACE = 0x18 };
#define PLIC_PRIORITY(irq) REGISTER(uint32_t, PLIC + 4 * (irq))
#define PLIC_ENABLE REGISTER(uint32_t, PLIC + 0x2000)     /* of hart 0's machine mode */
#define PLIC_THRESHOLD REGISTER(uint32_t, PLIC + 0x200000)
#define PLIC_CLAIM REGISTER(uint32_t, PLIC + 0x200004)

static struct shared { volatile uint64_t turn, sum; } *shared;
static uint32_t self, rung_by;
static uint64_t rings;

/* Whether the device tree has a node of this name; the part behind @ does not count. */
static int has_node(const char *name) {
    enum { TREE = 0xd00dfeed, BEGIN_NODE = 1, PROPERTY = 3, END = 9 };
    if (!device_tree || tree_word(device_tree) != TREE) return 0;
    const uint8_t *at = device_tree + tree_word(device_tree + 8), *end = device_tree + tree_word(device_tree + 4);
    while (at < end) {
        uint32_t token = tree_word(at), length = 0;
        at += 4;
        if (token == END) break;
        if (token == BEGIN_NODE) {
            while (name[length] && at[length] == (uint8_t)name[length]) length++;
            if (!name[length] && at[length] == '@') return 1;
            while (at[length++]) {}
        } else if (token == PROPERTY) {
            length = tree_word(at) + 8;
        }
        at += (length + 3) & ~3u;
    }
    return 0;
}

/* Sleeps until the other machine has set the turn to this; what it wrote before is seen then. */
static void wait_turn(uint64_t turn) {
    while (__atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE) != turn) {
        asm volatile("wfi");
        uint32_t irq = PLIC_CLAIM, pending = BELL_REGISTER(PENDING);
        if (irq != BELL_IRQ) continue;
        rings++;
        rung_by |= pending;
        BELL_REGISTER(PENDING) = pending;
        PLIC_CLAIM = irq;
    }
}

static void pass_turn(uint64_t turn) {
    __atomic_store_n(&shared->turn, turn, __ATOMIC_RELEASE);
    asm volatile("fence rw, rw; fence w, o" ::: "memory");
    BELL_REGISTER(RING) = !self;
}

/* Machine 0 has the even turns, machine 1 the odd ones. */
static void rounds(uint64_t first) {
    for (uint64_t turn = first + self; turn < first + 2 * ROUNDS; turn += 2) {
        wait_turn(turn);
        pass_turn(turn + 1);
    }
}

int main(void) {
    group("two machines");
    if (!has_node("doorbell")) {
        say("# there is no doorbell\n");
        return 0;
    }
    expect("magic", BELL_REGISTER(MAGIC), 0x42475244);
    self = BELL_REGISTER(NUMBER);
    shared = (struct shared *)(BELL_REGISTER(PLACE) | (uint64_t)BELL_REGISTER(PLACE + 4) << 32);
    uint8_t *end = (uint8_t *)shared + BELL_REGISTER(SIZE);
    say("# machine %d: %d bytes at %x\n", self, BELL_REGISTER(SIZE), shared);
    PLIC_PRIORITY(BELL_IRQ) = 1;
    PLIC_THRESHOLD = 0;
    PLIC_ENABLE = 1 << BELL_IRQ;
    set_csr(mie, BIT(M_EXTERNAL));
    uint64_t start = MTIME;
    rounds(0);
    say("# %d ns for a ring\n", (MTIME - start) * (1000000000 / TICKS) / (2 * ROUNDS));
    for (int i = 0; i < ADDITIONS; i++) __atomic_add_fetch(&shared->sum, 1 + self, __ATOMIC_RELAXED);
    if (self) end[-1] = 0x5a;
    rounds(2 * ROUNDS);
    if (!self) wait_turn(4 * ROUNDS); /* the other one's last turn was another */
    expect("sum of both", shared->sum, 3 * ADDITIONS);
    expect("the last byte", end[-1], 0x5a);
    expect("rung by", rung_by, 1 << !self);
    say("# %d interrupts\n", rings);
    return 0;
}
