"""Orphans: metadata of deleted files that no name leads to, found in a time that grows with the number of inodes alone."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any

from forensics.evidence import limits
from forensics.evidence.allocation import Marks
from forensics.evidence.tsk_constants import ALLOCATED, KIND_OF_META, USED


def find_orphans(fs: Any, size: int, known: Callable[[int], bool], below: Callable[[int], Iterator[Any]]) -> "array[int]":
    """Meta addresses of what was in use and is not allocated, is not `known` by a name, and is in no directory that is an orphan itself.

    `size` is that of the medium in bytes, `below` gives the files in a directory. This follows The Sleuth Kit (tsk_fs_dir_find_orphans).
    """
    found, inside = array("Q"), Marks()
    # a superblock can claim any number of inodes, but these lie on the medium
    most = size // limits.SMALLEST_INODE
    for address in range(int(fs.info.first_inum), min(int(fs.info.last_inum), most)):  # the last one is $OrphanFiles
        if known(address):
            continue
        try:
            meta = fs.open_meta(inode=address).info.meta
        except OSError:
            continue
        flags = int(meta.flags)
        if flags & ALLOCATED or not flags & USED or address in inside:
            continue
        found.append(address)
        if KIND_OF_META.get(int(meta.type)) == "directory":
            _mark_below(fs, address, inside, below)
    return array("Q", (address for address in found if address not in inside))


def _mark_below(fs: Any, address: int, inside: Marks, below: Callable[[int], Iterator[Any]]) -> None:
    """Mark what can be reached through a deleted directory."""
    stack = [below(address)]
    while stack:
        for file in stack[-1]:
            name, meta = file.info.name, file.info.meta
            if name.name in (b".", b".."):
                continue
            if meta is None:
                try:
                    meta = fs.open_meta(inode=name.meta_addr).info.meta
                except OSError:
                    continue
            if int(meta.flags) & ALLOCATED or inside.mark(int(meta.addr)):
                continue
            if KIND_OF_META.get(int(meta.type)) == "directory":
                stack.append(below(int(meta.addr)))
                break
        else:
            stack.pop()
