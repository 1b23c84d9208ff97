"""Which files together make one raw image: the names of split raw sets."""

import re
from pathlib import Path

from forensics.errors import EvidenceError


def siblings(path: Path) -> list[Path]:
    """The files in the folder of `path` that share its name up to the last dot, sorted. Raises EvidenceError."""
    try:
        found = sorted(path.parent.iterdir())
    except OSError as error:
        raise EvidenceError(f"{path.parent}: cannot be listed to find the other segments ({error.strerror})") from error
    stem = path.stem.lower()
    return [item for item in found if item.stem.lower() == stem]


def raw_set(path: Path) -> list[Path]:
    """The files of the raw image that `path` belongs to, in order: itself alone unless its name is one of a numbered set.

    Numbered from 000 or 001 in three or more digits, or lettered from ``aa`` or ``aaa``. Raises EvidenceError naming the segment that
    is missing from the numbering.
    """
    suffix = path.suffix[1:]
    if re.fullmatch(r"\d{3,4}", suffix, re.ASCII):
        beside = [item for item in siblings(path) if re.fullmatch(r"\d{3,4}", item.suffix[1:], re.ASCII)]
        found = {int(item.suffix[1:]): item for item in beside if len(item.suffix) == 4}
        longer = {int(item.suffix[1:]): item for item in beside if len(item.suffix) == 5}
        if 1 in longer and len(suffix) == 4:
            found = longer
        elif 999 in found:  # .999 is followed by .1000
            found.update({number: item for number, item in longer.items() if number > 999})
        if int(suffix) not in found:
            return [path]  # four digits are a year or a count as often as a segment
        numbers = sorted(found)
        start = 0 if 0 in found else 1
        for number in range(start, numbers[-1] + 1):
            if number not in found:
                raise EvidenceError(
                    f"{path.parent / path.stem}.{number:03}: segment is missing (the set goes to {found[numbers[-1]].name}); "
                    "put it beside the others"
                )
        return [found[number] for number in numbers]
    if re.fullmatch(r"[a-z]{2,3}", suffix, re.ASCII | re.IGNORECASE):
        lettered = {item.suffix[1:].lower(): item for item in siblings(path) if len(item.suffix) == len(suffix) + 1}
        if "a" * len(suffix) not in lettered:
            return [path]
        run: list[Path] = []
        for number in range(26 ** len(suffix)):
            name = _letters(number, len(suffix))
            if name not in lettered:
                break
            run.append(lettered[name])
        if path in run:
            return run
        if len(run) > 1 and suffix.lower() < _letters(len(run) + 26, len(suffix)):
            raise EvidenceError(f"{path.parent / path.stem}.{name}: segment is missing, but {path.name} is there; put it beside the others")
    return [path]


def _letters(number: int, width: int) -> str:
    text = ""
    for _ in range(width):
        number, digit = divmod(number, 26)
        text = chr(97 + digit) + text
    return text
