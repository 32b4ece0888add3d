"""Layout of what is kept of translated units, in memory and in files: shelves, their indexes, records (unit_record.py)."""

from __future__ import annotations

# A shelf: guest range; its index (0: nothing is kept of it) and the index's entries - 1; where the records lie, their bytes; bytes of
# records of this range that are new; where behind the last record that was taken the next one lies, in words of 8 bytes.
SHELF_START, SHELF_END, SHELF_INDEX, SHELF_MASK, SHELF_RECORDS, SHELF_BYTES, SHELF_NEW, SHELF_NEXT = range(0, 64, 8)
SHELF_SIZE, MOST_SHELVES = 64, 1024
# An entry of the index: guest pc of the unit's beginning less the range's, offset of its record in words of 8 bytes; 32 bits
# each; offset 0 is none, since a header of one word lies before the first record.
INDEX_ENTRY = 8

# A record: check of what follows; guest pc; words of 8 bytes in all, blocks; bytes of code, links; sites, outward; guest bytes,
# instructions (32 bits each); host address that the code had. Then each padded to 8 bytes:
#   blocks      guest pc; offset of the code, guest bytes (32 bits each); ends; target; hash: as in rows of the block table
#   links       offset of the rel32, target less the unit's pc (32 bits each)
#   sites       offset of the host code, guest pc less the unit's (32 bits each)
#   outward     offset of a rel32 that leads out of the code, to the engine's images
#   guest       bytes of the blocks, one after the other
#   code
UNIT_PC, UNIT_WORDS, UNIT_BLOCKS, UNIT_CODE, UNIT_LINKS, UNIT_SITES, UNIT_OUTWARD, UNIT_GUEST, UNIT_INSTRUCTIONS, UNIT_AT, UNIT_HEADER = (
    8, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56)
BLOCK_PC, BLOCK_CODE, BLOCK_BYTES, BLOCK_BITS, BLOCK_TARGET, BLOCK_HASH, BLOCK_SIZE = 0, 8, 12, 16, 24, 32, 40
MOST_BYTES = 0x1_0000               # of a record
