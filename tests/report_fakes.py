"""A case and an index that exist only here: realistic, of any size, and hostile where asked."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
from msgspec import Struct

from forensics.digest import canonical, identity
from forensics.model import (
    AttachmentRef,
    Authority,
    ByteRange,
    CaseInfo,
    Coverage,
    Digests,
    Entry,
    Examined,
    Exhibit,
    Fault,
    ImageDamage,
    ImageDigest,
    LayerInfo,
    PluginInfo,
    PluginOutcome,
    Record,
    RecordNumber,
    RegistryKey,
    RunInfo,
    Scope,
    Segment,
    StoredFinding,
    TableRow,
    Times,
)
from forensics.report import Document, Validation, build

ISSUED = "2026-11-20T09:30:00Z"
HOSTILE = (
    '"><script>document.title="owned"</script>.jpg',
    "line\nbreak\r\n.txt",
    "caf\udcff.bin",
    "a" + "\u0301" * 255,
    "invoice\u202egpj.exe",
    "=cmd|' /C calc'!A0",
    '<img src="http://203.0.113.7/x.png" onerror=alert(1)>',
    "</style><style>*{background:url(http://203.0.113.7/y)}</style>",
    "{{ 7 * 7 }}{% raw %}",
    "![x](http://203.0.113.7/z.png) [y](javascript:alert(1)) `c` <b>",
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Case(Struct, frozen=True):
    info: CaseInfo
    received: tuple[Exhibit, ...]

    def exhibits(self) -> tuple[Exhibit, ...]:
        return self.received


class Line(Struct, frozen=True):
    seq: int
    at: str
    event: str
    object: str
    by: str | None
    body_sha256: str
    body: dict[str, object] | None
    clock_back: float | None = None


class Counts(Struct, frozen=True):
    records_by_kind: dict[str, int]
    records_by_level: dict[str, int]
    entries_by_state: dict[str, int]
    entries_by_outcome: dict[str, int]
    reasons: dict[str, int]
    bytes_total: int
    distinct_contents: int
    space: dict[str, int] = {}


class Index:
    """An index over generated values: `make` functions are called anew for every question, so that nothing is held."""

    def __init__(
        self,
        records: Callable[[], Iterator[Record]],
        entries: Callable[[], Iterator[Examined]],
        faults: tuple[Fault, ...] = (),
        layers: tuple[LayerInfo, ...] = (),
        coverage: tuple[Coverage, ...] = (),
        runs: tuple[RunInfo, ...] = (),
        images: dict[str, ImageDigest] | None = None,
        checks: dict[str, bool] | None = None,
    ) -> None:
        self._records, self._entries = records, entries
        self._faults, self._layers, self._coverage, self._runs = faults, layers, coverage, runs
        self._images, self._checks = images or {}, checks or {}
        self._unmeasured: dict[str, dict[str, str]] = {}

    def records(self) -> Iterator[Record]:
        return self._records()

    def entries(self, *, outcome: str | None = None, limit: int | None = None) -> Iterator[Examined]:
        return islice((line for line in self._entries() if outcome is None or line.outcome == outcome), limit)

    def entry_lines(self) -> Iterator[bytes]:
        return map(canonical, self._entries())

    def timeline(self) -> Iterator[tuple[str, str, str, str]]:
        start = datetime(2026, 1, 1, tzinfo=UTC)
        for number, line in enumerate(self._entries()):
            at = start + timedelta(hours=number)
            yield at.strftime("%Y-%m-%dT%H:%M:%SZ"), "m.c.", line.entry.location, ""
            if number % 5 == 0:
                yield at.strftime("%Y-%m-%dT%H:%M:%SZ"), "photo", line.entry.location, "Photograph taken with a Samsung SM-A546E"
        for number, line in enumerate(islice(self._entries(), 8)):
            yield f"2025-07-0{number + 1}T10:00:00", "m...", line.entry.location, ""

    def faults(self) -> Iterator[Fault]:
        return iter(self._faults)

    def coverage(self) -> tuple[Coverage, ...]:
        return self._coverage

    def layers(self) -> tuple[LayerInfo, ...]:
        return self._layers

    def counts(self) -> Counts:
        kinds: Counter[str] = Counter()
        levels: Counter[str] = Counter()
        for record in self._records():
            kinds[record.finding.kind] += 1
            levels[record.finding.level] += 1
        states: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        size = read = 0
        for line in self._entries():
            states[line.entry.state] += 1
            if line.outcome:
                outcomes[line.outcome] += 1
            if line.reason:
                reasons[line.reason] += 1
            if line.outcome == "read":
                read += 1
                size += line.entry.size
        return Counts(dict(kinds), dict(levels), dict(states), dict(outcomes), dict(reasons), size, read)

    def runs(self) -> tuple[RunInfo, ...]:
        return self._runs

    def images(self) -> dict[str, ImageDigest]:
        return self._images

    def checks(self) -> dict[str, bool]:
        return self._checks

    def unmeasured(self, phase: str) -> dict[str, str]:
        return self._unmeasured.get(phase, {})

    def run_digest(self, run: str) -> str:
        return sha(f"digest of {run}")


def record(kind: str, summary: str, **given: object) -> Record:
    """A record of a finding; `given` are fields of the finding, or `location`, `state`, `content` of the record."""
    own = {
        "location": given.pop("location", "2026-0417-1:volume@1048576:ext4:/media/0/DCIM/Camera/IMG_0001.jpg;meta=4711"),
        "state": given.pop("state", "allocated"),
        "content": given.pop("content", None),
    }
    finding = StoredFinding(kind=kind, summary=summary, **given)  # type: ignore[arg-type]
    found = Record(
        id="",
        sha256=sha(str(own["location"])),
        plugin={"photo": "photo-taken", "rule-match": "yara-rules"}.get(kind, kind),
        plugin_version="1.0",
        plugin_digest=sha(kind),
        finding=finding,
        **own,  # type: ignore[arg-type]
    )
    return msgspec.structs.replace(found, id=identity(found))


VOLUME = "2026-0417-1:volume@1048576:ext4:"
RECORDS = (
    record(
        "rule-match",
        "Rule Forged_Visa_Template matches: template of a counterfeit visa sticker",
        level="alert",
        location=VOLUME + "/media/0/Download/visa_template_v3.psd;meta=88213",
        locator=ByteRange(52_480, 64),
        data={"rule": "Forged_Visa_Template", "namespace": "travel-documents", "tags": ["forgery", "visa"], "strings": "$layer at 52480"},
    ),
    record(
        "travel-document",
        "Passport zone TD3, issuing state UTO, number L898902C3, check digits hold",
        level="alert",
        when="2026-02-14T03:12:55Z",
        location=VOLUME + "/media/0/WhatsApp/Media/IMG-20260214-WA0007.jpg;meta=90122",
        state="deleted",
        content="partly-reallocated",
        data={
            "line_1": "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
            "line_2": "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
            "number": "L898902C3",
            "nationality": "UTO (OCR, not protected by a check digit)",
            "born": "1974-08-12",
        },
    ),
    record(
        "message",
        "Message in Thai names a fee and a crossing",
        level="notable",
        when="2026-02-13T17:40:02.123Z",
        location=VOLUME + "/data/jp.naver.line.android/databases/naver_line;meta=70001",
        locator=TableRow("chat_history", 4187),
        data={"sender": "+66 81 234 5678", "text": "ข้ามแดนคืนนี้ ค่าใช้จ่าย 45,000 บาท", "chat": "u7f3c", "attachment": False},
    ),
    record(
        "message",
        "Message in Burmese and Khmer",
        level="info",
        when="2026-02-13T18:02:11Z",
        location=VOLUME + "/data/jp.naver.line.android/databases/naver_line;meta=70001",
        locator=TableRow("chat_history", 4190),
        data={"text": "မြန်မာ နယ်စပ် ဖြတ်ကျော်", "reply": "ព្រំដែនកម្ពុជា", "lao": "ຊາຍແດນລາວ"},
    ),
    *(
        record(
            "photo",
            f"Photograph taken with a Samsung SM-A546E at 2026-02-{day:02} 11:2{day % 10}:40",
            when=f"2026-02-{day:02}T11:2{day % 10}:40",
            location=VOLUME + f"/media/0/DCIM/Camera/202602{day:02}_1122.jpg;meta={91000 + day}",
            data={"make": "samsung", "model": "SM-A546E", "latitude": 13.736717, "longitude": 100.523186, "orientation": 6},
            locator=ByteRange(12, 1840),
        )
        for day in range(10, 16)
    ),
    record(
        "registry-run-key",
        "Program started at logon",
        location="2026-0417-2:volume@1048576:ntfs:/Windows/System32/config/SOFTWARE;meta=1042-128-1",
        locator=RegistryKey("Microsoft\\Windows\\CurrentVersion\\Run", "OneDrive"),
        data={"command": "C:\\Users\\dana\\AppData\\Local\\OneDrive\\OneDrive.exe /background"},
    ),
    record(
        "same-sender",
        "One telephone number in messages of two exhibits",
        level="notable",
        location="2026-0417-1:records:",
        derived_from=(sha("a"), sha("b"), sha("c")),
        data={"number": "+66812345678", "exhibits": ["2026-0417-1", "2026-0417-2"]},
        locator=RecordNumber(3, "page"),
    ),
)
_ORDER = {"alert": 0, "notable": 1, "info": 2}


def entry(number: int, path: str | None = None, **given: object) -> Examined:
    """An entry as examined; every seventh deleted, every eleventh not read."""
    location = VOLUME + (path or f"/media/0/DCIM/Camera/IMG_{number:06}.jpg") + f";meta={1000 + number}"
    deleted = number % 7 == 3
    outcome = "skipped" if number % 11 == 5 else "failed" if number % 37 == 7 else "read"
    reason = {"skipped": "outside the scope: period", "failed": "could not be read: corrupt", "read": None}[outcome]
    fields: dict[str, object] = {
        "entry": Entry(
            location=location,
            kind="file",
            size=2_345_678 + number,
            state="deleted" if deleted else "allocated",
            content="intact" if deleted else None,
            times=Times(modified="2026-02-14T03:12:55Z", born="2026-02-14T03:12:55Z"),
            mode=0o100644,
            uid=10023,
        ),
        "outcome": outcome,
        "reason": reason,
        "digests": Digests(sha(location), sha(location)[:40], sha(location)[:32]) if outcome == "read" else None,
        "mime": "image/jpeg" if outcome == "read" else None,
        "plugins": (PluginOutcome("photo-taken", "read"), PluginOutcome("yara-rules", "skipped", "known-good content"))
        if outcome == "read"
        else (),
    }
    return Examined(**(fields | given))  # type: ignore[arg-type]


PLUGINS = (
    PluginInfo(
        name="photo-taken",
        kind="extractor",
        version="1.0",
        description="Camera and original time from a photograph's EXIF tags.",
        digest=sha("photo-taken"),
        source="plugins/photo_taken.py",
        selection="type image/jpeg image/tiff",
    ),
    PluginInfo(
        name="yara-rules",
        kind="extractor",
        version="2.1",
        description="Matches of YARA rules.",
        digest=sha("yara-rules"),
        source="plugins/yara_rules.py",
        selection="every file",
        needs=("content", "name", "location"),
        options={"engine": "screened", "rules": ["rules/travel.yar"]},
        inputs={"rules/travel.yar": sha("travel.yar")},
        notes=("2 rules need the module dex and were compiled by YARA-X alone.",),
    ),
    PluginInfo(
        name="message",
        kind="extractor",
        version="1.3",
        description="Messages of the LINE application, with senders and times.",
        digest=sha("message"),
        source="plugins/line_messages.py",
        selection="name **/naver_line",
        needs=("content", "companions"),
    ),
    PluginInfo(
        name="same-sender",
        kind="analyser",
        version="1.0",
        description="Telephone numbers that occur in several exhibits.",
        digest=sha("same-sender"),
        source="plugins/same_sender.py",
        selection="every file",
    ),
)
RUN = RunInfo(
    run="2026-11-19T08-00-00Z",
    exhibits=("2026-0417-1", "2026-0417-2"),
    tool="forensics 0.1.0",
    tool_digest=sha("tool"),
    started="2026-11-19T08:00:00Z",
    libraries={
        "dfvfs": "20260701",
        "pytsk3": "20260715",
        "yara-python": "4.5.4",
        "yara-x": "1.22.1",
        "Pillow": "12.0.0",
        "ExifRead": "3.5.1",
    },
    plugins=PLUGINS,
    scope=Scope(paths=("/media/**", "/data/**"), since="2026-01-01", until="2026-11-18"),
    options={"known_good": False, "workers": 2},
    environment={"system": "Linux 6.8", "python": "3.11.7", "isolation": "rlimits, Landlock, seccomp"},
)
CASE = Case(
    CaseInfo(
        case_id="A-2026-0417",
        agency="Directorate General of Immigration",
        agency_unit="Directorate of Immigration Intelligence",
        laboratory="Digital Forensics Laboratory, Jakarta",
        officer_in_charge="R. Wibowo",
        examiner="S. Pratiwi",
        examiner_qualification="M.Sc. digital forensics; certified examiner no. 2231",
        client="Sub-directorate of Investigation",
        offence_or_purpose="Suspected smuggling of migrants (Law 6/2011, Article 120)",
        phase="investigative",
        opened_at="2026-02-16T02:10:00Z",
        classification="TLP:AMBER",
        requested_questions=(
            "Does the telephone hold travel documents of other persons?",
            "Which crossings and fees do messages since 1 January 2026 name?",
        ),
        authority=Authority(
            type="warrant",
            id="W-2026-88",
            issuer="District Court of Central Jakarta",
            issued="2026-02-15",
            scope_text="Messages, pictures and documents since 1 January 2026",
        ),
    ),
    (
        Exhibit(
            exhibit_id="2026-0417-1",
            image="images/phone.E01",
            image_format="ewf",
            description="Samsung Galaxy A54, black, display cracked",
            kind="phone",
            make="Samsung",
            model="SM-A546E",
            serial="R5CW123ABCD",
            owner_role="suspected facilitator",
            power_state_on_receipt="off",
            condition_text="Display cracked, otherwise intact",
            seal_no="IMI-004411",
            seized_at="2026-02-14T09:20:00+07:00",
            seized_place="Entikong border post",
            seized_by="A. Nugroho",
            acquisition_tool="FTK Imager 4.7.3.81",
            acquired_at="2026-02-16T04:00:00Z",
            acquired_by="S. Pratiwi",
            changes_made_to_original="none known",
            stated_sha256=sha("phone"),
        ),
        Exhibit(
            exhibit_id="2026-0417-2",
            image="images/laptop.raw",
            image_format="raw",
            description="Laptop found with the holder of 2026-0417-1",
            kind="computer",
        ),
    ),
)
MISSING = (
    "case.legal_authority.expires",
    "exhibit.2026-0417-1.acquisition.write_blocker",
    "exhibit.2026-0417-2.seal_no",
    "exhibit.2026-0417-2.owner_role",
)
IMAGES = {
    "2026-0417-1": ImageDigest(
        format="ewf",
        size=128_035_676_160,
        sha256=sha("phone"),
        md5=sha("phone")[:32],
        segments=tuple(Segment(f"phone.E{number:02}", 2_147_000_000 + number, sha(f"segment {number}")) for number in range(1, 7)),
        stored={"md5": sha("phone")[:32], "sha1": sha("phone")[:40]},
        stored_match={"md5": True, "sha1": True},
        metadata={"case_number": "A-2026-0417", "examiner_name": "S. Pratiwi"},
    ),
    "2026-0417-2": ImageDigest(
        format="raw",
        size=256_060_514_304,
        sha256=sha("laptop"),
        damage=(ImageDamage(1_048_576, 4096, "sectors 2048-2055 unreadable at acquisition"),),
    ),
}
LAYERS = (
    LayerInfo(
        location="2026-0417-1:volume@1048576:ext4:/",
        kind="ext4",
        offset=1_048_576,
        size=118_000_000_000,
        label="userdata",
        examined=True,
        timezone="utc",
    ),
    LayerInfo(
        location="2026-0417-2:volume@1048576:bitlocker:",
        kind="bitlocker",
        offset=1_048_576,
        size=255_000_000_000,
        label="Windows",
        reason="locked",
        description="BitLocker volume, protectors: TPM, recovery password",
    ),
    LayerInfo(
        location="2026-0417-2:volume@256000000000:fat:/",
        kind="fat",
        offset=256_000_000_000,
        size=104_857_600,
        examined=True,
        timezone="local",
    ),
)
FAULTS = (
    Fault(
        location=VOLUME + "/media/0/Download/broken.zip;meta=90000",
        kind="corrupt",
        message="central directory is past the end (1042)",
        plugin="zip-members",
    ),
    Fault(
        location=VOLUME + "/media/0/Download/huge.pdf;meta=90001",
        kind="limit",
        message="60 s of CPU time",
        plugin="pdf-metadata",
        limit=True,
    ),
    Fault(location="2026-0417-2:volume@1048576:bitlocker:", kind="locked", message="no key was given"),
)
COVERAGE = (
    Coverage(
        exhibit="2026-0417-1",
        plugin="photo-taken",
        offered=420,
        read=400,
        skipped=12,
        failed=8,
        not_run=0,
        findings=6,
        reasons={"outside the scope: period": 12, "corrupt": 8},
    ),
    Coverage(
        exhibit="2026-0417-1",
        plugin="yara-rules",
        offered=500,
        read=470,
        skipped=28,
        failed=1,
        not_run=1,
        findings=1,
        reasons={"known-good content": 28, "it ended the process that it ran in": 1, "a reason of its own": 1},
    ),
    Coverage(exhibit="2026-0417-2", plugin="photo-taken", offered=0, read=0, skipped=0, failed=0, not_run=0, findings=0),
)
CUSTODY = (
    Line(1, "2026-02-16T02:10:00Z", "created", "A-2026-0417", "S. Pratiwi", sha("1"), {"tool": "forensics 0.1.0"}),
    Line(
        2,
        "2026-02-16T02:15:00Z",
        "seized",
        "2026-0417-1",
        "A. Nugroho",
        sha("2"),
        {"place": "Entikong border post", "purpose": "seizure under W-2026-88"},
    ),
    Line(
        3,
        "2026-02-16T02:40:00Z",
        "transferred",
        "2026-0417-1",
        "A. Nugroho",
        sha("3"),
        {"from": "A. Nugroho", "to": "S. Pratiwi", "place": "Jakarta"},
    ),
    Line(4, "2026-02-17T01:00:00Z", "examined", "2026-0417-1", None, sha("4"), None),
    Line(5, "2026-11-19T10:00:00Z", "verified", "2026-0417-1", "S. Pratiwi", sha("5"), {"sha256": sha("phone"), "run": RUN.run}, 2.5),
)
HEAD = (5, sha("head"))
VALIDATION = Validation(
    at="2026-11-01T08:00:00Z",
    tool="forensics 0.1.0",
    material="test images 2026-10, 41 images",
    checks=312,
    passed=311,
    failures=("fat12-fragmented: deleted file recovered wrong",),
)


def index(
    records: tuple[Record, ...] = RECORDS, entries: int = 600, extra: tuple[Examined, ...] = (), faults: tuple[Fault, ...] = FAULTS
) -> Index:
    ordered = tuple(sorted(records, key=lambda item: (_ORDER[item.finding.level], item.finding.kind, item.finding.when or "", item.id)))
    return Index(
        lambda: iter(ordered),
        lambda: iter((*map(entry, range(entries)), *extra)),
        faults,
        LAYERS,
        COVERAGE,
        (RUN,),
        IMAGES,
        {"2026-0417-1": True},
    )


def large(records: int) -> Index:
    """An index of many records, made one by one as they are asked for."""

    def made() -> Iterator[Record]:
        for number in range(records):
            yield Record(
                id=f"{number:064x}",
                location=f"{VOLUME}/data/{number:07}.bin;meta={number}",
                state="allocated",
                sha256=f"{number:064x}",
                plugin="many",
                plugin_version="1",
                plugin_digest="0" * 64,
                finding=StoredFinding(
                    kind=f"kind-{number * 7 // records}",
                    summary=f"Finding number {number}",
                    level="alert" if number < records // 100 else "notable" if number < records // 10 else "info",
                    when=f"2026-03-{1 + number % 28:02}T00:00:00Z",
                    data={"number": number, "name": f"name of {number}", "note": "x" * 60},
                ),
            )

    return Index(made, lambda: map(entry, range(2000)), (), LAYERS, COVERAGE, (RUN,), IMAGES, {})


def hostile() -> Index:
    """An index in which every text from evidence is an attack."""
    records = tuple(
        record(
            f"hostile-{number}" if number else text,
            text,
            level="alert",
            location=VOLUME + "/" + text,
            data={text: text, "list": [text, number]},
            locator=RegistryKey(text, text),
            attachments=(AttachmentRef(text, "image/png", sha("png"), 10),),
        )
        for number, text in enumerate(HOSTILE)
    )
    extra = tuple(
        entry(0, entry=Entry(location=VOLUME + "/" + text, kind="link", size=1, target=text, note=text), outcome="failed", reason=text)
        for text in HOSTILE
    )
    faults = tuple(Fault(location=VOLUME + "/" + text, kind="error", message=text, plugin=text) for text in HOSTILE)
    return index(records, 20, extra, faults)


def hostile_case() -> Case:
    """A case whose fields, typed or pasted by a person, are attacks."""
    first, second, *_ = HOSTILE
    return Case(
        CaseInfo(
            case_id=first,
            agency=second,
            classification='";}</style><script>document.title="owned"</script>',
            offence_or_purpose=HOSTILE[6],
            client=HOSTILE[7],
        ),
        (Exhibit(exhibit_id="2026-0417-1", image=first, image_format="ewf", description=HOSTILE[8], make=HOSTILE[4], serial=HOSTILE[9]),),
    )


def document(case: Case = CASE, of: Index | None = None, language: str = "en", **given: object) -> Document:
    """The report document of a case, as the tool would build it."""
    values: dict[str, object] = {
        "at": ISSUED,
        "custody": CUSTODY,
        "head": HEAD,
        "missing": MISSING,
        "tool": "forensics 0.1.0",
        "validation": VALIDATION,
        "language": language,
    }
    return build(case, of if of is not None else index(), **(values | given))  # type: ignore[arg-type]
