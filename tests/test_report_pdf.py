"""The report as PDF: it says what the page says, is the same wherever it is made, keeps to PDF/A, and can be signed."""

import io
import json
import os
import re
import subprocess
import sys
import tomllib
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pypdf import PdfReader

sys.path.insert(0, str(Path(__file__).parent))
import report_fakes as fakes
from report_fakes import HOSTILE

from forensics import custody
from forensics.cli import cli
from forensics.errors import EngineError, SigningError, UsageError
from forensics.report import Document, Signature, check, pdf, pdf_fonts, pdf_signature, pdf_text, pdf_values, write
from forensics.report.language import catalogue
from forensics.report.render import write_listings
from forensics.signing import identity
from forensics.signing.identity import Identity
from forensics.signing.keys import FileKey
from forensics.signing.stamping import StampingAuthority

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
# The same words in the scripts of South-East Asia: "passport" and "border", as dictionaries give them, and a line that is long
WORDS = {
    "Thai": "หนังสือเดินทาง", "Lao": "ໜັງສືຜ່ານແດນ", "Khmer": "លិខិតឆ្លងដែន", "Burmese": "နိုင်ငံကူးလက်မှတ်",
    "Tamil": "கடவுச்சீட்டு", "Chinese": "护照", "Vietnamese": "hộ chiếu", "Jawi": "ڤاسڤورت", "Bengali": "পাসপোর্ট",
}  # fmt: skip


def made(document: Document, index: fakes.Index, folder: Path, language: str = "en", **given: Any) -> bytes:
    return pdf.render(document, write_listings(index, folder), catalogue(language), **given)


def text_of(content: bytes | Path) -> str:
    """The text as pypdf takes it out, without line ends and spaces, since a long word may go on in the next line."""
    reader = PdfReader(content if isinstance(content, Path) else io.BytesIO(content))
    return re.sub(r"\s", "", "".join(page.extract_text() for page in reader.pages))


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def by_poppler(path: Path) -> str:
    """The text as another program takes it out (poppler)."""
    return subprocess.run(["pdftotext", "-layout", str(path), "-"], check=True, capture_output=True).stdout.decode()


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ordinary")
    write(fakes.document(), fakes.index(), folder, ("report.pdf",))
    return folder / "report.pdf"


# --- what it says -----------------------------------------------------------------------------------------------------------


def test_it_has_the_parts_of_the_page_in_the_same_order(ordinary: Path) -> None:
    titles = [item["/Title"] for item in PdfReader(ordinary).outline if not isinstance(item, list)]
    assert [re.sub(r"^\d+ ", "", title) for title in titles] == [
        *("This report", "Authority and scope", "Exhibits and acquisition", "Information that is missing", "Chain of custody", "Methods"),
        *("Validation of this installation", "Summary", "Findings", "Timeline", "Coverage by plugin", "Not examined", "Faults"),
        *("Limitations", "Files of this report", "Statement of truth and signatures"),
    ]


def test_places_and_digests_can_be_searched_and_copied(ordinary: Path) -> None:
    text = text_of(ordinary)
    for record in fakes.RECORDS:
        assert squeezed(record.location) in text
        assert record.id in text
    for digest in (fakes.HEAD[1], fakes.IMAGES["2026-0417-1"].sha256, *(item.sha256 for item in fakes.IMAGES["2026-0417-1"].segments)):
        assert digest in text


def test_every_page_bears_the_report_and_its_number(ordinary: Path) -> None:
    reader = PdfReader(ordinary)
    identifier = fakes.document().id
    for number, page in enumerate(reader.pages, 1):
        shown = re.sub(r"\s+", " ", page.extract_text())
        assert f"Page {number} of {len(reader.pages)}" in shown
        assert f"Report {identifier}" in shown
    assert f"End of report {identifier}" in re.sub(r"\s+", " ", reader.pages[-1].extract_text())


def test_there_is_room_for_signature_seal_and_certificate(ordinary: Path) -> None:
    last = PdfReader(ordinary).pages[-1].extract_text()
    assert last.count("Seal") == last.count("Place and date") == 3
    assert "This file is not signed electronically." in last
    assert fakes.sha(f"digest of {fakes.RUN.run}") in re.sub(r"\s", "", last)


def test_it_says_what_the_page_says_in_every_language(tmp_path: Path) -> None:
    """Each message of the page but those of the browser stands in the PDF, and none of another language."""
    text = text_of(made(fakes.document(language="id"), fakes.index(), tmp_path, "id"))
    for message in (
        "Digital forensic examination report",
        "Absence is not proof. That nothing was found means that these plugins found nothing in what they read, and no more.",
        "Technical reviewer",
    ):
        assert squeezed(catalogue("id").gettext(message)) in text
        assert squeezed(message) not in text
    assert "4isianwajibbelumdiisi" in text
    assert "MessageinThainamesafeeandacrossing" in text  # evidence and what plugins say stays


def test_it_says_why_an_exhibit_could_not_be_measured(tmp_path: Path) -> None:
    index = fakes.index()
    index._images, index._checks = {}, {}
    index._unmeasured = {"before": {"2026-0417-1": "measure: killed by SIGSEGV"}}
    text = text_of(made(fakes.document(of=index), index, tmp_path))
    assert squeezed("not taken: the exhibit could not be measured: measure: killed by SIGSEGV") in text
    assert squeezed("not taken: this exhibit was not examined in a complete run") in text


def test_plural_forms_go_by_the_language(tmp_path: Path) -> None:
    held = json.loads(pdf_values.data(fakes.document(), (), catalogue("en")))
    found = held["plurals"]["%(n)s fault occurred."]
    forms = [found["forms"][found["index"][number]] for number in (0, 1, 2, 11, 101)]
    assert [form == "%(n)s fault occurred." for form in forms] == [False, True, False, False, False]


# --- scripts ----------------------------------------------------------------------------------------------------------------


def compiled(folder: Path, source: str, seconds: float = 60, memory: int = pdf.MEMORY) -> bytes:
    """What becomes of a template of these tests."""
    (folder / "report.typ").write_text(source)
    return pdf.compiled(folder / "report.typ", pdf_fonts.folder(), "{}", 0, seconds=seconds, memory=memory)


def scripts_index() -> fakes.Index:
    records = tuple(
        fakes.record(
            "message",
            f"Message in {name}",
            level="notable",
            location=fakes.VOLUME + f"/{word}/{word}.jpg",
            data={"text": word, "long": word * 40},
        )
        for name, word in WORDS.items()
    )
    return fakes.index(records, 10)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    index = scripts_index()
    write(fakes.document(of=index), index, folder, ("report.pdf",))
    return folder / "report.pdf"


@pytest.mark.parametrize("script", ["Thai", "Lao", "Tamil", "Chinese", "Vietnamese", "Bengali", "Khmer", "Burmese"])
def test_words_in_every_script_of_the_region_can_be_searched(scripts: Path, script: str) -> None:
    text = unicodedata.normalize("NFC", re.sub(r"\s", "", by_poppler(scripts)))
    assert unicodedata.normalize("NFC", squeezed(WORDS[script])) in text


def test_no_line_runs_off_the_page(scripts: Path) -> None:
    """By the boxes of words as poppler finds them."""
    found = subprocess.run(["pdftotext", "-bbox", str(scripts), "-"], check=True, capture_output=True).stdout.decode()
    right = [float(value) for value in re.findall(r'<word [^>]*xMax="([\d.]+)"', found)]
    assert len(right) > 1000
    assert max(right) < 595.3 - 50  # A4 without the right margin of 18 mm


def test_what_no_font_has_stands_as_its_code() -> None:
    assert pdf_text.runs("a😀b") == ["a", {"code": "\\U0001f600"}, "b"]
    assert pdf_text.runs("caf\udcff") == ["caf", {"code": "\\xff"}]
    assert pdf_text.runs("ก\u0301") == ["ก", {"code": "\\u0301"}]  # a Latin accent on a Thai letter: no font has both
    assert pdf_text.runs("é") == "é"


def test_long_words_come_in_parts_and_nothing_is_lost() -> None:
    for word in (fakes.sha("a"), "x" * 1000, fakes.RECORDS[0].location, "/".join("abc" * 3 for _ in range(50)), "หนังสือ" * 20):
        found = pdf_text.runs(word)
        parts = [found] if isinstance(found, str) else found
        assert "".join(part for part in parts if isinstance(part, str)) == word
        assert all(len(part) <= 40 for part in parts if isinstance(part, str) and part.isascii())


@pytest.mark.parametrize(
    ("name", "characters"),
    [("NotoSansThai-Regular.ttf", "กาญจน์"), ("NotoSansKhmer-Regular.ttf", "ខ្មែរ"), ("NotoSansCJKsc-Regular.otf", "护照護照")],
)
def test_the_fonts_have_the_characters_that_they_are_for(name: str, characters: str) -> None:
    assert frozenset(characters) <= pdf_fonts._characters(pdf_fonts.folder() / name)


# --- hostile evidence -------------------------------------------------------------------------------------------------------

MARKUP = (
    '#import "@preview/x:0.1.0"',
    '#read("/etc/passwd")',
    "$x^2$ *bold* _it_ `raw` <label> @ref",
    "#panic()",
    "\\u{41} https://203.0.113.7/",
    '"]} #sys.inputs',
)


def test_hostile_text_is_text(tmp_path: Path) -> None:
    texts = (*HOSTILE, *MARKUP)
    records = tuple(fakes.record("hostile", text, level="alert", location=fakes.VOLUME + "/x", data={text: text}) for text in texts)
    index = fakes.index(records, 5)
    content = made(fakes.document(fakes.hostile_case(), index), index, tmp_path)
    text = text_of(content)
    for each in MARKUP:
        assert squeezed(each.replace("\\", "\\")) in text
    assert "invoice\\u202egpj.exe" in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08]", text)
    reader = PdfReader(io.BytesIO(content))
    kinds = {note.get_object()["/A"]["/S"] for page in reader.pages for note in page.get("/Annots", []) if "/A" in note.get_object()}
    assert kinds <= {"/GoTo"}  # no address outside the file can be followed
    assert "/OpenAction" not in reader.trailer["/Root"] and "/AcroForm" not in reader.trailer["/Root"]


def test_any_text_makes_a_pdf(tmp_path: Path) -> None:
    """Every character that the fonts have, marks upon marks, and a sample of all others."""
    characters = "".join(sorted(frozenset().union(*pdf_fonts.coverage())))
    marks = [char for char in characters if unicodedata.category(char).startswith("M")]
    others = "".join(chr(code) for code in range(0x20, 0x30000, 97))
    texts = [text[at : at + 60] for text in (characters, others) for at in range(0, len(text), 60)]
    texts += [f"{characters[at * 37 % len(characters)]}{mark}{marks[at - 1]}{mark}" for at, mark in enumerate(marks)]
    index = fakes.index(tuple(fakes.record("text", text, data={"t": text}) for text in texts), 2)
    assert made(fakes.document(of=index, per_kind=2000), index, tmp_path).startswith(b"%PDF-1.7")


def test_the_template_takes_nothing_from_outside_its_folder(tmp_path: Path) -> None:
    for source in ('#read("../../../../etc/hostname")', '#import "@preview/cetz:0.3.0": *', '#image("/../secret.png")'):
        with pytest.raises(EngineError, match="Typst could not make the PDF"):
            compiled(tmp_path, source)


# --- the same everywhere, PDF/A, bounded --------------------------------------------------------------------------------------

ALONE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import report_fakes as fakes
from forensics.report import write
if __name__ == "__main__":
    write(fakes.document(), fakes.index(), Path(sys.argv[1]), ("report.pdf",))
"""


def test_it_is_the_same_to_the_byte_in_another_zone_and_language(ordinary: Path, tmp_path: Path) -> None:
    script = tmp_path / "alone.py"
    script.write_text(ALONE.format(tests=str(Path(__file__).parent)))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    environment = os.environ | {"TZ": "Asia/Jakarta", "LC_ALL": "C", "LANG": "th_TH.UTF-8", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, str(script), str(folder)], check=True, env=environment, cwd=tmp_path)
    assert (folder / "report.pdf").read_bytes() == ordinary.read_bytes()


def checked_as_archive(path: Path) -> None:
    """The marks of PDF/A-2b (ISO 19005-2) that can be checked here: its claim, its output intent, embedded fonts, nothing active."""
    reader = PdfReader(path)
    root: Any = reader.trailer["/Root"]
    claim = root["/Metadata"].get_data().decode()
    assert re.search(r"<pdfaid:part>2</pdfaid:part>", claim) and re.search(r"<pdfaid:conformance>B</pdfaid:conformance>", claim)
    (intent,) = root["/OutputIntents"]
    assert intent.get_object()["/S"] == "/GTS_PDFA1"
    assert intent.get_object()["/DestOutputProfile"].get_object().get_data()[36:40] == b"acsp"
    assert not {"/AA", "/OpenAction", "/Encrypt"} & {*root, *reader.trailer}
    fonts = {}
    for page in reader.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            fonts[font.get_object()["/BaseFont"]] = font.get_object()
    assert fonts
    for font in fonts.values():
        described = (
            font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
            if "/DescendantFonts" in font
            else font["/FontDescriptor"].get_object()
        )
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(described)
        assert "/ToUnicode" in font


def test_it_keeps_to_the_archive_format_and_is_dated_as_issued(ordinary: Path) -> None:
    checked_as_archive(ordinary)
    info = PdfReader(ordinary).metadata
    assert info is not None and info.creation_date == AT
    assert info.title == f"Digital forensic examination report {fakes.document().id}"


def test_five_thousand_findings_are_bounded_and_the_rest_is_named(tmp_path: Path) -> None:
    index = fakes.large(5000)
    document = fakes.document(of=index)
    report = write(document, index, tmp_path, ("report.pdf",))
    findings = next(item for item in report.listings if item.name == "findings.csv")
    assert findings.rows == 5000
    text = squeezed(by_poppler(tmp_path / "report.pdf"))
    shown = sum(len(view.shown) for view in document.kinds)
    assert shown <= 2000
    assert text.count("Findingnumber") == shown
    assert "Shownhere:200of715.Thefulllistingis:findings.csv,5000rows,SHA-256" + findings.sha256 in text
    assert report.pages[0].sha256 == sha256((tmp_path / "report.pdf").read_bytes()).hexdigest()


# --- what goes wrong ----------------------------------------------------------------------------------------------------------


def test_a_missing_font_is_named_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_fonts, "NAMES", (*pdf_fonts.NAMES, "NotoSansTest-Regular.ttf"))
    pdf_fonts.coverage.cache_clear()
    with pytest.raises(UsageError, match=r"no font NotoSansTest-Regular\.ttf.*install forensics anew"):
        check(("report.pdf",))
    monkeypatch.undo()
    pdf_fonts.coverage.cache_clear()
    check(("report.pdf",))


def test_a_broken_font_is_refused(tmp_path: Path) -> None:
    whole = (pdf_fonts.folder() / "NotoSansThai-Regular.ttf").read_bytes()
    for number, content in enumerate((b"", b"not a font", whole[:300], whole[:12] + bytes(4000))):
        path = tmp_path / f"{number}.ttf"
        path.write_bytes(content)
        with pytest.raises(UsageError, match="not a font that can be read"):
            pdf_fonts._characters(path)


ENDLESS = "#for outer in range(0, 1000000) { for inner in range(0, 10000000) { let held = inner } }"
SWELLING = "#let y = range(0, 400000000)\n#y.len()"


@pytest.mark.parametrize(("source", "seconds", "memory", "message"), [
    (ENDLESS, 2, pdf.MEMORY, "was not ready after 2 s"),
    (SWELLING, 120, 1 << 30, "for want of memory"),
    ("#no-such-thing", 60, pdf.MEMORY, "unknown variable: no-such-thing"),
], ids=["endless", "swelling", "wrong"])  # fmt: skip
def test_a_template_that_never_ends_swells_or_fails_is_ended_in_words(
    tmp_path: Path, source: str, seconds: float, memory: int, message: str
) -> None:
    with pytest.raises(EngineError, match=message) as caught:
        compiled(tmp_path, source, seconds, memory)
    assert "leave out report.pdf" in str(caught.value)


# --- signed -----------------------------------------------------------------------------------------------------------------


def issue(
    name: str, issuer: tuple[x509.Certificate, Any] | None, key: Any, *extensions: tuple[x509.ExtensionType, bool]
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "TH"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0].subject if issuer else subject)
    built = built.public_key(key.public_key()).serial_number(x509.random_serial_number())
    built = built.not_valid_before(AT - timedelta(days=300)).not_valid_after(AT + timedelta(days=3000))
    for extension, critical in extensions:
        built = built.add_extension(extension, critical)
    return built.sign(issuer[1] if issuer else key, hashes.SHA256())


@cache
def authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return issue("Test root", None, key, (x509.BasicConstraints(ca=True, path_length=None), True)), key


def officer(name: str, kind: ec.EllipticCurve | int | None = None) -> Identity:
    """An identity whose certificate the root of these tests has issued: its key is on a curve, or RSA of that many bits."""
    key = rsa.generate_private_key(65537, kind) if isinstance(kind, int) else ec.generate_private_key(kind or ec.SECP256R1())
    usage = x509.KeyUsage(True, True, False, False, False, False, False, False, False)
    certificate = issue(name, authority(), key, (usage, True)).public_bytes(Encoding.DER)
    return Identity(name, "TH", "", sha256(certificate).hexdigest(), certificate, (), "", None, FileKey(key), lambda: "")


def stamping(folder: Path) -> StampingAuthority:
    """A stamping authority: `openssl ts`, over a certificate of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue("Test stamps", authority(), key, (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True))
    (folder / "tsa.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(
        f"[tsa]\ndefault_tsa = t\n[t]\nserial = {folder}/serial\ncrypto_device = builtin\nsigner_cert = {folder}/tsa.pem\n"
        f"signer_key = {folder}/tsa.key\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256, sha384\n"
        "ess_cert_id_alg = sha256\n"
    )
    config = str(folder / "tsa.cnf")
    return StampingAuthority(command=("openssl", "ts", "-reply", "-config", config, "-queryfile", "{request}", "-out", "{response}"))


def pdfsig(path: Path) -> str:
    return subprocess.run(["pdfsig", "-nocert", str(path)], capture_output=True).stdout.decode()


@pytest.mark.parametrize("kind", [ec.SECP256R1(), ec.SECP384R1(), 3072, 4096], ids=["P-256", "P-384", "RSA 3072", "RSA 4096"])
def test_another_program_finds_the_signature_valid_and_a_changed_byte_invalid(
    ordinary: Path, tmp_path: Path, kind: ec.EllipticCurve | int
) -> None:
    signed = tmp_path / "signed.pdf"
    pdf_signature.sign(ordinary, signed, officer("S. Pratiwi", kind), at=AT)
    said = pdfsig(signed)
    assert "Signature Validation: Signature is Valid." in said
    assert "ETSI.CAdES.detached" in said and "Total document signed" in said
    assert "Signer Certificate Common Name: S. Pratiwi" in said
    assert signed.read_bytes().startswith(ordinary.read_bytes())  # the report's own bytes are those of the unsigned one
    checked_as_archive(signed)
    content = bytearray(signed.read_bytes())
    for place in (100, len(ordinary.read_bytes()) // 2, content.rindex(b"D:2026") + 3):
        content[place] ^= 1
        (tmp_path / "changed.pdf").write_bytes(content)
        assert "Signature is Valid" not in pdfsig(tmp_path / "changed.pdf")
        content[place] ^= 1


def test_a_second_person_signs_what_the_first_has_signed(ordinary: Path, tmp_path: Path) -> None:
    path = tmp_path / "signed.pdf"
    pdf_signature.sign(ordinary, path, officer("S. Pratiwi"), at=AT)
    pdf_signature.sign(path, path, officer("R. Wibowo"), at=AT + timedelta(hours=1))
    said = pdfsig(path)
    assert said.count("Signature is Valid") == 2
    assert "S. Pratiwi" in said and "R. Wibowo" in said
    assert [each.name for each in tmp_path.iterdir()] == ["signed.pdf"]


def test_a_time_stamp_over_the_signature_verifies_with_openssl(ordinary: Path, tmp_path: Path) -> None:
    path = tmp_path / "signed.pdf"
    pdf_signature.sign(ordinary, path, officer("S. Pratiwi"), at=AT, stamping=stamping(tmp_path))
    assert "Signature is Valid" in pdfsig(path)
    from asn1crypto import cms

    (field,) = PdfReader(path).get_fields().values()  # type: ignore[union-attr]
    signature: Any = cms.ContentInfo.load(bytes(field["/V"]["/Contents"]).rstrip(b"\0"))["content"]["signer_infos"][0]
    (stamp,) = [each["values"][0] for each in signature["unsigned_attrs"] if each["type"].native == "signature_time_stamp_token"]
    (tmp_path / "stamp.der").write_bytes(stamp.dump())
    (tmp_path / "value").write_bytes(signature["signature"].native)
    (tmp_path / "root.pem").write_bytes(authority()[0].public_bytes(Encoding.PEM))
    command = [
        "openssl",
        "ts",
        "-verify",
        "-token_in",
        "-in",
        "stamp.der",
        "-data",
        "value",
        "-CAfile",
        "root.pem",
        "-untrusted",
        "tsa.pem",
    ]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def test_a_signed_report_names_its_certificate_and_lists_the_file_as_signed(tmp_path: Path) -> None:
    signer = officer("S. Pratiwi")
    report = write(fakes.document(), fakes.index(), tmp_path, ("report.pdf",), signature=Signature(signer, AT))
    assert signer.fingerprint in text_of(tmp_path / "report.pdf")
    assert "Signature is Valid" in pdfsig(tmp_path / "report.pdf")
    assert report.pages[0].sha256 == sha256((tmp_path / "report.pdf").read_bytes()).hexdigest()


def test_what_cannot_be_signed_is_said_and_nothing_is_left(ordinary: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pdf").write_bytes(b"no PDF at all")
    with pytest.raises(SigningError, match="could not be signed"):
        pdf_signature.sign(tmp_path / "no.pdf", tmp_path / "out.pdf", officer("S. Pratiwi"), at=AT)
    with pytest.raises(SigningError, match="could not be signed"):
        pdf_signature.sign(
            ordinary,
            tmp_path / "out.pdf",
            officer("S. Pratiwi"),
            at=AT,
            stamping=StampingAuthority(command=("cp", "{request}", "{response}")),
        )
    for kind in (ec.SECP521R1(), 2048):
        with pytest.raises(SigningError, match="ECDSA on P-256 or P-384, or RSA of 3072 bits or more"):
            pdf_signature.sign(ordinary, tmp_path / "out.pdf", officer("S. Pratiwi", kind), at=AT)
    assert [each.name for each in tmp_path.iterdir()] == ["no.pdf"]


def identity_folder(folder: Path, words: Path) -> Path:
    """An officer's identity as the tool keeps it, with a certificate that the root of these tests has issued."""
    identity.new(folder, words.read_bytes(), name="S. Pratiwi", country="TH", organisation="")
    wanted = x509.load_pem_x509_csr((folder / "request.pem").read_bytes())
    usage = x509.KeyUsage(True, True, False, False, False, False, False, False, False)
    given = issue("S. Pratiwi", authority(), wanted, (usage, True))
    identity.install(folder, words.read_bytes(), (given.public_bytes(Encoding.DER),))
    return folder


def test_the_command_signs_the_report_of_a_real_image_and_its_custody_log_says_which_file(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_bytes(b"correct horse battery staple")
    words.chmod(0o600)
    folder = identity_folder(tmp_path / "identity", words)
    card = str(Path(__file__).parents[1] / "test_images" / "card.E01")
    case = str(tmp_path / "case")
    signing = ["--template", "report.pdf", "--identity", str(folder), "--passphrase-file", str(words)]
    run = CliRunner()
    command = ["process", card, "--case", case, "--no-input", "--plugin", "photo-exif", *signing]
    run.invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    (page,) = Path(case, "reports").glob("*/report.pdf")
    assert "Signature is Valid" in pdfsig(page)
    checked_as_archive(page)
    held = [json.loads(body.read_bytes()) for body in Path(case, "custody").rglob("*.json")]
    assert sha256(page.read_bytes()).hexdigest() in json.dumps(held)
    assert not list(page.parent.glob("*.html"))
    run.invoke(cli, ["report", "--case", case, *signing[2:]], catch_exceptions=False, standalone_mode=False)  # the pages; the log is signed
    assert [line.event for line in custody.read(Path(case))][-2:] == ["reported", "checkpointed"]
    proof = custody.proved(Path(case))
    assert not proof.problems


# --- shipped ----------------------------------------------------------------------------------------------------------------


def shipped() -> Iterator[Path]:
    yield from pdf_values.sources()
    yield from (pdf_fonts.folder() / name for name in (*pdf_fonts.NAMES, "OFL.txt"))


def test_template_and_fonts_are_in_the_package_and_stay_small() -> None:
    root = Path(__file__).parents[1]
    named = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "**/*" in named["package-data"]["forensics.report_templates"]
    folder = root / named["package-dir"]["forensics.report_templates"]
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in shipped())
    assert sum(path.stat().st_size for path in shipped()) < 8_000_000
