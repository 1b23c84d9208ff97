"""Whether what was sealed, sent and received still lies in the case as the custody log vouches for it."""

from collections.abc import Iterator
from typing import Any

from forensics import custody
from forensics.case import Case
from forensics.digest import sha256_file
from forensics.errors import CaseError, NotDisclosable
from forensics.exchange import receive, seal

_RECORDS = "records"


def problems(case: Case) -> Iterator[str]:
    """What is missing, changed or not vouched for among sealed records, packages that left and packages that came.

    Nothing is told twice: of a seal whose signed list was changed, the records are not compared; and a line of the log that cannot be read
    is named by the verification of the log.
    """
    sent: dict[str, object] = {}  # an approval that was interrupted is logged again: the last one counts
    for line in custody.legible(case.folder):
        body = line.body
        if body is None:
            continue
        if line.event == "sealed_records" and isinstance(name := body.get("seal"), str):
            yield from _sealed(case, name)
        elif line.event == "disclosed" and isinstance(package := body.get("package"), str):
            sent[package] = body.get("package_sha256")
        elif line.event == "received" and isinstance(came := body.get("package"), dict):
            yield from _received(case, line, came)
    for package, stated in sent.items():
        yield from _sent(case, package, stated)


def _sealed(case: Case, name: str) -> Iterator[str]:
    try:
        held = seal.open_seal(case, name, custody.legible(case.folder))
        digests = held.digests()
    except NotDisclosable:
        yield f"seals/{name}: is missing, though the log says that it was made; restore it from a copy, or seal again"
        return
    except CaseError as error:
        yield str(error)
        return
    folder = held.folder / _RECORDS
    for record, digest in digests.items():
        path = folder / f"{record}.json"
        if not path.is_file():
            yield f"seals/{name}/{_RECORDS}/{path.name}: is missing; restore it from a copy, or seal again"
        elif sha256_file(path) != digest:
            yield f"seals/{name}/{_RECORDS}/{path.name}: was changed since it was sealed; restore it from a copy, or seal again"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.removesuffix(".json") not in digests:
            yield f"seals/{name}/{_RECORDS}/{path.name}: is not under the seal"


def _received(case: Case, line: custody.CustodyLine, stated: dict[str, Any]) -> Iterator[str]:
    try:
        came = receive.of(line, stated)
    except CaseError as error:
        yield str(error)
    else:
        yield from receive.problems(case, came)


def _sent(case: Case, package: str, stated: object) -> Iterator[str]:
    """A package may be taken away once it was sent; what lies there must be what was sent."""
    path = case.packages / package
    if path.parent == case.packages and path.is_file() and sha256_file(path) != stated:
        yield f"packages/{package}: was changed since it was encrypted: it does not have the SHA-256 that was logged"
