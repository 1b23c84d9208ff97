"""Opening the folders of a file system, and finding what an allocated file is called in them."""

from collections.abc import Generator, Iterator
from typing import Any

from forensics.evidence import limits
from forensics.evidence.directories import Directories
from forensics.evidence.directory_names import Trouble
from forensics.evidence.shadow_files import Compare
from forensics.evidence.tsk_constants import ALLOCATED
from forensics.evidence.tsk_entries import Entries, said
from forensics.location import decode, escape
from forensics.model import Fault

DOTS = (b".", b"..")


class Folder:
    """A directory that is being read: its names to come, its path, and whether deleted names were seen in it."""

    __slots__ = ("address", "deleted", "names", "number", "path")

    def __init__(self, names: Iterator[Any], path: str, address: int, number: int) -> None:
        self.names, self.path, self.address, self.number = names, path, address, number
        self.deleted = False


class Folders(Entries):
    """The folders of one file system, numbered as they are opened; `directories` gives the names."""

    def __init__(self, fs: Any, kind: str, prefix: str, base: int, directories: Directories, same: Compare | None = None) -> None:
        super().__init__(fs, kind, prefix, base, same)
        self._directories = directories
        self._folders: list[tuple[int, str]] = []
        self._recent: dict[int, dict[int, bytes]] = {}

    def _enter(self, address: int, path: str) -> Generator[Fault, None, Folder | None]:
        """Open a directory; the generator's value is the folder, or `None` after a fault."""
        try:
            names = self._files(self._directories.open(address), path, address)
        except OSError as error:
            self._incomplete = True
            yield self._fault(path, str(address), "corrupt", f"the directory cannot be read: {said(error)}")
            return None
        self._folders.append((address, path))
        return Folder(names, path, address, len(self._folders) - 1)

    def _quiet(self, address: int) -> Iterator[Any]:
        """The names in a deleted directory; none where it cannot be read, which the second pass says."""
        try:
            names = self._directories.open(address)
        except OSError:
            return
        for file in self._files(names, "", address):
            if not isinstance(file, Fault):
                yield file

    def place(self, address: int, folder: int | None) -> str:
        """The location of an allocated file, with its path where it is found in `folder`."""
        meta, path = str(address), ""
        if folder is not None and folder < len(self._folders):
            name = self._name_in(folder, address)
            path = f"{self._folders[folder][1]}/{escape(decode(name), separators=True)}" if name else ""
        if self._ntfs:
            try:
                streams, _, index = self._streams(self._fs.open_meta(inode=address), address, True)
                meta = next((stream.meta for stream in streams if not stream.name), index)
            except OSError:
                pass
        return self._location(path, meta)

    def _name_in(self, folder: int, address: int) -> bytes | None:
        """The allocated name of a meta address in a folder."""
        try:
            if self._directories.names(self._folders[folder][0]) is not None:
                return self._directories.name_in(self._folders[folder][0], address)
        except OSError:
            return None
        return self._names_in(folder).get(address)

    def _names_in(self, folder: int) -> dict[int, bytes]:
        """The allocated names of a folder by meta address. The last ones are kept, they are asked for in a row."""
        names = self._recent.get(folder)
        if names is None:
            names = {}
            for file in self._quiet(self._folders[folder][0]):
                name = file.info.name
                if int(name.flags) & ALLOCATED and name.name and name.name not in DOTS:
                    names.setdefault(name.meta_addr, name.name)
            if sum(map(len, self._recent.values())) + len(names) > limits.NAMES:
                self._recent.clear()
            self._recent[folder] = names
        return names

    def _files(self, names: Iterator[Any], path: str, address: int) -> Iterator[Any]:
        """The files of an opened directory; a fault for a name or a part that cannot be read, after which it goes on."""
        while True:
            try:
                for name in names:
                    if isinstance(name, Trouble):
                        yield self._fault(path, str(address), "corrupt", f"in this directory, {name.message}")
                    else:
                        yield name
                return
            except OSError as error:
                yield self._fault(path, str(address), "corrupt", f"a name in this directory cannot be read: {said(error)}")
