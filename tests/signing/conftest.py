"""Two small states, with officers, made with the package's own authority; and odd certificates, made with `cryptography` alone."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

os.umask(0o077)
NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
SECRET = b"correct horse battery staple"


@dataclass
class State:
    """A state's authority and how its officers come to their identities."""

    folder: Path
    code: str
    root: bytes

    @property
    def authority(self) -> Path:
        return self.folder / "authority"

    @property
    def root_file(self) -> Path:
        return self.authority / "root.pem"

    def officer_folder(self, name: str) -> Path:
        from forensics.signing import authority, identity

        folder = self.folder / name
        identity.new(folder, SECRET, name=name, country=self.code, organisation="Police")
        pair = authority.issue(self.authority, SECRET, (folder / "request.pem").read_bytes(), at=NOW - timedelta(days=10))
        identity.install(folder, SECRET, pair)
        return folder

    def officer(self, name: str):
        from forensics.signing import open_identity

        folder = self.folder / name
        return open_identity(folder if folder.exists() else self.officer_folder(name), SECRET)

    def trust(self, *crls: bytes):
        from forensics.signing import Root, Trust, certificates

        return Trust((Root(self.code, certificates.fingerprint(self.root), self.root, crls),))


def make_state(folder: Path, code: str) -> State:
    from forensics.signing import authority

    root = authority.new(
        folder / "authority", SECRET, name=f"Root {code}", country=code, organisation="Police", at=NOW - timedelta(days=100)
    )
    return State(folder, code, root)


@pytest.fixture(scope="session")
def thailand(tmp_path_factory: pytest.TempPathFactory) -> State:
    return make_state(tmp_path_factory.mktemp("th"), "TH")


@pytest.fixture(scope="session")
def malaysia(tmp_path_factory: pytest.TempPathFactory) -> State:
    return make_state(tmp_path_factory.mktemp("my"), "MY")


@pytest.fixture(scope="session")
def anan(thailand: State):
    return thailand.officer("Anan")


@pytest.fixture(scope="session")
def busaba(thailand: State):
    return thailand.officer("Busaba")


@pytest.fixture
def openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        pytest.skip("needs the command openssl")
    return found


@pytest.fixture
def age_command() -> str:
    found = shutil.which("age")
    if found is None:
        pytest.skip("needs the command age (Debian package age)")
    return found


@pytest.fixture(scope="session")
def certs():
    """The maker of odd certificates, tests/signing/certs.py."""
    spec = importlib.util.spec_from_file_location("signing_certs", Path(__file__).with_name("certs.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def secret() -> bytes:
    return SECRET
