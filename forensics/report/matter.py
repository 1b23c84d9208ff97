"""What is known of the matter, for the report: exhibits with their images, the custody log, and what nobody has filled in."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from forensics.model import Exhibit, ImageDigest
from forensics.report.document import Custody, CustodyView, ExhibitView, Missing, Text
from forensics.report.text import clip, plain_text

LINES = 200  # of segments, damage, layers, faults, custody events
_FIELDS = 40
_LISTED = 12  # items of a list in the custody log


class CustodyLine(Protocol):
    """What a report needs of a line of the custody log. `body` is any value that serialises, or ``None`` where it is withheld."""

    @property
    def seq(self) -> int: ...
    @property
    def at(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def object(self) -> str: ...
    @property
    def by(self) -> str | None: ...
    @property
    def clock_back(self) -> float | None: ...
    @property
    def body_sha256(self) -> str: ...
    @property
    def body(self) -> Any: ...


def exhibits(
    received: Iterable[Exhibit],
    images: Mapping[str, ImageDigest],
    checks: Mapping[str, bool],
    not_measured: Mapping[str, str],
    not_verified: Mapping[str, str],
) -> tuple[ExhibitView, ...]:
    """The exhibits by number, each with its image and whether that was the same after the examination, or why that is not known."""
    views = []
    for exhibit in sorted(received, key=lambda item: item.exhibit_id):
        image = images.get(exhibit.exhibit_id)
        segments = image.segments if image else ()
        damage = image.damage if image else ()
        stated = exhibit.stated_sha256
        views.append(
            ExhibitView(
                exhibit=msgspec.structs.replace(exhibit, image=PurePath(exhibit.image).name),  # no paths of this machine
                image=msgspec.structs.replace(image, segments=(), damage=()) if image else None,
                not_measured=_why(not_measured.get(exhibit.exhibit_id)),
                unchanged=checks.get(exhibit.exhibit_id),
                not_verified=_why(not_verified.get(exhibit.exhibit_id)),
                stated=stated.strip().lower() == image.sha256 if image and stated else None,
                segments=segments[:LINES],
                segments_total=len(segments),
                damage=damage[:LINES],
                damage_total=len(damage),
                damage_bytes=sum(item.size for item in damage),
            )
        )
    return tuple(views)


def _why(message: str | None) -> str | None:
    return None if message is None else clip(message).text


def custody(lines: Iterable[CustodyLine], head: tuple[int, str]) -> Custody:
    """The custody log: all its lines, or so many from its beginning and its end."""
    first: list[CustodyView] = []
    last: list[CustodyView] = []
    total = 0
    for line in lines:
        total += 1
        view = CustodyView(
            seq=line.seq,
            at=line.at,
            event=line.event,
            object=line.object,
            by=line.by,
            clock_back=line.clock_back,
            sha256=line.body_sha256,
            body=None if line.body is None else _body(line.body),
        )
        if len(first) < LINES:
            first.append(view)
        else:
            last = [*last[-(LINES // 2 - 1) :], view]
    return Custody(head_seq=head[0], head_sha256=head[1], first=tuple(first), last=tuple(last), total=total)


def missing(names: Iterable[str], views: Iterable[ExhibitView]) -> tuple[Missing, ...]:
    """``case.agency`` and ``exhibit.2026-1.seizure.place``, by what they belong to; the case first."""
    prefixes = {f"exhibit.{view.exhibit.exhibit_id}.": view.exhibit.exhibit_id for view in views}
    held: dict[str | None, list[str]] = {}
    for name in names:
        owners = [prefix for prefix in prefixes if name.startswith(prefix)]
        prefix = max(owners, key=len) if owners else "case."
        held.setdefault(prefixes.get(prefix), []).append(name.removeprefix(prefix))
    return tuple(Missing(exhibit, tuple(fields)) for exhibit, fields in held.items())


def _body(body: Any) -> tuple[tuple[str, Text], ...]:
    """The particulars of an event: an exhibit's fields laid flat, of other nested things their number, without paths of this machine."""
    plain = msgspec.to_builtins(body)
    fields: list[tuple[str, Any]] = []
    for name, value in plain.items() if isinstance(plain, dict) else [("body", plain)]:
        if name == "exhibit" and isinstance(value, dict):
            fields += [(f"exhibit.{key}", PurePath(str(item)).name if key == "image" else item) for key, item in value.items()]
        elif name != "image_relative":
            fields.append((str(name), value))
    held = [(name, _particular(value)) for name, value in fields if value not in (None, "", [], {})]
    further = [("further", Text("", items=len(held) - _FIELDS))] if len(held) > _FIELDS else []
    return (*held[:_FIELDS], *further)


def _particular(value: Any) -> Text:
    nested = isinstance(value, dict) or (
        isinstance(value, list) and (len(value) > _LISTED or any(isinstance(item, list | dict) for item in value))
    )
    return Text("", items=len(value)) if nested else clip(plain_text(value))
