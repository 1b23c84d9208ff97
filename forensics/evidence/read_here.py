"""File systems that are told by their signature, and read by this package alone."""

from functools import partial

from forensics.errors import EvidenceError
from forensics.evidence import signatures
from forensics.evidence.btrfs import Btrfs
from forensics.evidence.f2fs import F2fs
from forensics.evidence.search import Search, Volume, raise_storage, read_volume
from forensics.evidence.squashfs import SquashFs

KINDS: dict[str, type[Btrfs] | type[F2fs] | type[SquashFs]] = {"btrfs": Btrfs, "f2fs": F2fs, "squashfs": SquashFs}


def own_file_system(search: Search, volume: Volume) -> bool:
    """A file system of one of `KINDS`; a layer that is not examined, and why, where its superblock cannot be read."""
    signature = signatures.recognise(partial(read_volume, volume))
    if signature is None or signature.kind not in KINDS:
        return False
    search.recognised = True
    try:
        system = KINDS[signature.kind](volume.source, search.exhibit, volume.layers, base=volume.offset, description=volume.description)
    except EvidenceError as error:
        raise_storage(error)
        search.refuse(volume, signature.kind, error)
        return True
    search.found(system)
    return True
