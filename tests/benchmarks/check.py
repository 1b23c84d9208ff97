"""Compares what the sides found, by content and not by path, with what was put into the image and with each other."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from found import FIELDS, Exif, Found, Truth

EXIF_GROUPS = ("IFD0", "ExifIFD")  # where Exif 2.32 puts Make, Model and DateTimeOriginal
Groups = Callable[[str], Mapping[str, str]]


class Checked(NamedTuple):
    """Counts of one side against the truth; `missing` are what it must have found and did not, one line each."""

    live: int
    live_total: int
    deleted: int
    deleted_total: int
    missing: tuple[str, ...]


def against_truth(found: Found, truth: list[Truth]) -> Checked:
    """Every live file must be there as often as on its file system; deleted ones with the right digest are counted.

    Empty files are left out of the deleted, since nothing of them can be recovered. Where a side does not say what is deleted, what it
    has of a content beyond the live files with that content is taken for the deleted ones.
    """
    live = Counter((item.system, item.sha256) for item in truth if not item.deleted)
    gone = Counter((item.system, item.sha256) for item in truth if item.deleted and item.size)
    lost = live - found.files
    names: dict[tuple[str, str], str] = {(item.system, item.sha256): item.path for item in truth if not item.deleted}
    recovered = found.deleted if found.deleted is not None else found.files - live
    missing = tuple(
        f"live file not found: {key[0]} {names[key]} (SHA-256 {key[1]}, {number} of {live[key]} times)"
        for key, number in sorted(lost.items())
    )
    return Checked(live.total() - lost.total(), live.total(), (recovered & gone).total(), gone.total(), missing)


class Compared(NamedTuple):
    """Two sides' rule matches or EXIF: how many they agree on, what one lacks, what differs, what cannot be compared."""

    same: int
    missing: tuple[str, ...]
    named: tuple[str, ...]


def matches(ours: Found, theirs: Found, who: str) -> Compared:
    """Rule matches by content. Missing: theirs that ours lack on content that ours read. Named: the rest of the differences."""
    have = {digest for _, digest in ours.files}
    their = {digest for _, digest in theirs.files}
    missing = [
        f"rule {rule} matches by {who} and not here: {theirs.paths[digest]} (SHA-256 {digest})"
        for rule, digest in sorted(theirs.matches - ours.matches)
        if digest in have
    ]
    named = [
        f"rule {rule}: only {who} has this content at all: {theirs.paths[digest]} (SHA-256 {digest})"
        for rule, digest in sorted(theirs.matches - ours.matches)
        if digest not in have
    ]
    named += [
        f"rule {rule} matches here and not by {who}{'' if digest in their else ', who has not this content'}: "
        f"{ours.paths[digest]} (SHA-256 {digest})"
        for rule, digest in sorted(ours.matches - theirs.matches)
    ]
    return Compared(len(ours.matches & theirs.matches), tuple(missing), tuple(named))


def exif(ours: Found, theirs: Found, who: str, groups: Groups) -> Compared:
    """Camera and time by content. Missing: a tag that stands in the EXIF directories of content that ours read. Named: the rest.

    `groups` says in which directory of the file exiftool found each field (make, model, original), and is asked about differences alone.
    """
    have = {digest for _, digest in ours.files}
    left, right = ours.exif or {}, theirs.exif or {}
    same = 0
    missing: list[str] = []
    named: list[str] = []
    for digest in sorted(left.keys() | right.keys()):
        mine, their = left.get(digest, {}), right.get(digest, {})
        same += sum(1 for field in FIELDS if field in mine and mine.get(field) == their.get(field))
        differing = [field for field in FIELDS if mine.get(field) != their.get(field)]
        if not differing:
            continue
        if digest not in have:
            named.append(f"EXIF: only {who} has this content at all: {theirs.paths[digest]} (SHA-256 {digest})")
            continue
        where = groups(theirs.paths[digest]) if digest in theirs.paths else {}
        for field, line, lacking in _differences(differing, mine, their, where):
            path = ours.paths[digest]
            (missing if lacking else named).append(f"EXIF {field}: {line}: {path} (SHA-256 {digest})")
    return Compared(same, tuple(missing), tuple(named))


def _differences(fields: list[str], mine: Exif, their: Exif, where: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    for field in fields:
        group = where.get(field, "")
        if field not in mine:
            yield field, f"{their[field]!r} by exiftool from {group or 'an unnamed group'}, nothing here", group in EXIF_GROUPS
        elif field not in their:
            yield field, f"{mine[field]!r} here, nothing by exiftool", False
        else:
            yield field, f"{mine[field]!r} here, {their[field]!r} by exiftool from {group or 'an unnamed group'}", False


def exiftool_groups(path: str) -> dict[str, str]:
    """The directory (`exiftool -G1`) in which exiftool finds make, model and original time of the file at `path`."""
    command = ["exiftool", "-q", "-json", "-G1", "-Make", "-Model", "-DateTimeOriginal", path]
    done = subprocess.run(command, capture_output=True, check=False)
    names = {"Make": "make", "Model": "model", "DateTimeOriginal": "original"}
    found: dict[str, str] = {}
    for item in json.loads(done.stdout or b"[]"):
        for key in item:
            group, _, tag = key.rpartition(":")
            if tag in names:
                found[names[tag]] = group
    return found
