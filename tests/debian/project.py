"""Sources of a project in C and C++ for the compilers of a root: 24 files, their headers and a makefile, from a few templates."""

from __future__ import annotations

from pathlib import Path

C_FILES, CPP_FILES = 16, 7      # and main.c

C = """#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include "project.h"

static int compare(const void *a, const void *b) {{ return *(const int *)a - *(const int *)b; }}

struct node {{ struct node *left, *right; uint64_t key; double weight; }};

static struct node *insert(struct node *at, uint64_t key) {{
    if (!at) {{
        at = calloc(1, sizeof *at);
        at->key = key;
        at->weight = sqrt((double)key);
    }} else if (key < at->key) at->left = insert(at->left, key);
    else if (key > at->key) at->right = insert(at->right, key);
    return at;
}}

static double total(const struct node *at) {{ return at ? at->weight + total(at->left) + total(at->right) : 0; }}

uint64_t part_{n}(uint64_t seed) {{
    int numbers[{size}];
    unsigned char text[64];
    struct node *tree = 0;
    for (int i = 0; i < {size}; i++) {{
        seed = seed * 6364136223846793005u + {odd};
        numbers[i] = seed >> 40;
        tree = insert(tree, seed >> 33);
    }}
    qsort(numbers, {size}, sizeof *numbers, compare);
    memset(text, 0, sizeof text);
    for (int i = 0; i < {size}; i++) switch (numbers[i] % 7) {{
        case 0: text[i % 64] ^= numbers[i]; break;
        case 1: seed ^= (uint64_t)text[i % 64] << (i % 56); break;
        case 2: seed += numbers[i] / ({n} + 3); break;
        case 3: seed -= numbers[i] % ({n} + 5); break;
        case 4: seed = seed << 7 | seed >> 57; break;
        case 5: seed ^= (uint64_t)(numbers[i] * 0.5f); break;
        default: seed = __builtin_bswap64(seed);
    }}
    return seed ^ (uint64_t)total(tree);
}}
"""

CPP = """#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>
#include "project.h"

namespace {{
template <int N> struct Power {{ static constexpr std::uint64_t value = 3 * Power<N - 1>::value + N; }};
template <> struct Power<0> {{ static constexpr std::uint64_t value = 1; }};

struct Shape {{ virtual ~Shape() = default; virtual double area() const = 0; }};
struct Square : Shape {{ double side; explicit Square(double s) : side(s) {{}} double area() const override {{ return side * side; }} }};
struct Circle : Shape {{ double r; explicit Circle(double x) : r(x) {{}} double area() const override {{ return 3 * r * r; }} }};
}}

extern "C" std::uint64_t part_{n}(std::uint64_t seed) {{
    std::map<std::string, std::vector<std::uint64_t>> groups;
    for (int i = 0; i < {size}; i++) {{
        seed = seed * 6364136223846793005u + {odd};
        groups["g" + std::to_string(seed % 13)].push_back(seed >> 20);
    }}
    double sum = 0;
    for (auto &[name, numbers] : groups) {{
        std::sort(numbers.begin(), numbers.end(), [](auto a, auto b) {{ return a % 1001 < b % 1001; }});
        Shape *shape = numbers.size() % 2 ? static_cast<Shape *>(new Square(numbers[0] % 97)) : new Circle(name.size());
        sum += shape->area();
        delete shape;
        try {{
            if (numbers.size() % 3 == 0) throw std::out_of_range(name);
            seed += std::accumulate(numbers.begin(), numbers.end(), Power<{n} % 20>::value);
        }} catch (const std::exception &error) {{
            seed ^= std::string(error.what()).size() << {n};
        }}
    }}
    return seed ^ static_cast<std::uint64_t>(sum);
}}
"""

MAKEFILE = """OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c)) $(patsubst %.cpp,%.o,$(wildcard *.cpp))
CFLAGS := -O2 -Wall -Werror
CXXFLAGS := -O2 -Wall -std=c++20
all: project libproject.a
project: $(OBJECTS)
\tg++ -o $@ $^ -lm
libproject.a: $(OBJECTS)
\tar crD $@ $^
%.o: %.c project.h
\tgcc $(CFLAGS) -c -o $@ $<
%.o: %.cpp project.h
\tg++ $(CXXFLAGS) -c -o $@ $<
clean:
\trm -f *.o project libproject.a
"""

# What the project prints: recorded from amd64 code of gcc 12.
OUTPUT = """\
part_0 80399833a62bca8b
part_1 6f7ccf474c048fa6
part_2 c4295f7d26378501
part_3 f2c186764d371318
part_4 e53a402dcec59c0c
part_5 bffdaa7c95ea1b25
part_6 5bda94c439b4a5dc
part_7 dd535bd8270a5b28
part_8 4a789196d968f2ad
part_9 c69c1b169dc4f9b7
part_10 e60a013d621081e5
part_11 91cf47e63ff07908
part_12 f3add63bb386d4d2
part_13 85aa1282c1d7421e
part_14 45a9daa01aae7527
part_15 df92efb668bf813e
part_16 e75cc621cbb09796
part_17 d92dda28c9a0183e
part_18 941c557a27281557
part_19 d47a4d07901b0bed
part_20 bd8c2b764026ee92
part_21 d674babdf414b398
part_22 454c4bb77595ff32
"""


def write(folder: Path) -> None:
    """Write the project's files into an existing folder."""
    count = C_FILES + CPP_FILES
    for n in range(count):
        template, suffix = (C, "c") if n < C_FILES else (CPP, "cpp")
        (folder / f"part_{n}.{suffix}").write_text(template.format(n=n, size=200 + 17 * n, odd=2 * n * n + 12345))
    names = [f"part_{n}" for n in range(count)]
    declarations = "".join(f"uint64_t {name}(uint64_t);\n" for name in names)
    (folder / "project.h").write_text('#include <stdint.h>\n#ifdef __cplusplus\nextern "C" {\n#endif\n'
                                      f"{declarations}#ifdef __cplusplus\n}}\n#endif\n")
    calls = "".join(f'    printf("{name} %016llx\\n", (unsigned long long)(seed = {name}(seed)));\n' for name in names)
    (folder / "main.c").write_text('#include <stdio.h>\n#include "project.h"\n\nint main(void) {\n    uint64_t seed = 1;\n'
                                   f"{calls}    return 0;\n}}\n")
    (folder / "Makefile").write_text(MAKEFILE)
