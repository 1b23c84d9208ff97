"""That everything in a draft's bag is what the tool puts there, made anew from the case and its seal.

Files are compared by the digests that the author signed: what is packed later has the same ones, whatever happens to the folder meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from forensics import custody
from forensics.case import Case
from forensics.digest import sha256, sha256_file
from forensics.errors import PackageInvalid
from forensics.exchange import contents, custody_part, disclosure, sealed, signed_page
from forensics.exchange.disclosure import Disclosure
from forensics.exchange.draft import Draft
from forensics.exchange.plan import sealed_reader
from forensics.exchange.seal import SEAL, SIGNATURE, STAMP, Seal
from forensics.signing.cms import Part


def check(
    case: Case, root: Path, digests: Mapping[str, str], seal: Seal, said: Disclosure, protected: Iterable[str], made: Draft, author: Part
) -> None:
    """Compare each file of the bag in `root`. `digests` (SHA-256 by name) are those of its signed manifest, `said` is its disclosure.

    Raises PackageInvalid that names the file, CaseError where the seal was damaged.
    """
    data = root / "data"
    log = (data / custody.LOG).read_bytes()
    if (
        digests.get(f"data/{SEAL}") != seal.digest
        or digests.get(f"data/{custody.LOG}") != sha256(log)
        or not (case.folder / custody.LOG).read_bytes().startswith(log)
        or custody.head(data) != (said.custody.seq, said.custody.head)
    ):
        raise PackageInvalid(f"{data}: its seal or its custody log is not the case's; delete the draft and disclose again")
    known = sealed_reader(seal, [entry for entry in seal.entries() if entry.type == "case"])
    expected = dict(_copies(case, seal, said, known, list(protected)))
    expected["data/disclosure.json"] = sha256(disclosure.encode(said))
    expected[f"data/{custody.LOG}"] = digests[f"data/{custody.LOG}"]
    for name, page in contents.pages(data, said, languages=made.languages, tool=made.tool, known=known).items():
        path = f"data/{name}"
        signed = path.endswith(".pdf") and path in digests
        content = (root / path).read_bytes() if signed else page
        if signed and not signed_page.is_signed(content, page, author.certificate, author.signed_at):
            raise _foreign(root / path)
        expected[path] = sha256(content)
    for path in sorted(digests.keys() | expected.keys()):
        if path not in expected and path.startswith(f"data/{custody_part.CHECKPOINTS}/"):
            beside = case.folder / Path(path).relative_to("data")
            if beside.is_file() and sha256_file(beside) == digests[path]:
                continue
        if path not in digests:
            raise PackageInvalid(f"{root / path}: is not there, though the disclosed records give it; delete the draft and disclose again")
        if digests[path] != expected.get(path):
            raise _foreign(root / path)


def _copies(
    case: Case, seal: Seal, said: Disclosure, known: Callable[[str], sealed.SealedRecord], protected: list[str]
) -> Iterator[tuple[str, str]]:
    """Name in the bag and SHA-256 of what is copied there from the seal and from the custody log's bodies."""
    for name in (SEAL, SIGNATURE, STAMP):
        if (seal.folder / name).exists():
            yield f"data/{name}", sha256_file(seal.folder / name)
    digests = seal.digests()
    exhibits: set[str] = set()
    small: set[str] = set()
    for name in said.records:
        record = known(name)
        yield f"data/records/{name}.json", digests[name]
        if isinstance(record, sealed.ExhibitRecord):
            exhibits.add(record.exhibit.exhibit_id)
            if record.medium is None or record.medium.sha256 is None:
                small.add(record.exhibit.exhibit_id)
    for line, leaves in custody_part.lines(case.folder, exhibits, small, protected):
        if leaves and line.seq <= said.custody.seq:
            yield f"data/{custody.BODIES}/{line.body_sha256}.json", line.body_sha256


def _foreign(path: Path) -> PackageInvalid:
    return PackageInvalid(f"{path}: is not what the disclosed records give; delete the draft and disclose again")
