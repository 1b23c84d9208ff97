"""The folder in which children put what they read, and what children are told."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from forensics.engine.options import Options
from forensics.engine.setup import Setup
from forensics.errors import CaseError

_HELD = "held"  # a file in a spool, locked as long as the process lives whose spool it is


@contextlib.contextmanager
def emptied(spool: Path) -> Iterator[None]:
    """The spool, empty before and gone after. So are those beside it whose processes were killed: they hold content of the evidence."""
    for left in _left_behind(spool.parent):
        shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(spool, ignore_errors=True)
    try:
        spool.mkdir(parents=True)
        held = os.open(spool / _HELD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CaseError(f"{spool}: cannot be made ({error.strerror}); name a case folder that can be written") from error
    try:
        _lock(held)
        yield
    finally:
        os.close(held)
        shutil.rmtree(spool, ignore_errors=True)


def _left_behind(folder: Path) -> Iterator[Path]:
    """The spools of single commands (``spool-NUMBER``) that nobody holds any more.

    A lock tells it and not the number of the process, which another process may have by now, or one that is not seen from here.
    """
    for path in folder.glob("spool-*"):
        if path.is_symlink() or not path.is_dir():
            continue
        try:
            held = os.open(path / _HELD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            yield path
        except OSError:  # another user's
            continue
        else:
            free = _lock(held)
            os.close(held)
            if free:
                yield path


def _lock(held: int) -> bool:
    """Take the lock of a spool. Whether that succeeded: not where another has it, nor where the file system knows no locks."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def setup_of(images: dict[str, str], options: Options, spool: Path) -> Setup:
    """What every child is told, for a run whose spool is this."""
    return Setup(
        exhibits=images,
        plugin_folders=options.plugin_folders,
        plugins=options.plugins,
        options=options.plugin_options,
        spool=str(spool),
        output=str(spool / "output.log"),
        index=str(spool.parent / "index.db"),
        cache=str(cache(spool)),
        scope=options.scope,
        skip_known=options.skip_known,
        keys=options.keys,
        space=options.space,
    )


def cache(spool: Path) -> Path:
    """This user's cache folder, so that rules are compiled once and not once a run; the spool where there is none to write to."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forensics"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return spool / "cache"
    return folder if os.access(folder, os.W_OK) else spool / "cache"
