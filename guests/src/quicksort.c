/* Sorting twice over, by quicksort and by heap sort: compares, swaps, unpredictable branches. */
#include "tiny.h"

enum { COUNT = 100000 };
static int numbers[COUNT];

static void swap(int *a, int *b) {
    int old = *a;
    *a = *b, *b = old;
}

static void quicksort(int *low, int *high) {
    while (low < high) {
        int pivot = low[(high - low) / 2], *i = low, *j = high;
        while (i <= j) {
            while (*i < pivot) i++;
            while (*j > pivot) j--;
            if (i <= j) swap(i++, j--);
        }
        if (j - low < high - i) quicksort(low, j), low = i;
        else quicksort(i, high), high = j;
    }
}

static void sink(int *heap, long at, long count) {
    for (long child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child] < heap[child + 1]) child++;
        if (heap[at] >= heap[child]) return;
        swap(&heap[at], &heap[child]);
    }
}

static void heapsort(int *heap, long count) {
    for (long i = count / 2; i-- > 0;) sink(heap, i, count);
    while (count-- > 1) swap(heap, heap + count), sink(heap, 0, count);
}

static void fill_and_check(const char *name, int check) {
    uint32_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        if (!check) numbers[i] = random_bits() >> 32;
        else if (i && numbers[i - 1] > numbers[i]) say("%s: out of order at %d\n", name, (long)i);
        sum = sum * 17 + numbers[i];
    }
    if (check)
        say("%s: %d ... %d ... %d, sum %x\n", name, (long)numbers[0], (long)numbers[COUNT / 2],
            (long)numbers[COUNT - 1], (uint64_t)sum);
}

int main(int argc, char **argv) {
    for (long rounds = argument(argc, argv, 1); rounds; rounds--) {
        fill_and_check("", 0);
        quicksort(numbers, numbers + COUNT - 1);
        if (rounds == 1) fill_and_check("quicksort", 1);
        fill_and_check("", 0);
        heapsort(numbers, COUNT);
        if (rounds == 1) fill_and_check("heapsort", 1);
    }
    return 0;
}
