"""YARA-X matches wherever YARA does, for every construct of the list by which rules are screened; and what differs is not on it."""

import random
from collections.abc import Callable
from itertools import product

import pytest
import yara
import yara_x

from forensics.rules.constructs import beginnings, unscreened
from forensics.rules.text import parse

RULES, CONTENTS = 150, 60


def reason(source: str) -> str:
    text = parse(source)
    return next(filter(None, (unscreened(rule, frozenset(text.rules)) for rule in text.rules.values())), "")


def of(strings: str, condition: str = "all of them") -> str:
    return f"rule r {{ {'strings: ' + strings if strings else ''} condition: {condition} }}"


def by_yara(source: str, content: bytes) -> bool:
    return any(match.rule == "r" for match in yara.compile(source=source).match(data=content))


def by_yara_x(source: str, content: bytes) -> bool:
    return any(rule.identifier == "r" for rule in yara_x.compile(source).scan(content).matching_rules)


# Strings or condition, content that matches, content that does not: expected by the YARA 4.5 documentation, "Writing YARA rules".
PAIRS = [
    (of('$a = "text"'), b"a text", b"a TEXT"),
    (of('$a = "te\\"\\\\\\x41\\n\\t"'), b'te"\\A\n\t', b"te"),
    (of('$a = "text" nocase'), b"a TeXt", b"a tex t"),
    (of('$a = "text" wide'), b"t\0e\0x\0t\0", b"text"),
    (of('$a = "text" wide ascii'), b"text", b"t\0e\0x\0"),
    (of('$a = "text" fullword'), b"a text.", b"a textual"),
    (of('$a = "text" wide fullword'), b".\0t\0e\0x\0t\0.\0", b"a\0t\0e\0x\0t\0a\0"),
    (of('$a = "text" private'), b"text", b"tex"),
    (of('$a = "text" xor'), bytes(byte ^ 0x21 for byte in b"text"), b"tex"),
    (of('$a = "text" xor(1-5)'), bytes(byte ^ 5 for byte in b"text"), bytes(byte ^ 6 for byte in b"text")),
    (of('$a = "text" xor wide'), bytes(byte ^ 9 for byte in b"t\0e\0x\0t\0"), b"text"),
    (of("$a = { 61 62 ?? 6? ?3 }"), b"ab.oc", b"ab.or"),
    (of("$a = { 61 [2] 62 }"), b"a..b", b"a.b"),
    (of("$a = { 61 [1-3] 62 }"), b"a...b", b"a....b"),
    (of("$a = { 61 [300-310] 62 }"), b"a" + b"." * 305 + b"b", b"a" + b"." * 299 + b"b"),
    (of("$a = { 61 63 [2-] 62 64 }"), b"ac....bd", b"ac.bd"),
    (of("$a = { 61 ( 62 | 63 64 | 6? 31 ) 65 }"), b"acde", b"ac3e"),
    (of("$a = { 61 ~62 63 ~?4 }"), b"axce", b"abce"),
    (of(r"$a = /a[bc]+d{2,3}/"), b"abcbdd", b"abcbd"),
    (of(r"$a = /a[^bc]d/"), b"axd", b"abd"),
    (of(r"$a = /\d\D\w\W\s\S/"), b"1aa. x", b"1aaa x"),
    (of(r"$a = /\x41\.\/\[\n/"), b"A./[\n", b"Ax/[\n"),
    (of(r"$a = /(ab|cd)+ef?/"), b"abcde", b"acbde"),
    (of(r"$a = /a[xy]*?b/i"), b"AXYB", b"AXZB"),
    (of(r"$a = /ab[0-9]/ wide"), b"a\0b\x001\0", b"ab1"),
    (of(r"$a = /ab[0-9]/ nocase fullword"), b"AB1 ", b"AB1a"),
    (of(r"$a = /^ab/"), b"ab", b"cab"),
    (of(r"$a = /ab$/"), b"cab", b"abc"),
    (of('$a = "a" $b = "b"', "$a and not $b"), b"a", b"ab"),
    (of('$a = "a" $b = "b"', "$a or $b"), b"b", b"c"),
    (of('$a = "a" $b = "b"', "any of them"), b"b", b"c"),
    (of('$a = "a" $b = "b"', "none of them"), b"c", b"b"),
    (of('$a1 = "a" $a2 = "b" $b = "c"', "2 of ($a*) or $b"), b"ab", b"a"),
    (of('$a = "a" $b = "b"', "any of ($a, $b) in (1..2)"), b"..b", b"b.."),
    (of('$a = "a" $b = "b"', "all of them at 0 or any of them at 3"), b"...b", b"..b"),
    (of('$a = "ab"', "#a == 2"), b"abab", b"ab"),
    (of('$a = "ab"', "#a in (0..3) > 1"), b"abab", b"ab...ab"),
    (of('$a = "ab"', "@a == 1 and @a[2] > 4"), b".ab..ab", b".abab"),
    (of('$a = "ab"', "$a at 2"), b"..ab", b"ab"),
    (of('$a = /[cd]e/ $b = "ab"', "$a and #b > 1 and @b[2] > 3"), b"ab..abde", b"abab.de"),
    (of('$a = "ab"', "$a in (1..filesize)"), b".ab", b"ab"),
    (of("", "filesize > 1KB and filesize < 2MB"), bytes(1025), bytes(1024)),
    (of("", "uint8(0) == 0x61 and int8(1) == -1"), b"a\xff", b"a\x01"),
    (of("", "uint16(0) == 0x6261 and uint16be(0) == 0x6162"), b"ab", b"ba"),
    (of("", "uint32(0) == 0x64636261 and int32be(0) == 0x61626364"), b"abcd", b"abc"),
    (of("", "int16(0) == -2 and int16be(0) == -257 and uint8be(0) == 254 and int8be(1) == -1"), b"\xfe\xff", b"\xff\xfe"),
    (of("", "int32(0) < 0 and uint32be(0) > 1"), b"\xff\xff\xff\xff", b"\x01\0\0\0"),
    (of("", "not uint32(0) == 1"), b"abcd", b"\x01\0\0\0"),
    (of("", "not uint32(100) == 1 or filesize == 3"), b"abc", b"\0" * 100 + b"\x01\0\0\0"),
    (of("", "(filesize * 2 + 6 - 2) \\ 3 == 2 and filesize % 2 == 1 and (filesize & 3 | 4 ^ 1) != 0 and ~filesize < 0"), b"a", b"abcdef"),
    (of("", '"abc" contains "b" and "aBc" icontains "b" and "abc" startswith "a" and filesize <= 1'), b"a", b"ab"),
    (of("", '"aBc" iequals "abc" and "ABC" istartswith "a" and "abc" endswith "c" and "abC" iendswith "c" and filesize >= 1'), b"a", b""),
    (of("", "true and filesize == 0 or false"), b"", b"a"),
    ("private rule p { condition: filesize > 1 } " + of("", "p"), b"ab", b"a"),
]


@pytest.mark.parametrize(("source", "matching", "other"), PAIRS, ids=[source[:70] for source, _, _ in PAIRS])
def test_construct_of_the_list_matches_in_both_engines_alike(source: str, matching: bytes, other: bytes) -> None:
    assert reason(source) == ""
    assert (by_yara(source, matching), by_yara(source, other)) == (True, False)
    assert (by_yara_x(source, matching), by_yara_x(source, other)) == (True, False)


# Rules for which YARA-X 1.23.0 was found not to match content that YARA 4.5.4 matches.
DIFFERENT = [
    (of("$a = /ab.?/i"), b"ab"),
    (of("$a = /ab.*/"), b"ab"),
    (of("$a = /.{1,3}A-b/s"), b"1A-b"),
    (of("$a = /(a|)ab/"), b"ab"),
    (of(r"$a = /a b[^\n]*/"), b"a b"),
    (of(r"$a = /\D/ wide fullword"), b"1\0-\0"),
    (of('$a = ".-" xor fullword'), b"\xe9ab\nA "),
    (of('$a = "a"', "not (0 of them)"), b"a"),
]


@pytest.mark.parametrize(("source", "content"), DIFFERENT, ids=[source for source, _ in DIFFERENT])
def test_rule_for_which_the_engines_differ_is_not_screened(source: str, content: bytes) -> None:
    assert by_yara(source, content)
    assert reason(source) != ""


@pytest.mark.parametrize(
    "source",
    [
        of('$a = "abc" base64'),
        of('$a = "abc" base64wide'),
        of(r"$a = /[\s\S]b/"),
        of(r"$a = /[^\x0a]b/"),
        of(r"$a = /(\s|\S)b/"),
        of(r"$a = /(a|[^a])b/"),
        of(r"$a = /\bab/"),
        of("$a = /^ab/ wide"),
        of("$a = /a+/", "#a > 1"),
        of("$a = /a+/", "$a at 0"),
        of('$a = /a+/ $b = "b"', "#b > 1 and @a > 1"),
        of('$a = /a+/ $b = "b"', "$b at 0"),
        of('$a = /a+/ $b = "b"', "for all of ($b) : ( # > 1 )"),
        of('$a = "a"', "!a > 0"),
        of('$a = "a"', "for any of them : ( $ )"),
        of("", "for any i in (0..3) : ( uint8(i) == 1 )"),
        of("", "filesize << 1 > 4"),
        of("", "1 << filesize > 4"),
        of('$a = "a" $b = "b"', "50% of them"),
        of('$a = "a" $b = "b"', "(0 + 0) of them"),
        of("", '"a" matches /a/'),
        of("", "defined uint8(0)"),
        of("", "entrypoint == 0"),
        'import "pe" ' + of("", "pe.machine == 1"),
        'import "math" ' + of("", "math.entropy(0, filesize) > 7"),
        'import "hash" ' + of("", 'hash.md5(0, filesize) == "x"'),
        of("", "filename"),
        "rule p_1 { condition: true } " + of("", "any of (p_*)"),
    ],
)
def test_construct_that_is_not_of_the_list_is_not_screened(source: str) -> None:
    assert reason(source) != ""


# --- generated rules


def _text(random: random.Random) -> str:
    letters = "".join(random.choice("abAB1_ .-") for _ in range(random.randint(2, 5)))
    modifiers = [word for word in ("ascii", "wide", "nocase", "fullword", "private") if random.random() < 0.5]
    return f'"{letters}" {" ".join(modifiers)}'


def _xor(random: random.Random) -> str:
    letters = "".join(random.choice("abAB1_ .-") for _ in range(random.randint(2, 4)))
    return f'"{letters}" xor{random.choice(["", "(1-10)", "(0-255)", "(32)"])} {random.choice(["", "wide", "ascii wide", "private"])}'


def _hexadecimal(random: random.Random) -> str:
    parts = [random.choice(["61", "62"])]
    for _ in range(random.randint(1, 4)):
        if random.random() < 0.4:
            parts.append(random.choice(["[1]", "[0-2]", "[2-4]", "[1-250]", "[0-]", "(61|62)", "(61 62|41)", "(6?|31 32)", "~61", "~?1"]))
        parts.append(random.choice(["61", "62", "41", "31", "5F", "20", "00", "??", "6?", "?1"]))
    return "{ " + " ".join([*parts, random.choice(["61", "42", "31"])]) + " }"


def _expression(random: random.Random) -> str:
    parts = [random.choice(["ab", "b1", "aB_", "a b", "A-b"])]
    atoms = ["a", "b", "1", "_", "[ab]", "[^ab]", "[A-Z0-9]", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\x61", r"\n", "(a|b)", "(ab|A)"]
    lazy = random.choice(["", "?"])  # YARA refuses a mixture
    for _ in range(random.randint(0, 3)):
        quantifier = random.choice(["?", "*", "+", "{1,3}", "{2,}"]) + lazy if random.random() < 0.4 else ""
        parts.insert(random.randint(0, len(parts)), random.choice(atoms) + quantifier)
    return f"/{''.join(parts)}/{random.choice(['', 'i', 's'])} {random.choice(['', 'nocase', 'wide', 'ascii wide', 'fullword'])}"


def _condition(random: random.Random, depth: int = 3) -> str:
    if depth and random.random() < 0.6:
        if random.random() < 0.3:
            return f"not ({_condition(random, depth - 1)})"
        return f"({_condition(random, depth - 1)} {random.choice(['and', 'or'])} {_condition(random, depth - 1)})"
    number = str(random.randint(0, 9))
    function = random.choice(["uint8", "uint16", "int32", "uint16be", "int8be"])
    terms = ["$a", "$b", "any of them", "all of them", "none of them", "1 of them", "2 of ($a,$b)", "all of them in (0..30)"]
    terms += [f"$a at {number}", f"any of them at {number}", f"$b in ({number}..filesize)", f"#b in (0..{number}) == 1"]
    terms += [f"#a > {number}", f"@a[2] > {number}", f"filesize \\ (#b + 1) > {number}"]
    terms += [f"{function}({number}) % 3 == 1", f"{function}(filesize - {number}) - 97 < #a * 2"]
    return random.choice(terms)


def _beside(random: random.Random) -> str:
    """A condition of $a, and of how often and where $b stands."""
    number = str(random.randint(0, 4))
    counted = random.choice([f"#b > {number}", f"@b[2] > {number}", f"#b * 2 < {number}", f"filesize \\ (#b + 1) > {number}"])
    return f"{random.choice(['', 'not '])}$a {random.choice(['and', 'or'])} {counted}"


def _contents(random: random.Random) -> list[bytes]:
    found = [b""]
    for _ in range(CONTENTS):
        letters = [*"abAB1_ .-\n\0é", "ab", "b1", "a b", "A-b"]
        data = "".join(random.choice(letters) for _ in range(random.choice([1, 2, 5, 20, 60, 300]))).encode("latin-1")
        change: Callable[[bytes], bytes] = random.choice(
            [bytes, bytes, lambda data: data.decode("latin-1").encode("utf-16-le"), lambda data: bytes(byte ^ 5 for byte in data)]
        )
        found.append(change(data))
    return found


@pytest.mark.parametrize(("kind", "seed"), list(product(["text", "xor", "hexadecimal", "expression", "beside", "condition"], [1, 2])))
def test_generated_rules_that_are_screened_match_wherever_yara_matches(kind: str, seed: int) -> None:
    generator = random.Random(f"{kind} {seed}")
    string = {"text": _text, "xor": _xor, "hexadecimal": _hexadecimal, "expression": _expression, "beside": _expression}.get(kind, _text)
    rules: dict[str, str] = {}
    for number in range(RULES):
        conditions = {"condition": _condition, "beside": _beside}
        condition = conditions[kind](generator) if kind in conditions else generator.choice(["$a", "not $a"])
        source = of(f"$a = {string(generator)} $b = {_text(generator)}", f"{condition} and (true or $a or $b)")
        if reason(source) == "":
            rules[str(number)] = source
    assert len(rules) > RULES // 3
    compiler = yara_x.Compiler(relaxed_re_syntax=True)
    compiled = yara.compile(sources=rules)
    for namespace, source in rules.items():
        compiler.new_namespace(namespace)
        compiler.add_source(source)
    scanner = yara_x.Scanner(compiler.build())
    matched: set[str] = set()
    missed: set[str] = set()
    for content in _contents(generator):
        found = {match.namespace for match in compiled.match(data=content)}
        screened = {rule.namespace for rule in scanner.scan(content).matching_rules}
        assert found <= screened, (content, [rules[namespace] for namespace in found - screened])
        matched |= found
        missed |= rules.keys() - found
    assert len(matched) > len(rules) // 4
    assert len(missed) > len(rules) // 4


# --- what content must begin with


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("uint16(0) == 0x5A4D and true", {b"MZ"}),
        ("(uint16(0) == 0x5A4D and filesize > 3)", {b"MZ"}),
        ("(uint32be(0) == 0x7f454c46 or (uint16(0) == 23117 and true)) and true", {b"MZ", b"\x7fELF"}),
        ('pe.imphash() == "x" and true', {b"MZ"}),
        ("for any i in (0..pe.number_of_signatures - 1) : (true)", {b"MZ"}),
        ("uint16(0) == 0x5A4D or true", set()),
        ("not uint16(0) == 0x5A4D", set()),
        ("not (uint16(0) == 0x5A4D)", set()),
        ("uint16(1) == 0x5A4D", set()),
        ("defined pe.machine", set()),
        ("for all i in (0..pe.number_of_signatures - 1) : (true)", set()),
        ("pe.MACHINE_AMD64 == 34404", set()),
    ],
)
def test_bytes_that_content_must_begin_with_are_read_from_the_condition(condition: str, expected: set[bytes]) -> None:
    source = 'import "pe" ' + of("", condition)
    assert beginnings(parse(source).rules["r"]) == expected
    if expected:
        assert not any(by_yara(source, content) for content in (b"", b"x" * 500, b"ZM" * 500, b"\x7fEL" + bytes(900)))


@pytest.mark.parametrize(
    "field",
    [
        'imphash() == ""',
        'exports("x")',
        'imports("x")',
        "number_of_sections < 1",
        "number_of_signatures < 1",
        "number_of_resources < 1",
        "machine != 1",
        "subsystem != 1",
    ],
)
def test_fields_of_what_is_no_pe_file_match_nothing(field: str) -> None:
    source = 'import "pe" ' + of("", f"pe.{field}")
    assert beginnings(parse(source).rules["r"]) == {b"MZ"}
    assert not any(by_yara(source, content) for content in (b"", b"x" * 500, b"\x7fELF" + bytes(900)))
