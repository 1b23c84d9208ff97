"""What an NTFS reparse point says: where a link or junction leads, or that the content is kept elsewhere.

[MS-FSCC] 2.1.2: tag (4 bytes), length of the data (2), reserved (2), data.
"""

import struct
from typing import NamedTuple

SIZE = 16 << 10  # [MS-FSCC] 2.1.2: a reparse buffer has at most 16 KiB
_MOUNT_POINT, _SYMLINK, _WOF = 0xA0000003, 0xA000000C, 0x80000017


class Reparse(NamedTuple):
    """`target` as it stands on the medium (substitute name); `note` says why the default stream is not the content."""

    target: str | None = None
    note: str | None = None


def read_reparse(data: bytes) -> Reparse:
    """Read the value of a $REPARSE_POINT attribute. What is unknown or cut says nothing."""
    if len(data) < 16:
        return Reparse()
    tag, _, _, start, length = struct.unpack_from("<IHHHH", data)
    if tag == _WOF:
        return Reparse(
            note="compressed by Windows (WOF): this stream reads as zeros, its content lies compressed in the stream WofCompressedData"
        )
    if tag in (_MOUNT_POINT, _SYMLINK):
        at = (16 if tag == _MOUNT_POINT else 20) + start  # 2.1.2.4: symbolic links have four bytes of flags before the names
        return Reparse(target=data[at : at + length].decode("utf-16-le", "replace") or None)
    return Reparse()
