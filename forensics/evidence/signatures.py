"""Volumes and file systems that are recognised by signature and not read: encrypted ones, and those that The Sleuth Kit does not know.

VeraCrypt and other containers without a header in the clear have no signature: nothing here can tell them from noise.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

_HEAD = 264 << 10


class Signature(NamedTuple):
    """A kind of layer (kebab-case), its name, and whether it is encrypted or merely not read."""

    kind: str
    name: str
    state: Literal["locked", "unsupported"]
    marks: tuple[tuple[int, bytes], ...]
    """Each (byte offset, bytes); one of them is enough."""


_SWAP = tuple((page - 10, b"SWAPSPACE2") for page in (4096, 8192, 16384, 65536))
_UBERBLOCK = (0x00BAB10C).to_bytes(8, "little")
_ZFS = tuple((at, _UBERBLOCK) for at in range(128 << 10, 256 << 10, 1024))  # ZFS on-disk specification, 1.3: the uberblock array
_UDF = tuple((sector * 2048 + 1, mark) for sector in range(16, 32) for mark in (b"NSR02", b"NSR03"))  # ECMA-167 3/9.1
_BITLOCKER_TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")  # libbde format documentation: the identifier GUID

BITLOCKER = Signature("bitlocker", "BitLocker", "locked", ((3, b"-FVE-FS-"), (424, _BITLOCKER_TO_GO)))
"""Looked for before a file system: a BitLocker To Go volume also looks like FAT."""

_TABLE = (
    BITLOCKER,
    Signature("luks1", "LUKS version 1", "locked", ((0, b"LUKS\xba\xbe\x00\x01"),)),
    Signature("luks2", "LUKS version 2", "locked", ((0, b"LUKS\xba\xbe\x00\x02"), (0x4000, b"SKUL\xba\xbe"))),
    Signature("lvm2", "LVM2 physical volume", "unsupported", tuple((sector * 512, b"LABELONE") for sector in range(4))),
    Signature("apfs", "APFS container", "unsupported", ((32, b"NXSB"),)),
    Signature("xfs", "XFS", "unsupported", ((0, b"XFSB"),)),
    Signature("btrfs", "Btrfs", "unsupported", ((0x10040, b"_BHRfS_M"),)),
    Signature("f2fs", "F2FS", "unsupported", ((1024, b"\x10\x20\xf5\xf2"), (5120, b"\x10\x20\xf5\xf2"))),
    Signature("squashfs", "SquashFS", "unsupported", ((0, b"hsqs"), (0, b"sqsh"))),
    Signature("erofs", "EROFS", "unsupported", ((1024, b"\xe2\xe1\xf5\xe0"),)),
    Signature("refs", "ReFS", "unsupported", ((3, b"ReFS\0\0\0\0"),)),
    Signature("linux-swap", "Linux swap space", "unsupported", _SWAP),
    Signature("md-raid", "Linux MD RAID member", "unsupported", ((0, b"\xfc\x4e\x2b\xa9"), (4096, b"\xfc\x4e\x2b\xa9"))),
    Signature("reiserfs", "ReiserFS", "unsupported", ((0x10034, b"ReIsEr"),)),
    Signature("jfs", "JFS", "unsupported", ((0x8000, b"JFS1"),)),
    Signature("udf", "UDF", "unsupported", _UDF),
    # CoreStorage carries FileVault 2 and Fusion Drives (libfvde format documentation: the volume header's signature)
    Signature("core-storage", "CoreStorage (FileVault 2)", "locked", ((88, b"CS\x01\x00"),)),
    Signature("zfs", "ZFS", "unsupported", _ZFS),
)


def recognise(read: Callable[[int, int], bytes]) -> Signature | None:
    """The first signature that fits a volume; `read(offset, size)` reads from its start, short at its end."""
    head = read(0, _HEAD)
    for signature in _TABLE:
        if any(head.startswith(mark, at) for at, mark in signature.marks):
            return signature
    return None


def is_bitlocker(read: Callable[[int, int], bytes]) -> bool:
    """Whether a volume is encrypted by BitLocker."""
    head = read(0, 512)
    return any(head.startswith(mark, at) for at, mark in BITLOCKER.marks)


_SHADOW_HEADER = 0x1E00
_SHADOW_IDENTIFIER = bytes.fromhex("6b87083876c1484eb7ae04046e6cc752")


def has_shadow_copies(read: Callable[[int, int], bytes]) -> bool:
    """Whether an NTFS volume holds shadow copies: the header's catalog offset is not zero (libvshadow format documentation, 2)."""
    header = read(_SHADOW_HEADER, 56)
    return header.startswith(_SHADOW_IDENTIFIER) and any(header[48:56])
