"""The receiving officer's page by hand, with age, openssl and sha256sum, on packages that it must take and that it must refuse."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from packages import Holder, Made, World, build, crl, key_file, officer, root

ROOT = Path(__file__).parents[2]
WORLD = World()


def by_hand(made: Made, folder: Path, *, listed: bytes | None = None, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of the page's commands, each of which must succeed, over this package."""
    made.encrypted(folder / "PACKAGE.tar.age")
    key_file(WORLD, folder / "my.agekey")
    (folder / "sender-root.pem").write_bytes(WORLD.root.pem)
    (folder / "sender.crl").write_bytes(crl(WORLD.root) if listed is None else listed)
    text = (ROOT / "docs" / "receiving.md").read_text(encoding="utf-8")
    fingerprint, _, decrypt, pinned, signed, seal, count, chain, _ = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    script = "".join((fingerprint, decrypt, f"cd {made.id}\n", pinned, signed, "cd data\n", seal, count, chain))
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_good_package_passes_and_its_signers_are_named(tmp_path: Path) -> None:
    made = build(WORLD)
    code, said = by_hand(made, tmp_path)
    assert code == 0, said
    subjects = [line for line in said.splitlines() if line.startswith("subject")]
    assert [line.rpartition("CN = ")[2] for line in subjects] == ["Approver", "Author", "Examiner"]
    assert said.splitlines()[-1] == f"chain holds, head {made.disclosure['custody']['head']}"


@pytest.mark.parametrize("signers", [(WORLD.author,), (WORLD.author, officer(WORLD.root, "Author"))], ids=["once", "with-two-certificates"])
def test_one_officer_alone_is_refused(tmp_path: Path, signers: tuple[Holder, ...]) -> None:
    code, said = by_hand(build(WORLD).finish(*signers), tmp_path)
    assert (code, said.splitlines()[-1]) == (1, "REFUSED: not signed by two officers")


def test_an_authority_that_the_machine_trusts_for_other_things_is_not_the_partners_root(tmp_path: Path) -> None:
    public = root("US")
    (tmp_path / "store").mkdir()
    (tmp_path / "public.pem").write_bytes(public.pem)
    named = subprocess.run(
        ["openssl", "x509", "-noout", "-subject_hash", "-in", tmp_path / "public.pem"], capture_output=True, text=True, check=True
    )
    (tmp_path / "store" / f"{named.stdout.strip()}.0").write_bytes(public.pem)
    # its list of revoked certificates too, so that it is the pinned root alone that refuses
    (tmp_path / "store" / f"{named.stdout.strip()}.r0").write_bytes(
        subprocess.run(["openssl", "crl", "-inform", "DER"], input=crl(public), capture_output=True, check=True).stdout
    )
    made = build(WORLD).finish(officer(public, "Author"), officer(public, "Approver"))
    code, said = by_hand(made, tmp_path, environment={"SSL_CERT_DIR": str(tmp_path / "store")})
    assert code != 0
    assert "unable to get local issuer certificate" in said


def test_a_revoked_signer_is_refused(tmp_path: Path) -> None:
    code, said = by_hand(build(WORLD), tmp_path, listed=crl(WORLD.root, [WORLD.approver]))
    assert code != 0
    assert "certificate revoked" in said
