"""Findings that have a place, as placemarks for a map (OGC KML 2.2).

A time in UTC is the placemark's ``TimeStamp``. KML takes a time without a zone as UTC, so a time of an unknown zone becomes a ``TimeSpan``
from 14 hours before to 12 hours after: zones reach from UTC+14 to UTC-12, and the moment lies within. Text of evidence is escaped
twice where a viewer would read it as HTML (``description``), and the balloon shows the description alone.
"""

import html
import io
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from forensics.export import listing
from forensics.export.coordinates import coordinates
from forensics.export.csv import aware
from forensics.export.listing import Listing
from forensics.export.xml_text import text
from forensics.model import Record

_NAMESPACE = "http://www.opengis.net/kml/2.2"
_EARLIEST, _LATEST = timedelta(hours=14), timedelta(hours=12)


def write(path: Path, records: Iterable[Record], name: str) -> Listing:
    """Write those of `records` that have coordinates to `path`; `name` is the document's. `rows` counts the placemarks. Raises OSError."""
    written = listing.write(path, _document(records, name))
    return Listing(written.name, written.rows - 2, written.size, written.sha256)  # without head and end


class _Writer:
    """An XML writer whose text can be taken out piece by piece."""

    def __init__(self) -> None:
        self._text = io.StringIO()
        self._xml = XMLGenerator(self._text, "UTF-8", short_empty_elements=True)
        self.end, self.begin = self._xml.endElement, self._xml.startDocument

    def start(self, tag: str, /, **attributes: str) -> None:
        self._xml.startElement(tag, AttributesImpl(attributes))

    def element(self, name: str, content: str) -> None:
        self.start(name)
        self._xml.characters(text(content))
        self.end(name)

    def taken(self) -> bytes:
        value = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return value.encode()


def _document(records: Iterable[Record], name: str) -> Iterator[bytes]:
    xml = _Writer()
    xml.begin()
    xml.start("kml", xmlns=_NAMESPACE)
    xml.start("Document")
    xml.element("name", name)
    xml.start("Style", id="finding")
    xml.start("BalloonStyle")
    xml.element("text", "$[description]")
    xml.end("BalloonStyle")
    xml.end("Style")
    yield xml.taken() + b"\n"
    for record in records:
        where = coordinates(record)
        if where is not None:
            _placemark(xml, record, where)
            yield xml.taken() + b"\n"
    xml.end("Document")
    xml.end("kml")
    yield xml.taken() + b"\n"


def _placemark(xml: _Writer, record: Record, where: tuple[float, float, float | None]) -> None:
    finding = record.finding
    latitude, longitude, altitude = where
    xml.start("Placemark", id=f"finding-{record.id}")
    xml.element("name", finding.summary)
    when = None if finding.when is None else finding.when if aware(finding.when) else f"{finding.when} (zone unknown)"
    told = (("Finding", finding.summary), ("When", when), ("Location", record.location), ("SHA-256", record.sha256))
    xml.element("description", "<br/>".join(html.escape(f"{what}: {value}") for what, value in told if value))
    _time(xml, finding.when)
    xml.element("styleUrl", "#finding")
    xml.start("ExtendedData")
    for field, value in (
        ("record", record.id),
        ("kind", finding.kind),
        ("level", finding.level),
        ("location", record.location),
        ("state", record.state),
        ("sha256", record.sha256),
        ("plugin", f"{record.plugin} {record.plugin_version}"),
        ("when", finding.when),
    ):
        if value:
            xml.start("Data", name=field)
            xml.element("value", value)
            xml.end("Data")
    xml.end("ExtendedData")
    xml.start("Point")
    xml.element("altitudeMode", "clampToGround" if altitude is None else "absolute")
    # longitude first (OGC KML 2.2, section 16.10)
    xml.element("coordinates", ",".join(f"{value:.7f}" for value in (longitude, latitude, altitude) if value is not None))
    xml.end("Point")
    xml.end("Placemark")


def _time(xml: _Writer, when: str | None) -> None:
    if when is None:
        return
    try:
        moment = datetime.fromisoformat(when)
        if aware(when):
            xml.start("TimeStamp")
            xml.element("when", when)
            xml.end("TimeStamp")
            return
        first, last = moment - _EARLIEST, moment + _LATEST
    except (ValueError, OverflowError):  # no time, or one at the end of the calendar
        return
    xml.start("TimeSpan")
    xml.element("begin", f"{first.isoformat()}Z")
    xml.element("end", f"{last.isoformat()}Z")
    xml.end("TimeSpan")
