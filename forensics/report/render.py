"""Document to files: the page, the summary, and beside them the full listings with their digests."""

import gettext
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import msgspec
from markupsafe import Markup
from msgspec import Struct

from forensics.digest import sha256_file
from forensics.export import listing
from forensics.export.listing import Listing
from forensics.report import markup, pdf
from forensics.report.building import Index
from forensics.report.compiling import environment, parts, refused
from forensics.report.document import Document
from forensics.report.language import SOURCE, catalogue, templates_folder
from forensics.report.listings import write_listings
from forensics.report.pdf_values import SignedBy
from forensics.report.template import PDF, SHIPPED, Template, chosen

if TYPE_CHECKING:
    from forensics.signing.identity import Identity

# What a template can raise that is the template's fault: an examiner's own is refused by its line
_TEMPLATE_ERRORS = (
    jinja2.TemplateError, UnicodeDecodeError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError,
)  # fmt: skip


class Report(Struct, frozen=True):
    """What was written into `folder`: the pages and the listings, each with rows, bytes and SHA-256."""

    folder: Path
    id: str
    pages: tuple[Listing, ...]
    listings: tuple[Listing, ...]


class Signature(Struct, frozen=True):
    """Who signs the PDF, and when (the claimed time). It gets a time stamp where the identity names a stamping authority."""

    identity: "Identity"
    at: datetime


def write(
    document: Document,
    index: Index,
    folder: Path,
    templates: Iterable[str] = SHIPPED,
    *,
    large: Callable[[], tuple[Listing, ...]] = tuple,
    signature: Signature | None = None,
) -> Report:
    """Write the listings, then the pages that name them, into `folder`, which exists.

    `large` gives those listings that another process has written meanwhile (`large_listing`). `templates` are names of shipped ones, or
    paths of an examiner's own. With `signature` the PDF among the pages is signed. Nothing of the index is held in memory. Raises
    UsageError for a language without a catalogue, for an unknown or a wrong template, EngineError where no PDF can be made, SigningError,
    OSError.
    """
    translations = catalogue(document.language)
    found = chosen(templates)
    listings = write_listings(index, folder, large)
    pages = []
    for template in found:
        if template.folder is None and template.name == PDF:
            pages.append(_pdf(document, listings, folder / PDF, translations, signature))
            continue
        pages.append(listing.write(folder / template.page, _lines(render(document, listings, template, translations))))
    return Report(folder, document.id, tuple(pages), listings)


def prepare(templates: Iterable[Template], language: str = SOURCE) -> None:
    """Compile templates, ours with their parts, so that who renders them need not wait. Raises UsageError for one that does not compile."""
    translations = catalogue(language)
    for template in templates:
        try:
            made = environment(translations, template.folder)
            made.get_template(template.name)
            for part in parts(template):
                made.get_template(part)
        except (jinja2.TemplateError, UnicodeDecodeError) as error:
            raise refused(template, error) from error


def render(
    document: Document,
    listings: Iterable[Listing],
    template: str | Template,
    translations: gettext.NullTranslations,
    *,
    language: str | None = None,
    more: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """The page of `template` (a shipped one by name), piece by piece. Reads document, listings' digests and fonts; nothing else.

    Raises UsageError where an examiner's own template fails.
    """
    if isinstance(template, str):
        (template,) = chosen([template])
    made = environment(translations, template.folder)
    held = json.dumps(msgspec.to_builtins(document), ensure_ascii=False)
    values = {
        "document": document,
        "listings": {item.name: item for item in listings},
        "language": language or document.language,
        "fonts": [(name, _font(name)) for name in markup.scripts(held)],
        **(more or {}),
    }
    if template.folder is None:
        yield from map(str, made.get_template(template.name).generate(values))  # some are Markup, which would escape what is added to it
        return
    try:
        yield from map(str, made.get_template(template.name).generate(values))
    except _TEMPLATE_ERRORS as error:
        raise refused(template, error) from error


def _pdf(
    document: Document, listings: Iterable[Listing], path: Path, translations: gettext.NullTranslations, signature: Signature | None
) -> Listing:
    """The PDF, signed where somebody signs it; it has no rows."""
    signed_by = None if signature is None else SignedBy(signature.identity.name, signature.identity.fingerprint)
    made = pdf.render(document, listings, translations, signed_by=signed_by)
    listing.write(path, (), head=made)
    if signature is not None:
        from forensics.report import pdf_signature  # half a second to load, for those who sign alone

        pdf_signature.sign(path, path, signature.identity, at=signature.at, stamping=signature.identity.stamping)
    return Listing(path.name, 0, path.stat().st_size, sha256_file(path))


def _lines(parts: Iterable[str]) -> Iterator[bytes]:
    """`parts` as whole lines, so that a page's rows are its lines."""
    held = ""
    for part in parts:
        *whole, held = (held + part).split("\n")
        yield from (f"{line}\n".encode() for line in whole)
    if held:
        yield held.encode()


def _font(script: str) -> Markup:
    content = (templates_folder() / "fonts" / f"NotoSans{script}-Regular.ttf").read_bytes()
    return Markup(f"data:font/ttf;base64,{b64encode(content).decode()}")  # noqa: S704 - base64 of our own file


__all__ = ["Report", "Signature", "prepare", "render", "write", "write_listings"]
