"""Document to files: the page, the summary, and beside them the full listings with their digests."""

import gettext
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup
from msgspec import Struct

from forensics.errors import UsageError
from forensics.export import csv, jsonl, listing
from forensics.export.listing import Listing
from forensics.model import ImageDamage, Segment
from forensics.report import markup
from forensics.report.build import Index
from forensics.report.document import Document
from forensics.report.language import catalogue, templates_folder
from forensics.report.text import plain_text

TEMPLATES = ("report.html", "summary.md")


class Report(Struct, frozen=True):
    """What was written into `folder`: the pages and the listings, each with rows, bytes and SHA-256."""

    folder: Path
    id: str
    pages: tuple[Listing, ...]
    listings: tuple[Listing, ...]


def write(document: Document, index: Index, folder: Path, templates: Iterable[str] = TEMPLATES) -> Report:
    """Write the listings, then the pages that name them, into `folder`, which exists.

    Nothing of the index is held in memory. Raises UsageError for a language without a catalogue or an unknown template, OSError.
    """
    translations = catalogue(document.language)
    templates = tuple(templates)
    for name in templates:
        if name not in TEMPLATES:
            raise UsageError(f"there is no report template {name!r}; choose from: {', '.join(TEMPLATES)}")
    listings = write_listings(index, folder)
    pages = []
    for name in templates:
        pages.append(listing.write(folder / name, _lines(render(document, listings, name, translations))))
    return Report(folder, document.id, tuple(pages), listings)


def write_listings(index: Index, folder: Path) -> tuple[Listing, ...]:
    """The full listings, in the order in which the report names them."""
    images = sorted(index.images().items())
    segments: Iterator[tuple[str, Segment]] = ((exhibit, part) for exhibit, image in images for part in image.segments)
    damage: Iterator[tuple[str, ImageDamage]] = ((exhibit, part) for exhibit, image in images for part in image.damage)
    return (
        csv.findings(folder / "findings.csv", index.records()),
        jsonl.write(folder / "findings.jsonl", index.records()),
        csv.entries(folder / "files.csv", index.entries()),
        jsonl.write(folder / "files.jsonl", index.entries()),
        csv.timeline(folder / "timeline.csv", index.timeline()),
        csv.coverage(folder / "coverage.csv", index.coverage()),
        csv.layers(folder / "layers.csv", index.layers()),
        csv.faults(folder / "faults.csv", index.faults()),
        csv.write(folder / "segments.csv", csv.SEGMENTS, segments),
        csv.write(folder / "damage.csv", csv.DAMAGE, damage),
    )


def render(
    document: Document, listings: Iterable[Listing], template: str, translations: gettext.NullTranslations, *, language: str | None = None
) -> Iterator[str]:
    """The page of `template`, piece by piece. Reads the document, the listings' digests and the fonts; nothing else."""
    environment = _environment(translations)
    held = json.dumps(msgspec.to_builtins(document), ensure_ascii=False)
    parts = environment.get_template(template).generate(
        document=document,
        listings={item.name: item for item in listings},
        language=language or document.language,
        fonts=[(name, _font(name)) for name in markup.scripts(held)],
    )
    yield from map(str, parts)  # some are Markup, which would escape what is added to it


def _lines(parts: Iterable[str]) -> Iterator[bytes]:
    """`parts` as whole lines, so that a page's rows are its lines."""
    held = ""
    for part in parts:
        *whole, held = (held + part).split("\n")
        yield from (f"{line}\n".encode() for line in whole)
    if held:
        yield held.encode()


def _environment(translations: gettext.NullTranslations) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_folder()),
        autoescape=True,  # for every template, whatever its name ends in
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    added: Any = environment
    added.install_gettext_translations(translations, newstyle=True)
    filters: dict[str, Callable[..., object]] = {
        "evidence": markup.evidence,
        "foreign": markup.foreign,
        "code": markup.code,
        "markdown": markup.markdown,
        "number": markup.number,
        "plain": plain_text,
        "size": lambda value: markup.size(value, translations.gettext),
        "css_string": markup.css_string,
    }
    environment.filters |= filters
    environment.globals |= {"label": markup.labels(translations.gettext)}
    return environment


def _font(script: str) -> Markup:
    content = (templates_folder() / "fonts" / f"NotoSans{script}-Regular.ttf").read_bytes()
    return Markup(f"data:font/ttf;base64,{b64encode(content).decode()}")  # noqa: S704 - base64 of our own file


__all__ = ["TEMPLATES", "Report", "render", "write", "write_listings"]
