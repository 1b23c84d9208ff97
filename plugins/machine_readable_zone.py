"""Machine-readable zones of travel documents (ICAO Doc 9303) written out in text, with their check digits verified."""

import calendar
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import re2

from forensics.plugin import ByteRange, File, Finding, Prepared, Value, extractor

_WINDOW = 256 << 10  # bytes whose zones a window owns; even, so that UTF-16 stays aligned
_MARGIN = 4 << 10  # bytes read on both sides: the longest zone, every filler escaped, in UTF-16, is shorter
_LIMIT = 10_000  # zones reported of one file

_FILLER = rb"(?:<|&lt;|\\u003[cC])"  # as it stands, in HTML, in JSON that is safe for HTML
_UNIT = rb"(?:[A-Z0-9]|" + _FILLER + rb")"
_LETTER = rb"(?:[A-Z]|" + _FILLER + rb")"
# Between lines: white space, escaped newlines, tags, quotes and commas of a list
_BREAK = rb"(?:[\s\"',]|\\[rnt]|\\\"|</?[a-z][^<>]{0,60}>|&#(?:10|13|x[aAdD]);){0,16}"
_START = rb"[ACIPV]" + _LETTER + rb"{4}" + _UNIT + rb"{25,}"
_UTF16_RUN = rb"(?:[\t\n\r\x20-\x7e]\x00){30,}"

NOTE = "no check digit protects names, nationality, sex and issuing state"
CENTURY = (
    "two-digit years: an expiry in 80-99 is read as 19xx, else 20xx; a birth is read as the latest year with those digits before the expiry"
)
UNPROTECTED: list[str | int] = ["surname", "given_names", "nationality", "sex", "issuing_state"]


class Field(NamedTuple):
    """A field that a check digit covers: name, line (from 0), first and last position and the digit's (from 1, as Doc 9303 counts)."""

    name: str
    line: int
    first: int
    last: int
    digit: int


class Format(NamedTuple):
    """A zone's layout (Doc 9303 parts 4 to 7): all positions from 1; `composite` lists line, first and last of what it covers."""

    name: str
    code: bytes
    lines: int
    width: int
    checked: tuple[Field, ...]
    composite: tuple[tuple[int, int, int], ...]
    composite_digit: tuple[int, int] | None
    names: int
    nationality: tuple[int, int]
    sex: tuple[int, int]
    optional: tuple[tuple[int, int, int], ...]


def _two_lines(name: str, code: bytes, width: int, optional: int, composite: bool, personal: bool = False) -> Format:
    """The layouts of two lines differ in width, in how far the optional data run, and in their last check digits."""
    checked = [Field("document_number", 1, 1, 9, 10), Field("birth_date", 1, 14, 19, 20), Field("expiry_date", 1, 22, 27, 28)]
    if personal:
        checked.append(Field("personal_number", 1, 29, 42, 43))
    covered = ((1, 1, 10), (1, 14, 20), (1, 22, 43 if personal else 35)) if composite else ()
    digit = (1, width) if composite else None
    return Format(name, code, 2, width, tuple(checked), covered, digit, 0, (1, 11), (1, 21), ((1, 29, optional),))


FORMATS = (
    Format(
        "TD1",  # Doc 9303-5 section 4.2
        rb"[ACI]",
        3,
        30,
        (Field("document_number", 0, 6, 14, 15), Field("birth_date", 1, 1, 6, 7), Field("expiry_date", 1, 9, 14, 15)),
        ((0, 6, 30), (1, 1, 7), (1, 9, 15), (1, 19, 29)),
        (1, 30),
        2,
        (1, 16),
        (1, 8),
        ((0, 16, 30), (1, 19, 29)),
    ),
    _two_lines("TD2", rb"[ACI]", 36, 35, True),  # Doc 9303-6 section 4.2
    _two_lines("TD3", rb"P", 44, 42, True, personal=True),  # Doc 9303-4 section 4.2
    _two_lines("MRV-A", rb"V", 44, 44, False),  # Doc 9303-7 section 4.2
    _two_lines("MRV-B", rb"V", 36, 36, False),  # Doc 9303-7 section 5.2
)

# Doc 9303-3 section 5: the alpha-3 codes of ISO 3166-1, and the codes that it adds
STATES = frozenset(
    re.findall(
        "[A-Z]+",
        """
        ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS BIH BLM BLR BLZ BMU BOL
        BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM
        DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY
        HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY
        LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM
        NCL NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY PSE PYF QAT REU ROU RUS RWA SAU
        SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON
        TTO TUN TUR TUV TWN TZA UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE D EUE GBD GBN GBO GBP GBS
        IAO NTZ RKS UNA UNK UNO UTO XBA XCC XCE XCO XDC XEC XES XIM XMP XOM XPO XXA XXB XXC XXX
        """,
    )
)


class Stretch(NamedTuple):
    """Content as ASCII to look in, and how its offsets become offsets in the window."""

    data: bytes
    step: int
    place: Callable[[int], int]


class Patterns(NamedTuple):
    """What the content is searched for."""

    start: Any
    utf16: Any
    either: Any  # one automaton for both, for most content has neither


def prepare() -> Prepared:
    """Compile what the content is searched for."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 32 << 20
    either = re2.Set.SearchSet(options)
    either.Add(_START)
    either.Add(_UTF16_RUN)
    either.Compile()
    return Prepared(Patterns(re2.compile(_START, options), re2.compile(_UTF16_RUN, options), either))


@extractor(version="1.1", mime=("text/*", "application/*", "message/*"), prepare=prepare)
def machine_readable_zone(file: File, patterns: Patterns) -> Iterator[Finding]:
    """Machine-readable zones of passports, identity cards and visas in text, with check digits verified (ICAO Doc 9303).

    TD1, TD2, TD3, MRV-A and MRV-B, in ASCII and UTF-16LE, with fillers as ``<``, ``&lt;`` or ``\\u003c``, and lines parted by newlines,
    escaped newlines or tags, or not at all. Reported where the layout and at least two check digits hold: notable when all do.
    Zones in pictures are not read: that takes optical character recognition.
    """
    count = 0
    with file.open() as stream:
        for base, low, high, window in _windows(stream):
            zones = [
                (offset, end, text, layout)
                for stretch in _stretches(patterns, window)
                for offset, end, text, layout in _zones(patterns, stretch)
                if low <= offset < high
            ]
            for offset, end, text, layout in sorted(zones, key=lambda zone: zone[:2]):
                finding = read_zone(layout, text, ByteRange(base + offset, end - offset))
                if finding is None:
                    continue
                count += 1
                if count > _LIMIT:
                    yield Finding(
                        kind="travel-document-limit",
                        summary=f"More than {_LIMIT} machine-readable zones: the rest of this file was not read for them",
                        level="notable",
                        data={"limit": _LIMIT, "offset": base + offset},
                    )
                    return
                yield finding


def _windows(stream: BinaryIO) -> Iterator[tuple[int, int, int, bytes]]:
    """Windows of the content: offset of the first byte, the range in it whose zones it owns, its bytes."""
    base, window, more = 0, b"", True
    while more:
        chunk = stream.read(_WINDOW)
        while 0 < len(chunk) < _WINDOW and (rest := stream.read(_WINDOW - len(chunk))):
            chunk += rest
        more = len(chunk) == _WINDOW
        kept = window[-2 * _MARGIN :]
        base += len(window) - len(kept)
        window = kept + chunk
        yield base, min(len(kept), _MARGIN) if base else 0, len(window) - (_MARGIN if more else 0), window


def _stretches(patterns: Patterns, window: bytes) -> Iterator[Stretch]:
    present = patterns.either.Match(window) or ()
    if 0 in present:
        yield Stretch(window, 1, lambda offset: offset)
    if 1 not in present:
        return
    lines: list[int] = []
    places: list[int] = []
    pieces, total = [], 0
    for match in patterns.utf16.finditer(window):
        start, end = match.span()
        lines.append(total)
        places.append(start)
        pieces.append(window[start:end:2])
        total += (end - start) // 2 + 1

    def place(offset: int) -> int:
        index = bisect_right(lines, offset) - 1
        return places[index] + 2 * (offset - lines[index])

    yield Stretch(b"\0".join(pieces), 2, place)


def _layout_pattern(layout: Format) -> re.Pattern[bytes]:
    """A zone of this layout from its beginning: its lines as groups."""
    first = rb"(" + layout.code + _LETTER + rb"{4}" + _UNIT + rb"{%d})" % (layout.width - 5)
    other = rb"(" + _UNIT + rb"{%d})" % layout.width
    return re.compile(_BREAK.join([first, *[other] * (layout.lines - 1)]) + rb"(?!" + _UNIT + rb"(?![/a-z]))")


_LAYOUTS = tuple((layout, _layout_pattern(layout)) for layout in FORMATS)


def _zones(patterns: Patterns, stretch: Stretch) -> Iterator[tuple[int, int, list[str], Format]]:
    """What has the shape of a zone: offset and end in the window, lines, layout."""
    data = stretch.data
    for match in patterns.start.finditer(data):
        start = match.start()
        if start and data[start - 1 : start] in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<":
            continue
        for layout, pattern in _LAYOUTS:
            if zone := pattern.match(data, start, start + _MARGIN // stretch.step):
                text = [re.sub(_FILLER, b"<", line).decode("ascii") for line in zone.groups()]
                yield stretch.place(start), stretch.place(zone.end() - 1) + stretch.step, text, layout
                break


# --- reading a zone ---------------------------------------------------------------------------------------------------------


def check_digit(text: str) -> str:
    """Doc 9303-3 section 4.9: weights 7, 3, 1; digits count their value, A to Z 10 to 35, the filler 0."""
    return str(sum((0 if char == "<" else int(char, 36)) * (7, 3, 1)[index % 3] for index, char in enumerate(text)) % 10)


def read_zone(layout: Format, lines: list[str], locator: ByteRange) -> Finding | None:
    """The finding for lines that have the shape of a zone, or `None` where its layout or two check digits do not hold."""
    field = {check.name: lines[check.line][check.first - 1 : check.last] for check in layout.checked}
    digit = {check.name: lines[check.line][check.digit - 1] for check in layout.checked}
    nationality = _cut(lines, layout.nationality, 3)
    sex = _cut(lines, layout.sex, 1)
    names = lines[layout.names] if layout.names else lines[0][5:]
    optional = [lines[line][first - 1 : last] for line, first, last in layout.optional]
    plausible = (
        re.fullmatch("[A-Z]+[A-Z<]*", names)
        and re.fullmatch("[A-Z]{1,3}<*", lines[0][2:5])
        and re.fullmatch("[A-Z]{1,3}<*|<<<", nationality)
        and sex in "MFX<"
        and all(re.fullmatch("[0-9]*<*", field[name]) for name in ("birth_date", "expiry_date"))
    )
    if not plausible:
        return None
    number, long_number, optional = _document_number(layout, field["document_number"], digit["document_number"], optional)
    results = {name: _holds(value, digit[name]) for name, value in field.items()}
    if long_number:
        results["document_number"] = check_digit(number) == long_number
    if layout.composite_digit:
        covered = "".join(lines[line][first - 1 : last] for line, first, last in layout.composite)
        line, position = layout.composite_digit
        results["composite"] = check_digit(covered) == lines[line][position - 1]
    passed: list[str | int] = [name for name, holds in results.items() if holds]
    failed: list[str | int] = [name for name, holds in results.items() if not holds]
    if len(passed) < 2:
        return None
    state = lines[0][2:5].rstrip("<")
    surname, _, given = names.partition("<<")
    data: dict[str, Value] = {
        "format": layout.name,
        "document_code": lines[0][:2].rstrip("<"),
        "issuing_state": state,
        "surname": surname.replace("<", " ").strip(),
        "given_names": given.replace("<", " ").strip(),
        "document_number": number,
        "nationality": nationality.rstrip("<"),
        "birth_date": field["birth_date"],
        "birth_date_interpretation": _birth(field["birth_date"], field["expiry_date"]),
        "sex": sex,
        "expiry_date": field["expiry_date"],
        "expiry_date_interpretation": _expiry(field["expiry_date"]),
        "optional_data": " ".join(part for part in (text.rstrip("<") for text in optional) if part),
        "mrz": list[str | int](lines),
        "checks_passed": passed,
        "checks_failed": failed,
        "unprotected": UNPROTECTED,
        "note": "; ".join([NOTE, CENTURY, *_unknown(state, nationality.rstrip("<"))]),
    }
    name = " ".join(part for part in (str(data["surname"]) + ",", str(data["given_names"])) if part).strip(" ,")
    verdict = "all check digits hold" if not failed else f"check digits fail: {', '.join(map(str, failed))}"
    return Finding(
        kind="travel-document",
        summary=f"{layout.name} {number} of {state or '?'}: {name} ({verdict}; {NOTE})",
        level="info" if failed else "notable",
        category="SOM-IDENTITY",
        data=data,
        locator=locator,
    )


def _cut(lines: list[str], place: tuple[int, int], size: int) -> str:
    line, first = place
    return lines[line][first - 1 : first - 1 + size]


def _holds(value: str, digit: str) -> bool:
    """An empty field's check digit may be 0 or a filler (Doc 9303-4 section 4.2.2.2, note on the personal number)."""
    return check_digit(value) == digit or (digit == "<" and not value.strip("<"))


def _document_number(layout: Format, number: str, digit: str, optional: list[str]) -> tuple[str, str, list[str]]:
    """The document number, its check digit if it runs on into the optional data, and what is left of those.

    Doc 9303-5 section 4.2.2 (note j) and 9303-6: more than nine characters stand with a filler in place of the check digit, the rest at the
    beginning of the optional data, then the check digit and a filler.
    """
    if layout.name in ("TD1", "TD2") and digit == "<" and (match := re.match("([A-Z0-9]+)([0-9])(?:<|$)", optional[0])):
        return number + match[1], match[2], [optional[0][match.end() :], *optional[1:]]
    return number.rstrip("<"), "", optional


def _expiry(found: str) -> str | None:
    if not re.fullmatch("[0-9]{6}", found):
        return None
    return _date(f"{'19' if found >= '80' else '20'}{found[:2]}", found)


def _birth(found: str, expiry: str) -> str | None:
    """Unknown parts of a birth date are fillers (Doc 9303-3 section 4.8): the year, or year and month, are then given alone."""
    end = _expiry(expiry)
    if end is None or not re.fullmatch("[0-9]{2}(?:[0-9]{2}|<<)(?:[0-9]{2}|<<)", found):
        return None
    year = int(end[:2]) * 100 + int(found[:2])
    born = _date(str(year), found)
    if born is not None and born >= end:
        born = _date(str(year - 100), found)
    return born


def _date(year: str, found: str) -> str | None:
    """ISO 8601 of a year and the month and day of YYMMDD, as far as they are known; `None` where there is no such day."""
    month, day = found[2:4], found[4:6]
    if month == "<<":
        return year
    if not 1 <= int(month) <= 12:
        return None
    if day == "<<":
        return f"{year}-{month}"
    return f"{year}-{month}-{day}" if 1 <= int(day) <= calendar.monthrange(int(year), int(month))[1] else None


def _unknown(*codes: str) -> Iterator[str]:
    for code in sorted(set(codes)):
        if code and code not in STATES:
            yield f"{code} is no code of Doc 9303-3 section 5"
