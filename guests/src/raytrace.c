/* Spheres over a chequered floor, with mirrors and shadows: single precision, square roots, branches. */
#include "tiny.h"

typedef struct { float x, y, z; } Vector;
typedef struct { Vector centre; float radius; Vector colour; float mirror; } Sphere;

static const Sphere spheres[] = {
    {{0, 1, 6}, 1, {0.9f, 0.2f, 0.2f}, 0.3f},        {{-2.2f, 0.8f, 5}, 0.8f, {0.2f, 0.8f, 0.3f}, 0.2f},
    {{2, 0.6f, 4.5f}, 0.6f, {0.3f, 0.4f, 0.9f}, 0.5f}, {{0.7f, 0.3f, 3.5f}, 0.3f, {0.9f, 0.8f, 0.2f}, 0.1f},
};
static const Vector light = {-4, 7, 1};

static Vector plus(Vector a, Vector b) { return (Vector){a.x + b.x, a.y + b.y, a.z + b.z}; }
static Vector times(Vector a, float k) { return (Vector){a.x * k, a.y * k, a.z * k}; }
static Vector minus(Vector a, Vector b) { return plus(a, times(b, -1)); }
static float dot(Vector a, Vector b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static Vector unit(Vector a) { return times(a, 1 / __builtin_sqrtf(dot(a, a))); }

/* Distance along a ray to the nearest sphere, or a large number. */
static float nearest(Vector from, Vector way, const Sphere **hit) {
    float best = 1e9f;
    for (const Sphere *s = spheres; s < spheres + LENGTH(spheres); s++) {
        Vector to = minus(s->centre, from);
        float along = dot(to, way), inside = along * along - dot(to, to) + s->radius * s->radius;
        if (inside < 0) continue;
        float distance = along - __builtin_sqrtf(inside);
        if (distance > 1e-3f && distance < best) best = distance, *hit = s;
    }
    return best;
}

static Vector trace(Vector from, Vector way, int depth) {
    const Sphere *hit = NULL, *between = NULL;
    float distance = nearest(from, way, &hit), floor = way.y < 0 ? -from.y / way.y : 1e9f, mirror = 0.1f;
    Vector colour, normal = {0, 1, 0};
    if (!hit && floor >= 1e9f) return times((Vector){0.5f, 0.7f, 1}, 0.4f + 0.6f * way.y);
    if (floor < distance) distance = floor, hit = NULL;
    Vector at = plus(from, times(way, distance));
    if (hit) {
        normal = unit(minus(at, hit->centre)), colour = hit->colour, mirror = hit->mirror;
    } else {
        int dark = ((int)(at.x + 1000) + (int)(at.z + 1000)) & 1;
        colour = times((Vector){1, 1, 1}, dark ? 0.3f : 0.8f);
    }
    Vector to_light = minus(light, at);
    float far = __builtin_sqrtf(dot(to_light, to_light)), shine = dot(normal, to_light) / far;
    if (shine < 0 || nearest(at, times(to_light, 1 / far), &between) < far) shine = 0;
    colour = times(colour, 0.2f + 0.8f * shine);
    if (depth == 0) return colour;
    Vector bounced = minus(way, times(normal, 2 * dot(way, normal)));
    return plus(times(colour, 1 - mirror), times(trace(at, bounced, depth - 1), mirror));
}

static uint8_t shade(float x) { return x <= 0 ? 0 : x >= 1 ? 255 : (uint8_t)(x * 255); }

int main(int argc, char **argv) {
    static const char ramp[] = " .:-=+*#%@";
    long size = argument(argc, argv, 32);
    uint64_t sum = 0;
    for (long y = 0; y < size; y++)
        for (long x = 0; x < size; x++) {
            Vector way = {(2.0f * x - size) / size, 0.3f + (size - 2.0f * y) / size, 1.6f};
            Vector colour = trace((Vector){0, 1.2f, -1}, unit(way), 4);
            sum = sum * 31 + (shade(colour.x) << 16 | shade(colour.y) << 8 | shade(colour.z));
            if (size > 32 || y % 2) continue;
            char text[] = {ramp[shade(colour.y) * 10 / 256], 0};
            say("%s%s", text, x == size - 1 ? "\n" : "");
        }
    say("%d x %d, sum %x\n", size, size, sum);
    return 0;
}
