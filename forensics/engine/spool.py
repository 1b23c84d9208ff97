"""The folder in which children put what they read, and what children are told."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from forensics.engine.options import Options
from forensics.engine.setup import Setup
from forensics.errors import CaseError


@contextlib.contextmanager
def emptied(spool: Path) -> Iterator[None]:
    """The spool, empty before and gone after."""
    shutil.rmtree(spool, ignore_errors=True)
    try:
        spool.mkdir(parents=True)
    except OSError as error:
        raise CaseError(f"{spool}: cannot be made ({error.strerror}); name a case folder that can be written") from error
    try:
        yield
    finally:
        shutil.rmtree(spool, ignore_errors=True)


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
