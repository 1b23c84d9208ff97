"""Rules of a text are told apart as YARA tells them apart, and what depends on a file's name is known."""

import pytest
import yara

from forensics.rules.text import Undecided, externals_reached, parse


def rule(name: str, condition: str = "true") -> str:
    return f"rule {name} {{ condition: {condition} }}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rule("a", 'filename == "x"') + rule("b") + rule("c", "a and true"), ["a", "c"]),
        ("private " + rule("p", 'extension == ".exe"') + rule("q", "not p") + rule("r", "q") + rule("s"), ["p", "q", "r"]),
        (rule("web_a", 'filepath contains "x"') + rule("web_b") + rule("any_web", "any of (web_*)") + rule("z"), ["any_web", "web_a"]),
        ("global " + rule("g", 'owner == "x"') + rule("a"), ["a", "g"]),
        ("global " + rule("g") + rule("a"), []),
        ('rule a { meta: filename = "filename" strings: $filename = "filename" condition: $filename and #filename > 0 }', []),
        ("rule a { /* filename */ condition: true // filename\n}", []),
        (r'rule a { strings: $a = /filename["\/{}]/ is $b = "\"} filename" condition: any of them }', []),
        ("rule a { strings: $a = { 66 // filename }\n [1-2] ( 61 | ?? ) /* } */ } condition: $a }", []),
        (rule("a", "filename matches /filepath/"), ["a"]),
        ('import "pe" rule a { condition: pe.number_of_sections == 1 \\ 2 }', []),
    ],
)
def test_rules_that_reach_an_external_are_told_apart(text: str, expected: list[str]) -> None:
    assert sorted(externals_reached(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        'include "b.yar"',
        'rule a { strings: $a = "x condition: $a }',
        "rule a { condition: true",
        "rule a { }",
        rule("a") + rule("a"),
        "/* x",
    ],
)
def test_text_that_cannot_be_told_apart_is_undecided(text: str) -> None:
    with pytest.raises(Undecided):
        externals_reached(text)


TEXT = """import "pe"
import "math"
// rule none { condition: true }
rule a : tag { meta: x = "rule y { condition: true }" strings: $s = { 7B 7D } $t = /[{}"]/ condition: $s and $t }
private
rule b
{
    condition:
        a or pe.machine == 1
}
rule c { condition: any of (a, b) }
rule d { condition: nonsense }
"""


def test_rules_have_their_names_modules_and_references() -> None:
    text = parse(TEXT)
    assert list(text.rules) == ["a", "b", "c", "d"]
    assert text.rules["b"].modifiers == {"private"}
    assert text.rules["b"].members == {"pe"}
    assert text.needed(["c"]) == {"a", "b", "c"}
    assert text.reaching(["a"]) == {"a", "b", "c"}


def test_text_without_a_rule_compiles_and_its_lines_keep_their_numbers() -> None:
    text = parse(TEXT)
    assert [rule.identifier for rule in yara.compile(source=text.without({"d"}))] == ["a", "b", "c"]
    assert [rule.identifier for rule in yara.compile(source=text.without({"b", "c", "d"}))] == ["a"]
    with pytest.raises(yara.SyntaxError, match="line 12"):  # where `nonsense` stands in the whole text
        yara.compile(source=text.without({"a", "b", "c"}))
    assert "import" not in text.without({"b", "c", "d"})
