"""How deep, how long and how many: the bounds on what an exhibit can make the tool follow, each with its reason.

A bound that is hit is always a fault of kind "limit" at the place where it was hit, never silence.
"""

PATH_DEPTH = 256
"""Components of a path. PATH_MAX of Linux (4096 bytes) and the 32,767 characters of NTFS allow more, people do not use it; a loop of
damaged directories does."""

LINK_TARGET = 4096
"""Bytes of a symbolic link's target: PATH_MAX of Linux; longer ones are cut and say so."""

LAYERS = 2048
"""Layers of one exhibit: a GPT holds 128 partitions (UEFI 2.10, 5.3.2), with a gap after each; Windows keeps up to 512
shadow copies of a volume."""

NESTING = 8
"""Layers within layers: volume systems inside partitions, containers inside containers."""

HOLES = 4096
"""Byte ranges of one deleted content that other files own; one that has more is said to be unknown."""

CLAIMS = 256
"""Deleted entries that claim the same blocks and are compared with each other; beyond it the content is said to be unknown."""

READ = 8 << 20
"""Bytes asked of The Sleuth Kit at once: its read takes a C int, and memory stays flat."""

OPEN_FILES = 64
"""Recently opened metadata kept for reading: the streams of one file, and a database with its companions, follow each other."""

NAMES = 1 << 18
"""Names kept in memory, of folders whose files own what deleted ones lost."""

LARGE_DIRECTORY = 512 << 10
"""Bytes of a directory's content from which on it is read here: The Sleuth Kit's time for one grows with the square of its names, and
is as long as ours at 20,000 of them in ext, in some 480 KiB."""

SMALLEST_INODE = 128
"""Bytes of an inode of ext2, or of any other metadata: so many inodes at most lie on a medium, whatever its superblock claims."""

POSITIONS = 1 << 23
"""Names of large directories whose places are kept in memory, at 16 bytes each."""

MEDIUM = 1 << 53
"""Bytes of a medium that an image may claim: 8 PiB; a header can claim anything, and reading it through would never end."""

BANDS = 1 << 20
"""Bands of a sparse bundle: 8 TiB in the usual bands of 8 MiB."""

SNAPSHOTS = 512
"""Snapshots of one volume: Windows keeps at most 512 shadow copies of a volume."""

KDF_MEMORY = 1 << 20
"""KiB that deriving a key may take: 1 GiB, the most that cryptsetup chooses."""

KDF_WORK = 64 << 20
"""KiB times passes of Argon2 for one key: some minutes; cryptsetup aims at two seconds."""

KDF_ITERATIONS = 100_000_000
"""Iterations of PBKDF2 for one key: about a minute; cryptsetup aims at two seconds, some millions."""

MEMBERS = 1_000_000
"""Members of an archive: each takes about a kilobyte of memory."""

EXPANSION = 200
"""Bytes that may come out of a file, with all that is nested in it, for each byte of its own: logs compress 50 times, a bomb a million."""

EXPANSION_FLOOR = 1 << 30
"""Bytes that may come out of any file, however small: a sparse image in an archive compresses a thousand times."""

TREE_NAMES = 100_000_000
"""Names of one file system: more than a medium of 20 TB full of small files has; directories that share a list multiply without end."""
