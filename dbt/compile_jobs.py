"""What the compiler process's worker does: regions from guest bytes, images of the engine into the store."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable

from dragoman.dbt import decode, engine_image, regions
from dragoman.dbt.isa import riscv
from dragoman.dbt.isa.levels import BASE, WITH_BITS
from dragoman.dbt.pack import make_entry, request_key
from dragoman.dbt.region_request import BASE_LEVEL, COUNTED, OF_PROCESSES, PLAIN
from dragoman.dbt.state import RECORD_SIZE
from dragoman.dbt.store import IMAGE

# Made in this process alone; the others take several, before the first start.
LIBRARIES = tuple(kind for kind in engine_image.KINDS if kind.endswith("stencils"))
LIBRARY_ROOM = 4 << 20                                  # bytes on the disk, more than any takes
_ISA = regions.Isa(riscv.FORMS, riscv.PINNED)
_decoders: dict[tuple[bool, int], decode.Decoder] = {}  # by whether they are a process's, and RegionRequest.decoder
_left: set[int] = set()                                 # forms that are the oracle's


def prepare() -> None:
    """Load the compiler."""
    from dragoman.dbt import llvm
    llvm.machine()
    _decoder(True, 0)


def leave_to_oracle(forms: Iterable[int]) -> None:
    """As Decoder.leave_to_oracle, for all regions of processes that this one compiles from now on."""
    _left.update(forms)
    for (flat, _), decoder in _decoders.items():
        if flat:
            decoder.leave_to_oracle(_left)


def region(request: bytes) -> bytes:
    """The entry (pack.py) for a request (RegionRequest.pack). ValueError if it is none; RuntimeError from LLVM."""
    wanted = regions.RegionRequest.parse(request)
    flat, number = wanted.model in OF_PROCESSES, wanted.decoder & ~COUNTED
    decoder, traps = _decoder(flat, number), {pc: _decoder(flat, number | PLAIN) for pc in wanted.traps}
    code = regions.compile_region(wanted, _ISA, lambda content, pc: records(decoder, traps, content, pc))
    return make_entry(request_key(request), wanted.head, wanted.options, wanted.blocks, code)


def library(kind: str, folder: str) -> bytes:
    """Build an image and put it into the store's folder. OSError if that cannot be written, ValueError: no such kind."""
    if kind not in LIBRARIES:
        raise ValueError(f"no library {kind!r}")
    if not folder:
        raise OSError("no folder to put it in")
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < LIBRARY_ROOM:        # found out before it is compiled
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
    engine_image.build(kind).save(f"{folder}/{kind}{IMAGE}", os.path.basename(folder))
    return b""


def _decoder(flat: bool, number: int) -> decode.Decoder:
    """flat: of a process; number: see RegionRequest.decoder, without COUNTED. ValueError if there is none."""
    if (flat, number) not in _decoders:
        context = number & ~(PLAIN | BASE_LEVEL)
        if flat and number & ~BASE_LEVEL:
            raise ValueError(f"no decoder {number:#x} of a process")
        made = decode.Decoder(decode.tables("riscv", None if flat else context, not number & PLAIN),
                              BASE if number & BASE_LEVEL else WITH_BITS)
        if flat:
            made.leave_to_oracle(_left)
        _decoders[flat, number] = made
    return _decoders[flat, number]


def records(decoder: decode.Decoder, traps: dict[int, decode.Decoder], code: bytes, pc: int) -> bytes:
    """Records of a guest block, all of it; instructions at some addresses have decoders of their own."""
    found = ctypes.create_string_buffer(RECORD_SIZE * ((len(code) + 1) // 2))      # an odd byte gets one, too
    source = ctypes.create_string_buffer(code, len(code))
    at = count = 0
    while at < len(code):
        record = ctypes.addressof(found) + RECORD_SIZE * count
        decode.decode_one(traps.get(pc + at, decoder).address, ctypes.addressof(source) + at, _signed(pc + at), len(code) - at, record)
        at += ctypes.c_uint8.from_address(record + 10).value
        count += 1
    return found.raw[:RECORD_SIZE * count]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
