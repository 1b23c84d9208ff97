"""What SQLite says of the index, as an examiner can act on it."""

import sqlite3
from pathlib import Path

from forensics.errors import CaseError

_BUSY, _LOCKED, _READ_ONLY, _CORRUPT, _FULL, _CANNOT_OPEN, _NO_DATABASE = 5, 6, 8, 11, 13, 14, 26  # https://sqlite.org/rescode.html


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it says that the file is damaged or no database: the index is derived, so it can be made anew."""
    return _code(error) in (_CORRUPT, _NO_DATABASE)


def trouble(path: Path, error: sqlite3.Error) -> CaseError:
    """The error of a case whose index at `path` cannot be read or written, with what to do."""
    code = _code(error)
    if code in (_BUSY, _LOCKED):
        return CaseError(f"{path}: the index is being written ({error}); wait until the examination of this case has done so")
    if code == _FULL:
        return CaseError(f"{path}: no space is left for the index, to sort or to write ({error}); free some space and run the same command")
    if is_damage(error):
        return CaseError(f"{path}: the index is damaged ({error}); delete it and run `forensics case check`, which builds it again")
    if code in (_READ_ONLY, _CANNOT_OPEN):
        return CaseError(f"{path}: the index cannot be opened ({error}); the case folder must be one that you may write to")
    return CaseError(f"{path}: the index cannot be read or written ({error}); free some space and run the same command")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code; absent where the module itself raised it
