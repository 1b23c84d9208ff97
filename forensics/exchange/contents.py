"""What is in a package for people and for other tools: report, graph, how to verify; made of the disclosed records alone."""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from forensics import custody, report
from forensics.exchange import sealed
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.view import Disclosed
from forensics.export import case_uco
from forensics.report import pdf, pdf_fonts, pdf_values
from forensics.report.labels import LABELS
from forensics.report.language import catalogue, templates_folder
from forensics.report.render import render
from forensics.report.template import Template

PER_KIND = 200
_BINDING = ("use", "purpose", "onward", "expires", "on_expiry")
_CLOSED = ("use", "channel", "on_expiry")  # terms whose values are of closed lists, and so have words in every language
_VERIFY = """\
This text came inside the package that it speaks of. Whoever could change the package could change this text:
do not trust it for verification. The instructions, the program verify.pyz and the fingerprint of the sender's
root certificate reach you out of band, from your own central authority or from the sender's, over another
channel than the package. Compare the fingerprint by telephone.

What there is to verify, with age, tar, openssl and sha256sum:
  tagmanifest-sha256.txt.p7s   two officers of the sending state signed this package
  manifest-sha256.txt          every file is the one that they signed
  data/seal.sha256.p7s         the examiner signed the digests of all records of the case, once
  data/seal.sha256             the records here are among them; what is missing was withheld
  data/custody.jsonl           each line carries the SHA-256 of the line before
"""


def pages(
    data: Path,
    disclosure: Disclosure,
    *,
    languages: Iterable[str],
    tool: str,
    known: Callable[[str], sealed.SealedRecord] | None = None,
) -> dict[str, bytes]:
    """The files that are made of the records and the custody log in the bag's `data`, by name; the same for the same bag.

    The report is written in each of `languages`: the first is ``report.html`` and ``report.pdf``, others are ``report.th.html`` and so on.
    `tool` is name and version of this tool; `known` reads a record by name from elsewhere than the bag. Raises UsageError for a language
    without a catalogue, PackageInvalid.
    """

    def record(name: str) -> sealed.SealedRecord:
        return sealed.decode((data / "records" / f"{name}.json").read_bytes(), name)

    disclosed = Disclosed(disclosure.records, known or record, disclosure.seal)
    made: dict[str, Callable[[], bytes]] = {}
    with ThreadPoolExecutor(1, "pdf") as beside:  # a PDF is made by a child process, and the rest meanwhile
        for number, language in enumerate(dict.fromkeys(languages)):
            document = report.build(
                disclosed,
                disclosed,
                at=disclosure.made_at,
                custody=custody.with_hands(data),
                head=(disclosure.custody.seq, disclosure.custody.head),
                missing=(),
                tool=tool,
                language=language,
                per_kind=PER_KIND,
            )
            name = f"report.{language}" if number else "report"
            pdf_made = beside.submit(_pdf, document, disclosure, language)
            page = _page(document, disclosure, language)
            made |= {f"{name}.html": partial(bytes, page), f"{name}.pdf": pdf_made.result}
        graph = b"".join(_graph(data, disclosure, disclosed))
        return {"case.jsonld": graph, **{name: content() for name, content in made.items()}, "verify.txt": _VERIFY.encode()}


def _graph(data: Path, disclosure: Disclosure, disclosed: Disclosed) -> Iterator[bytes]:
    return case_uco.lines(
        case=disclosed.info,
        exhibits=disclosed.exhibits(),
        records=disclosed.records(),
        methods=disclosed.runs(),
        custody=custody.read(data),
        names=case_uco.names_from(disclosed.names["case"]),
        markings=case_uco.Markings(
            statements=(disclosure.tlp, disclosure.pap, *disclosure.caveats),
            release_to=(f"{disclosure.to.authority} ({disclosure.to.state})",),
            terms_of_use="; ".join(_english(name, value) for name, value in _terms(disclosure) if name in _BINDING),
        ),
        images=disclosed.images(),
    )


def _page(document: report.Document, disclosure: Disclosure, language: str) -> bytes:
    more = {"disclosure": msgspec.to_builtins(disclosure), "terms": _terms(disclosure), "closed": _CLOSED}
    return "".join(render(document, (), Template("disclosure.html", None, "report.html"), catalogue(language), more=more)).encode()


def _pdf(document: report.Document, disclosure: Disclosure, language: str) -> bytes:
    """The PDF/A of the same document, unsigned: the same for the same disclosure. Raises UsageError, EngineError."""
    given = json.loads(pdf_values.data(document, (), catalogue(language)))
    given["id"], given["marking"] = pdf_values.plain(disclosure.id), pdf_values.plain(f"{disclosure.tlp} · {disclosure.pap}")
    given["terms"] = [[name, value if name in _CLOSED else pdf_values.plain(value)] for name, value in _terms(disclosure)]
    given["closed"] = _CLOSED
    issued = int(datetime.fromisoformat(disclosure.made_at).timestamp())
    main = templates_folder() / "disclosure.typ"
    return pdf.compiled(main, pdf_fonts.folder(), json.dumps(given), issued, seconds=pdf.SECONDS, memory=pdf.MEMORY)


def _terms(disclosure: Disclosure) -> tuple[tuple[str, str], ...]:
    """The terms of a disclosure, for people to read, under their names in the labels' list `term`."""
    sender, to = disclosure.from_, disclosure.to
    return (
        ("disclosure", disclosure.id),
        ("from", f"{sender.agency} ({sender.state}), {sender.officer}"),
        ("to", f"{to.authority} ({to.state})"),
        ("made_at", disclosure.made_at),
        ("records", str(len(disclosure.records))),
        ("withheld", str(disclosure.withheld)),
        ("use", disclosure.use),
        ("purpose", disclosure.purpose),
        ("channel", disclosure.channel),
        *((("request_ref", disclosure.request_ref),) if disclosure.request_ref else ()),
        ("onward", disclosure.onward),
        ("expires", disclosure.expires),
        ("on_expiry", disclosure.on_expiry),
        *(("caveat", text) for text in disclosure.caveats),
        ("seal", disclosure.seal),
    )


def _english(name: str, value: str) -> str:
    return f"{LABELS['term'][name]}: {LABELS[name][value] if name in _CLOSED else value}"
