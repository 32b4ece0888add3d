"""What the compiler process's worker does: regions from guest bytes, images of the engine into the store."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from dragoman.dbt import decode, engine_image, regions
from dragoman.dbt.isa import riscv
from dragoman.dbt.pack import make_entry, request_key
from dragoman.dbt.region_request import COUNTED, FLAT, PLAIN
from dragoman.dbt.state import RECORD_SIZE
from dragoman.dbt.store import IMAGE

# Made in this process alone; the others take several, before the first start.
LIBRARIES = tuple(kind for kind in engine_image.KINDS if kind.endswith("stencils"))
_ISA = regions.Isa(riscv.FORMS, riscv.PINNED)
_decoder: list[decode.Decoder] = []
_decoders: dict[int, decode.Decoder] = {}               # of machines, by RegionRequest.decoder


def prepare() -> None:
    """Load the compiler."""
    from dragoman.dbt import llvm
    llvm.machine()
    _decoder.append(decode.Decoder(decode.tables()))


def leave_to_oracle(forms: Iterable[int]) -> None:
    """As Decoder.leave_to_oracle, for all regions that this process compiles from now on."""
    if not _decoder:
        prepare()
    _decoder[0].leave_to_oracle(forms)


def region(request: bytes) -> bytes:
    """The entry (pack.py) for a request (RegionRequest.pack). ValueError if it is none; RuntimeError from LLVM."""
    wanted = regions.RegionRequest.parse(request)
    decoder = _decoder[0] if wanted.model == FLAT else _machine_decoder(wanted.decoder & ~COUNTED)
    traps = {pc: _machine_decoder(wanted.decoder & ~COUNTED | PLAIN) for pc in wanted.traps}
    code = regions.compile_region(wanted, _ISA, lambda content, pc: _decode(decoder, traps, content, pc))
    return make_entry(request_key(request), wanted.head, wanted.options, wanted.blocks, code)


def library(kind: str, folder: str) -> bytes:
    """Build an image and put it into the store's folder. OSError if that cannot be written, ValueError: no such kind."""
    if kind not in LIBRARIES:
        raise ValueError(f"no library {kind!r}")
    if not folder:
        raise OSError("no folder to put it in")
    engine_image.build(kind).save(f"{folder}/{kind}{IMAGE}")
    return b""


def _machine_decoder(number: int) -> decode.Decoder:
    """ValueError if there is none."""
    if number not in _decoders:
        _decoders[number] = decode.Decoder(decode.tables("riscv", number & ~PLAIN, not number & PLAIN))
    return _decoders[number]


def _decode(decoder: decode.Decoder, traps: dict[int, decode.Decoder], code: bytes, pc: int) -> bytes:
    """Records of a guest block, all of it; instructions at some addresses have decoders of their own."""
    records = ctypes.create_string_buffer(RECORD_SIZE * ((len(code) + 1) // 2))      # an odd byte gets one, too
    source = ctypes.create_string_buffer(code, len(code))
    at = count = 0
    while at < len(code):
        record = ctypes.addressof(records) + RECORD_SIZE * count
        decode.decode_one(traps.get(pc + at, decoder).address, ctypes.addressof(source) + at, _signed(pc + at), len(code) - at, record)
        at += ctypes.c_uint8.from_address(record + 10).value
        count += 1
    return records.raw[:RECORD_SIZE * count]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
