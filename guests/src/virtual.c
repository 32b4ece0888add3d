/* Objects with tables of methods: a call through a pointer at every step, whose target changes. */
#include "tiny.h"

typedef struct Node Node;
typedef struct { long (*value)(const Node *, long x); long (*size)(const Node *); } Methods;
struct Node { const Methods *methods; const Node *left, *right; long number; };

static long value(const Node *n, long x) { return n->methods->value(n, x); }
static long size(const Node *n) { return n->methods->size(n); }

static long constant_value(const Node *n, long x) { return (void)x, n->number; }
static long variable_value(const Node *n, long x) { return x + n->number; }
static long sum_value(const Node *n, long x) { return value(n->left, x) + value(n->right, x); }
static long product_value(const Node *n, long x) { return value(n->left, x) * value(n->right, x); }
static long xor_value(const Node *n, long x) { return value(n->left, x) ^ value(n->right, x); }
static long choice_value(const Node *n, long x) {
    return x & n->number ? value(n->left, x + 1) : value(n->right, x - 1);
}
static long leaf_size(const Node *n) { return (void)n, 1; }
static long inner_size(const Node *n) { return 1 + size(n->left) + size(n->right); }

static const Methods leaves[] = {{constant_value, leaf_size}, {variable_value, leaf_size}};
static const Methods inners[] = {
    {sum_value, inner_size}, {product_value, inner_size}, {xor_value, inner_size}, {choice_value, inner_size}};

static Node nodes[4096];
static long used;

static const Node *grow(int depth) {
    Node *n = &nodes[used++];
    n->number = random_bits() >> 60;
    if (depth == 0) {
        n->methods = &leaves[random_bits() >> 63];
    } else {
        n->methods = &inners[random_bits() >> 62];
        n->left = grow(depth - 1), n->right = grow(depth - 1);
    }
    return n;
}

int main(int argc, char **argv) {
    const Node *tree = grow(10);
    long rounds = argument(argc, argv, 10), sum = 0;
    for (long x = 0; x < rounds; x++) sum += value(tree, x) ^ size(tree);
    say("%d nodes, sum %x\n", size(tree), sum);
    return 0;
}
