"""The checksum of a version 2 header (section 2.2.3)."""

from collections.abc import Collection

import crc32c

FIELD_SIZE = 4  # bytes of a CRC32C value


def checksum(header: bytes, fields: Collection[int]) -> int:
    """CRC32C (Castagnoli, RFC 9260 appendix A) of `header` with its checksum fields set to zero.

    `header` is the whole header, from the signature to the last TLV; `fields` are the offsets in bytes of the
    four-byte fields to read as zero. The result goes on the wire in network byte order.

    Raises ValueError when a field does not lie inside the header.
    """
    zeroed = bytearray(header)
    for offset in fields:
        if not 0 <= offset <= len(header) - FIELD_SIZE:
            raise ValueError(f"checksum field at offset {offset} does not fit a header of {len(header)} bytes")
        zeroed[offset : offset + FIELD_SIZE] = bytes(FIELD_SIZE)
    return int(crc32c.crc32c(bytes(zeroed)))


def fill(header: bytes, fields: Collection[int]) -> bytes:
    """`header` with its checksum written into each of `fields` (offsets in bytes).

    With several fields all of them are zero while the one checksum is computed, and all receive it.
    """
    value = checksum(header, fields).to_bytes(FIELD_SIZE, "big")
    filled = bytearray(header)
    for offset in fields:
        filled[offset : offset + FIELD_SIZE] = value
    return bytes(filled)
