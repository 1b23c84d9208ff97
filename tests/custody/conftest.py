"""A log, the officers who sign it, and the authority that vouches for them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from forensics import custody
from forensics.signing import Identity, Root, Trust, authority, certificates, identity, open_identity

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
PASSPHRASE = b"correct horse battery"


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Thailand's authority."""
    folder = tmp_path_factory.mktemp("authority") / "th"
    authority.new(folder, PASSPHRASE, name="Test Root", country="TH", organisation="Test", at=AT - timedelta(days=30))
    return folder


@pytest.fixture(scope="session")
def trust(root: Path) -> Trust:
    der = certificates.from_file((root / "root.pem").read_bytes(), "root.pem")[0]
    return Trust((Root("TH", certificates.fingerprint(der), der),))


@pytest.fixture(scope="session")
def officer(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Identity]:
    """Makes an officer with a certificate of the authority."""

    def made(name: str) -> Identity:
        folder = tmp_path_factory.mktemp("identity") / "own"
        identity.new(folder, PASSPHRASE, name=name, country="TH", organisation="Test")
        given = authority.issue(root, PASSPHRASE, (folder / "request.pem").read_bytes(), at=AT - timedelta(days=1))
        identity.install(folder, PASSPHRASE, given)
        return open_identity(folder, PASSPHRASE)

    return made


@pytest.fixture(scope="session")
def giver(officer: Callable[[str], Identity]) -> Identity:
    return officer("Somchai")


@pytest.fixture(scope="session")
def receiver(officer: Callable[[str], Identity]) -> Identity:
    return officer("Dara")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three lines."""
    folder = tmp_path / "log"
    folder.mkdir()
    custody.append(folder, "created", object="A-1", body={}, at=AT)
    for number in (1, 2):
        custody.append(folder, "verified", object=f"2026-{number}", body={"number": number}, at=AT + timedelta(minutes=number))
    return folder
