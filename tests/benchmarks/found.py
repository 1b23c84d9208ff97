"""What a side found, in one form: contents with their digests, rule matches and EXIF by content, and how each side's output is read."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from forensics import index
from forensics.location import Location

FIELDS = ("make", "model", "original")
SYSTEMS = ("ntfs", "ext4", "fat32")  # in the order of make_image.sh
_OURS = {"make": "camera_make", "model": "camera_model", "original": "time_original"}
_EXIFTOOL = {"make": "Make", "model": "Model", "original": "DateTimeOriginal"}
_HASHDEEP = re.compile(r"(\d+),([0-9a-f]{32}),([0-9a-f]{40}),([0-9a-f]{64}),(.*)\Z", re.DOTALL)
_DIGEST = re.compile(r"\b[0-9a-f]{32,64}\b")
Exif = dict[str, str]


class Truth(NamedTuple):
    """A file that make_image.sh put into the image: file system, path there, bytes, SHA-256, and whether it was deleted again."""

    system: str
    path: str
    size: int
    sha256: str
    deleted: bool


class Found(NamedTuple):
    """What a side found.

    `files` counts (file system, SHA-256), `deleted` the same of what the side knows to be deleted (`None`: it does not say); `matches` are
    (rule, SHA-256), `exif` the camera's make, model and time by SHA-256; `paths` names one file of each content, for messages.
    `problems` are what the side itself said went wrong with the image.
    """

    files: Counter[tuple[str, str]]
    deleted: Counter[tuple[str, str]] | None
    matches: frozenset[tuple[str, str]]
    exif: Mapping[str, Exif] | None
    paths: Mapping[str, str]
    dated: int = 0
    problems: tuple[str, ...] = ()


def truth(path: Path) -> list[Truth]:
    """The lines of truth.jsonl."""
    with open(path, encoding="utf-8") as file:
        return [
            Truth(line["fs"], line["path"], line["bytes"], line["sha256"], line["state"] == "deleted") for line in map(json.loads, file)
        ]


def plain(text: object) -> str:
    """A tag's value without what differs between writers: NULs and blanks around it, runs of blanks within it."""
    return " ".join(str(text).replace("\0", " ").split())


# --- ours -------------------------------------------------------------------------------------------------------------------


def of_case(folder: Path) -> Found:
    """What `forensics process` found, out of the index of its case."""
    files: Counter[tuple[str, str]] = Counter()
    deleted: Counter[tuple[str, str]] = Counter()
    paths: dict[str, str] = {}
    matches: set[tuple[str, str]] = set()
    exif: dict[str, Exif] = {}
    with index.open_index(folder / "index.db") as found:
        for line in found.entries(outcome="read"):
            if line.digests is None:
                continue
            system = Location.parse(line.entry.location).layers[-1].kind
            key = (system, line.digests.sha256)
            files[key] += 1
            deleted[key] += line.entry.state in ("deleted", "orphan")
            paths.setdefault(line.digests.sha256, line.entry.location)
        for record in found.records(kind="rule-match"):
            matches.add((str(record.finding.data["rule"]), str(record.sha256)))
        for record in found.records(plugin="photo-exif"):
            if tags := _exif(record.finding.data, _OURS):
                exif.setdefault(str(record.sha256), {}).update(tags)
        dated = sum(1 for _ in found.timeline())
        problems = tuple(f"exhibit {name}: changed while it was examined" for name, same in found.checks().items() if not same)
        problems += () if found.checks() else ("no exhibit was measured again after it was examined",)
    return Found(files, +deleted, frozenset(matches), exif, paths, dated, problems)


def _exif(data: Mapping[str, object], names: Mapping[str, str]) -> Exif:
    return {field: text for field, name in names.items() if name in data and (text := plain(data[name]))}


# --- by hand ----------------------------------------------------------------------------------------------------------------


def of_hand(folder: Path) -> Found:
    """What hand.sh found: OUTDIR/hashes, yara, exif.json, timeline.csv."""
    digests = dict(hashdeep((folder / "hashes").read_text(encoding="utf-8", errors="surrogateescape")))
    names = {name: SYSTEMS[at] for at, name in enumerate(sorted((path.name for path in (folder / "files").iterdir()), key=_offset))}
    root = str(folder / "files") + "/"
    files: Counter[tuple[str, str]] = Counter()
    paths: dict[str, str] = {}
    for path, digest in digests.items():
        files[names[path.removeprefix(root).partition("/")[0]], digest] += 1
        paths.setdefault(digest, path)
    matches = set()
    for rule, path in yara_lines((folder / "yara").read_text(encoding="utf-8", errors="surrogateescape")):
        matches.add((rule, digests[path]))
    exif: dict[str, Exif] = {}
    for item in exiftool((folder / "exif.json").read_text(encoding="utf-8", errors="surrogateescape")):
        if item["SourceFile"] in digests and (tags := _exif(item, _EXIFTOOL)):
            exif.setdefault(digests[item["SourceFile"]], {}).update(tags)
    with open(folder / "timeline.csv", "rb") as file:
        dated = max(sum(1 for _ in file) - 1, 0)
    return Found(files, None, frozenset(matches), exif, paths, dated, tuple(_unchanged(folder)))


def _offset(name: str) -> int:
    return int(name.removeprefix("p"))


def _unchanged(folder: Path) -> Iterator[str]:
    before, after = ((folder / f"image.{name}").read_text(errors="replace") for name in ("before", "after"))
    digests = _DIGEST.findall(before)
    if "FAILURE" in before + after or not digests:
        yield f"the image's digest was not verified: {plain(before)[:200]} / {plain(after)[:200]}"
    elif digests != _DIGEST.findall(after):
        yield "the image's digest differs before and after"


def hashdeep(text: str) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of each line of hashdeep's output (md5, sha1, sha256). Raises ValueError for a line that is none."""
    for line in _lines(text):
        if line.startswith(("%%%%", "## ")):
            continue
        found = _HASHDEEP.match(line)
        if not found:
            raise ValueError(f"hashdeep wrote a line that is no digest: {line[:200]!r}")
        yield found[5], found[4]


def yara_lines(text: str) -> Iterator[tuple[str, str]]:
    """Rule and path of each line of yara's output."""
    for line in _lines(text):
        rule, _, path = line.partition(" ")
        if not path:
            raise ValueError(f"yara wrote a line that is no match: {line[:200]!r}")
        yield rule, path


def _lines(text: str) -> list[str]:
    """Lines as the tools end them: only a newline ends one, whatever other separators a name holds."""
    return [line for line in text.split("\n") if line]


def exiftool(text: str) -> list[dict[str, object]]:
    """The objects of `exiftool -json`; none where it wrote nothing."""
    items: list[dict[str, object]] = json.loads(text) if text.strip() else []
    return items


# --- others -----------------------------------------------------------------------------------------------------------------


def of_lines(lines: Iterable[str]) -> Found:
    """What another tool found, as lines of JSON: `system` (or none), `path`, `sha256`, `rules`."""
    files: Counter[tuple[str, str]] = Counter()
    paths: dict[str, str] = {}
    matches: set[tuple[str, str]] = set()
    for line in lines:
        item = json.loads(line)
        files[item.get("system", ""), item["sha256"]] += 1
        paths.setdefault(item["sha256"], item["path"])
        matches.update((rule, item["sha256"]) for rule in item["rules"])
    return Found(files, None, frozenset(matches), None, paths)


def by_content(files: Counter[tuple[str, str]]) -> dict[str, int]:
    """How often each content was found, on whatever file system."""
    total: defaultdict[str, int] = defaultdict(int)
    for (_, digest), number in files.items():
        total[digest] += number
    return total


def of_plaso(lines: Iterable[str]) -> Iterator[str]:
    """One line a file, as `of_lines` takes them, out of psort's JSON lines, which have one a time stamp."""
    seen: set[str] = set()
    for line in lines:
        event = json.loads(line)
        place = json.dumps(event.get("pathspec") or event.get("display_name"), sort_keys=True)
        if "sha256_hash" not in event or place in seen:
            continue
        seen.add(place)
        matches = event.get("yara_match") or []
        rules = matches if isinstance(matches, list) else [name.strip() for name in str(matches).split(",")]
        partition = re.search(r"/p([1-9])\b", place)
        system = SYSTEMS[int(partition[1]) - 1] if partition and int(partition[1]) <= len(SYSTEMS) else ""
        path = event.get("filename") or event.get("display_name") or place
        yield json.dumps({"system": system, "path": path, "sha256": event["sha256_hash"], "rules": [rule for rule in rules if rule]})
