"""The names in a directory: as The Sleuth Kit lists them, and where there are very many, as they are read here, in linear time.

The Sleuth Kit compares each name of a directory with all before it (tsk_fs_dir_add): 50,000 names take seconds, a million an hour. It
gives up on an index of NTFS beyond 128 MiB; and its search for orphans opens every directory anew. So
large directories of ext2-4 and NTFS are read here, to the same names, and so are the orphans of a file system that holds any. Each name
leads to the metadata that The Sleuth Kit reads, by its address.
"""

from array import array
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from zlib import crc32

from forensics.evidence import ext_names, limits, ntfs_names, ntfs_parents
from forensics.evidence.allocation import Marks
from forensics.evidence.directory_names import Content, Name, Names, Positions, Trouble, attribute_of, distinct, is_stored_in_blocks
from forensics.evidence.libyal import Source
from forensics.evidence.orphans import find_orphans
from forensics.evidence.tsk_constants import (
    ALLOCATED,
    DEFAULT,
    NTFS_INDEX_ALLOCATION,
    NTFS_INDEX_ROOT,
    UNALLOCATED,
    VIRTUAL_DIRECTORY,
)

EXT = ("ext2", "ext3", "ext4")
_FEATURES = 1024 + 96  # ext4's superblock, s_feature_incompat
_FILE_TYPE = 0x2  # INCOMPAT_FILETYPE
_ORPHAN_FILES = b"$OrphanFiles"


class Info(NamedTuple):
    """The name and the metadata of a file, as pytsk3.File.info has them."""

    name: Any
    meta: Any


class NamedFile:
    """A file that was found by a name that was read here. It is used as a pytsk3.File is."""

    __slots__ = ("_file", "info")

    def __init__(self, fs: Any, name: Name) -> None:
        file = meta = None
        if name.meta_addr or name.flags & ALLOCATED:
            try:
                file = fs.open_meta(inode=name.meta_addr)
                meta = file.info.meta
            except OSError:
                pass
        if meta is not None and int(meta.seq) != name.meta_seq:
            meta = None  # the record was used again: this is another file
        self._file: Any = file
        self.info = Info(name, meta)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file) if self._file is not None else iter(())

    def read_random(self, *arguments: int) -> bytes:
        """As of pytsk3.File; raises OSError."""
        data: bytes = self._file.read_random(*arguments)
        return data


class Directories:
    """The directories of one file system. `fs` is a pytsk3.FS_Info; those of `limits.LARGE_DIRECTORY` or more are read here."""

    def __init__(self, fs: Any, kind: str, source: Source, base: int) -> None:
        self._fs, self._large = fs, limits.LARGE_DIRECTORY
        self._kind = kind if kind in EXT or kind == "ntfs" else ""
        self._block, self._last_block = int(fs.info.block_size), int(fs.info.last_block_act)
        self._size = source.size
        self._root, self._last = int(fs.info.root_inum), int(fs.info.last_inum)
        little = int(fs.info.endian) != 2  # TSK_BIG_ENDIAN
        if self._kind in EXT:
            features = int.from_bytes(source.read(base + _FEATURES, 4), "little" if little else "big")
            self._format = ext_names.Format(little, bool(features & _FILE_TYPE), self._last, self._block)
        self._parents: ntfs_parents.Parents | None = None
        self._orphans: array[int] | None = None
        self._places: dict[int, Positions] = {}
        self.met = False  # whether one was read here

    def open(self, address: int) -> Iterator[Any]:
        """The files of a directory: pytsk3.File or NamedFile, and Trouble for what cannot be read. Raises OSError where nothing can."""
        names = self.names(address)
        if names is None and not self._is_forgotten(address):
            return iter(self._fs.open_dir(inode=address))
        return (item if isinstance(item, Trouble) else NamedFile(self._fs, item) for item in names or ())

    def _is_forgotten(self, address: int) -> bool:
        """Whether this is a deleted directory of which nothing is left to read: ext3 and ext4 forget its size and blocks."""
        if self._kind not in EXT or address == self._last:
            return False
        meta = self._fs.open_meta(inode=address).info.meta
        return not int(meta.flags) & ALLOCATED and int(meta.size) == 0

    def names(self, address: int) -> Names | None:
        """The names of a large directory; `None` for any other. Raises OSError."""
        if not self._kind:
            return None
        if address == self._last:
            return self._orphan_names() if self._orphans is not None else None
        file = self._fs.open_meta(inode=address)
        content = self._content(file)
        if content is None or content.size < self._large:
            return None
        root = self._index_root(file) if self._kind == "ntfs" else b""
        if root is None:
            return None
        self.met = True
        deleted = not int(file.info.meta.flags) & ALLOCATED
        use = int(file.info.meta.seq)
        if self._kind in EXT:
            return distinct(lambda: self._with_orphans(address, ext_names.names(content, self._format, deleted)))
        bounds = ntfs_names.Bounds(address, int(self._fs.info.first_inum), self._last, deleted)
        children = self.parents().children.get((address, max(use - 1, 0) if deleted else use))

        def all_names() -> Names:
            for name in ntfs_names.names(root, content, self._block, bounds):
                if children is not None and isinstance(name, Name) and name.flags & ALLOCATED:
                    children.see(name.meta_addr, name.name)
                yield name
            if children is not None:
                yield from ntfs_parents.missing(self._fs, children, address)

        return distinct(lambda: self._with_orphans(address, all_names()), moved=True)

    def parents(self) -> ntfs_parents.Parents:
        """What the records of NTFS say of the directories that they are in; read once, for the large ones."""
        if self._parents is None:
            known, large = Marks(), Marks()

            def wanted(parent: int) -> bool:
                if not known.mark(parent) and self._is_large(parent):
                    large.mark(parent)
                return parent in large

            self._parents = ntfs_parents.read_parents(self._fs, wanted)
        return self._parents

    def _is_large(self, address: int) -> bool:
        try:
            file = self._fs.open_meta(inode=address)
            content = self._content(file)
            return content is not None and content.size >= self._large and self._index_root(file) is not None
        except (OSError, OverflowError):
            return False

    def _content(self, file: Any) -> Content | None:
        """The blocks of a directory, `None` where it has none."""
        attribute = attribute_of(file, NTFS_INDEX_ALLOCATION if self._kind == "ntfs" else DEFAULT)
        if attribute is None or not is_stored_in_blocks(attribute):
            return None
        return Content(file, attribute, self._block, self._last_block)

    def _index_root(self, file: Any) -> bytes | None:
        """$INDEX_ROOT of a directory of NTFS; `None` where it has none that is sound, which The Sleuth Kit has words for."""
        attribute = attribute_of(file, NTFS_INDEX_ROOT)
        if attribute is None or is_stored_in_blocks(attribute):
            return None
        root: bytes = file.read_random(0, min(int(attribute.info.size), 1 << 16), NTFS_INDEX_ROOT, int(attribute.info.id))
        return root if ntfs_names.is_directory_index(root) else None

    # --- looking up -------------------------------------------------------------------------------------------------------------

    def name_in(self, directory: int, address: int) -> bytes | None:
        """The allocated name that leads from a large directory to a meta address, the first of several. Raises OSError."""
        if self._kind == "ntfs":
            return min(
                (ntfs_names.text(name.name) for name in ntfs_parents.file_names(self._fs, address) if name.parent == directory),
                default=None,
            )
        places = self._positions(directory, False)
        content = self._content(self._fs.open_meta(inode=directory))
        at = next(places.find(address), None)
        return None if at is None or content is None else ext_names.name_at(content, self._format, at)

    def find(self, directory: int, name: bytes) -> int | None:
        """The meta address that an allocated name of a large directory leads to. Raises OSError."""
        content = self._content(self._fs.open_meta(inode=directory))
        for value in self._positions(directory, True).find(crc32(name)):
            if self._kind == "ntfs":
                if any(
                    each.parent == directory and ntfs_names.text(each.name) == name for each in ntfs_parents.file_names(self._fs, value)
                ):
                    return value
            elif content is not None and ext_names.name_at(content, self._format, value) == name:
                return ext_names.address_at(content, self._format, value)
        return None

    def _positions(self, directory: int, by_name: bool) -> Positions:
        """Where the allocated names of a large directory are, by meta address or by check sum of the name."""
        key = directory << 1 | by_name
        found = self._places.get(key)
        if found is None:
            ntfs = self._kind == "ntfs"
            found = Positions(
                (crc32(name.name) if by_name else name.meta_addr, name.meta_addr if ntfs else name.at)
                for name in self.names(directory) or ()
                if isinstance(name, Name) and name.flags & ALLOCATED and name.at >= 0 and name.name not in (b".", b"..")
            )
            if sum(map(len, self._places.values())) + len(found) > limits.POSITIONS:
                self._places.clear()
            self._places[key] = found
        return found

    # --- orphans ----------------------------------------------------------------------------------------------------------------

    def search_orphans(self, known: Callable[[int], bool], below: Callable[[int], Iterator[Any]]) -> None:
        """Look for orphans here, where The Sleuth Kit would open the large directories again, or gives up. `known`: a name leads there.

        On ext3 and ext4 it gives up at the first deleted directory, whose size is 0.
        """
        if self._orphans is not None or not self._kind:
            return
        if not self.met:
            try:
                self._fs.open_dir(inode=self._last)
            except OSError:
                pass
            else:
                return
        parts = self.parents().parts if self._kind == "ntfs" else Marks()
        self._orphans = find_orphans(self._fs, self._size, lambda address: known(address) or address in parts, below)

    def _orphan_names(self) -> Names:
        for address in self._orphans or ():
            meta = self._fs.open_meta(inode=address).info.meta
            own = next(ntfs_parents.file_names(self._fs, address), None) if self._kind == "ntfs" else None
            name = ntfs_names.text(own.name) if own is not None and own.name else b"OrphanFile-%d" % address
            # the record was counted up when it was freed, and so the name is of the use before
            yield Name(name, address, int(meta.seq) - 1 & 0xFFFFFFFF, UNALLOCATED, 0, -1)

    def _with_orphans(self, address: int, names: Names) -> Names:
        yield from names
        if address == self._root:
            yield Name(_ORPHAN_FILES, self._last, 0, ALLOCATED, VIRTUAL_DIRECTORY, -1)
