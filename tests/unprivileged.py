"""What an ordinary user may not do, tried as one: as user 65534 where the tests are run by root, else as who runs them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534  # "nobody" on Linux


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """An empty folder of an ordinary user's; inside, this process has that user's rights and no others."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid():
            yield Path(name)
            return
        groups = os.getgroups()
        os.chown(name, NOBODY, NOBODY)
        os.setgroups([])
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


def prefix() -> list[str]:
    """What a command is preceded by, so that the modes of files hold for it as they do for ordinary users (capabilities(7), setpriv(1)).

    It stays root, who may be the only one that can read the interpreter.
    """
    return [] if os.geteuid() else ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]
