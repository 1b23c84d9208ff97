"""Numbers of The Sleuth Kit's interface (tsk_fs.h, tsk_vs.h), under the names of the field."""

from forensics.model import EntryKind

ALLOCATED = 0x01  # TSK_FS_NAME_FLAG_ALLOC and TSK_FS_META_FLAG_ALLOC
UNALLOCATED = 0x02  # TSK_FS_NAME_FLAG_UNALLOC and TSK_FS_META_FLAG_UNALLOC
USED = 0x04  # TSK_FS_META_FLAG_USED: it was allocated at some time

NAME_DIRECTORY = 3  # TSK_FS_NAME_TYPE_DIR
VIRTUAL_DIRECTORY = 11  # TSK_FS_NAME_TYPE_VIRT_DIR and TSK_FS_META_TYPE_VIRT_DIR: $OrphanFiles

# TSK_FS_NAME_TYPE_ENUM
KIND_OF_NAME: dict[int, EntryKind] = {
    0: "file",
    1: "other",
    2: "other",
    3: "directory",
    4: "other",
    5: "file",
    6: "link",
    7: "other",
    8: "other",
    9: "other",
    10: "virtual",
    11: "virtual",
}
# TSK_FS_META_TYPE_ENUM
KIND_OF_META: dict[int, EntryKind] = {
    1: "file",
    2: "directory",
    3: "other",
    4: "other",
    5: "other",
    6: "link",
    7: "other",
    8: "other",
    9: "other",
    10: "virtual",
    11: "virtual",
}

# TSK_FS_ATTR_FLAG_ENUM
NON_RESIDENT = 0x02
ENCRYPTED = 0x10  # EFS
COMPRESSED = 0x20

# TSK_FS_ATTR_TYPE_ENUM
DEFAULT = 1
NTFS_FILE_NAME = 48
NTFS_VOLUME_NAME = 96
NTFS_DATA = 128
NTFS_INDEX_ROOT = 144
NTFS_INDEX_ALLOCATION = 160
NTFS_REPARSE = 192
HFS_DATA = 4352
HFS_RESOURCE = 4353

# TSK_FS_TYPE_ENUM: the kind of a layer
KINDS = {
    0x1: "ntfs",
    0x2: "fat12",
    0x4: "fat16",
    0x8: "fat32",
    0xA: "exfat",
    0x10: "ufs1",
    0x20: "ufs1b",
    0x40: "ufs2",
    0x80: "ext2",
    0x100: "ext3",
    0x2000: "ext4",
    0x800: "iso9660",
    0x1000: "hfs+",
    0x4000: "yaffs2",
}
FAT = {"fat12", "fat16", "fat32", "exfat"}
# Their metadata loses its size and block list when a file is deleted (ext3 and later, UFS), so nothing says where the content lay.
FORGETFUL = {"ext2", "ext3", "ext4", "ufs1", "ufs1b", "ufs2", "hfs+"}
# Owner, group and permissions are the file system's own; elsewhere The Sleuth Kit makes them up.
POSIX = {"ext2", "ext3", "ext4", "ufs1", "ufs1b", "ufs2", "hfs+", "yaffs2"}
# FAT and exFAT hold local time. ISO 9660 holds local time with an offset (ECMA-119, 9.1.5) that The Sleuth Kit drops.
LOCAL_TIME = FAT | {"iso9660"}
# Digits of a second that the source holds, where it holds any.
DIGITS = {"ntfs": 7, "fat12": 2, "fat16": 2, "fat32": 2, "exfat": 2}

# TSK_VS_TYPE_ENUM
SCHEMES = {1: "dos", 2: "bsd", 4: "sun", 8: "mac", 16: "gpt"}
SCHEME_NAMES = {
    "dos": "DOS partition table (MBR)",
    "bsd": "BSD disk label",
    "sun": "Sun volume table of contents",
    "mac": "Apple partition map",
    "gpt": "GUID partition table (GPT)",
}
PART_ALLOCATED = 0x01
PART_UNALLOCATED = 0x02
