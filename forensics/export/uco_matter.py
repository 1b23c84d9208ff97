"""The matter in a CASE/UCO graph: case, authority, markings, people, exhibits and their images."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from forensics.export.listing import Listing
from forensics.export.uco_actions import Chain, Event, concerns, tools
from forensics.export.uco_terms import Naming, Node, boolean, integer, said, without_none
from forensics.export.xml_text import text
from forensics.model import CaseInfo, Exhibit, ImageDigest, RunInfo

_DEVICES = {"phone": "MobilePhone", "sim": "SIMCard", "storage": "StorageMedium", "computer": "Computer"}
_IMMATERIAL = ("paper", "cloud export")


class Markings(Struct, frozen=True, kw_only=True):
    """How the graph is to be handled: statements (TLP, classification), the authorities it is released to, terms of use."""

    statements: tuple[str, ...] = ()
    release_to: tuple[str, ...] = ()
    terms_of_use: str | None = None


class Matter(Struct, frozen=True, kw_only=True):
    """The nodes of the matter, and for each exhibit the node of the examination that its findings result from."""

    nodes: tuple[Node, ...]
    markings: tuple[Node, ...]
    exhibits: frozenset[str]
    examinations: dict[str, str]


def matter(
    naming: Naming,
    case: CaseInfo,
    exhibits: Iterable[Exhibit],
    images: Mapping[str, ImageDigest],
    methods: Iterable[RunInfo],
    custody: Iterable[Event],
    markings: Markings,
    inventory: Listing | None,
) -> Matter:
    """All nodes but the findings and their files. Of the custody log only what concerns these exhibits, runs and reports is taken."""
    held, runs = tuple(exhibits), tuple(methods)
    ids = {exhibit.exhibit_id for exhibit in held}
    lines = [line for line in custody if concerns(line, ids, {run.run for run in runs})]
    definitions = list(_definitions(naming, markings))
    marked = tuple({"@id": node["@id"]} for node in definitions)
    nodes: list[Node] = [*definitions, *_identities(naming, case, held, lines)]
    records = [node for exhibit in held for node in _provenance(naming, exhibit, held, images.get(exhibit.exhibit_id), marked)]
    chain = Chain(naming, case)
    actions = [*chain.exhibits(held, images, lines), *chain.examinations(runs, lines, ids), *chain.reports(lines)]
    for exhibit in held:
        nodes += _exhibit(naming, exhibit, images.get(exhibit.exhibit_id), ids)
    for run in runs:
        nodes += tools(naming, run)
    listed = [{"@id": node["@id"]} for node in (*records, *actions) if "@id" in node and "@type" in node]
    if inventory is not None:
        listing = _inventory(naming, inventory)
        nodes.append(listing)
        listed.append({"@id": listing["@id"]})
    investigation = _investigation(naming, case, listed, marked)
    authority = _authorization(naming, case)
    return Matter(
        nodes=(investigation, *((authority,) if authority else ()), *_unique(nodes), *records, *actions),
        markings=marked,
        exhibits=frozenset(ids),
        examinations=chain.examined,
    )


def _unique(nodes: Iterable[Node]) -> Iterator[Node]:
    seen = set()
    for node in nodes:
        if node["@id"] not in seen:
            seen.add(node["@id"])
            yield node


# --- case, authority, markings, people --------------------------------------------------------------------------------------


def _investigation(naming: Naming, case: CaseInfo, objects: list[Node], marked: tuple[Node, ...]) -> Node:
    return without_none(
        {
            "@id": naming.iri("investigation", case.case_id or ""),
            "@type": "investigation:Investigation",
            "core:createdBy": naming.ref("identity", case.agency) if case.agency else None,
            "core:name": text(case.case_id) if case.case_id else None,
            "core:description": [text(question) for question in case.requested_questions],
            "core:object": objects,
            "core:objectMarking": list(marked),
            "forensics:opened": said(case.opened_at) if case.opened_at else None,
            "forensics:phase": text(case.phase) if case.phase else None,
            "investigation:focus": text(case.offence_or_purpose) if case.offence_or_purpose else None,
            "investigation:investigationForm": "case",
            "investigation:relevantAuthorization": naming.ref("authorization", "") if _authorization(naming, case) else None,
        }
    )


def _authorization(naming: Naming, case: CaseInfo) -> Node | None:
    authority = case.authority
    stated = [value for value in (authority.type, authority.id, authority.issuer, authority.scope_text) if value]
    if not stated:
        return None
    return without_none(
        {
            "@id": naming.iri("authorization", ""),
            "@type": "investigation:Authorization",
            "core:description": text(authority.scope_text) if authority.scope_text else None,
            "forensics:expires": said(authority.expires) if authority.expires else None,
            "forensics:issued": said(authority.issued) if authority.issued else None,
            "forensics:issuer": text(authority.issuer) if authority.issuer else None,
            "investigation:authorizationIdentifier": text(authority.id) if authority.id else None,
            "investigation:authorizationType": text(authority.type) if authority.type else None,
        }
    )


def _definitions(naming: Naming, markings: Markings) -> Iterator[Node]:
    models: list[tuple[str, Node]] = [("statement", {"marking:statement": text(each)}) for each in markings.statements]
    if markings.release_to:
        models.append(("release-to", {"marking:authorizedIdentities": [text(each) for each in markings.release_to]}))
    if markings.terms_of_use:
        models.append(("terms-of-use", {"marking:termsOfUse": text(markings.terms_of_use)}))
    classes = {"statement": "StatementMarking", "release-to": "ReleaseToMarking", "terms-of-use": "TermsOfUseMarking"}
    for number, (kind, said_in_it) in enumerate(models):
        yield {
            "@id": naming.iri("marking", str(number)),
            "@type": "marking:MarkingDefinition",
            "marking:definitionType": kind,
            "marking:definition": {
                "@id": naming.iri("marking-model", str(number)),
                "@type": f"marking:{classes[kind]}",
                "marking:definitionType": kind,
                **said_in_it,
            },
        }


def _identities(naming: Naming, case: CaseInfo, exhibits: Iterable[Exhibit], lines: Iterable[Event]) -> Iterator[Node]:
    people = [case.officer_in_charge, case.examiner, *(exhibit.acquired_by for exhibit in exhibits), *(line.by for line in lines)]
    offices = [case.agency, case.laboratory, *(exhibit.make for exhibit in exhibits)]
    for names, kind in ((people, "Identity"), (offices, "Organization")):
        for name in names:
            if name:
                yield naming.identity(name, kind)


# --- exhibits ---------------------------------------------------------------------------------------------------------------


def _exhibit(naming: Naming, exhibit: Exhibit, image: ImageDigest | None, held: set[str]) -> Iterator[Node]:
    """The item, the image made of it, and what it was part of where that is `held`, too."""
    key = exhibit.exhibit_id
    kind = (exhibit.kind or "").casefold()
    device = {
        "@id": naming.iri("facet", "device", key),
        "@type": "observable:DeviceFacet",
        "observable:deviceType": text(exhibit.kind) if exhibit.kind else None,
        "observable:manufacturer": naming.ref("identity", exhibit.make) if exhibit.make else None,
        "observable:model": text(exhibit.model) if exhibit.model else None,
        "observable:serialNumber": text(exhibit.serial) if exhibit.serial else None,
    }
    facets = [without_none(device)] if kind not in _IMMATERIAL else []
    yield without_none(
        {
            "@id": naming.iri("exhibit", key),
            "@type": "observable:ObservableObject" if kind in _IMMATERIAL else f"observable:{_DEVICES.get(kind, 'Device')}",
            "core:name": text(key),
            "core:description": [text(each) for each in (exhibit.description, exhibit.condition_text) if each],
            "core:hasFacet": facets,
        }
    )
    yield _image(naming, exhibit, image)
    if exhibit.parent_exhibit in held and exhibit.parent_exhibit:
        yield {
            "@id": naming.iri("relation", "part", key),
            "@type": "core:Relationship",
            "core:isDirectional": boolean(True),
            "core:kindOfRelationship": "Contained_Within",
            "core:source": naming.ref("exhibit", key),
            "core:target": naming.ref("exhibit", exhibit.parent_exhibit),
        }


def _image(naming: Naming, exhibit: Exhibit, image: ImageDigest | None) -> Node:
    key = exhibit.exhibit_id
    facets: list[Node] = [
        {
            "@id": naming.iri("facet", "image", key),
            "@type": "observable:ImageFacet",
            "observable:imageType": text(image.format if image else exhibit.image_format),
        }
    ]
    if image is not None:
        content = {
            "@id": naming.iri("facet", "medium", key),
            "@type": "observable:ContentDataFacet",
            "observable:hash": naming.hashes({"sha256": image.sha256, "sha1": image.sha1, "md5": image.md5}, "medium", key),
            "observable:sizeInBytes": integer(image.size),
        }
        facets.append(without_none(content))
    return {
        "@id": naming.iri("image", key),
        "@type": "observable:Image",
        "core:description": "The digests are those of the decoded medium.",
        "core:hasFacet": facets,
        "core:name": text(f"image of {key}"),
    }


def _provenance(
    naming: Naming, exhibit: Exhibit, held: Iterable[Exhibit], image: ImageDigest | None, marked: tuple[Node, ...]
) -> Iterator[Node]:
    root = text(_root(exhibit, {each.exhibit_id: each for each in held}))
    for what in ("exhibit", "image"):
        yield without_none(
            {
                "@id": naming.iri("provenance", what, exhibit.exhibit_id),
                "@type": "investigation:ProvenanceRecord",
                "core:description": None if what == "exhibit" else text(f"image of exhibit {exhibit.exhibit_id}"),
                "core:object": [naming.ref(what, exhibit.exhibit_id)],
                "core:objectMarking": list(marked),
                "investigation:exhibitNumber": text(exhibit.exhibit_id) if what == "exhibit" else None,
                "investigation:rootExhibitNumber": root,
            }
        )


def _root(exhibit: Exhibit, held: Mapping[str, Exhibit]) -> str:
    """The number of the item that this one was part of, at the top; what people wrote may run in a circle."""
    seen = {exhibit.exhibit_id}
    name = exhibit.exhibit_id
    while (parent := held[name].parent_exhibit if name in held else None) and parent not in seen:
        seen.add(parent)
        name = parent
    return name


def _inventory(naming: Naming, inventory: Listing) -> Node:
    return {
        "@id": naming.iri("file", "inventory"),
        "@type": "observable:File",
        "core:name": text(inventory.name),
        "core:description": "The inventory of all files examined, as JSON lines: it lies beside this graph.",
        "core:hasFacet": [
            {
                "@id": naming.iri("facet", "file", "inventory"),
                "@type": "observable:FileFacet",
                "observable:fileName": text(inventory.name),
                "observable:sizeInBytes": integer(inventory.size),
            },
            {
                "@id": naming.iri("facet", "content", "inventory"),
                "@type": "observable:ContentDataFacet",
                "observable:hash": naming.hashes({"sha256": inventory.sha256}, "inventory"),
                "observable:sizeInBytes": integer(inventory.size),
            },
        ],
        "forensics:rows": integer(inventory.rows),
    }
