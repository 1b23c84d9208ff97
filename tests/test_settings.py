"""`case.toml` is for people: what they write is kept, and what cannot be used is named with its line."""

import pytest

from forensics.errors import CaseError, CaseTooNew, UsageError
from forensics.model import Authority, CaseInfo, Scope
from forensics.settings import changed, checked, parse, template

INFO = CaseInfo(
    case_id="A-2026-000123",
    agency='Ministry of "Borders"',
    officer_in_charge="ธนา",
    opened_at="2026-03-01",
    requested_questions=("Who arranged the journey?", "What was paid?"),
    authority=Authority(type="warrant", id="W-7"),
)


def test_template_reads_back_as_what_it_was_made_of() -> None:
    settings = parse(template(INFO, ("th", "en")))
    assert (settings.info, settings.languages, settings.scope, settings.plugins) == (INFO, ("th", "en"), Scope(), {})


def test_every_field_of_the_template_has_a_comment() -> None:
    lines = [line for line in template(INFO).splitlines() if " = " in line and not line.startswith(("#", "format"))]
    assert len(lines) == 26
    assert [line for line in lines if " # " not in line] == []


def test_scope_and_plugin_options_are_read() -> None:
    settings = parse(
        'format = 2\n[scope]\npaths = ["/Users/**"]\nsince = 2025-01-01\n[plugins.rule-match]\nrules = ["a", "b"]\ntimeout = 5\nx = true\n'
    )
    assert settings.scope == Scope(paths=("/Users/**",), since="2025-01-01")
    assert settings.plugins == {"rule-match": {"rules": ["a", "b"], "timeout": 5, "x": True}}


def test_empty_texts_are_fields_that_nobody_filled_in() -> None:
    assert parse('format = 2\n[case]\nagency = ""\n').info.agency is None


def test_set_value_keeps_comments_and_edits_of_people() -> None:
    text = template(INFO).replace('agency_unit = ""', "agency_unit = 'Unit 4'  # asked Dana on the phone") + "\n# my own note\n"
    new = changed(text, {"case.agency": "Border Force", "case.legal_authority.id": "W-8", "scope.paths": ("/DCIM/**",)})
    was, now = text.splitlines(), new.splitlines()
    assert len(was) == len(now)
    assert [(a, b) for a, b in zip(was, now, strict=True) if a != b] == [
        (
            'agency = "Ministry of \\"Borders\\"" # * the agency that examines',
            'agency = "Border Force" # * the agency that examines',
        ),
        ('id = "W-7" # * its number', 'id = "W-8" # * its number'),
        (
            "paths = [] # patterns of paths that may be read, such as /Users/**; empty for all",
            'paths = ["/DCIM/**"] # patterns of paths that may be read, such as /Users/**; empty for all',
        ),
    ]


def test_none_empties_a_field() -> None:
    new = changed(template(INFO), {"case.agency": None, "case.requested_questions": None})
    assert (parse(new).info.agency, parse(new).info.requested_questions) == (None, ())


def test_plugin_option_is_set_where_there_was_no_table() -> None:
    assert parse(changed(template(INFO), {"plugins.rule-match.rules": ("/rules",)})).plugins == {"rule-match": {"rules": ["/rules"]}}


@pytest.mark.parametrize(("name", "value"), [("case.shoe_size", "44"), ("agency", "x"), ("case", "x"), ("format", 3), ("plugins.x", "y")])
def test_unknown_name_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="is not a field of a case"):
        changed(template(INFO), {name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("case.opened_at", "last week"), ("case.agency", 7), ("languages", ("a b",)), ("scope.since", "2025")]
)
def test_value_that_does_not_fit_is_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        changed(template(INFO), {name: value})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("format = 2\n[case\n", r"case\.toml: is damaged: .* line 2 col"),
        ('format = 2\n[case]\nagency = "x', r"case\.toml: is damaged: .* line 3 col"),
        ("", "format is None"),
        ('format = "1"\n', r"line 1: format is '1'"),
        ("format = true\n", "format is True"),
        ("format = 2\n[case]\nagency = 7\n", r"line 3: case\.agency is a text in quotation marks, not 7"),
        ('format = 2\n[case]\nofficer = "x"\n', r"line 3: case\.officer is not a field; the fields are: case_id, "),
        ('format = 2\n[case]\nopened_at = "soon"\n', r"line 3: case\.opened_at is a date such as 2026-03-01, not 'soon'"),
        ('format = 2\n[case]\nrequested_questions = "x"\n', r"line 3: case\.requested_questions is a list of texts"),
        ('format = 2\n[case.legal_authority]\nkind = "x"\n', r"line 3: case\.legal_authority\.kind is not a field"),
        ("format = 2\ncase = 3\n", r"line 2: case is a table, written \[case\]"),
        ("format = 2\n[plugins]\nx = 1\n", r"line 3: plugins\.x is a table"),
        ("format = 2\n[plugins.x]\ny = {a = 1}\n", r"line 3: option y of plugin x"),
        ('format = 2\nlanguages = ["../x"]\n', r"line 2: '\.\./x' is not the code of a language"),
        ("format = 2\na = " + "[" * 5000, "is damaged"),
        ("format = 2\n\0", "is damaged"),
    ],
)
def test_text_that_cannot_be_used_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(CaseError, match=said):
        parse(text)


def test_newer_format_is_refused_by_name() -> None:
    with pytest.raises(CaseTooNew, match="has format 3, this version reads up to 2"):
        parse("format = 3\n[something.new]\n")


def test_older_format_is_refused_by_name() -> None:
    with pytest.raises(CaseError, match="has format 1, whose custody log this version does not read"):
        parse("format = 1\n")


def test_what_was_asked_for_is_kept_and_can_be_taken_out_by_hand() -> None:
    text = changed(template(INFO), {"asked": ("case.agency_unit", "case.client")})
    assert parse(text).asked == ("case.agency_unit", "case.client")
    (line,) = [line for line in text.splitlines() if line.startswith("asked")]
    assert line.endswith("# asked for and left empty; take a name out to be asked again")
    assert parse(text.replace(line, "")).asked == ()


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("case.agency", "  Border Force ", "Border Force"),
        ("case.agency", "  ", ""),
        ("exhibit.kind", "sim", "SIM"),
        ("case.legal_authority.type", "mla REQUEST", "MLA request"),
        ("exhibit.seized_at", "2026-03-01T14:05+07:00", "2026-03-01T14:05+07:00"),
        ("case.opened_at", "2026-03-01", "2026-03-01"),
        ("exhibit.stated_sha256", "AB" * 32, "ab" * 32),
        ("case.officer_in_charge", "ธนา", "ธนา"),
    ],
)
def test_what_a_person_gives_is_kept_in_the_spelling_of_the_list(name: str, given: str, kept: str) -> None:
    assert checked(name, given) == kept


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("exhibit.kind", "telephone"),
        ("case.phase", "the end"),
        ("exhibit.seized_at", "14:05"),
        ("case.retention_until", "2026-02-30"),
        ("exhibit.acquisition_tool_sha256", "ab" * 31),
        ("case.agency", "a\x1b[2Jb"),
        ("case.agency", "a\udcffb"),
    ],
)
def test_what_does_not_fit_a_field_is_refused_by_its_name(name: str, given: str) -> None:
    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        checked(name, given)
