"""What is encrypted is named with its protectors, opened with the right key, and never opened or betrayed by another."""

import base64
import hashlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import bitlocker_made
from commands import tool

from forensics.errors import Corrupt, LimitExceeded, UsageError
from forensics.evidence import limits, luks
from forensics.evidence.keys import Key, Keys, parse
from forensics.evidence.layers import Opened, open_exhibit
from forensics.evidence.raw import RawImage
from forensics.location import Location
from forensics.model import Entry

MIB = 1 << 20
PASSWORD = "correct horse: battery=staple"


def keys(*texts: str) -> Keys:
    return Keys(tuple(map(parse, texts)))


def shape(opened: Opened) -> list[tuple[str, bool]]:
    return [(layer.location, layer.examined) for layer in opened.layers]


# --- keys ---------------------------------------------------------------------------------------------------------------------


def test_a_key_is_for_the_layers_that_its_pattern_fits() -> None:
    key = parse("2026-1:volume@1048576:bitlocker=password:a=b:c")
    assert (key.layer, key.kind, key.secret) == ("2026-1:volume@1048576:bitlocker", "password", b"a=b:c")
    assert key.fits("2026-1:volume@1048576:bitlocker:")
    assert not key.fits("2026-2:volume@1048576:bitlocker:")
    assert parse("*luks*=password:x").fits("1:volume@512:luks2:")
    assert parse("luks1=password:x").fits("7:luks1:")
    assert not parse("luks1=password:x").fits("7:luks1:volume@512:luks2:")
    assert parse("password:x").fits("anything:at:all:")


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\x00\xfe secret")
    for text in ("*=password:hunter2", "recovery:111111-222222", f"file:{tmp_path / 'key'}"):
        key = parse(text)
        for secret in ("hunter2", "111111", "secret"):
            assert secret not in repr(key)
            assert secret not in repr(Keys((key,)))
    assert parse(f"file:{tmp_path / 'key'}").secret == b"\x00\xfe secret"
    with pytest.raises(UsageError) as caught:
        parse("*=pasword:hunter2")
    assert "hunter2" not in str(caught.value)


def test_keys_survive_their_way_into_a_child() -> None:
    given = Keys((Key("*", "file", bytes(range(256))),))
    assert msgspec.json.decode(msgspec.json.encode(given), type=Keys) == given


def test_a_key_file_that_is_empty_missing_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with open(tmp_path / "large", "wb") as file:
        file.truncate((8 << 20) + 1)
    for name in ("empty", "large", "nowhere"):
        with pytest.raises(UsageError, match=name):
            parse(f"file:{tmp_path / name}")


# --- LUKS ---------------------------------------------------------------------------------------------------------------------


def test_the_sample_luks_volume_opens_with_the_password_of_the_manifest(evidence: Path) -> None:
    image = evidence / "images/luks1.E01"
    locked = open_exhibit("1", image)
    assert shape(locked) == [("1:luks1:", False)]
    assert [(fault.kind, fault.message) for fault in locked.faults] == [("locked", "not examined: encrypted; no key was given for it")]
    assert "1 passphrase" in (locked.layers[0].description or "")
    wrong = open_exhibit("1", image, keys=keys("password:not this one"))
    assert [fault.message for fault in wrong.faults] == ["not examined: encrypted; the key given does not open it"]
    opened = open_exhibit("1", image, keys=keys("*luks1=password:luksde-TEST"))
    assert shape(opened) == [("1:luks1:", True), ("1:luks1:ext2:", True)]
    (system,) = opened.file_systems
    content = {}
    for item in system.walk():
        assert isinstance(item, Entry)
        content[Location.parse(item.location).path] = item
    # the same files as in every sample volume of this set
    passwords = system.open(Location.parse(content["/passwords.txt"].location))
    assert passwords.size == 116
    assert passwords.read(0, 116).startswith(b"place,user,password")
    assert "luksde-TEST" not in repr(opened)


@pytest.fixture(scope="module")
def luks1(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A LUKS1 volume that qemu-img made, and the bytes that it encrypted."""
    folder = tmp_path_factory.mktemp("luks1")
    clear = random.Random(5).randbytes(2 * MIB) + bytes(MIB)
    (folder / "clear.raw").write_bytes(clear)
    (folder / "secret").write_text(PASSWORD)
    options = ["--object", f"secret,id=s,file={folder / 'secret'}", "-o", "key-secret=s,iter-time=100"]
    tool("qemu-img", "convert", "-O", "luks", *options, folder / "clear.raw", folder / "volume.luks")
    return folder / "volume.luks", clear


def payload(path: Path) -> bytes:
    """The encrypted bytes of a LUKS1 volume: after the sectors that its header counts (specification, figure 1)."""
    raw = path.read_bytes()
    return raw[int.from_bytes(raw[104:108], "big") * 512 :]


def test_a_luks1_volume_of_qemu_decrypts_to_what_was_encrypted(luks1: tuple[Path, bytes]) -> None:
    path, clear = luks1
    image = RawImage([path])
    volume = luks.read_header(image, "volume")
    found = luks.unlock(image, "volume", volume, (parse(f"password:{PASSWORD}"),))
    assert found is not None
    assert (found[1], found[0].size) == ("password", len(clear))
    assert found[0].read(0, len(clear)) == clear
    assert found[0].read(1000, 3000) == clear[1000:4000]
    assert found[0].read(len(clear) - 5, 100) == clear[-5:]
    assert luks.unlock(image, "volume", volume, (parse("password:x"), parse(f"recovery:{PASSWORD}"))) is None


@pytest.mark.parametrize("derivation", ["argon2id", "argon2i", "pbkdf2"])
def test_a_luks2_header_of_cryptsetup_opens_what_qemu_encrypted(tmp_path: Path, luks1: tuple[Path, bytes], derivation: str) -> None:
    # cryptsetup decrypts through the kernel, which a test cannot ask for: so its header, over the volume's key and the bytes of qemu-img
    path, clear = luks1
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "key-file").write_bytes(bytes(range(256)))
    dump = ["luksDump", "-q", "--dump-master-key", "--master-key-file", tmp_path / "key", "--key-file", tmp_path / "password", path]
    tool("cryptsetup", *dump)
    volume = tmp_path / "volume.luks"
    with open(volume, "wb") as file:
        file.truncate(16 * MIB)
    cost = ["--pbkdf-force-iterations", "1000" if derivation == "pbkdf2" else "4"]
    memory = [] if derivation == "pbkdf2" else ["--pbkdf-memory", "1024"]
    format = ["luksFormat", "-q", "--type", "luks2", "--pbkdf", derivation, *cost, *memory, "--label", "a label", "--offset", "32768"]
    cipher = ["--sector-size", "512", "--cipher", "aes-xts-plain64", "--key-file", tmp_path / "password"]
    tool("cryptsetup", *format, *cipher, "--master-key-file", tmp_path / "key", volume)
    add = ["luksAddKey", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", tmp_path / "password"]
    tool("cryptsetup", *add, volume, tmp_path / "key-file")
    with open(volume, "ab") as file:
        file.write(payload(path))
    image = RawImage([volume])
    header = luks.read_header(image, "volume")
    assert (header.version, header.label) == (2, "a label")
    assert f"2 passphrase or key file slots ({derivation}, pbkdf2)" in header.description
    for text in (f"password:{PASSWORD}", f"file:{tmp_path / 'key-file'}"):
        found = luks.unlock(image, "volume", header, (parse("password:wrong"), parse(text)))
        assert found is not None
        assert found[0].read(0, len(clear)) == clear
    assert luks.unlock(image, "volume", header, (parse("password:wrong"),)) is None
    # the first header is destroyed: the second one is read
    raw = bytearray(volume.read_bytes())
    raw[100:5000] = bytes(4900)
    volume.write_bytes(raw)
    again = luks.read_header(RawImage([volume]), "volume")
    assert again.header == header.header
    raw[0x4000 + 5000] ^= 1
    volume.write_bytes(raw)
    with pytest.raises(Corrupt, match="checksum"):
        luks.read_header(RawImage([volume]), "volume")


def test_a_header_that_asks_for_endless_work_is_refused(luks1: tuple[Path, bytes], tmp_path: Path) -> None:
    raw = bytearray(luks1[0].read_bytes()[: 3 * MIB])
    raw[212:216] = (0xFFFFFFFF).to_bytes(4, "big")
    (tmp_path / "volume.luks").write_bytes(raw)
    image = RawImage([tmp_path / "volume.luks"])
    header = luks.read_header(image, "volume")
    with pytest.raises(LimitExceeded, match="iterations"):
        luks.unlock(image, "volume", header, (parse("password:x"),))
    opened = open_exhibit("1", tmp_path / "volume.luks", keys=keys("password:x"))
    assert [(fault.kind, "iterations" in fault.message) for fault in opened.faults] == [("locked", True)]
    assert limits.KDF_ITERATIONS < 0xFFFFFFFF


def test_a_luks_header_of_noise_is_locked_and_nothing_else(tmp_path: Path) -> None:
    for seed in range(20):
        noise = random.Random(seed).randbytes(MIB)
        for magic in (luks.MAGIC_V1, luks.MAGIC_V2):
            (tmp_path / "volume.luks").write_bytes(magic + noise)
            opened = open_exhibit("1", tmp_path / "volume.luks", keys=keys("password:x"))
            assert [fault.kind for fault in opened.faults] == ["locked"]


def luks2(path: Path, hash_name: bytes = b"sha256", **altered: Any) -> Path:
    """A LUKS2 header whose checksum holds (on-disk format 1.1, 2.1 and 3), and a key slot of two stripes that no passphrase fits.

    `altered` are values of the key slot's area, splitter, kdf, of the digest and of the segment, as AREA_KEY=VALUE.
    """
    salt, cipher = base64.b64encode(bytes(32)).decode(), "aes-xts-plain64"
    parts: dict[str, dict[str, Any]] = {
        "area": {"type": "raw", "offset": "32768", "size": "512", "encryption": cipher, "key_size": 64},
        "af": {"type": "luks1", "stripes": 2, "hash": "sha256"},
        "kdf": {"type": "pbkdf2", "salt": salt, "hash": "sha256", "iterations": 10},
        "digest": {
            "type": "pbkdf2",
            "keyslots": ["0"],
            "segments": ["0"],
            "salt": salt,
            "digest": salt,
            "hash": "sha256",
            "iterations": 10,
        },
        "segment": {"type": "crypt", "offset": "65536", "size": "dynamic", "iv_tweak": "0", "encryption": cipher, "sector_size": 512},
    }
    for name, value in altered.items():
        part, _, key = name.partition("_")
        parts[part][key] = value
    slot = {"type": "luks2", "key_size": 64, "area": parts["area"], "af": parts["af"], "kdf": parts["kdf"]}
    facts = {"keyslots": {"0": slot}, "segments": {"0": parts["segment"]}, "digests": {"0": parts["digest"]}, "tokens": {}}
    text = json.dumps(facts, ensure_ascii=False).encode("latin-1")
    size = 4096 + (-(-len(text) // 4096) + 1) * 4096
    head = bytearray(max(size, 0x4000))
    head[:16] = luks.MAGIC_V2 + len(head).to_bytes(8, "big")
    head[72 : 72 + len(hash_name)] = hash_name
    head[4096 : 4096 + len(text)] = text
    head[448:480] = hashlib.sha256(head).digest()
    path.write_bytes(head.ljust(MIB, b"\0"))
    return path


def test_a_made_luks2_header_is_read_and_no_passphrase_fits_it(tmp_path: Path) -> None:
    image = RawImage([luks2(tmp_path / "volume.luks")])
    header = luks.read_header(image, "volume")
    assert header.description == "LUKS version 2, aes-xts-plain64; protectors: 1 passphrase or key file slots (pbkdf2)"
    assert luks.unlock(image, "volume", header, (parse("password:x"),)) is None


@pytest.mark.parametrize(
    ("altered", "message"),
    [
        ({"area_key_size": 33}, "encrypted with a key of 33"),
        ({"area_key_size": 2, "kdf_type": "argon2id", "kdf_time": 1, "kdf_memory": 64, "kdf_cpus": 1}, "encrypted with a key of 2"),
        ({"area_key_size": 64, "area_encryption": "aes-cbc-plain64"}, "encrypted with a key of 64"),
        ({"af_hash": "shake_256"}, "'shake_256'"),
        ({"kdf_hash": "shake_128"}, "'shake_128'"),
        ({"digest_hash": "shake_128"}, "'shake_128'"),
        ({"digest_digest": base64.b64encode(bytes(65)).decode()}, "the digest of the key has 65 bytes"),
        ({"kdf_salt": "\xff"}, "cannot be read: 'utf-8' codec"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_header_of_sizes_and_hashes_that_cannot_be_is_locked_and_says_so(tmp_path: Path, altered: dict[str, Any], message: str) -> None:
    opened = open_exhibit("1", luks2(tmp_path / "volume.luks", **altered), keys=keys("password:x"))
    ((kind, said),) = [(fault.kind, fault.message) for fault in opened.faults]
    assert (kind, message in said) == ("locked", True), said


def test_a_header_whose_checksum_is_of_a_hash_without_a_length_is_locked(tmp_path: Path) -> None:
    opened = open_exhibit("1", luks2(tmp_path / "volume.luks", b"shake_128"))
    assert [(fault.kind, "checksum" in fault.message) for fault in opened.faults] == [("locked", True)]


# --- BitLocker ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bitlocker(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """An NTFS volume in BitLocker, and its bytes in the clear. `bitlocker_made` says how."""
    folder = tmp_path_factory.mktemp("bitlocker")
    with open(folder / "clear.raw", "wb") as file:
        file.truncate(8 * MIB)
    tool("mkfs.ntfs", "-q", "-F", "-f", "-L", "inner", folder / "clear.raw")
    clear = (folder / "clear.raw").read_bytes()
    return bitlocker_made.make(folder, clear), clear


@pytest.mark.parametrize("kind", ["password", "recovery", "file"])
def test_a_bitlocker_volume_opens_with_each_of_its_protectors(bitlocker: tuple[Path, bytes], kind: str) -> None:
    path, clear = bitlocker
    secret = {"password": bitlocker_made.PASSWORD, "recovery": bitlocker_made.RECOVERY, "file": str(path.parent / "startup.bek")}[kind]
    opened = open_exhibit("1", path, keys=keys(f"{kind}:{secret}"))
    assert shape(opened) == [("1:bitlocker:", True), ("1:bitlocker:ntfs:", True)]
    assert (opened.layers[0].description or "").startswith(
        "BitLocker, AES-XTS 128; protectors: password, recovery password, startup key; opened with the "
    )
    assert opened.layers[1].label == "inner"
    assert any(isinstance(item, Entry) and item.location.startswith("1:bitlocker:ntfs:/$MFT;") for item in opened.file_systems[0].walk())
    assert opened.file_systems[0].open(Location.parse("1:bitlocker:ntfs:/$Boot;meta=7-128-1")).read(0, 512) == clear[:512]


def test_a_bitlocker_volume_stays_locked_without_its_key(bitlocker: tuple[Path, bytes], tmp_path: Path) -> None:
    (tmp_path / "other.bek").write_bytes(os.urandom(156))
    wrong = ("password:wrong", "recovery:not of its form", f"recovery:{'-'.join(['111111'] * 8)}", f"file:{tmp_path / 'other.bek'}")
    for given in ((), *((text,) for text in wrong), wrong):
        opened = open_exhibit("1", bitlocker[0], keys=keys(*given))
        assert shape(opened) == [("1:bitlocker:", False)]
        assert [fault.kind for fault in opened.faults] == ["locked"]
        assert "protectors: password, recovery password, startup key" in (opened.layers[0].description or "")


def test_a_bitlocker_to_go_volume_is_not_taken_for_fat(tmp_path: Path) -> None:
    with open(tmp_path / "clear.raw", "wb") as file:
        file.truncate(8 * MIB)
    tool("mkfs.vfat", "-n", "INNER", tmp_path / "clear.raw")
    path = bitlocker_made.make(tmp_path, (tmp_path / "clear.raw").read_bytes(), to_go=True)
    assert shape(open_exhibit("1", path)) == [("1:bitlocker:", False)]
    opened = open_exhibit("1", path, keys=keys(f"password:{bitlocker_made.PASSWORD}"))
    assert [(layer.location, layer.label) for layer in opened.layers] == [("1:bitlocker:", None), ("1:bitlocker:fat12:", "INNER")]


def test_a_key_that_fits_a_volume_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    path = bitlocker_made.make(tmp_path, os.urandom(MIB))
    opened = open_exhibit("1", path, keys=keys(f"password:{bitlocker_made.PASSWORD}"))
    assert "cannot be opened" in opened.faults[0].message
    assert opened.faults[0].kind == "locked"


def test_cryptsetup_takes_the_made_bitlocker_volume_for_one(bitlocker: tuple[Path, bytes]) -> None:
    key = bitlocker[0].parent / "password"
    key.write_text(bitlocker_made.PASSWORD)
    tool("cryptsetup", "open", "--test-passphrase", "--type", "bitlk", "--key-file", key, bitlocker[0])


# --- others -------------------------------------------------------------------------------------------------------------------


def test_a_bitlocker_volume_that_cannot_be_read_is_locked_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "volume.raw").write_bytes(b"\xeb\x58\x90-FVE-FS-".ljust(512, b"\0") + os.urandom(MIB))
    opened = open_exhibit("1", tmp_path / "volume.raw", keys=keys("recovery:111111-111111-111111-111111-111111-111111-111111-111111"))
    assert shape(opened) == [("1:bitlocker:", False)]
    assert [fault.kind for fault in opened.faults] == ["locked"]
    assert "111111" not in repr(opened)
