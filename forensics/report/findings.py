"""Records to the findings that a page shows: the first of each kind, alerts before the rest, and counts of all."""

import binascii
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from forensics.digest import sha256
from forensics.model import AttachmentRef, ByteRange, Locator, Record, RecordNumber, RegistryKey, TableRow
from forensics.report.document import FindingView, KindView, Picture, Place
from forensics.report.text import CHARACTERS, clip, plain_text

PER_KIND = 200
_PER_REPORT = 2_000  # findings in one page: beyond this browsers become slow
_LEAST_PER_KIND = 5
_KINDS = 100
_FIELDS = 40
_CHARACTERS_A_FINDING = 4_000
_PICTURE_BYTES = 64 << 10
_PICTURES_BYTES = 3 << 20
_PICTURES = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n", "image/gif": b"GIF8", "image/webp": b"RIFF"}


def share(per_kind: int, kinds: int) -> int:
    """How many findings of a kind a page shows where it has `kinds` kinds: at most `per_kind`, fewer where that would be too many."""
    return max(1, min(per_kind, max(_LEAST_PER_KIND, _PER_REPORT // max(1, min(_KINDS, kinds)))))


class Gallery:
    """The pictures that a page may still embed."""

    def __init__(self, most: int, attachment: Callable[[AttachmentRef], bytes | None]) -> None:
        self._most, self._attachment = most, attachment
        self._bytes = 0
        self.shown = self.left = 0

    def pictures(self, references: Iterable[AttachmentRef]) -> tuple[Picture, ...]:
        """Those of `references` that are pictures, within bounds, and whose bytes are what their digest says."""
        if not self._most:
            return ()
        pictures = []
        for reference in references:
            magic = _PICTURES.get(reference.mime)
            if magic is None:
                continue
            fits = self.shown < self._most and reference.size <= min(_PICTURE_BYTES, _PICTURES_BYTES - self._bytes)
            content = self._attachment(reference) if fits else None
            if content is None or len(content) != reference.size or not content.startswith(magic) or sha256(content) != reference.sha256:
                self.left += 1
                continue
            self.shown += 1
            self._bytes += len(content)
            uri = f"data:{reference.mime};base64,{binascii.b2a_base64(content, newline=False).decode()}"
            pictures.append(Picture(reference.name, reference.sha256, uri))
        return tuple(pictures)


def kinds(records: Iterable[Record], by_kind: Mapping[str, int], per_kind: int, gallery: Gallery) -> tuple[tuple[KindView, ...], int, int]:
    """The kinds with their first findings, alerts first; how many kinds have no section, and how many records those hold."""
    wanted = {kind for kind, _ in sorted(by_kind.items(), key=lambda pair: (-pair[1], pair[0]))[:_KINDS]}
    levels: dict[str, Counter[str]] = {}
    shown: dict[str, list[FindingView]] = {}
    cut_kinds: set[str] = set()
    cut = 0
    for record in records:
        kind = record.finding.kind
        if kind not in wanted:
            cut += 1
            if len(cut_kinds) < 100_000:
                cut_kinds.add(kind)
            continue
        levels.setdefault(kind, Counter())[record.finding.level] += 1
        held = shown.setdefault(kind, [])
        if len(held) < per_kind:
            held.append(_finding(record, len(held) + 1, gallery))
    views = [
        KindView(kind=kind, alert=count["alert"], notable=count["notable"], info=count["info"], shown=tuple(shown[kind]))
        for kind, count in levels.items()
    ]
    views.sort(key=lambda view: (not view.alert, not view.notable, view.kind))
    return tuple(views), len(cut_kinds), cut


def _finding(record: Record, number: int, gallery: Gallery) -> FindingView:
    finding = record.finding
    left = _CHARACTERS_A_FINDING
    data = []
    for name in sorted(finding.data)[:_FIELDS]:
        text = clip(plain_text(finding.data[name]), max(80, min(CHARACTERS, left)))
        left -= len(text.text)
        data.append((clip(name, 80).text, text))
    return FindingView(
        number=number,
        id=record.id,
        level=finding.level,
        summary=clip(finding.summary),
        when=finding.when,
        location=record.location,
        state=record.state,
        content=record.content,
        sha256=record.sha256,
        place=None if finding.locator is None else _place(finding.locator),
        plugin=record.plugin,
        plugin_version=record.plugin_version,
        plugin_digest=record.plugin_digest,
        data=tuple(data),
        fields_cut=max(0, len(finding.data) - _FIELDS),
        derived_from=finding.derived_from[:5],
        derived_cut=len(finding.derived_from[5:]),
        attachments=tuple((item.name, item.sha256) for item in finding.attachments[:5]),
        attachments_cut=len(finding.attachments[5:]),
        pictures=gallery.pictures(finding.attachments),
    )


def _place(locator: Locator) -> Place:
    match locator:
        case ByteRange(offset, size):
            return Place("bytes", str(offset), str(offset + max(size, 1) - 1))
        case TableRow(table, rowid):
            return Place("row", clip(table, 200).text, str(rowid))
        case RegistryKey(key, value):
            return Place("registry", clip(key).text, None if value is None else clip(value, 200).text)
        case RecordNumber(number, of):
            return Place("record", str(number), clip(of, 80).text)
