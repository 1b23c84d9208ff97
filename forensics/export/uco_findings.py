"""The findings in a CASE/UCO graph, and the files that they touch.

A finding is an ``analysis:AnalyticResult``. Its ``ArtifactClassificationResultFacet`` says what it is (its kind, and of a rule match the
rule). UCO has no facet for a travel document's machine-readable zone, a boarding pass or a YARA rule: the detail of any finding stands in a
facet of a class of our own, ``forensics:FindingFacet`` and beside it one named after the kind (``forensics:TravelDocumentFacet``); data as
found are ``found:<field>``, a list as JSON text, since RDF would lose its order.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from hashlib import sha256

from forensics.digest import canonical
from forensics.export.coordinates import coordinates
from forensics.export.uco_matter import Matter
from forensics.export.uco_terms import Naming, Node, boolean, decimal, integer, moment, said, without_none
from forensics.export.xml_text import text
from forensics.location import Location, printable
from forensics.model import Examined, Record, Value

Files = Callable[[str], Examined | None]

_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KIND = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_EXIF = {  # names of Exif 2.32, by field of the finding
    "camera_make": "Make",
    "camera_model": "Model",
    "camera_owner": "CameraOwnerName",
    "camera_serial": "BodySerialNumber",
    "lens_make": "LensMake",
    "lens_model": "LensModel",
    "lens_serial": "LensSerialNumber",
    "image_id": "ImageUniqueID",
    "software": "Software",
    "host_computer": "HostComputer",
    "description": "ImageDescription",
    "artist": "Artist",
    "copyright": "Copyright",
    "time_original": "DateTimeOriginal",
    "time_digitized": "DateTimeDigitized",
    "time_modified": "DateTime",
    "offset_original": "OffsetTimeOriginal",
    "offset_digitized": "OffsetTimeDigitized",
    "offset_modified": "OffsetTime",
    "subsecond_original": "SubSecTimeOriginal",
    "orientation": "Orientation",
    "user_comment": "UserComment",
}


def findings(naming: Naming, records: Iterable[Record], matter: Matter, files: Files) -> Iterator[Node]:
    """The nodes of `records`, in their order; each file before the first finding that touches it. `files` gives what was examined at a
    location, where that is to be in the graph."""
    with closing(_Seen()) as seen:
        for record in records:
            place = Location.parse(record.location)
            on_file = bool(place.layers or place.path)
            if on_file and seen.first(record.location):
                yield _file(naming, record, place, matter, files(record.location))
                if place.exhibit in matter.exhibits:
                    yield _within(naming, record.location, place)
            if record.finding.kind in ("photo", "picture"):
                yield from _picture(naming, record)
            yield _result(naming, record, place, matter)
            source = ("file", record.location) if on_file else ("image", place.exhibit)
            if on_file or place.exhibit in matter.exhibits:
                yield _relation(naming, (record.id, "file"), "Extracted_From", ("finding", record.id), source)
            if (where := coordinates(record)) is not None:
                yield from _place(naming, record, where)


class _Seen:
    """Which locations were seen; kept on disk beyond a few megabytes (an unnamed SQLite file), so that memory stays flat."""

    def __init__(self) -> None:
        self._sql = sqlite3.connect("", isolation_level=None)
        self._sql.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self._sql.execute("BEGIN")
        self.close = self._sql.close

    def first(self, location: str) -> bool:
        digest = sha256(location.encode("utf-8", "surrogatepass")).digest()[:16]
        return self._sql.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1


# --- files ------------------------------------------------------------------------------------------------------------------


def _file(naming: Naming, record: Record, place: Location, matter: Matter, examined: Examined | None) -> Node:
    key = record.location
    entry = examined.entry if examined else None
    digests: dict[str, str | None] = {"sha256": record.sha256}
    if examined is not None and examined.digests is not None:
        digests = {"sha256": examined.digests.sha256, "sha1": examined.digests.sha1, "md5": examined.digests.md5}
    size = integer(entry.size) if entry else None
    times = {
        "observable:accessedTime": entry.times.accessed,
        "observable:metadataChangeTime": entry.times.changed,
        "observable:modifiedTime": entry.times.modified,
        "observable:observableCreatedTime": entry.times.born,
    } if entry else {}  # fmt: skip
    file = {
        "@id": naming.iri("facet", "file", key),
        "@type": "observable:FileFacet",
        "observable:allocationStatus": record.state,
        "observable:fileName": text(place.name),
        "observable:filePath": text(printable(place.path)),
        "observable:isDirectory": boolean(entry.kind == "directory") if entry else None,
        "observable:sizeInBytes": size,
        **{name: moment(value) for name, value in times.items()},
    }
    content = {
        "@id": naming.iri("facet", "content", key),
        "@type": "observable:ContentDataFacet",
        "observable:hash": naming.hashes(digests, "file", key),
        "observable:mimeType": text(examined.mime) if examined and examined.mime else None,
        "observable:sizeInBytes": size,
    }
    return without_none(
        {
            "@id": naming.iri("file", key),
            "@type": "observable:File",
            "core:hasFacet": [without_none(file), without_none(content)],
            "core:name": text(place.name),
            "core:objectMarking": list(matter.markings),
            "forensics:content": record.content,
            "forensics:location": text(record.location),
        }
    )


def _within(naming: Naming, location: str, place: Location) -> Node:
    return _relation(naming, ("within", location), "Contained_Within", ("file", location), ("image", place.exhibit))


def _relation(naming: Naming, key: tuple[str, ...], kind: str, source: tuple[str, ...], target: tuple[str, ...]) -> Node:
    return {
        "@id": naming.iri("relation", *key),
        "@type": "core:Relationship",
        "core:isDirectional": boolean(True),
        "core:kindOfRelationship": kind,
        "core:source": naming.ref(*source),
        "core:target": naming.ref(*target),
    }


def _picture(naming: Naming, record: Record) -> Iterator[Node]:
    """What the tags of a picture say, as more facets of its file."""
    data = record.finding.data
    entries = [
        {
            "@id": naming.iri("entry", record.id, tag),
            "@type": "types:ControlledDictionaryEntry",
            "types:key": tag,
            "types:value": text(str(data[field])),
        }
        for field, tag in _EXIF.items()
        if data.get(field) not in (None, "")
    ]
    facets: list[Node] = []
    if entries:
        dictionary = {"@id": naming.iri("dictionary", record.id), "@type": "types:ControlledDictionary", "types:entry": entries}
        facets.append({"@id": naming.iri("facet", "exif", record.id), "@type": "observable:EXIFFacet", "observable:exifData": dictionary})
    width, height, kind = data.get("width"), data.get("height"), data.get("format")
    if isinstance(width, int) and isinstance(height, int):
        facets.append(
            without_none(
                {
                    "@id": naming.iri("facet", "raster", record.id),
                    "@type": "observable:RasterPictureFacet",
                    "observable:pictureHeight": integer(height),
                    "observable:pictureType": text(kind) if isinstance(kind, str) else None,
                    "observable:pictureWidth": integer(width),
                }
            )
        )
    if facets:
        yield {"@id": naming.iri("file", record.location), "core:hasFacet": facets}


# --- findings ---------------------------------------------------------------------------------------------------------------


def _result(naming: Naming, record: Record, place: Location, matter: Matter) -> Node:
    finding = record.finding
    analysis = matter.examinations.get(place.exhibit)
    classes = [finding.kind]
    if isinstance(rule := finding.data.get("rule"), str) and finding.kind == "rule-match":
        classes.append(rule)
    located = coordinates(record) is not None
    return without_none(
        {
            "@id": naming.iri("finding", record.id),
            "@type": "analysis:AnalyticResult",
            # written from here, so that an examination of millions of findings need not be one line
            "@reverse": {"action:result": {"@id": analysis}} if analysis else None,
            "analysis:originatingAnalysis": {"@id": analysis} if analysis else None,
            "analysis:resultContent": naming.ref("location", record.id) if located else None,
            "core:description": text(finding.summary),
            "core:hasFacet": [
                {
                    "@id": naming.iri("facet", "classification", record.id),
                    "@type": "analysis:ArtifactClassificationResultFacet",
                    "analysis:classification": {
                        "@id": naming.iri("classification", record.id),
                        "@type": "analysis:ArtifactClassification",
                        "analysis:class": [text(each) for each in classes],
                    },
                },
                _detail(naming, record),
            ],
            "core:name": text(finding.kind),
            "core:objectMarking": list(matter.markings),
        }
    )


def _detail(naming: Naming, record: Record) -> Node:
    finding = record.finding
    kinds = ["forensics:FindingFacet"]
    if _KIND.fullmatch(finding.kind):
        kinds.append(f"forensics:{''.join(part.capitalize() for part in finding.kind.split('-'))}Facet")
    fields: dict[str, object] = {}
    others: dict[str, Value] = {}
    for name, value in finding.data.items():
        if _FIELD.fullmatch(name):
            fields[f"found:{name}"] = _value(value)
        else:  # a name out of the evidence cannot be part of an identifier
            others[name] = value
    return without_none(
        {
            "@id": naming.iri("facet", "finding", record.id),
            "@type": ["core:Facet", *kinds],
            # no relationship, whose other end would have to be in this graph
            "forensics:derivedFrom": [naming.ref("finding", other) for other in finding.derived_from],
            "forensics:category": text(finding.category) if finding.category else None,
            "forensics:kind": text(finding.kind),
            "forensics:level": finding.level,
            "forensics:locator": text(str(finding.locator)) if finding.locator else None,
            "forensics:otherData": text(canonical(others).decode()) if others else None,
            "forensics:plugin": text(record.plugin),
            "forensics:pluginSha256": {"@type": "xsd:hexBinary", "@value": record.plugin_digest.upper()} if record.plugin_digest else None,
            "forensics:pluginVersion": text(record.plugin_version),
            "forensics:when": said(finding.when) if finding.when else None,
            **fields,
        }
    )


def _value(value: Value) -> object:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool):
        return boolean(value)
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return {"@type": "xsd:double", "@value": repr(value)}
    return None if value is None else text(canonical(value).decode())


# --- places -----------------------------------------------------------------------------------------------------------------


def _place(naming: Naming, record: Record, where: tuple[float, float, float | None]) -> Iterator[Node]:
    latitude, longitude, altitude = where
    yield {
        "@id": naming.iri("location", record.id),
        "@type": "location:Location",
        "core:description": "Where the tags of the picture say that it was taken.",
        "core:hasFacet": [
            without_none(
                {
                    "@id": naming.iri("facet", "coordinates", record.id),
                    "@type": "location:LatLongCoordinatesFacet",
                    "location:altitude": decimal(altitude) if altitude is not None else None,
                    "location:latitude": decimal(latitude),
                    "location:longitude": decimal(longitude),
                }
            )
        ],
    }
    yield _relation(naming, (record.id, "place"), "Located_At", ("file", record.location), ("location", record.id))
