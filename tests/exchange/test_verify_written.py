"""Packages that the tool itself writes verify, are received and acknowledged, and are refused once anything in them was changed."""

import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parent))
import packages
from packages import identity_of, officer, root, sha256
from parties import Office, record

from forensics.case import create
from forensics.exchange import receipt, receive
from forensics.exchange.verify import verify, verify_folder
from forensics.model import CaseInfo
from forensics.signing import Root, Trust

VIET_NAM = root("VN")


def trusted(office: Office) -> Trust:
    der = office.state.root.public_bytes(Encoding.DER)
    return Trust((Root("ID", sha256(der), der), Root("VN", VIET_NAM.fingerprint, VIET_NAM.der)))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path, [record(number) for number in range(6)])
    made.seal()
    return made


@pytest.mark.parametrize("given", [1, 3, 6])
def test_a_written_package_verifies_whatever_part_is_given(office: Office, tmp_path: Path, given: int) -> None:
    package = office.send(office.plan(records=office.records[:given]))
    receiver = identity_of(officer(VIET_NAM, "Receiver", "VN"), office.partner)
    found = verify(package, tmp_path, identity=receiver, trust=trusted(office), at=datetime.now(UTC))
    assert found.refusal is None
    assert list(found.types.values()).count("finding") == given
    assert {each.name for each in found.signers} == {"Sari", "Wayan"}


def test_a_written_package_is_received_acknowledged_and_the_receipt_is_taken(office: Office, tmp_path: Path) -> None:
    package = office.send(office.plan(records=office.records[:2]))
    receiver = identity_of(officer(VIET_NAM, "Receiver", "VN"), office.partner)
    case = create(tmp_path / "theirs", CaseInfo(case_id="VN-1"), by="Receiver")
    now = datetime.now(UTC)
    found = receive.receive(case, package, identity=receiver, trust=trusted(office), at=now)
    assert len(list(receive.records(case, found))) == len(found.disclosure.records)
    path = receipt.write(case, found.name, receiver, at=now)
    taken = receipt.check(office.case, path, trust=trusted(office), at=now, by="Sari")
    assert receipt.heads_from_receipts(office.case, trusted(office)) == {taken.custody.seq: taken.custody.head}


def test_a_written_package_is_refused_once_a_byte_was_changed(office: Office, tmp_path: Path) -> None:
    folder = office.opened(office.send(office.plan(records=office.records[:3])), tmp_path / "opened")
    at, rng = datetime.now(UTC), random.Random(1)
    assert verify_folder(folder, folder.name, trust=trusted(office), at=at).good
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        place = rng.randrange(len(data))
        path.write_bytes(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :])
        assert not verify_folder(folder, folder.name, trust=trusted(office), at=at).good, f"{path.name}, byte {place}"
        path.write_bytes(data)


def test_the_tests_own_packages_have_the_files_of_written_ones(office: Office, tmp_path: Path) -> None:
    folder = office.opened(office.send(office.plan()), tmp_path / "opened")
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    ours = set(packages.build(packages.World()).files)
    fixed = {name for name in ours if not name.startswith(("data/records/", "data/custody/"))}
    assert fixed - written <= {"data/report.pdf", "data/case.jsonld"}
    assert {name for name in written if not name.startswith(("data/records/", "data/custody/"))} <= fixed
