"""What is examined of an exhibit beside its files, as it is asked for, and the name under which that stands among the layers."""

from msgspec import Struct

KIND = "unallocated-space"  # of a layer that says how much there is in a file system


class Space(Struct, frozen=True):
    """What is examined beside files: unallocated space, slack of allocated files; whether files are carved out of the first."""

    unallocated: bool = False
    slack: bool = False
    carve: bool = False
