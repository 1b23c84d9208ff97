"""E-mail addresses, links, phone numbers, bank accounts, payment cards and wallets in the content of files."""

import hashlib
import ipaddress
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import re2
from msgspec import Struct

from forensics.plugin import STATES, ByteRange, File, Finding, Level, Prepared, Value, extractor

REGIONS = ("BN", "ID", "KH", "LA", "MM", "MY", "PH", "SG", "TH", "TL", "VN")  # the member states of ASEAN
_WINDOW = 256 << 10  # bytes whose features a window owns; even, so that UTF-16 stays aligned
_MARGIN = 8 << 10  # bytes read on both sides, so that a feature or its context is never cut
_URL_LIMIT = 2048  # characters of a link that are kept
_OFFSETS = 20
_AROUND = 24  # characters of context on each side

_TEXT_TYPES = {"application/json", "application/x-ndjson", "application/xml", "application/javascript", "application/csv", "message/rfc822"}
# Last labels that are file suffixes and no top-level domains in the IANA root: "icon@2x.png"
_NO_DOMAIN = re.compile("cfg|class|css|dll|exe|gif|x?html?|ini|jpe?g|js|json|log|nib|plist|png|svg|sys|txt|webp|xml|ya?ml")
# A common top-level domain with more letters behind it, unless they make one that is in the IANA root ("community", "network", "organic")
_RUN_ON = re.compile(
    r"\.(com|net|org|info)(?!(?:cast|mbank|munity|pany|pare|puter|sec|bank|flix|work|anic)$)[A-Za-z][A-Za-z0-9-]*$", re.IGNORECASE
)

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_CLASS = rb"[1-9A-HJ-NP-Za-km-z]"
_CALLING = rb"(?:6[02356]|84|95|67[03]|85[56])"  # of REGIONS
_WORDS = (
    rb"\b(?i:tel|telp|telpon|telepon|telefon|phone|ph|hp|h/p|mobile|mob|cell|cellphone|wa|whatsapp|viber|zalo|line|sms|call|contact|kontak"
    rb"|hubungi|fax|sdt|dien thoai|dtdd)\b|"
    + "|".join(("โทร", "เบอร์", "มือถือ", "điện thoại", "Điện thoại", "sđt", "SĐT", "ໂທ", "ទូរស័ព្ទ", "លេខ", "ဖုန်း")).encode()
)

# What is looked for in every content. RE2: linear time whatever the content; no captures, so that its automaton does all the work.
_PATTERNS: dict[str, bytes] = {
    "email": rb"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z][A-Za-z0-9\-]+",
    "url": rb"(?i:https?|ftp):(?:\\?/){2}(?:[!#-;=?-\[\]_a-z~]|\\/|[\xc2-\xf4][\x80-\xbf]+)+",
    "phone": rb"(?:\+|%2[Bb]|(?i:wa\.me/|[?&]phone=)\+?)[ (]?" + _CALLING + rb"[0-9 ().\-]{6,22}",
    "iban": rb"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card": rb"\b(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|3[04-9][0-9]{2}|6[0-9]{3}|9704)"
    rb"(?:[0-9]{10,15}|(?: [0-9]{4}){3}(?: [0-9]{3})?|(?:-[0-9]{4}){3}(?:-[0-9]{3})?| [0-9]{6} [0-9]{4,5}|-[0-9]{6}-[0-9]{4,5})\b",
    "base58": rb"\b[13LMDT]" + _BASE58_CLASS + rb"{25,34}\b",
    "bech32": rb"\b(?i:bc1|ltc1)[02-9AC-HJ-NP-Zac-hj-np-z]{11,87}\b",
    "ethereum": rb"\b0[xX][0-9a-fA-F]{40}\b",
    "monero": rb"\b[48][0-9AB]" + _BASE58_CLASS + rb"{93}(?:" + _BASE58_CLASS + rb"{11})?\b",
}
# What is looked for in text alone: elsewhere digits mean anything
_TEXT_PATTERNS = {
    "national-in-context": rb"(?:"
    + _WORDS
    + rb")[^0-9A-Za-z+]{0,24}(?i:(?:no|number|nomor|nombor)\b[^0-9A-Za-z+]{0,6})?[0-9][0-9 ().\-]{5,20}",
    "national-mobile": rb"\b0[1-9](?:[ .\-]?[0-9]){6,10}\b",
}
_UTF16_RUN = rb"(?:[\t\n\r\x20-\x7e]\x00){8,}"


class Feature(NamedTuple):
    """A checked feature: where in the stretch, its kind, normalised value and what else is known of it."""

    start: int
    end: int
    kind: str
    value: str
    data: dict[str, Value]


class Stretch(NamedTuple):
    """Content as bytes of UTF-8 or ASCII to look in, and how its offsets become offsets in the window."""

    data: bytes
    encoding: str
    place: Callable[[int], int]


class Entry(Struct):
    """What is kept of one distinct feature of a file."""

    found: str
    context: str
    encoding: str
    size: int
    data: dict[str, Value]
    offsets: list[int]
    count: int = 0


class Patterns:
    """Compiled patterns, and one automaton over all of them that tells which occur at all."""

    def __init__(self, patterns: dict[str, bytes]) -> None:
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1  # bytes, not text
        options.max_mem = 64 << 20  # of the automaton's cache: hostile content makes it slow, not incomplete
        options.log_errors = False
        self._names = list(patterns)
        self._compiled = {name: re2.compile(pattern, options) for name, pattern in patterns.items()}
        self._any = re2.Set.SearchSet(options)
        for pattern in patterns.values():
            self._any.Add(pattern)
        self._any.Compile()

    def present(self, data: bytes) -> list[str]:
        """The names of the patterns that occur in `data`, in the order given."""
        return [self._names[index] for index in sorted(self._any.Match(data) or ())]

    def spans(self, name: str, data: bytes) -> Iterator[tuple[int, int]]:
        return (match.span() for match in self._compiled[name].finditer(data))


def prepare(*, limit: int = 10_000) -> Prepared:
    """Compile the patterns for binary content and for text."""
    run = {"utf-16": _UTF16_RUN}
    return Prepared((Patterns({**_PATTERNS, **run}), Patterns({**_PATTERNS, **_TEXT_PATTERNS, **run})))


@extractor(version="1.1", mime=("text/*", "application/*", "message/*"), states=STATES, prepare=prepare)
def features(file: File, patterns: tuple[Patterns, Patterns], *, limit: int = 10_000) -> Iterator[Finding]:
    """E-mail addresses, links, phone numbers of ASEAN states, IBANs, payment cards and wallets, checked where they can be.

    Reads UTF-8 and ASCII, and UTF-16LE at any offset (UTF-16BE in text files that begin with its mark). It is offered every content but
    pictures, sound, video and fonts: their metadata are other plugins' work, and every photograph would repeat the links of its XMP
    schema. Compressed content is read as it is; what is inside is found when a container is opened. One finding for each distinct value
    of a file, with its count and first offsets; at most `limit` distinct values, and a finding that says so when there were more.

    Phone numbers with a country code are looked for in any content, in national form in text alone: behind a word such as ``telp``,
    or with the leading 0 of a mobile number. Which state a national number belongs to is not in it: all that fit are named.
    """
    found: dict[tuple[str, str], Entry] = {}
    dropped, damage = 0, None
    is_text = file.mime.startswith("text/") or file.mime in _TEXT_TYPES or file.mime.endswith(("+json", "+xml"))
    scanner = patterns[is_text]
    try:
        with file.open() as stream:
            for base, low, high, window, utf16 in _windows(stream, is_text):
                seen = [
                    (offset, feature, stretch)
                    for stretch, present in _stretches(scanner, window, utf16)
                    for feature in _features(scanner, stretch, present)
                    if low <= (offset := stretch.place(feature.start)) < high
                ]
                for _, feature, stretch in sorted(seen, key=lambda item: (item[0], item[1][:4])):
                    dropped += not _add(found, feature, stretch, window, base, limit)
    except OSError as error:
        damage = error
    for (kind, value), entry in sorted(found.items(), key=lambda item: (item[1].offsets[0], item[0])):
        yield _finding(kind, value, entry)
    if dropped:
        yield Finding(
            kind="features-limit",
            summary=f"More than {limit} distinct features: {dropped} further occurrences are not listed",
            level="notable",
            data={"limit": limit, "dropped": dropped},
        )
    if damage:
        raise damage


def _add(found: dict[tuple[str, str], Entry], feature: Feature, stretch: Stretch, window: bytes, base: int, limit: int) -> bool:
    """Count a feature; `False` where it is a new one beyond the limit."""
    key = feature.kind, feature.value
    start, end = stretch.place(feature.start), stretch.place(feature.end - 1) + (1 if stretch.encoding == "utf-8" else 2)
    if (entry := found.get(key)) is None:
        if len(found) >= limit:
            return False
        text = stretch.data[feature.start : feature.end].decode("utf-8", "backslashreplace")
        around = _context(window, start, end, stretch.encoding)
        entry = found[key] = Entry(text, around, stretch.encoding, end - start, feature.data, [])
    entry.count += 1
    if len(entry.offsets) < _OFFSETS:
        entry.offsets.append(base + start)
    return True


def _context(window: bytes, start: int, end: int, encoding: str) -> str:
    """The feature with some printable characters on both sides."""
    reach = _AROUND * 2 if encoding != "utf-8" else _AROUND * 3
    first = max(start - reach, start % 2 if encoding != "utf-8" else 0)
    before = window[first:start].decode(encoding, "replace")[-_AROUND:]
    after = window[end : end + reach].decode(encoding, "replace")[:_AROUND]
    inner = window[start : min(end, start + 400)].decode(encoding, "replace")
    return "".join(char if char.isprintable() and char != "\ufffd" else "·" for char in before + inner + after)


_LEVELS: dict[str, Level] = {"iban": "notable", "payment-card": "notable", "crypto-wallet": "notable"}
_CATEGORIES = {"iban": "SOM-PAYMENT", "payment-card": "SOM-PAYMENT", "crypto-wallet": "SOM-PAYMENT"}  # proposals: a person decides
_LABELS = {
    "email": "E-mail address",
    "url": "Link",
    "phone-number": "Phone number",
    "iban": "IBAN",
    "payment-card": "Payment card number",
    "crypto-wallet": "Wallet address",
}


def _finding(kind: str, value: str, entry: Entry) -> Finding:
    times = "" if entry.count == 1 else f" ({entry.count} times)"
    about = entry.data.get("currency") or entry.data.get("network") or ""
    regions = entry.data.get("regions")
    if isinstance(regions, list):
        about = " or ".join(map(str, regions))
    label = "Possible phone number" if entry.data.get("basis") == "mobile pattern" else _LABELS[kind]
    return Finding(
        kind=kind,
        summary=f"{label} {value if len(value) <= 200 else value[:200] + '…'}{f' [{about}]' if about else ''}{times}",
        level=_LEVELS.get(kind, "info"),
        category=_CATEGORIES.get(kind),
        locator=ByteRange(entry.offsets[0], entry.size),
        data={
            "value": value,
            "found": entry.found[:_URL_LIMIT],
            **entry.data,
            "count": entry.count,
            "offsets": list[str | int](entry.offsets),
            "encoding": entry.encoding,
            "context": entry.context,
        },
    )


# --- reading ----------------------------------------------------------------------------------------------------------------


def _windows(stream: BinaryIO, is_text: bool) -> Iterator[tuple[int, int, int, bytes, str]]:
    """Windows of the content: offset of the first byte, the range in it whose features it owns, its bytes, UTF-16 encoding if marked."""
    base, window, utf16 = 0, b"", ""
    while chunk := _filled(stream):
        if not window and is_text:
            utf16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(chunk[:2], "")
        kept = window[-2 * _MARGIN :]
        base += len(window) - len(kept)
        window = kept + chunk
        low = _MARGIN if base else 0
        last = len(chunk) < _WINDOW
        yield base, low, len(window) if last else len(window) - _MARGIN, window, utf16
        if last:
            return
    if window:  # the content ends with a full window: what its margin owns is still due
        yield base, max(len(window) - _MARGIN, 0), len(window), window, utf16


def _filled(stream: BinaryIO) -> bytes:
    """The next bytes: fewer than a window's only at the end."""
    chunk = stream.read(_WINDOW)
    while 0 < len(chunk) < _WINDOW and (more := stream.read(_WINDOW - len(chunk))):
        chunk += more
    return chunk


def _stretches(patterns: Patterns, window: bytes, utf16: str) -> Iterator[tuple[Stretch, list[str]]]:
    """What to look in, and the names of the patterns that occur there."""
    if utf16:
        stretch = _transcoded(window, utf16)
        yield stretch, patterns.present(stretch.data)
        return
    present = patterns.present(window)
    yield Stretch(window, "utf-8", lambda offset: offset), present
    runs = list(patterns.spans("utf-16", window)) if "utf-16" in present else []
    if runs:
        # ASCII characters of all runs, one line each; `lines` are where they begin here, `places` where they begin in the window
        lines, places, pieces, total = [], [], [], 0
        for start, end in runs:
            lines.append(total)
            places.append(start)
            pieces.append(window[start:end:2])
            total += (end - start) // 2 + 1

        def place(offset: int) -> int:
            index = bisect_right(lines, offset) - 1
            return places[index] + 2 * (offset - lines[index])

        joined = b"\n".join(pieces)
        yield Stretch(joined, "utf-16-le", place), patterns.present(joined)


def _transcoded(window: bytes, encoding: str) -> Stretch:
    data = window[: len(window) & ~1].decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")

    @lru_cache(maxsize=2)
    def place(offset: int) -> int:
        while offset and data[offset] & 0xC0 == 0x80:  # within a character: its beginning
            offset -= 1
        return len(data[:offset].decode("utf-8", "surrogatepass").encode(encoding, "surrogatepass"))

    return Stretch(data, encoding, place)


def _features(patterns: Patterns, stretch: Stretch, present: list[str]) -> Iterator[Feature]:
    taken: set[int] = set()  # national numbers that a word introduced
    for name in present:
        if name == "utf-16":
            continue
        check = _CHECKS[name]
        for start, end in patterns.spans(name, stretch.data):
            for feature in check(stretch.data, start, end):
                if name == "national-in-context":
                    taken.add(feature.start)
                elif name == "national-mobile" and feature.start in taken:
                    continue
                yield feature


# --- checking: each takes the data and the span of a match, and yields what holds ---------------------------------------------


def _email(data: bytes, start: int, end: int) -> Iterator[Feature]:
    text = data[start:end]
    if text[:1] in b"nrt" and data[start - 1 : start] == b"\\":  # the end of an escaped newline
        text = text[1:]
    text = text.lstrip(b".%+-")
    start = end - len(text)
    local, _, host = text.decode("ascii").rpartition("@")
    note = {"note": "WhatsApp group identifier"} if host == "g.us" else {}
    if run_on := _RUN_ON.search(host):
        # "...@example.comDana": in databases the next column follows without a separator
        end -= len(host) - run_on.end(1)
        text, host = data[start:end], host[: run_on.end(1)]
        note = {"note": "the content runs on directly behind the address"}
    if not 0 < len(local) <= 64 or ".." in local or local.endswith(".") or not _is_domain(host):
        return
    if len(text) < 10 and not (
        _plain(data[start - 1 : start] if start else b"") and _plain(data[end : end + 1]) and host in (host.lower(), host.upper())
    ):
        return  # a few bytes of binary content look like a short address now and then
    if host in ("s.whatsapp.net", "c.us") and (number := _international(local)):
        yield Feature(start, end, "phone-number", number[0], {"regions": [number[1]], "basis": "WhatsApp identifier"})
        return
    yield Feature(start, end, "email", f"{local}@{host}".lower(), dict[str, Value](note))


def _plain(byte: bytes) -> bool:
    """Whether a neighbour is none, printable, a space or a terminator, as around text."""
    return not byte or byte in b"\t\n\r\x00" or 0x20 <= byte[0] < 0x7F


def _is_domain(host: str) -> bool:
    labels = host.split(".")
    last = labels[-1].lower()
    return (
        len(labels) > 1
        and len(host) <= 253
        and all(0 < len(label) <= 63 and label[0] != "-" and label[-1] != "-" for label in labels)
        and ((2 <= len(last) <= 24 and last.isalpha()) or last.startswith("xn--"))
        and not _NO_DOMAIN.fullmatch(last)
    )


_URL = re.compile(r"([a-z]+)://(?:[^/?#@]*@)?(\[[0-9a-f:.]+\]|[^/?#:@\[\]]+)(?::[0-9]{1,5})?(?=[/?#]|$)", re.IGNORECASE)


def _url(data: bytes, start: int, end: int) -> Iterator[Feature]:
    found = data[start:end].decode("utf-8", "ignore")
    text = found.rstrip(".,;:!?'*\\")
    while text.endswith((")", "]")) and text.count(text[-1]) > text.count({")": "(", "]": "["}[text[-1]]):
        text = text[:-1].rstrip(".,;:!?'*\\")
    end = start + len(text.encode())
    value = text.replace("\\/", "/").replace("&amp;", "&")
    match = _URL.match(value)
    if not match or not _is_host(match[2]):
        return
    value = match[0].lower() + value[match.end() :] if "@" not in match[0] else value
    if len(value) > _URL_LIMIT:
        yield Feature(start, end, "url", value[:_URL_LIMIT], {"truncated": True})
    else:
        yield Feature(start, end, "url", value, {})


def _is_host(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    if host.isascii() and (host[0] == "[" or host.replace(".", "").isdigit()):
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return False
        return True
    return host.replace("-", "").replace("_", "").replace(".", "").isalnum() and _is_domain(host)


def _phone(data: bytes, start: int, end: int) -> Iterator[Feature]:
    text = data[start:end]
    skipped = max(text.find(b"+"), text.find(b"/"), text.find(b"=")) + 1 or 3
    for cut in _cuts(text, skipped):
        if number := _international(re.sub(rb"\(0\)|[^0-9]", b"", text[skipped:cut]).decode()):
            if number[1] in REGIONS and not data[start + cut : start + cut + 1].isdigit():
                begin = start if text[:1] in b"+%" else start + skipped
                yield Feature(begin, start + cut, "phone-number", number[0], {"regions": [number[1]], "basis": "country code"})
            return


def _cuts(text: bytes, start: int) -> Iterator[int]:
    """Ends to try, the longest first: the text may run on into the next number."""
    ends = [match.end() for match in re.finditer(rb"[0-9]+", text[start:])]
    return (start + end for end in reversed(ends[-8:]))


@lru_cache(maxsize=4096)
def _international(digits: str) -> tuple[str, str] | None:
    """E.164 form and region of a number with its country code, if it is valid."""
    import phonenumbers  # only where there is what may be such a number: it loads every numbering plan

    if not 7 <= len(digits) <= 15:
        return None
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), phonenumbers.region_code_for_number(number) or "001"


class _Plan(NamedTuple):
    """A region's numbering plan, as far as it is needed here."""

    region: str
    code: int
    prefix: str
    any: re.Pattern[str]
    mobile: re.Pattern[str]


@lru_cache(maxsize=1)
def _plans() -> tuple[_Plan, ...]:
    from phonenumbers import PhoneMetadata

    out = []
    for region in REGIONS:
        data: Any = PhoneMetadata.metadata_for_region(region)
        patterns = (re.compile(kind.national_number_pattern) for kind in (data.general_desc, data.mobile))
        out.append(_Plan(region, data.country_code, data.national_prefix or "", *patterns))
    return tuple(out)


@lru_cache(maxsize=4096)
def _national(digits: str, mobile: bool) -> tuple[tuple[str, str], ...]:
    """Regions and E.164 forms that a number in national form can have; only mobile numbers on demand."""
    import phonenumbers

    out = []
    for plan in _plans():
        if not digits.startswith(plan.prefix):
            continue
        own = digits.removeprefix(plan.prefix)
        if mobile:
            fits = plan.mobile.fullmatch(own) is not None
        else:
            number = phonenumbers.PhoneNumber(country_code=plan.code, national_number=int(own))
            fits = plan.any.fullmatch(own) is not None and phonenumbers.number_type(number) != phonenumbers.PhoneNumberType.UNKNOWN
        if fits:
            out.append((plan.region, f"+{plan.code}{own}"))
    return tuple(out)


def _national_in_context(data: bytes, start: int, end: int) -> Iterator[Feature]:
    text = data[start:end]
    first = re.search(rb"[0-9]", text)
    if first is None:
        return
    for cut in _cuts(text, first.start()):
        digits = re.sub(rb"[^0-9]", b"", text[first.start() : cut]).decode()
        if (numbers := _national(digits, False)) and not data[start + cut : start + cut + 1].isdigit():
            yield _national_feature(start + first.start(), start + cut, digits, numbers, "word before it")
            return


def _national_mobile(data: bytes, start: int, end: int) -> Iterator[Feature]:
    digits = re.sub(rb"[^0-9]", b"", data[start:end]).decode()
    before, after = data[max(start - 1, 0) : start], data[end : end + 2]
    if (before and before in b"+-./_:%#") or (after[:1] in b"-./:_" and after[1:].isdigit()):
        return  # part of something longer: a decimal, a date, a serial number
    if re.fullmatch(rb"[0-9]{2}(?: [0-9]{2})+", data[start:end]):
        return  # a dump of bytes
    if digits in "0123456789":
        return  # the digits themselves, as programs spell them
    if numbers := _national(digits, True):
        yield _national_feature(start, end, digits, numbers, "mobile pattern")


def _national_feature(start: int, end: int, digits: str, numbers: tuple[tuple[str, str], ...], basis: str) -> Feature:
    """A national number has the value of its one E.164 form, or of its digits where several states are possible."""
    regions: list[str | int] = [region for region, _ in numbers]
    data: dict[str, Value] = {"regions": regions, "basis": basis}
    if len(numbers) == 1:
        return Feature(start, end, "phone-number", numbers[0][1], data)
    return Feature(start, end, "phone-number", digits, {**data, "candidates": [number for _, number in numbers]})


def _iban(data: bytes, start: int, end: int) -> Iterator[Feature]:
    from stdnum import iban  # only where there is what may be one: it loads the registry

    text = data[start:end].decode("ascii")
    while text:
        compact = text.replace(" ", "")
        if iban.is_valid(compact, check_country=False):
            yield Feature(start, start + len(text), "iban", compact, {"country": compact[:2]})
            return
        text = text.rpartition(" ")[0]


# Issuer identification number ranges (ISO/IEC 7812) by network: first, last, lengths
_NETWORKS = (
    ("Visa", "4", "4", (16, 19)),
    ("Mastercard", "51", "55", (16,)),
    ("Mastercard", "2221", "2720", (16,)),
    ("American Express", "34", "34", (15,)),
    ("American Express", "37", "37", (15,)),
    ("Diners Club", "300", "305", (14, 16, 19)),
    ("Diners Club", "36", "36", (14, 16, 19)),
    ("Diners Club", "38", "39", (14, 16, 19)),
    ("Discover", "6011", "6011", (16, 19)),
    ("Discover", "644", "659", (16, 19)),
    ("JCB", "3528", "3589", (16, 19)),
    ("UnionPay", "62", "62", (16, 17, 18, 19)),
    ("Mir", "2200", "2204", (16,)),
    ("NAPAS", "9704", "9704", (16, 19)),
)


def _card(data: bytes, start: int, end: int) -> Iterator[Feature]:
    digits = re.sub(rb"[^0-9]", b"", data[start:end]).decode()
    joined = b".-_/:+"  # neighbours that make it a part of something longer
    if (data[max(start - 1, 0) : start] in joined and start) or (data[end : end + 1] in joined and data[end + 1 : end + 2].isdigit()):
        return
    network = next(
        (name for name, low, high, sizes in _NETWORKS if len(digits) in sizes and low <= digits[: len(low)] <= high),
        None,
    )
    if network and len(set(digits)) > 1 and _luhn(digits):
        yield Feature(start, end, "payment-card", digits, {"network": network})


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B."""
    return (sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))  # the digit sum of twice the digit


# Version bytes of Base58Check addresses (SLIP-0044 currencies; chainparams of each project)
_VERSIONS = {
    0x00: ("Bitcoin", "P2PKH"),
    0x05: ("Bitcoin", "P2SH"),
    0x30: ("Litecoin", "P2PKH"),
    0x32: ("Litecoin", "P2SH"),
    0x1E: ("Dogecoin", "P2PKH"),
    0x41: ("TRON", "account"),
}


def _wallet(start: int, end: int, value: str, currency: str, form: str, checksum: str = "holds") -> Feature:
    return Feature(start, end, "crypto-wallet", value, {"currency": currency, "form": form, "checksum": checksum})


def _base58(data: bytes, start: int, end: int) -> Iterator[Feature]:
    text = data[start:end].decode("ascii")
    number = 0
    for char in text:
        number = number * 58 + _BASE58.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    if number.bit_length() > 8 * 25:
        return
    raw = number.to_bytes(25, "big")
    if raw[0] not in _VERSIONS or (zeros != len(raw) - len(raw.lstrip(b"\0"))):
        return
    if hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]:
        yield _wallet(start, end, text, *_VERSIONS[raw[0]])


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _bech32(data: bytes, start: int, end: int) -> Iterator[Feature]:
    """Segregated witness addresses: BIP 173 (bech32, version 0) and BIP 350 (bech32m, versions 1 to 16)."""
    found = data[start:end].decode("ascii")
    text = found.lower()
    if found not in (text, found.upper()) or len(text) > 90:
        return
    prefix, _, rest = text.rpartition("1")
    if any(char not in _BECH32 for char in rest):
        return
    values = [_BECH32.index(char) for char in rest]
    check = 1
    for value in [*(ord(char) >> 5 for char in prefix), 0, *(ord(char) & 31 for char in prefix), *values]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    version, program = values[0], (len(values) - 7) * 5 // 8
    spare = (len(values) - 7) * 5 % 8
    padding = values[-7] & ((1 << spare) - 1)
    if version > 16 or not 2 <= program <= 40 or spare > 4 or padding or (version == 0 and program not in (20, 32)):
        return
    if check == (1 if version == 0 else 0x2BC830A3):
        currency = {"bc": "Bitcoin", "ltc": "Litecoin"}.get(prefix)
        if currency:
            yield _wallet(start, end, text, currency, f"witness version {version}")


def _ethereum(data: bytes, start: int, end: int) -> Iterator[Feature]:
    """EIP-55: an address in mixed case carries a checksum in the case of its letters; in one case it has none."""
    text = data[start + 2 : end].decode("ascii")
    lower = text.lower()
    if text in (lower, text.upper()):
        if len(set(lower)) > 2:
            yield _wallet(start, end, f"0x{lower}", "Ethereum", "account", "absent")
        return
    digest = keccak256(lower.encode()).hex()
    if all(char == (char.upper() if int(nibble, 16) > 7 else char.lower()) for char, nibble in zip(text, digest, strict=False)):
        yield _wallet(start, end, f"0x{text}", "Ethereum", "account")


_MONERO = {18: "standard", 19: "integrated", 42: "subaddress"}


def _monero(data: bytes, start: int, end: int) -> Iterator[Feature]:
    """CryptoNote Base58 (CNS007): blocks of 8 bytes in 11 characters, the last of 5 in 7; first 4 bytes of Keccak-256 as checksum."""
    text = data[start:end].decode("ascii")
    raw = b""
    for at in range(0, len(text), 11):
        block, number = text[at : at + 11], 0
        for char in block:
            number = number * 58 + _BASE58.index(char)
        size = 8 if len(block) == 11 else 5
        if number >> (8 * size):
            return
        raw += number.to_bytes(size, "big")
    if raw[0] in _MONERO and (len(raw) == 77) == (raw[0] == 19) and keccak256(raw[:-4])[:4] == raw[-4:]:
        yield _wallet(start, end, text, "Monero", _MONERO[raw[0]])


def keccak256(data: bytes) -> bytes:
    """Keccak-256 with the padding of the original submission (0x01), which Ethereum and Monero use; hashlib has only SHA-3's (0x06)."""
    rate, mask = 136, (1 << 64) - 1
    padded = bytearray(data + b"\x01" + bytes(-(len(data) + 1) % rate))
    padded[-1] |= 0x80
    lanes = [0] * 25  # lane x, y at x + 5 * y

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & mask if bits else value

    for at in range(0, len(padded), rate):
        for index in range(rate // 8):
            lanes[index] ^= int.from_bytes(padded[at + 8 * index : at + 8 * index + 8], "little")
        shift = 1  # the linear feedback register of FIPS 202, algorithm 5
        for _ in range(24):
            parity = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
            for x in range(5):
                mixed = parity[x - 1] ^ rotated(parity[(x + 1) % 5], 1)
                for y in range(0, 25, 5):
                    lanes[x + y] ^= mixed
            x, y, current = 1, 0, lanes[1]
            for step in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                current, lanes[x + 5 * y] = lanes[x + 5 * y], rotated(current, (step + 1) * (step + 2) // 2 % 64)
            for row in range(0, 25, 5):
                old = lanes[row : row + 5]
                for x in range(5):
                    lanes[row + x] = old[x] ^ (~old[(x + 1) % 5] & mask & old[(x + 2) % 5])
            for bit in range(7):
                lanes[0] ^= (shift & 1) << ((1 << bit) - 1)
                shift = shift << 1 ^ (0x171 if shift & 0x80 else 0)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


_CHECKS: dict[str, Callable[[bytes, int, int], Iterator[Feature]]] = {
    "email": _email,
    "url": _url,
    "phone": _phone,
    "iban": _iban,
    "card": _card,
    "base58": _base58,
    "bech32": _bech32,
    "ethereum": _ethereum,
    "monero": _monero,
    "national-in-context": _national_in_context,
    "national-mobile": _national_mobile,
}
