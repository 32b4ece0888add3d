/* A tiny real-time system: one timer task with a deadline each 1 to 10 ms, a background task, and how late the timer was. */
#include "board.h"

#define MILLISECOND (TICKS / 1000)
#define MICROSECOND (TICKS / 1000000)
#define DURATION (TICKS / 2) /* of each run: half a second */
#define BUCKETS 20           /* by powers of two of a microsecond */

static struct {
    uint64_t period, deadline, end;
    uint64_t taken, missed, early, worst, total;
    uint64_t histogram[BUCKETS];
} task;
static volatile uint64_t done;

/* The timer task: at each deadline, notes how late it is. A deadline that the next one has overtaken is missed. */
__attribute__((interrupt("machine"), aligned(4))) static void timer_task(void) {
    uint64_t now = MTIME, late = now - task.deadline;
    if (now < task.deadline) task.early++;
    task.taken++;
    task.total += late;
    if (late > task.worst) task.worst = late;
    int bucket = 0;
    for (uint64_t us = late / MICROSECOND; us && bucket < BUCKETS - 1; us >>= 1) bucket++;
    task.histogram[bucket]++;
    task.deadline += task.period;
    for (; task.deadline < task.end && task.deadline + task.period <= now; task.deadline += task.period) task.missed++;
    if (task.deadline < task.end) {
        MTIMECMP(0) = task.deadline;
    } else {
        MTIMECMP(0) = -1;
        done = 1;
    }
}

/* The background task: sleeps by wfi, or computes all the time. Returns how much it computed. */
static uint64_t background(int busy) {
    uint64_t work = 0, x = 1;
    while (!done) {
        if (busy) {
            for (int i = 0; i < 100; i++) x = x * 6364136223846793005 + 1442695040888963407;
            asm volatile("" ::"r"(x));
            work++;
        } else {
            asm volatile("wfi");
        }
    }
    return work;
}

static void run(uint64_t milliseconds, int busy) {
    memset(&task, 0, sizeof task);
    done = 0;
    task.period = milliseconds * MILLISECOND;
    task.deadline = MTIME + task.period;
    task.end = task.deadline + DURATION;
    uint64_t planned = DURATION / task.period;
    MTIMECMP(0) = task.deadline;
    set_csr(mie, BIT(M_TIMER));
    set_csr(mstatus, MSTATUS_MIE);
    uint64_t work = background(busy);
    clear_csr(mstatus, MSTATUS_MIE);
    say("# period %d ms, %s: %d deadlines, %d missed, late by %d us on average, %d us at worst", milliseconds,
        busy ? "busy" : "idle", task.taken, task.missed, task.total / task.taken / MICROSECOND, task.worst / MICROSECOND);
    if (busy) say(", %d units of work", work);
    say("\n");
    for (int i = 0; i < BUCKETS; i++)
        if (task.histogram[i]) say("#   below %d us: %d\n", 1l << i, task.histogram[i]);
    expect("deadlines", task.taken + task.missed, planned);
    expect("interrupts before their time", task.early, 0);
}

int main(void) {
    static const uint64_t periods[] = {1, 2, 5, 10};
    write_csr(mtvec, timer_task);
    for (int busy = 0; busy < 2; busy++) {
        group(busy ? "deadlines of a busy machine" : "deadlines of an idle machine");
        for (size_t i = 0; i < LENGTH(periods); i++) run(periods[i], busy);
    }
    return 0;
}
