"""Holes that become shorter: which may, and what the host's instructions are then (AMD64 manual, volume 3)."""

import ctypes

import pytest

from dragoman.dbt.copier import put_value
from dragoman.dbt.host.x86_64_listing import disassemble
from dragoman.dbt.host.x86_64_short import shortest
from dragoman.dbt.stencil_layout import BEHIND_MODRM, BEHIND_SIB, CONSTANT, IMMEDIATE, NOT, SHORT, WIDE

# Code with a hole of zeros, where that is, whether it has 64 bits, how it can be shorter.
CASES = {
    "mov rax, [rdi + hole]": ("48 8b 87 00000000", 3, False, BEHIND_MODRM),
    "mov r14, [r14 + rsi + hole]": ("4d 8b b4 36 00000000", 4, False, BEHIND_SIB),
    "mov [rdi + hole], eax": ("89 87 00000000", 2, False, BEHIND_MODRM),
    "vmovsd xmm0, [rdi + hole]": ("c5 fb 10 87 00000000", 4, False, BEHIND_MODRM),
    "movzx ecx, byte [rdi + hole]": ("0f b6 8f 00000000", 3, False, BEHIND_MODRM),
    "movbe rcx, [rdi + hole]": ("48 0f 38 f0 8f 00000000", 5, False, BEHIND_MODRM),
    "and rcx, hole": ("48 81 e1 00000000", 3, False, IMMEDIATE),
    "imul rcx, rdx, hole": ("48 69 ca 00000000", 3, False, IMMEDIATE),
    "mov r12, hole": ("49 bc 0000000000000000", 2, True, CONSTANT),
    "mov eax, hole": ("b8 00000000", 1, False, NOT),
    "mov [rdi + 8], hole": ("48 c7 47 08 00000000", 4, False, NOT),
    "mov rax, [rip + hole]": ("48 8b 05 00000000", 3, False, NOT),
    "vmovdqu64 zmm0, [rdi + hole]": ("62 f1 fe 48 6f 87 00000000", 6, False, NOT),       # its 8 bits count in 64 bytes
    "je over it; mov rax, [rdi + hole]": ("74 07 48 8b 87 00000000", 5, False, NOT),
}


@pytest.mark.parametrize("name", CASES)
def test_which_holes_can_be_shorter(name):
    code, hole, wide, way = CASES[name]
    assert shortest(bytes.fromhex(code), [(hole, wide)]) == [way]


def test_a_jump_out_of_the_stencil_leads_across_nothing():
    code = bytes.fromhex("488b87 00000000 e9 00000000")             # mov rax, [rdi + hole]; jmp hole
    assert shortest(code, [(3, False), (8, False)]) == [BEHIND_MODRM, NOT]


@pytest.mark.parametrize(("name", "value", "code"), [
    ("mov rax, [rdi + hole]", 0x78, "48 8b 47 78"),
    ("mov rax, [rdi + hole]", 0x80, "48 8b 87 80000000"),
    ("mov r14, [r14 + rsi + hole]", -128, "4d 8b 74 36 80"),
    ("mov r14, [r14 + rsi + hole]", -129, "4d 8b b4 36 7fffffff"),
    ("vmovsd xmm0, [rdi + hole]", 127, "c5 fb 10 47 7f"),
    ("and rcx, hole", -1, "48 83 e1 ff"),
    ("and rcx, hole", 255, "48 81 e1 ff000000"),
    ("imul rcx, rdx, hole", 10, "48 6b ca 0a"),
    ("mov r12, hole", 0xFFFF_FFFF, "41 bc ffffffff"),               # mov r12d, 0xffffffff
    ("mov r12, hole", 0x1_0000_0000, "49 bc 0000000001000000"),
    ("mov r12, hole", -0x8000_0000, "49 c7 c4 00000080"),           # mov r12, -0x80000000
    ("mov r12, hole", -0x8000_0001, "49 bc ffffff7fffffffff"),
])
def test_what_a_hole_becomes(name, value, code):
    whole, hole, wide, way = CASES[name]
    memory = ctypes.create_string_buffer(bytes.fromhex(whole), 32)
    size = put_value(ctypes.addressof(memory) + hole, way << SHORT | WIDE * wide, value)
    made = memory.raw[:hole + size]
    assert made == bytes.fromhex(code)
    assert [data for _, data, _, _ in disassemble(made, 0)] == [made]
