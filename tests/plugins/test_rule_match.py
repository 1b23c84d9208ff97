"""YARA rules match as YARA itself matches them, and what could not be matched is named."""

import importlib.metadata
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yara
import yara_x

from forensics import discovery
from forensics.digest import sha256
from forensics.errors import LimitExceeded, RulesDiffer, UsageError
from forensics.location import Layer, Location
from forensics.model import ByteRange, Finding
from forensics.plugin import File, Plugin, Prepared
from forensics.testing import file_of, run

FOLDER = Path(__file__).parents[2] / "plugins"


@pytest.fixture(scope="module")
def plugins() -> dict[str, Plugin]:
    return {item.plugin.name: item.plugin for item in discovery.load([FOLDER]).plugins}


@pytest.fixture(scope="module")
def content(plugins: dict[str, Plugin]) -> Plugin:
    return plugins["rule-match"]


@pytest.fixture(scope="module")
def named(plugins: dict[str, Plugin]) -> Plugin:
    return plugins["rule-match-named"]


def prepare(plugin: Plugin, *rules: Path, **options: Any) -> Prepared:
    assert plugin.prepare is not None
    return plugin.prepare(**plugin.filled({"rules": [str(path) for path in rules], **options}))


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rule(name: str, condition: str = "true", **meta: str) -> str:
    fields = "meta: " + " ".join(f"{key} = {value}" for key, value in meta.items()) if meta else ""
    return f"rule {name} {{ {fields} condition: {condition} }}\n"


def at(path: str, *layers: str, data: bytes = b"x") -> File:
    file = file_of(data, name=path)
    return File(
        location=Location("1", tuple(map(Layer, layers)), path),
        size=file.size,
        mime=file.mime,
        sha256=file.sha256,
        content=file._content,
    )


def test_matches_of_the_evidence_are_those_of_yara_itself(evidence: Path, content: Plugin, named: Plugin) -> None:
    """YARA 4.2.3's command line made the expected list, with one namespace a rule file and the externals set for each file."""
    rules = tuple(evidence / "yara" / name for name in ("signature-base", "reversinglabs", "rules-plaso.yar"))
    stated = json.loads((evidence / "expected" / "yara_matches.json").read_text())["matches"]
    expected = {path: sorted(found) for path, found in stated.items() if "!" not in path}
    found: dict[str, list[str]] = {}
    for plugin in (content, named):
        value = prepare(plugin, *rules).value
        for path in sorted(evidence.rglob("*")):
            name = path.relative_to(evidence).as_posix()
            if path.is_file() and not name.startswith(("yara/signature-base", "yara/reversinglabs", "yara/rules")):
                file = file_of(path, name=f"/{name}", needs=plugin.needs)
                found.setdefault(name, []).extend(f"{item.data['namespace']}:{item.data['rule']}" for item in plugin(file, value))
    assert {path: sorted(names) for path, names in found.items() if names} == expected


def test_rules_that_need_the_name_are_those_of_the_files_that_need_externals(evidence: Path, named: Plugin) -> None:
    manifest = json.loads((evidence / "manifest.json").read_text())["entries"]
    needing = {Path(entry["path"]).name for entry in manifest if entry.get("expected", {}).get("needs_externals")}
    value = prepare(named, evidence / "yara" / "signature-base").value
    assert {namespace for namespace, _ in value.named} == needing == {"configured_vulns_ext_vars.yar", "gen_webshells_ext_vars.yar"}


def test_finding_says_rule_meta_and_strings(tmp_path: Path, content: Plugin) -> None:
    write(
        tmp_path,
        "a/b.yar",
        'rule visa : fraud forged { meta: description = "Forged visa" score = 80 author = "a" author = "b"'
        ' strings: $t = "visa" wide ascii $h = { 00 ?? ff } condition: any of them }',
    )
    data = b"..visa.." + "visa".encode("utf-16-le") + b"\x00\x01\xff"
    (finding,) = run(content, data, given={"rules": [str(tmp_path)]})
    assert finding == Finding(
        kind="rule-match",
        summary="visa: Forged visa",
        level="alert",
        data={
            "rule": "visa",
            "namespace": "a/b.yar",
            "tags": ["forged", "fraud"],
            "meta_author": ["a", "b"],
            "meta_description": "Forged visa",
            "meta_score": 80,
            "strings": ["$t at 2 (4): visa", "$t at 8 (8): visa", "$h at 16 (3): 0001ff"],
            "string_count": 3,
        },
        locator=ByteRange(2, 4),
    )


@pytest.mark.parametrize(
    ("meta", "level"),
    [
        ({}, "notable"),
        ({"score": "74"}, "notable"),
        ({"score": "75"}, "alert"),
        ({"score": '"90"'}, "alert"),
        ({"severity": '"High"'}, "alert"),
    ],
)
def test_level_comes_from_score_or_severity(tmp_path: Path, content: Plugin, meta: dict[str, str], level: str) -> None:
    write(tmp_path, "a.yar", rule("a", **meta))
    assert [finding.level for finding in run(content, b"", given={"rules": [str(tmp_path)]})] == [level]


def test_strings_are_bounded_and_counted(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", 'rule a { strings: $a = "ab" $b = "b" condition: all of them }')
    (finding,) = run(content, b"ab" * 100, given={"rules": [str(tmp_path)]})
    strings = finding.data["strings"]
    assert isinstance(strings, list) and (len(strings), finding.data["string_count"]) == (50, 200)
    assert strings[:3] == ["$a at 0 (2): ab", "$b at 1 (1): b", "$a at 2 (2): ab"]


def test_string_that_matches_too_often_is_a_limit_after_the_findings(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", 'rule a { strings: $a = "ab" condition: $a }')
    found = content(file_of(b"ab" * 1_100_000), prepare(content, tmp_path).value)
    assert next(found).data["string_count"] == 1_000_000
    with pytest.raises(LimitExceeded, match=r"cut short: \$a of a"):
        next(found)


def test_slow_rule_is_a_limit(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", rule("a", "for all i in (1..100000000000) : (i > 0)"))
    with pytest.raises(LimitExceeded, match="did not end within 1 s"):
        run(content, b"x", given={"rules": [str(tmp_path)], "timeout": 1})


class OnDisk:
    """Content that is given by its path alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def path(self, name: str) -> Path:
        return self._path


def test_large_content_is_matched_as_small_content_is(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "rules/a.yar", 'rule a { strings: $a = "needle" condition: $a and filesize > 32MB }')
    path = tmp_path / "large"
    path.write_bytes(bytes(33 << 20) + b"needle")
    size = path.stat().st_size
    file = File(location=Location("1", (), "/large"), size=size, mime="", sha256="", content=OnDisk(path), needs=("content",))  # type: ignore[arg-type]
    (finding,) = content(file, prepare(content, tmp_path / "rules").value)
    assert finding.locator == ByteRange(33 << 20, 6)


# --- the name


def test_externals_are_those_of_loki(tmp_path: Path, named: Plugin) -> None:
    externals = named.function.__globals__["externals"]
    assert externals(at("/var/www/Shell.PHP", "ext4")) == {
        "filename": "Shell.PHP",
        "filepath": "/var/www/Shell.PHP",
        "extension": ".php",
        "filetype": "",
        "owner": "",
    }
    assert externals(at("/Users/dana/a.txt", "volume", "ntfs"))["filepath"] == "\\Users\\dana\\a.txt"
    assert externals(at("/inside/a.txt", "ntfs", "zip"))["filepath"] == "/inside/a.txt"
    assert externals(at("/a\udcff\0.x", "ext4"))["filepath"] == "/a\\xff\\x00.x"


def test_rule_on_the_name_matches_in_its_own_plugin_only(tmp_path: Path, content: Plugin, named: Plugin) -> None:
    write(tmp_path, "a.yar", rule("by_name", 'filename == "exports"') + rule("by_content", "uint8(0) == 0x78 and filesize < 10"))
    given = {"rules": [str(tmp_path)]}
    assert [finding.data["rule"] for finding in run(content, b"x", name="/etc/exports", given=given)] == ["by_content"]
    assert [finding.data["rule"] for finding in run(named, b"x", name="/etc/exports", given=given)] == ["by_name"]
    assert run(named, b"x", name="/etc/other", given=given) == []


def test_plugin_for_content_asks_for_content_alone(content: Plugin, named: Plugin) -> None:
    assert content.needs == ("content",)
    assert named.needs == ("content", "name", "location")


def test_file_that_includes_others_is_matched_with_the_name(tmp_path: Path, content: Plugin, named: Plugin) -> None:
    write(tmp_path, "a.yar", 'include "sub/b.inc"\n' + rule("a"))
    write(tmp_path, "sub/b.inc", 'include "./c.inc"\n' + rule("b"))
    included = write(tmp_path, "sub/c.inc", rule("c", 'filename == "x"'))
    assert run(content, b"", given={"rules": [str(tmp_path)]}) == []
    found = run(named, b"", name="/x", given={"rules": [str(tmp_path)]})
    assert [finding.data["rule"] for finding in found] == ["a", "b", "c"]
    prepared = prepare(named, tmp_path)
    assert "a.yar: all its rules are matched for each name anew, since it includes another file" in prepared.notes
    included.write_text(rule("c"))
    assert sorted(prepared.inputs.values()) != sorted(prepare(named, tmp_path).inputs.values())


# --- what does not compile


def test_broken_file_is_named_with_its_line_and_the_others_match(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", rule("good"))
    write(tmp_path, "b/bad.yara", "\n\nrule bad { condition: nonsense }\n")
    write(tmp_path, "c.yar", 'import "magic"\n' + rule("typed", 'magic.type() == "x"'))
    write(tmp_path, "d.yar", 'include "../outside.yar"\n' + rule("d"))
    (tmp_path / "e.yar").write_bytes(b"// ok\n// caf\xe9\n" + rule("e").encode())
    write(tmp_path, "notes.txt", "not a rule")
    prepared = prepare(content, tmp_path)
    assert [note for note in prepared.notes if note.startswith("not compiled")] == [
        "not compiled: e.yar: line 2: byte 0xe9 is not UTF-8; save it as UTF-8, or write the byte as \\x..",
        'not compiled: b/bad.yara: b/bad.yara(3): undefined identifier "nonsense"',
        "not compiled: d.yar: it includes '../outside.yar', which is outside its folder",
        "not compiled: c.yar: rule typed needs the module magic, which YARA is without here",
    ]
    assert [finding.data["rule"] for finding in content(file_of(b""), prepared.value)] == ["good"]


def test_nothing_that_compiles_is_said_and_finds_nothing(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "bad.yar", "rule")
    prepared = prepare(content, tmp_path)
    assert prepared.notes[0].startswith("0 rules of 0 files")
    assert prepared.notes[1].startswith("not compiled: bad.yar: ")
    assert list(content(file_of(b"x"), prepared.value)) == []


def test_no_rules_is_said(content: Plugin) -> None:
    assert prepare(content).notes == ("no rules were given",)
    assert run(content, b"x") == []


def test_missing_rules_are_refused(tmp_path: Path, content: Plugin) -> None:
    with pytest.raises(UsageError, match="is not there"):
        prepare(content, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no \.yar or \.yara file is in"):
        prepare(content, tmp_path)


def test_slow_rules_and_rules_that_ask_for_the_clock_are_noted(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "slow.yar", "rule slow { strings: $a = /a.*b/s condition: $a }")
    write(tmp_path, "time.yar", 'import "time"\n' + rule("t", "time.now() > 0"))
    notes = prepare(content, tmp_path).notes
    assert "time.yar: uses the clock (module time): its matches may differ from run to run" in notes
    assert any(note.startswith("warning: slow.yar(1): ") for note in notes)


def test_rules_that_ask_for_what_is_not_known_are_noted(tmp_path: Path, named: Plugin) -> None:
    write(tmp_path, "a.yar", rule("a", 'filetype == "EXE"'))
    assert "a.yar: names filetype or owner, which are not known here and given empty" in prepare(named, tmp_path).notes


def test_files_of_one_name_in_two_folders_have_two_namespaces(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "one/a.yar", rule("a"))
    write(tmp_path, "two/a.yar", rule("a"))
    found = run(content, b"", given={"rules": [str(tmp_path / "one"), str(tmp_path / "two")]})
    assert [finding.data["namespace"] for finding in found] == ["a.yar", "two/a.yar"]


def test_every_rule_file_is_digested(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", "rule a { condition: true }")
    # printf 'rule a { condition: true }' | sha256sum
    assert prepare(content, tmp_path).inputs["a.yar"] == "a378d9b9c867ac04ad902df80e0c53f04fb3ceee51d164bc650eb247a80b907e"


def test_file_name_cannot_break_out_of_the_include(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, 'a"\n\\b.yar', rule("a"))
    assert [finding.data["namespace"] for finding in run(content, b"", given={"rules": [str(tmp_path)]})] == ['a"\n\\b.yar']


# --- the engines


SCREENED = 'rule word { strings: $a = "needle" nocase condition: $a }\n'
GATED = 'import "pe"\nrule signed { condition: uint16(0) == 0x5a4d and (pe.number_of_sections >= 0 or filesize < 30) }\n'
ALWAYS = "rule dotted { strings: $a = /ab.?/ condition: $a }\n"
MACHO = 'import "macho"\nrule apple { condition: macho.filetype == macho.MH_EXECUTE }\n'


class Never:
    """A compiled set that must not be asked."""

    def match(self, **given: Any) -> list[Any]:
        raise AssertionError("YARA was asked")


def without_yara(value: Any) -> Any:
    return msgspec.structs.replace(value, sets=msgspec.structs.replace(value.sets, full=Never()))


def unsampled(start: bytes) -> bytes:
    """Content that begins so, and is none of those that go through both engines in any case."""
    found = (start + bytes([32 + number]) for number in range(90))
    return next(data for data in found if not sha256(data).startswith(("00", "01", "02", "03")))


@pytest.mark.parametrize("engine", ["screened", "yara-x"])
def test_every_engine_finds_what_yara_finds(evidence: Path, content: Plugin, engine: str) -> None:
    rules = [evidence / "yara" / name for name in ("signature-base", "reversinglabs", "rules-plaso.yar")]
    reference, other = prepare(content, *rules, engine="yara").value, prepare(content, *rules, engine=engine).value
    matched = 0
    for folder in ("yara/targets", "documents", "artefacts", "malformed"):
        for path in sorted((evidence / folder).rglob("*")):
            if path.is_file() and path.stat().st_size < 1 << 20:
                file = file_of(path, needs=content.needs)
                found = list(content(file, reference))
                assert list(content(file, other)) == found, path
                matched += len(found)
    assert matched >= 10  # those of expected/yara_matches.json in these folders


def test_content_without_match_never_reaches_yara(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", SCREENED + GATED)
    value = without_yara(prepare(content, tmp_path).value)
    assert list(content(file_of(unsampled(b"hay")), value)) == []
    assert value.sets.always is None
    with pytest.raises(AssertionError, match="YARA was asked"):
        list(content(file_of(b"a NEEDLE"), value))


def test_rules_that_yara_x_may_not_screen_go_to_yara(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", SCREENED + GATED + ALWAYS)
    prepared = prepare(content, tmp_path)
    value = without_yara(prepared.value)
    assert [item.data["rule"] for item in content(file_of(unsampled(b"MZ")), value)] == ["signed"]
    assert [item.data["rule"] for item in content(file_of(unsampled(b"MZab")), value)] == ["dotted", "signed"]
    assert [item.data["rule"] for item in content(file_of(b"MZ ab needle"), prepared.value)] == ["dotted", "signed", "word"]
    assert "1 rules go to YARA unscreened, for content that begins with 4d5a alone" in prepared.notes
    assert "1 rules go to YARA unscreened, for all content" in prepared.notes
    assert any(note.startswith("not screened: a regular expression with . or of unusual form: 1 (dotted)") for note in prepared.notes)


def test_rule_that_refers_to_an_unscreened_one_is_not_screened(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", "private " + ALWAYS + rule("both", "dotted and filesize > 1") + SCREENED)
    write(tmp_path, "b.yar", "global " + rule("every", "filesize > 1") + SCREENED)
    prepared = prepare(content, tmp_path)
    assert set(prepared.value.screened) == {("a.yar", "word")}
    assert [item.data["rule"] for item in content(file_of(unsampled(b"ab")), without_yara(prepared.value))] == ["both", "every"]
    assert [item.data["rule"] for item in content(file_of(b"ab needle"), prepared.value)] == ["both", "word", "every", "word"]


class Scanner:
    """A scanner that finds no rule, or fails."""

    def __init__(self, fails: type[Exception] | None = None) -> None:
        self._fails = fails
        self.matching_rules = ()

    def set_timeout(self, seconds: int) -> None:
        pass

    def scan(self, data: bytes) -> "Scanner":
        if self._fails:
            raise self._fails("scan")
        return self


@pytest.mark.parametrize("error", [yara_x.ScanError, yara_x.TimeoutError])
def test_failure_of_yara_x_leaves_it_to_yara(tmp_path: Path, content: Plugin, error: type[Exception]) -> None:
    write(tmp_path, "a.yar", SCREENED)
    value = msgspec.structs.replace(prepare(content, tmp_path).value, screen=Scanner(error))
    assert [item.data["rule"] for item in content(file_of(b"needle"), value)] == ["word"]


def test_difference_between_the_engines_is_told_after_the_findings(tmp_path: Path, content: Plugin) -> None:
    """One content in 64 goes through both: here the SHA-256 begins with 00 to 03."""
    write(tmp_path, "a.yar", SCREENED)
    value = msgspec.structs.replace(prepare(content, tmp_path).value, screen=Scanner())
    chosen = next(data for data in (b"needle %d" % number for number in range(9999)) if sha256(data).startswith(("00", "01", "02", "03")))
    found = content(file_of(chosen), value)
    assert next(found).data["rule"] == "word"
    with pytest.raises(RulesDiffer, match=r'does not: word of a\.yar; .* engine = "yara"'):
        next(found)
    assert list(content(file_of(unsampled(b"needle")), value)) == []


def test_module_that_yara_lacks_is_matched_by_yara_x(tmp_path: Path, content: Plugin, evidence: Path) -> None:
    """mach-o header: magic 0xfeedfacf, x86-64, file type 2 = MH_EXECUTE, no load commands (<mach-o/loader.h>)."""
    data = struct.pack("<8I", 0xFEEDFACF, 0x01000007, 3, 2, 0, 0, 0, 0)
    write(tmp_path, "a.yar", MACHO + SCREENED + 'import "magic"\nrule typed { condition: magic.type() == "x" }')
    prepared = prepare(content, tmp_path)
    assert [item.data["rule"] for item in content(file_of(data), prepared.value)] == ["apple"]
    assert [item.data["rule"] for item in content(file_of(b"needle"), prepared.value)] == ["word"]
    assert [note for note in prepared.notes if "not compiled" in note] == [
        "not compiled: a.yar: rule typed needs the module magic, which YARA is without here"
    ]
    alone = prepare(content, tmp_path, engine="yara")
    assert list(content(file_of(data), alone.value)) == []
    assert any("rule apple needs the module macho" in note for note in alone.notes)


def test_yara_x_alone_reports_as_yara_does(tmp_path: Path, content: Plugin) -> None:
    write(
        tmp_path,
        "a/b.yar",
        'rule visa : fraud forged { meta: description = "Forged visa" score = 80 author = "a" author = "b"'
        ' strings: $t = "visa" wide ascii $h = { 00 ?? ff } condition: any of them }',
    )
    data = b"..visa.." + "visa".encode("utf-16-le") + b"\x00\x01\xff" + b"visa" * 60
    by_engine = [run(content, data, given={"rules": [str(tmp_path)], "engine": engine}) for engine in ("yara", "yara-x", "screened")]
    assert by_engine[0][0].data["string_count"] == 63
    assert by_engine[0] == by_engine[1] == by_engine[2]


def test_engine_and_versions_are_inputs_of_the_run(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "a.yar", SCREENED)
    version = importlib.metadata.version("yara-x")
    assert prepare(content, tmp_path).inputs["engine"] == f"screened (YARA {yara.YARA_VERSION}, YARA-X {version})"
    assert prepare(content, tmp_path, engine="yara").inputs["engine"] == f"yara (YARA {yara.YARA_VERSION})"
    with pytest.raises(UsageError, match="engine 'clamav' is none of screened, yara, yara-x"):
        prepare(content, tmp_path, engine="clamav")


def test_screened_sets_come_out_of_the_cache_as_they_went_in(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "rules/a.yar", SCREENED + GATED + ALWAYS + MACHO)
    for _ in range(2):
        value = prepare(content, tmp_path / "rules", cache=str(tmp_path / "cache")).value
        assert (value.gates, value.screened) == ((b"MZ",), {("a.yar", "word")})
        assert [item.data["rule"] for item in content(file_of(b"MZ ab needle"), value)] == ["dotted", "signed", "word"]
        assert value.alone is not None


# --- the cache


def test_compiled_rules_are_kept_and_taken_from_the_cache(tmp_path: Path, content: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "rules/a.yar", rule("a") + rule("named", 'filename == "x"'))
    first = prepare(content, tmp_path / "rules", cache=str(tmp_path / "cache"))
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".lock", ".rules"]

    def compiled(*args: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr("forensics.rules.preparing.build", compiled)
    second = prepare(content, tmp_path / "rules", cache=str(tmp_path / "cache"))
    assert (second.inputs, second.notes) == (first.inputs, first.notes)
    assert [finding.data["rule"] for finding in content(file_of(b""), second.value)] == ["a"]


@pytest.mark.parametrize("place", [0, 40, 200, -1])
def test_damaged_cache_is_compiled_anew(tmp_path: Path, content: Plugin, place: int) -> None:
    write(tmp_path, "rules/a.yar", rule("a"))
    options = {"cache": str(tmp_path / "cache")}
    prepare(content, tmp_path / "rules", **options)
    (path,) = (tmp_path / "cache").glob("*.rules")
    whole = bytearray(path.read_bytes())
    whole[place] ^= 0xFF
    for damaged in (bytes(whole), bytes(whole[:-20]), b""):
        path.write_bytes(damaged)
        again = prepare(content, tmp_path / "rules", **options)
        assert [finding.data["rule"] for finding in content(file_of(b""), again.value)] == ["a"]
        assert path.read_bytes() != damaged


def test_processes_that_prepare_at_once_build_one_entry(tmp_path: Path) -> None:
    write(tmp_path, "rules/a.yar", "".join(rule(f"r{number}") for number in range(300)))
    code = (
        "import sys; from pathlib import Path; from forensics import discovery\n"
        "plugin = next(i.plugin for i in discovery.load([Path(sys.argv[1])]).plugins if i.plugin.name == 'rule-match')\n"
        "import forensics.rules.preparing as p; real = p.build\n"
        "def build(*a):\n    print('built'); return real(*a)\n"
        "p.build = build\n"
        "print(len(plugin.prepare(rules=(sys.argv[2],), cache=sys.argv[3]).notes))\n"
    )
    command = [sys.executable, "-c", code, str(FOLDER), str(tmp_path / "rules"), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = "".join(each.communicate()[0] for each in running)
    assert [each.returncode for each in running] == [0, 0, 0]
    assert said.count("built") == 1
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".lock", ".rules"]


def test_changed_rules_are_not_taken_from_the_cache(tmp_path: Path, content: Plugin) -> None:
    options = {"cache": str(tmp_path / "cache")}
    for name in ("a", "b"):
        write(tmp_path, "rules/a.yar", rule(name))
        prepared = prepare(content, tmp_path / "rules", **options)
        assert [finding.data["rule"] for finding in content(file_of(b""), prepared.value)] == [name]


def test_changed_include_is_not_taken_from_the_cache(tmp_path: Path, named: Plugin) -> None:
    write(tmp_path, "rules/a.yar", 'include "b.inc"\n')
    for name in ("a", "b"):
        write(tmp_path, "rules/b.inc", rule(name))
        prepared = prepare(named, tmp_path / "rules", cache=str(tmp_path / "cache"))
        assert [finding.data["rule"] for finding in named(file_of(b""), prepared.value)] == [name]


def test_cache_that_cannot_be_written_is_no_cache(tmp_path: Path, content: Plugin) -> None:
    write(tmp_path, "rules/a.yar", rule("a"))
    (tmp_path / "cache").write_text("a file")
    prepared = prepare(content, tmp_path / "rules", cache=str(tmp_path / "cache"))
    assert [finding.data["rule"] for finding in content(file_of(b""), prepared.value)] == ["a"]
