"""LVM2 of Linux: the logical volumes of a volume group, through libvslvm.

libvslvm reads linear volumes. What else a volume is (thin, mirrored, striped, cached, a snapshot) stands in the group's description, which
is read here first: such a volume would read as wrong bytes without an error.
"""

import re
from typing import Any, NamedTuple

from forensics.errors import Corrupt
from forensics.evidence import limits
from forensics.evidence.libyal import Derived, OpenFile, Source, opened

_TEXT = 4 << 20  # bytes of a group's description
_DEPTH = 16


class Label(NamedTuple):
    """What a physical volume says of itself: its identifier, and the description of its group (nested values by name)."""

    identifier: str
    group: str
    text: dict[str, Any]

    @property
    def needs(self) -> list[str]:
        """The identifiers of all physical volumes of the group, in the order of its description."""
        return [str(each.get("id", "")).replace("-", "") for each in _sections(self.text.get("physical_volumes"))]


class Logical(NamedTuple):
    """A logical volume: name, bytes, or why it is not read."""

    name: str
    size: int
    bytes: Derived | None
    reason: str | None


def label(source: Source, name: str) -> Label:
    """The label of a physical volume (LVM2 lib/format_text/layout.h). Raises Corrupt where it, or the description, cannot be read."""
    head = source.read(0, 4096)
    sector = next((at for at in range(0, 2048, 512) if head.startswith(b"LABELONE", at)), None)
    if sector is None:
        raise Corrupt(f"{name}: has no LVM2 label")
    at = sector + int.from_bytes(head[sector + 20 : sector + 24], "little")
    identifier = head[at : at + 32].decode("ascii", "backslashreplace")
    at += 40
    areas: list[tuple[int, int]] = []
    ended = 0  # the data areas, then the metadata areas; each list ends with zeros
    while ended < 2 and at + 16 <= len(head):
        offset, size = int.from_bytes(head[at : at + 8], "little"), int.from_bytes(head[at + 8 : at + 16], "little")
        ended += not offset
        if ended == 1 and offset:
            areas.append((offset, size))
        at += 16
    for offset, _ in areas:
        area = source.read(offset, 512)
        if area[4:20] != b" LVM2 x[5A%r0N*>":
            continue
        span, start, length = (int.from_bytes(area[place : place + 8], "little") for place in (32, 40, 48))
        if not 0 < length <= _TEXT or span <= 512 or start >= span:
            continue
        raw = source.read(offset + start, min(length, span - start))
        raw += source.read(offset + 512, length - len(raw)) if len(raw) < length else b""  # the area is a ring after its header
        description = parse(raw.partition(b"\0")[0].decode("utf-8", "backslashreplace"), name)
        group = next((key for key, value in description.items() if isinstance(value, dict)), "")
        if group:
            return Label(identifier, group, description[group])
    raise Corrupt(f"{name}: the description of the volume group cannot be read")


def logical_volumes(parts: list[Source], text: dict[str, Any], name: str) -> list[Logical]:
    """The visible logical volumes of a group whose physical volumes are `parts`, in the order of its description. Raises Corrupt."""
    import pyvslvm

    files = tuple(OpenFile(part) for part in parts)
    handle = pyvslvm.handle()
    opened(lambda: handle.open_file_object(files[0]), name, files)
    opened(lambda: handle.open_physical_volume_files_as_file_objects(list(files)), name, files)
    group = opened(lambda: handle.get_volume_group(), name, files)
    extent = _number(text.get("extent_size", 0), f"{name}: the size of an extent") * 512
    found: list[Logical] = []
    described = text.get("logical_volumes")
    for number, (title, facts) in enumerate((described or {}).items() if isinstance(described, dict) else ()):
        status = facts.get("status", []) if isinstance(facts, dict) else []
        if not isinstance(facts, dict) or not isinstance(status, (list, str)) or "VISIBLE" not in status:
            continue
        segments = [each for key, each in facts.items() if re.fullmatch(r"segment\d+", key) and isinstance(each, dict)]
        kinds = {str(each.get("type", "")) for each in segments}
        size = sum(_number(each.get("extent_count", 0), f"{name}, {title}: the number of extents") for each in segments) * extent
        if size > limits.MEDIUM:
            raise Corrupt(f"{name}: logical volume {title} is said to have {size} bytes")
        if kinds != {"striped"} or any(each.get("stripe_count") != 1 for each in segments):
            kind = "striped" if kinds == {"striped"} else ", ".join(sorted(kinds)) or "unknown"
            found.append(
                Logical(title, size, None, f"logical volume of type {kind}: linear ones are read; activate it elsewhere and image it")
            )
            continue
        volume = opened(lambda number=number: group.get_logical_volume(number), name, files)  # type: ignore[misc]
        said, length = opened(lambda volume=volume: (volume.name, int(volume.size)), name, files)  # type: ignore[misc]
        if said != title:
            raise Corrupt(f"{name}: logical volume {number} is {said!r} to libvslvm and {title!r} by its description")
        found.append(Logical(title, length, Derived(volume, length, f"{name}, {title}", files, (handle, group)), None))
    return found


def _number(value: object, what: str) -> int:
    """A count or size of a description. Raises Corrupt where it is none."""
    if not isinstance(value, int) or not 0 <= value <= limits.MEDIUM:
        raise Corrupt(f"{what} is given as {str(value)[:40]!r}")
    return value


def _sections(value: object) -> list[dict[str, Any]]:
    return [each for each in value.values() if isinstance(each, dict)] if isinstance(value, dict) else []


_CLOSE = "}"
# A string without an end is a token too: else every quotation mark in it would be tried as the begin of one, each to the end of the text.
_TOKEN = re.compile(r'\s+|#[^\n]*|"(?:[^"\\]|\\(?s:.)?)*+"?|[\[\]{},=]|[^\s\[\]{},="#]+')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def parse(text: str, name: str) -> dict[str, Any]:
    """LVM2's configuration text as nested dictionaries: numbers, strings, lists and sections. Raises Corrupt."""
    tokens = [token for token in _TOKEN.findall(text) if not token.isspace() and not token.startswith("#")]
    if tokens and tokens[-1].startswith('"') and not _STRING.fullmatch(tokens[-1]):
        raise Corrupt(f"{name}: the description of the volume group ends within {tokens[-1][:40]!r}")
    root: dict[str, Any] = {}
    stack = [root]
    at = 0
    while at < len(tokens):
        token, after = tokens[at], tokens[at + 1] if at + 1 < len(tokens) else ""
        if token in _CLOSE and len(stack) > 1:
            stack.pop()
            at += 1
        elif after == "{" and len(stack) < _DEPTH:
            section: dict[str, Any] = {}
            stack[-1][token] = section
            stack.append(section)
            at += 2
        elif after == "=" and at + 2 < len(tokens):
            if tokens[at + 2] == "[":
                end = next((place for place in range(at + 3, len(tokens)) if tokens[place] == "]"), len(tokens))
                stack[-1][token] = [_value(each) for each in tokens[at + 3 : end] if each != ","]
                at = end + 1
            else:
                stack[-1][token] = _value(tokens[at + 2])
                at += 3
        else:
            raise Corrupt(f"{name}: the description of the volume group cannot be read at {token[:40]!r}")
    return root


def _value(token: str) -> str | int:
    if token.startswith('"'):
        return token[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return int(token) if re.fullmatch(r"-?\d{1,18}", token) else token
