"""What opens, and how far: the table of formats that the README shows."""

from collections.abc import Iterator
from typing import NamedTuple


class Format(NamedTuple):
    """One row: `kinds` are the kinds of layers, or formats of images, that it speaks of; the rest is what an examiner reads."""

    name: str
    kinds: tuple[str, ...]
    live: str
    deleted: str
    locked: str
    damage: str
    reader: str


_ZEROED = "zeros, each place named"
_NONE = "-"

IMAGES = (
    Format("Raw, split raw, block device", ("raw", "split raw"), "yes", _NONE, _NONE, "unreadable sectors are zeros, named", "own"),
    Format(
        "E01, S01, Ex01",
        ("EWF-E01", "EWF-S01", "EWF2-Ex01"),
        "yes",
        _NONE,
        "named",
        f"checksums; {_ZEROED}; missing segments",
        "own, libdeflate",
    ),
    Format(
        "AFF4 (disk images)", ("AFF4",), "deflate, snappy, lz4", _NONE, _NONE, f"{_ZEROED}; stored digests verified", "own, cramjam, rdflib"
    ),
    Format("VMDK", ("VMDK",), "flat, sparse, split, stream-optimised, snapshots with their parents", _NONE, _NONE, _ZEROED, "libvmdk"),
    Format(
        "VHD, VHDX", ("VHD", "VHDX"), "fixed, dynamic, differential with its parents", _NONE, _NONE, f"{_ZEROED}; open log named", "libvhdi"
    ),
    Format("QCOW, QCOW2", ("QCOW", "QCOW2"), "compressed, backing files; inner snapshots named", _NONE, "named", _ZEROED, "own, zstandard"),
    Format(
        "DMG (UDIF), sparse image, sparse bundle",
        ("DMG (UDIF)", "sparse image (Apple)", "sparse bundle (Apple)"),
        "yes",
        _NONE,
        "named",
        _ZEROED,
        "libmodi",
    ),
    Format("VDI, Parallels, Android sparse", ("VDI", "Parallels", "Android sparse image"), "whole disks", _NONE, _NONE, _ZEROED, "own"),
)
ARCHIVES = (
    Format("Folder, single file", ("folder", "file"), "yes", _NONE, _NONE, "unreadable files named", "own"),
    Format("AD1 (FTK Imager)", ("ad1",), "versions 2 to 4, several segments", _NONE, "named", "faults; stored digests verified", "own"),
    Format(
        "L01, Lx01 (EnCase)",
        ("l01", "lx01"),
        "yes, several segments",
        "those that were acquired",
        "named",
        "checksums; faults; stored digests verified",
        "own, libdeflate",
    ),
    Format(
        "iTunes and Finder backups",
        ("itunes-backup",),
        "files under domain and path, in folders, archives and images; Manifest.db and Manifest.mbdb",
        _NONE,
        "passwords out of a file",
        "missing files named; faults",
        "own",
    ),
    Format(
        "Zip (UFDR, phone extractions), tar, tar.gz",
        ("zip", "tar", "tar-gz"),
        "yes",
        _NONE,
        "named, member by member",
        "checksums; cut lists named",
        "Python",
    ),
)
VOLUMES = (
    Format(
        "MBR, GPT, Apple, BSD, Sun",
        ("dos", "gpt", "mac", "bsd", "sun"),
        "volumes, and the gaps between them",
        _NONE,
        _NONE,
        "GPT's backup; cut media",
        "The Sleuth Kit",
    ),
    Format("LVM2", ("lvm2", "lvm2-group"), "linear volumes, over several partitions; others named", _NONE, _NONE, "named", "libvslvm"),
    Format(
        "CoreStorage",
        ("core-storage", "filevault"),
        "logical volumes",
        _NONE,
        "FileVault 2: password, recovery password",
        "named",
        "libfvde",
    ),
    Format("BitLocker, To Go", ("bitlocker",), "yes", _NONE, "password, recovery password, startup key", "named", "libbde"),
    Format(
        "LUKS1, LUKS2",
        ("luks1", "luks2"),
        "AES; LUKS1 in other ciphers",
        _NONE,
        "passphrase, key file",
        "second header",
        "own, cryptography, libluksde",
    ),
    Format(
        "Volume shadow copies",
        ("vss",),
        "each a layer with its time; what the volume has in the same blocks is read once",
        "as NTFS",
        _NONE,
        "named",
        "libvshadow",
    ),
)
FILE_SYSTEMS = (
    Format(
        "NTFS",
        ("ntfs",),
        "yes, with alternate streams, reparse points",
        "yes, checked against the allocation map",
        "EFS named",
        "faults",
        "The Sleuth Kit; own for large directories",
    ),
    Format(
        "FAT12/16/32, exFAT",
        ("fat12", "fat16", "fat32", "exfat"),
        "yes",
        "yes, checked against the allocation map",
        _NONE,
        "faults",
        "The Sleuth Kit",
    ),
    Format(
        "ext2/3/4",
        ("ext2", "ext3", "ext4", "ext"),
        "yes",
        "names; content where it is still known",
        _NONE,
        "faults",
        "The Sleuth Kit, else libfsext; own for large directories",
    ),
    Format(
        "HFS+",
        ("hfs+",),
        "yes, with resource forks",
        "names; content where it is still known",
        _NONE,
        "faults",
        "The Sleuth Kit, else libfshfs",
    ),
    Format(
        "ISO 9660, UFS, YAFFS2",
        ("iso9660", "ufs1", "ufs1b", "ufs2", "yaffs2"),
        "yes",
        "where the file system keeps it",
        _NONE,
        "faults",
        "The Sleuth Kit",
    ),
    Format(
        "APFS",
        ("apfs", "apfs-container", "apfs-snapshot", "apfs-snapshots"),
        "each volume, with resource forks; snapshots named",
        "no",
        "password, recovery password",
        "faults",
        "libfsapfs, dfVFS",
    ),
    Format("XFS", ("xfs",), "yes", "no", _NONE, "faults", "libfsxfs, dfVFS"),
    Format(
        "Btrfs",
        ("btrfs",),
        "all subvolumes and snapshots; zlib, lzo, zstd; on one device (single, DUP, RAID1)",
        "no",
        _NONE,
        "faults; checksums verified, second copies read",
        "own",
    ),
    Format(
        "F2FS",
        ("f2fs",),
        "as of the last checkpoint; lz4, zstd, lzo",
        "no",
        "fscrypt named, file by file",
        "faults; second superblock and checkpoint",
        "own",
    ),
    Format("SquashFS", ("squashfs",), "version 4; gzip, xz, lzma, lzo, lz4, zstd", "there are none", _NONE, "faults", "own"),
)
NAMED = (
    "AFF 1-3",
    "encrypted DMG",
    "EROFS",
    "ReFS",
    "ReiserFS",
    "JFS",
    "UDF",
    "ZFS",
    "Linux MD RAID",
    "Linux swap",
)
_TITLES = ("", "live content", "deleted", "encrypted", "damaged", "read by")


def markdown() -> Iterator[str]:
    """The table, line by line, as the README has it."""
    yield f"| {' | '.join(_TITLES)} |"
    yield f"|{' --- |' * len(_TITLES)}"
    for title, rows in (("Images", IMAGES), ("Files", ARCHIVES), ("Volumes", VOLUMES), ("File systems", FILE_SYSTEMS)):
        yield f"| **{title}** |{' |' * (len(_TITLES) - 1)}"
        for row in rows:
            yield f"| {row.name} | {' | '.join(row[2:])} |"
    yield ""
    yield f"Named in the report as not examined, with the reason: {', '.join(NAMED)}; and whatever nothing recognises."
