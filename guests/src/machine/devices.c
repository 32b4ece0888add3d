/* Devices: the UART and its interrupt through the PLIC, the clock, the finisher, and a virtio entropy device by its queue. */
#include "trap.h"

#define UART_REGISTER(n) REGISTER(uint8_t, UART + (n))
enum { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, SCR = 7 };
#define MCR_LOOP 0x10
#define MCR_OUT2 0x08
#define PLIC_PRIORITY(irq) REGISTER(uint32_t, PLIC + 4 * (irq))
#define PLIC_PENDING(irq) (REGISTER(uint32_t, PLIC + 0x1000 + (irq) / 32 * 4) >> (irq) % 32 & 1)
#define PLIC_ENABLE(context) REGISTER(uint32_t, PLIC + 0x2000 + 0x80 * (context))
#define PLIC_THRESHOLD(context) REGISTER(uint32_t, PLIC + 0x200000 + 0x1000 * (context))
#define PLIC_CLAIM(context) REGISTER(uint32_t, PLIC + 0x200004 + 0x1000 * (context))
enum { UART_IRQ = 10, RTC_IRQ = 11, VIRTIO_IRQ = 1 };
enum { M_CONTEXT = 0, S_CONTEXT = 1 }; /* of hart 0 */

/* The line is quiet while the UART loops back to itself, so the checks speak when that is over. */
static void uart(void) {
    group("UART");
    UART_REGISTER(SCR) = 0x5a;
    expect("scratch", UART_REGISTER(SCR), 0x5a);
    expect("transmitter empty", UART_REGISTER(LSR) & 0x60, 0x60);
    expect("nothing received", UART_REGISTER(LSR) & 1, 0);
    expect("no interrupt", UART_REGISTER(IIR) & 15, 1);
    UART_REGISTER(LCR) = 0x83;              /* the divisor's registers */
    uint8_t low = UART_REGISTER(0), high = UART_REGISTER(1);
    UART_REGISTER(0) = 0x12;
    UART_REGISTER(1) = 0x34;
    uint8_t read_low = UART_REGISTER(0), read_high = UART_REGISTER(1);
    UART_REGISTER(0) = low;
    UART_REGISTER(1) = high;
    UART_REGISTER(LCR) = 3;
    expect("divisor", read_low | read_high << 8, 0x3412);
    uint8_t got[3], status[3];
    UART_REGISTER(MCR) = MCR_LOOP;
    for (int i = 0; i < 3; i++) {
        UART_REGISTER(RBR) = 0x41 + i;
        for (int wait = 0; wait < 100000 && !(UART_REGISTER(LSR) & 1); wait++) {}
        status[i] = UART_REGISTER(LSR) & 1;
        got[i] = UART_REGISTER(RBR);
    }
    UART_REGISTER(MCR) = 0;
    for (int i = 0; i < 3; i++) {
        expect("looped back", status[i], 1);
        expect("byte", got[i], 0x41 + i);
    }
}

static uint64_t external(void) { return read_csr(mip) & (BIT(M_EXTERNAL) | BIT(S_EXTERNAL)); }

/* The transmitter's interrupt is there whenever IER asks for it and the transmitter is empty. */
static void plic(void) {
    group("PLIC");
    PLIC_ENABLE(M_CONTEXT) = PLIC_ENABLE(S_CONTEXT) = 0;
    PLIC_THRESHOLD(M_CONTEXT) = PLIC_THRESHOLD(S_CONTEXT) = 0;
    PLIC_PRIORITY(UART_IRQ) = 0;
    expect("nothing to claim", PLIC_CLAIM(M_CONTEXT), 0);
    UART_REGISTER(MCR) = MCR_OUT2;
    while (UART_REGISTER(IIR) != 0xc2 && (UART_REGISTER(IIR) & 15) != 1) {}
    UART_REGISTER(IER) = 2;
    expect("pending", PLIC_PENDING(UART_IRQ), 1);
    expect("not enabled", external(), 0);
    PLIC_ENABLE(M_CONTEXT) = 1 << UART_IRQ;
    expect("priority 0 never interrupts", external(), 0);
    PLIC_PRIORITY(UART_IRQ) = 3;
    expect("enabled", external(), BIT(M_EXTERNAL));
    PLIC_THRESHOLD(M_CONTEXT) = 3;
    expect("at the threshold", external(), 0);
    PLIC_THRESHOLD(M_CONTEXT) = 2;
    expect("above the threshold", external(), BIT(M_EXTERNAL));
    PLIC_ENABLE(M_CONTEXT) = 0;
    PLIC_ENABLE(S_CONTEXT) = 1 << UART_IRQ;
    PLIC_THRESHOLD(S_CONTEXT) = 2;
    expect("S mode's context", external(), BIT(S_EXTERNAL));
    PLIC_ENABLE(M_CONTEXT) = 1 << UART_IRQ;
    PLIC_THRESHOLD(M_CONTEXT) = 2;
    expect("both", external(), BIT(M_EXTERNAL) | BIT(S_EXTERNAL));
    PLIC_ENABLE(S_CONTEXT) = 0;
    write_csr(mie, BIT(M_EXTERNAL));
    expect("taken", call(S_MODE, leave, 0, 0).cause, INTERRUPT | M_EXTERNAL);
    write_csr(mie, 0);
    expect("claim", PLIC_CLAIM(M_CONTEXT), UART_IRQ);
    expect("claimed", external(), 0);
    expect("not pending", PLIC_PENDING(UART_IRQ), 0);
    expect("nothing more to claim", PLIC_CLAIM(M_CONTEXT), 0);
    UART_REGISTER(IER) = 0;
    PLIC_CLAIM(M_CONTEXT) = UART_IRQ;
    expect("complete", external(), 0);
    expect("nothing to claim", PLIC_CLAIM(M_CONTEXT), 0);
    PLIC_PRIORITY(0) = 7;
    expect("there is no source 0", PLIC_PRIORITY(0), 0);
    PLIC_ENABLE(M_CONTEXT) = 0;
}

/* The received byte's interrupt: level, until the byte is read. */
static void receiver(void) {
    PLIC_ENABLE(M_CONTEXT) = 1 << UART_IRQ;
    PLIC_THRESHOLD(M_CONTEXT) = 0;
    UART_REGISTER(MCR) = MCR_LOOP | MCR_OUT2;
    UART_REGISTER(IER) = 1;
    UART_REGISTER(RBR) = 'x';
    for (int wait = 0; wait < 100000 && !(UART_REGISTER(LSR) & 1); wait++) {}
    uint64_t raised = external(), reason = UART_REGISTER(IIR) & 15, claimed = PLIC_CLAIM(M_CONTEXT);
    PLIC_CLAIM(M_CONTEXT) = UART_IRQ;
    uint64_t again = external(), second = PLIC_CLAIM(M_CONTEXT), byte = UART_REGISTER(RBR);
    PLIC_CLAIM(M_CONTEXT) = UART_IRQ;
    uint64_t after = external();
    UART_REGISTER(IER) = 0;
    UART_REGISTER(MCR) = 0;
    PLIC_ENABLE(M_CONTEXT) = 0;
    group("UART interrupts");
    expect("raised", raised, BIT(M_EXTERNAL));
    expect("reason: data", reason, 4);
    expect("claim", claimed, UART_IRQ);
    expect("byte", byte, 'x');
    expect("quiet after it is read", after, 0);
    group("interrupts by level come again"); /* the byte was not read when the first was complete: PLIC, Interrupt Gateways */
    expect("raised", again, BIT(M_EXTERNAL));
    expect("claim", second, UART_IRQ);
}

/* The goldfish clock: nanoseconds since 1970, and an alarm. */
static uint64_t nanoseconds(void) {
    uint64_t low = REGISTER(uint32_t, RTC); /* first: it keeps the high half for the next read */
    return low | (uint64_t)REGISTER(uint32_t, RTC + 4) << 32;
}
static void clock(void) {
    group("clock");
    uint64_t time = nanoseconds();
    expect("it is after 2020", time > 1577836800ul * 1000000000, 1);
    expect("it does not go back", nanoseconds() >= time, 1);
    PLIC_PRIORITY(RTC_IRQ) = 1;
    PLIC_ENABLE(M_CONTEXT) = 1 << RTC_IRQ;
    REGISTER(uint32_t, RTC + 0x10) = 1;     /* interrupts on */
    time = nanoseconds() + 2000000;
    REGISTER(uint32_t, RTC + 0x0c) = time >> 32;
    REGISTER(uint32_t, RTC + 0x08) = time;
    while (!external()) asm volatile("nop");
    expect("alarm, not before its time", nanoseconds() >= time, 1);
    expect("claim", PLIC_CLAIM(M_CONTEXT), RTC_IRQ);
    REGISTER(uint32_t, RTC + 0x1c) = 1;     /* clear the interrupt */
    PLIC_CLAIM(M_CONTEXT) = RTC_IRQ;
    expect("cleared", external(), 0);
    PLIC_ENABLE(M_CONTEXT) = 0;
}

/* virtio 1.1, 4.2.2: registers of a device on mmio. */
enum {
    MAGIC = 0x00, VERSION = 0x04, DEVICE_ID = 0x08, DEVICE_FEATURES = 0x10, DEVICE_FEATURES_SEL = 0x14, DRIVER_FEATURES = 0x20,
    DRIVER_FEATURES_SEL = 0x24, QUEUE_SEL = 0x30, QUEUE_NUM_MAX = 0x34, QUEUE_NUM = 0x38, QUEUE_READY = 0x44, QUEUE_NOTIFY = 0x50,
    INTERRUPT_STATUS = 0x60, INTERRUPT_ACK = 0x64, STATUS = 0x70, QUEUE_DESC = 0x80, QUEUE_DRIVER = 0x90, QUEUE_DEVICE = 0xa0,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, ENTROPY = 4, SLOTS = 8, QUEUE_SIZE = 8 };
static struct { uint64_t address; uint32_t length; uint16_t flags, next; } descriptors[QUEUE_SIZE] __attribute__((aligned(16)));
static volatile struct { uint16_t flags, index, ring[QUEUE_SIZE]; } available __attribute__((aligned(2)));
static volatile struct { uint16_t flags, index; struct { uint32_t id, length; } ring[QUEUE_SIZE]; } used __attribute__((aligned(4)));
static uint8_t buffers[2][64];

static void set_address(uint64_t device, int at, volatile void *address) {
    REGISTER(uint32_t, device + at) = (uint64_t)address;
    REGISTER(uint32_t, device + at + 4) = (uint64_t)address >> 32;
}

static void entropy(void) {
    group("virtio slots");
    int slot = -1;
    for (int i = 0; i < SLOTS; i++) {
        uint64_t device = VIRTIO + 0x1000 * i;
        expect("magic", REGISTER(uint32_t, device + MAGIC), 0x74726976);
        expect("version", REGISTER(uint32_t, device + VERSION), 2);
        if (REGISTER(uint32_t, device + DEVICE_ID) == ENTROPY) slot = i;
    }
    group("virtio entropy device");
    expect("there is one", slot >= 0, 1);
    if (slot < 0) return;
    uint64_t device = VIRTIO + 0x1000 * slot, irq = VIRTIO_IRQ + slot;
    REGISTER(uint32_t, device + STATUS) = 0;
    expect("status after reset", REGISTER(uint32_t, device + STATUS), 0);
    REGISTER(uint32_t, device + STATUS) = ACKNOWLEDGE | DRIVER;
    REGISTER(uint32_t, device + DEVICE_FEATURES_SEL) = 1;
    expect("VIRTIO_F_VERSION_1", REGISTER(uint32_t, device + DEVICE_FEATURES) & 1, 1);
    REGISTER(uint32_t, device + DRIVER_FEATURES_SEL) = 0;
    REGISTER(uint32_t, device + DRIVER_FEATURES) = 0;
    REGISTER(uint32_t, device + DRIVER_FEATURES_SEL) = 1;
    REGISTER(uint32_t, device + DRIVER_FEATURES) = 1;
    REGISTER(uint32_t, device + STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK;
    expect("features", REGISTER(uint32_t, device + STATUS), ACKNOWLEDGE | DRIVER | FEATURES_OK);
    REGISTER(uint32_t, device + QUEUE_SEL) = 7;
    expect("there is no queue 7", REGISTER(uint32_t, device + QUEUE_NUM_MAX), 0);
    REGISTER(uint32_t, device + QUEUE_SEL) = 0;
    expect("queue 0 is large enough", REGISTER(uint32_t, device + QUEUE_NUM_MAX) >= QUEUE_SIZE, 1);
    expect("it is not ready", REGISTER(uint32_t, device + QUEUE_READY), 0);
    REGISTER(uint32_t, device + QUEUE_NUM) = QUEUE_SIZE;
    set_address(device, QUEUE_DESC, descriptors);
    set_address(device, QUEUE_DRIVER, &available);
    set_address(device, QUEUE_DEVICE, &used);
    REGISTER(uint32_t, device + QUEUE_READY) = 1;
    expect("it is ready", REGISTER(uint32_t, device + QUEUE_READY), 1);
    REGISTER(uint32_t, device + STATUS) = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
    PLIC_PRIORITY(irq) = 1;
    PLIC_ENABLE(M_CONTEXT) = 1 << irq;
    for (int i = 0; i < 2; i++) {
        descriptors[i].address = (uint64_t)buffers[i];
        descriptors[i].length = sizeof buffers[i];
        descriptors[i].flags = 2;           /* the device writes */
        available.ring[i] = i;
        asm volatile("fence w, w" ::: "memory");
        available.index = i + 1;
        asm volatile("fence w, o" ::: "memory");
        REGISTER(uint32_t, device + QUEUE_NOTIFY) = 0;
        while (used.index != i + 1) {}
        asm volatile("fence r, r" ::: "memory");
        expect("descriptor", used.ring[i].id, i);
        expect("some bytes", used.ring[i].length > 0 && used.ring[i].length <= sizeof buffers[i], 1);
        while (!external()) asm volatile("nop");
        expect("reason", REGISTER(uint32_t, device + INTERRUPT_STATUS), 1);
        expect("claim", PLIC_CLAIM(M_CONTEXT), irq);
        REGISTER(uint32_t, device + INTERRUPT_ACK) = 1;
        expect("acknowledged", REGISTER(uint32_t, device + INTERRUPT_STATUS), 0);
        PLIC_CLAIM(M_CONTEXT) = irq;
        expect("quiet", external(), 0);
    }
    int zero = 0, equal = 0;
    for (size_t i = 0; i < 8; i++) {        /* 2 to the 64th to one that eight bytes are zero, or the same twice */
        zero += !buffers[0][i];
        equal += buffers[0][i] == buffers[1][i];
    }
    expect("not zeros", zero < 8, 1);
    expect("not the same", equal < 8, 1);
    REGISTER(uint32_t, device + STATUS) = 0;
    expect("queue after reset", REGISTER(uint32_t, device + QUEUE_READY), 0);
    PLIC_ENABLE(M_CONTEXT) = 0;
}

/* Values that are no command leave the machine on: else this line is missing. */
static void finisher(void) {
    group("finisher");
    REGISTER(uint32_t, FINISHER) = 0;
    REGISTER(uint32_t, FINISHER) = 0x1234;
}

int main(void) {
    uart();
    plic();
    receiver();
    clock();
    entropy();
    finisher();
    return 0;
}
