"""The report: what it says, what it never lets through, and that it is the same whenever it is made anew."""

import csv
import hashlib
import io
import re
import sys
import tracemalloc
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from babel.messages.pofile import read_po
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
import gettext

import report_fakes as fakes
from report_messages import messages

from forensics.errors import UsageError
from forensics.model import AttachmentRef, Coverage
from forensics.report import document as documents
from forensics.report import languages, markup, write
from forensics.report.language import catalogue, templates_folder
from forensics.report.render import render
from forensics.report.text import clip

EMPTY = fakes.Index(lambda: iter(()), lambda: iter(()))


def page(document: documents.Document, index: fakes.Index, folder: Path, name: str = "report.html") -> str:
    write(document, index, folder, (name,))
    return (folder / name).read_text(encoding="utf-8")


class Page(HTMLParser):
    """Tags with their attributes, and the text that a reader sees, without that from evidence or in English by declaration."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ours: list[str] = []
        self.all: list[str] = []
        self._apart = 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._apart += tag in ("bdi", "style")
        self.ours += [value or "" for name, value in attrs if name in ("alt", "aria-label", "title")]

    def handle_endtag(self, tag: str) -> None:
        self._apart -= tag in ("bdi", "style")

    def handle_data(self, data: str) -> None:
        self.all.append(data)
        if not self._apart:
            self.ours.append(data)


# --- contents ---------------------------------------------------------------------------------------------------------------


def test_sections_stand_in_the_order_that_a_reader_expects(tmp_path: Path) -> None:
    text = page(fakes.document(), fakes.index(), tmp_path)
    assert re.findall(r'<h2 id="([a-z-]+)"><span', text) == [
        *("report", "authority", "exhibits", "missing", "custody", "methods", "validation", "summary", "findings"),
        *("timeline", "coverage", "not-examined", "faults", "limitations", "files", "statement"),
    ]
    assert "End of report" in text


def test_a_missing_field_is_named_and_nothing_is_put_in_its_place(tmp_path: Path) -> None:
    document = fakes.document()
    assert document.missing == (
        documents.Missing(None, ("legal_authority.expires",)),
        documents.Missing("2026-0417-1", ("acquisition.write_blocker",)),
        documents.Missing("2026-0417-2", ("seal_no", "owner_role")),
    )
    text = page(document, fakes.index(), tmp_path)
    assert "4 required fields are not filled in" in text
    assert '<dt>Exhibit <bdi translate="no">2026-0417-2</bdi></dt><dd>Seal number, Role of the owner</dd>' in text
    assert re.search(r"Not recorded</dt><dd class=\"none\">[^<]*Write blocker", text)


def test_a_changed_image_and_a_wrong_stated_digest_are_said_in_words(tmp_path: Path) -> None:
    index = fakes.index()
    index._checks = {"2026-0417-1": False}
    exhibits = tuple(msgspec.structs.replace(item, stated_sha256="0" * 64) for item in fakes.CASE.received)
    text = page(fakes.document(fakes.Case(fakes.CASE.info, exhibits), index), index, tmp_path)
    assert "DIFFERENT: the image changed while it was examined" in text
    assert text.count("DOES NOT MATCH") == 2


def test_an_exhibit_that_could_not_be_measured_says_so_and_why(tmp_path: Path) -> None:
    index = fakes.index()
    index._images, index._checks = {}, {}
    index._unmeasured = {"before": {"2026-0417-1": "measure: killed by <SIGSEGV>"}}
    document = fakes.document(of=index)
    text = page(document, index, tmp_path)
    why = '<bdi lang="en" translate="no">measure: killed by &lt;SIGSEGV&gt;</bdi>'
    assert f"not taken: the exhibit could not be measured</span>: {why}" in text
    assert text.count("not taken: this exhibit was not examined in a complete run") == 1  # the other exhibit
    summary = page(document, index, tmp_path, "summary.md")
    assert "**not taken: the exhibit could not be measured**: measure: killed by" in summary
    assert summary.count("not taken: this exhibit was not examined in a complete run") == 1


def test_an_exhibit_that_could_not_be_measured_again_says_why(tmp_path: Path) -> None:
    index = fakes.index()
    index._checks = {}
    index._unmeasured = {"after": {"2026-0417-1": "the image is gone"}}
    document = fakes.document(of=index)
    assert 'not verified: <bdi lang="en" translate="no">the image is gone</bdi>' in page(document, index, tmp_path)
    assert "not verified: the image is gone" in page(document, index, tmp_path, "summary.md")


def test_deleted_and_partly_overwritten_content_is_marked_in_words(tmp_path: Path) -> None:
    text = page(fakes.document(), fakes.index(), tmp_path)
    assert "deleted; content partly reallocated to other files" in text


def test_counts_of_kind_and_level_are_those_of_the_records() -> None:
    document = fakes.document()
    assert {view.kind: (view.alert, view.notable, view.info) for view in document.kinds} == {
        "rule-match": (1, 0, 0),
        "travel-document": (1, 0, 0),
        "message": (0, 1, 1),
        "same-sender": (0, 1, 0),
        "photo": (0, 0, 6),
        "registry-run-key": (0, 0, 1),
    }
    assert [view.kind for view in document.kinds[:2]] == ["rule-match", "travel-document"]


def test_read_skipped_failed_and_layers_not_opened_are_told_apart(tmp_path: Path) -> None:
    document = fakes.document()
    assert document.summary.entries_by_outcome == {"failed": 15, "read": 530, "skipped": 55}
    text = page(document, fakes.index(), tmp_path)
    assert "entries skipped: 55; not readable: 15; not run: 0; layers not opened: 1" in text
    assert "outside the scope: period" in text
    assert "encrypted, no key given" in text
    assert "no file fitted its selection" in text


def test_why_nothing_was_offered_to_a_plugin_is_said(tmp_path: Path) -> None:
    """An analyser takes no files, and of an exhibit that did not open there are none: neither says that no file fitted."""
    nothing = {"offered": 0, "read": 0, "skipped": 0, "failed": 0, "not_run": 0}
    remarks = {"a": "analysed", "b": "analysis-failed", "c": "analysis-not-run", "d": "not-examined"}
    remarks |= {"e": "not-asked-carve", "f": "not-asked-unallocated", "g": "not-asked-slack", "h": "not-asked-space"}
    rows = tuple(Coverage(exhibit="1", plugin=name, findings=7, remark=remark, **nothing) for name, remark in remarks.items())
    index = fakes.index()
    index._coverage = rows
    text = page(fakes.document(of=index), index, tmp_path)
    assert "no file fitted its selection" not in text
    said = re.findall(r'<span class="none">([^<]*)</span></td></tr>', text.partition('id="coverage"')[2].partition("</table>")[0])
    assert said == [
        "the plugin reads findings instead of files, and ran over those of the run",
        "the plugin reads findings instead of files, and failed; see “Faults”",
        "the plugin was given nothing that it could look for",
        "the exhibit was not examined: nothing in it could be opened",
        "not asked for: files are carved out of unallocated space with --carve",
        "not asked for: unallocated space is examined with --unallocated or --carve",
        "not asked for: slack is examined with --slack",
        "not asked for: unallocated space is examined with --unallocated or --carve, slack with --slack",
    ]


def test_an_exhibit_in_which_nothing_could_be_opened_is_named_on_the_first_page_and_where_it_says_what_was_not_examined(
    tmp_path: Path,
) -> None:
    nothing = {"offered": 0, "read": 0, "skipped": 0, "failed": 0, "not_run": 0, "findings": 0}
    index = fakes.index()
    index._coverage = tuple(
        Coverage(exhibit=exhibit, plugin="a", remark=remark, **nothing) for exhibit, remark in (("1", "not-examined"), ("2", None))
    )
    index._layers = ()
    text = page(fakes.document(of=index), index, tmp_path)
    why = "the exhibit was not examined: nothing in it could be opened"
    title, _, rest = text.partition('id="contents"')
    for part in (
        title,
        rest.partition('id="not-examined"')[2].partition('id="faults"')[0],
        rest.partition('id="summary"')[2].partition("<table")[0],
    ):
        assert re.findall(rf">([^<]*)</bdi>: {why}", part) == ["1"]
    assert "was opened." not in text
    assert "none of the entries and layers" not in text
    assert f"**1: {why}**" in page(fakes.document(of=index), index, tmp_path, "summary.md")


def test_the_custody_head_is_stated_and_an_unsigned_log_is_called_so(tmp_path: Path) -> None:
    text = page(fakes.document(), fakes.index(), tmp_path)
    assert fakes.HEAD[1] in text
    assert "The log is not signed until signed checkpoints exist" in text
    assert "withheld" in text
    assert "the clock had been set back" in text


def test_a_long_custody_log_shows_its_two_ends_and_counts_the_middle(tmp_path: Path) -> None:
    lines = [msgspec.structs.replace(fakes.CUSTODY[1], seq=number) for number in range(1, 1001)]
    document = fakes.document(custody=lines)
    assert document.custody.total == 1000
    assert document.custody.last[-1].seq == 1000
    between = 1000 - len(document.custody.first) - len(document.custody.last)
    assert f"{between} lines between are not shown here" in page(document, fakes.index(), tmp_path)


def test_a_nested_body_of_the_log_is_laid_flat_and_a_long_list_counted() -> None:
    body = {"exhibit": {"kind": "phone", "make": None, "image": "/srv/a.E01"}, "segments": {f"{number}": "0" * 64 for number in range(500)}}
    line = msgspec.structs.replace(fakes.CUSTODY[0], body=body)
    view = fakes.document(custody=[line]).custody.first[0]
    assert view.body == (
        ("exhibit.kind", documents.Text("phone")),
        ("exhibit.image", documents.Text("a.E01")),
        ("segments", documents.Text("", items=500)),
    )


def test_a_report_of_an_empty_case_says_that_nothing_was_examined(tmp_path: Path) -> None:
    document = fakes.document(fakes.Case(fakes.CaseInfo(), ()), EMPTY, custody=(), head=(0, "0" * 64), validation=None)
    text = page(document, EMPTY, tmp_path)
    assert "No run is complete: nothing was examined." in text
    assert "There are no findings. Whether that means absence depends on what was examined" in text
    assert "No result of a validation of this installation was given" in text


def test_a_limit_of_the_machine_makes_the_digest_not_comparable(tmp_path: Path) -> None:
    sentence = "its digest cannot be compared with another run"
    assert sentence in page(fakes.document(), fakes.index(), tmp_path)
    index = fakes.index(faults=())
    assert sentence not in page(fakes.document(of=index), index, tmp_path)


def test_times_of_unknown_zone_never_mix_with_the_others() -> None:
    timeline = fakes.document().timeline
    assert (timeline.total, timeline.aware, timeline.naive) == (728, 720, 8)
    assert timeline.first[0][0] == "2026-01-01T00:00:00Z"
    assert timeline.last[-1][0] == "2026-01-25T23:00:00Z"
    assert timeline.naive_first is not None and timeline.naive_first[0] == "2025-07-01T10:00:00"
    assert timeline.busiest[0] == documents.Day("2026-01-01", 29)


# --- cut, never silently ----------------------------------------------------------------------------------------------------


def test_a_hundred_thousand_records_make_a_small_page_and_a_full_listing(tmp_path: Path) -> None:
    index = fakes.large(100_000)
    report = write(fakes.document(of=index), index, tmp_path)
    assert report.pages[0].size < 5_000_000
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    findings = next(item for item in report.listings if item.name == "findings.csv")
    assert findings.rows == 100_000
    assert "Shown here: 200 of 14\u202f286. The full listing is:" in text
    assert findings.sha256 in text
    assert "100\u202f000" in text


def test_four_times_the_records_take_no_more_memory(tmp_path: Path) -> None:
    def written(records: int) -> None:
        index = fakes.large(records)
        write(fakes.document(of=index, per_kind=20), index, tmp_path)

    def peak(records: int) -> int:
        tracemalloc.start()
        written(records)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    written(10)  # what is loaded once
    small, large = peak(1_000), peak(4_000)
    assert large < 1.2 * small
    assert large < 16_000_000


def test_many_kinds_share_the_page_and_the_rest_is_counted(tmp_path: Path) -> None:
    records = tuple(fakes.record(f"kind-{number:04}", "x" * 50) for number in range(150))
    index = fakes.index(records, 10)
    document = fakes.document(of=index)
    assert len(document.kinds) == 100
    assert (document.kinds_cut, document.records_of_kinds_cut) == (50, 50)
    assert "50 further kinds have no section here" in page(document, index, tmp_path)


def test_a_long_value_says_how_much_is_left_out(tmp_path: Path) -> None:
    index = fakes.index((fakes.record("note", "long", data={"a": "y" * 5000} | {f"field-{number:03}": 1 for number in range(60)}),), 10)
    text = page(fakes.document(of=index), index, tmp_path)
    assert "4\u202f000 more characters" in text
    assert "21 more fields" in text
    assert clip("abc", 2) == documents.Text("ab", 1)


def test_the_digests_in_the_page_are_those_of_the_files(tmp_path: Path) -> None:
    report = write(fakes.document(), fakes.index(), tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(report.listings) == 10
    for item in report.listings:
        content = (tmp_path / item.name).read_bytes()
        assert item.sha256 == hashlib.sha256(content).hexdigest()
        assert item.sha256 in text
        if item.name.endswith(".csv"):
            assert item.rows == len(list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))) - 1
        else:
            assert item.rows == content.count(b"\n")


# --- hostile evidence -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    index = fakes.hostile()
    write(fakes.document(fakes.hostile_case(), index, pictures=10), index, folder)
    return folder


def test_hostile_text_makes_no_element_and_no_attribute(hostile: Path) -> None:
    parsed = Page((hostile / "report.html").read_text(encoding="utf-8"))
    allowed = {
        *(
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "a",
            "div",
            "header",
            "p",
            "strong",
            "small",
            "h1",
            "h2",
            "h3",
            "h4",
            "dl",
            "dt",
            "dd",
        ),
        *(
            "nav",
            "ol",
            "ul",
            "li",
            "span",
            "main",
            "section",
            "article",
            "table",
            "caption",
            "colgroup",
            "col",
            "thead",
            "tbody",
            "tfoot",
            "tr",
        ),
        *("th", "td", "bdi", "b", "br", "em", "details", "summary", "figure", "figcaption", "img"),
    }
    assert {tag for tag, _ in parsed.tags} <= allowed
    for _, attributes in parsed.tags:
        assert not any(name.startswith("on") or name in ("action", "formaction", "srcset", "srcdoc") for name in attributes), attributes
        assert (attributes.get("href") or "#").startswith("#"), attributes
        assert (attributes.get("src") or "data:image/").startswith("data:image/"), attributes
        assert re.fullmatch(r"(width: [0-9.]+%)?", attributes.get("style") or ""), attributes
    assert fakes.HOSTILE[0] in "".join(parsed.all)  # it is there to be read


def test_hostile_text_cannot_leave_the_style_sheet(hostile: Path) -> None:
    text = (hostile / "report.html").read_text(encoding="utf-8")
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert len(styles) == text.count("</style") == 1
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]


def test_control_and_bidirectional_characters_never_reach_a_page(hostile: Path) -> None:
    for name in ("report.html", "summary.md"):
        text = (hostile / name).read_text(encoding="utf-8")
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", text), name
        assert not re.search("[\u0300-\u036f]{6}", text), name
        assert "\\u202e" in text


def test_an_undecodable_byte_is_shown_and_not_lost(hostile: Path) -> None:
    assert str(markup.evidence("caf\udcff.bin")) == '<bdi translate="no">caf<b>\\xff</b>.bin</bdi>'
    assert "caf\\xff.bin" in "".join(Page((hostile / "report.html").read_text(encoding="utf-8")).all)


def test_template_syntax_in_evidence_is_not_evaluated(hostile: Path) -> None:
    assert "{{ 7 * 7 }}{% raw %}" in "".join(Page((hostile / "report.html").read_text(encoding="utf-8")).all)


def test_the_policy_forbids_everything_but_inline_style_and_data(hostile: Path) -> None:
    parsed = Page((hostile / "report.html").read_text(encoding="utf-8"))
    policies = [
        attributes["content"]
        for tag, attributes in parsed.tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"]


def test_evidence_makes_no_markdown_html_or_link() -> None:
    text = str(markup.markdown("![x](http://h/z.png) `c` <b>&amp; www.h.x #h *e* | \n- 1"))
    assert text == "!\\[x\\](http:\\//h/z.png) \\`c\\` &lt;b&gt;&amp;amp; www\\.h.x \\#h \\*e\\* \\| \\\\x0a- 1"
    assert str(markup.markdown("- item")) == "\\- item"
    assert str(markup.markdown("1. item")) == "1\\. item"


def test_no_cell_of_a_listing_begins_a_formula(hostile: Path) -> None:
    for path in hostile.glob("*.csv"):
        for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")):
            for value in row:
                assert not re.match(r"\s*[=+@\t\r]|\s*-(?!\d+$)", value), (path.name, value)


def test_burmese_and_khmer_syllables_keep_their_marks() -> None:
    for text in ("မြွှင့်", "ស្ត្រី", "ກໍ່າ", "น้ำ"):
        assert text in str(markup.evidence(text))


# --- pictures ---------------------------------------------------------------------------------------------------------------


def picture(colour: str) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(held, "PNG")
    return held.getvalue()


def with_pictures() -> tuple[fakes.Index, dict[str, bytes]]:
    held = {hashlib.sha256(content).hexdigest(): content for content in (picture("red"), picture("blue"), b"<svg onload=alert(1)>")}
    references = tuple(
        AttachmentRef(f"thumb-{number}.png", "image/svg+xml" if content.startswith(b"<") else "image/png", digest, len(content))
        for number, (digest, content) in enumerate(held.items())
    )
    return fakes.index((fakes.record("photo", "one", attachments=references),), 5), held


def test_pictures_are_embedded_only_when_asked_for(tmp_path: Path) -> None:
    index, held = with_pictures()
    text = page(fakes.document(of=index, attachment=lambda reference: held[reference.sha256]), index, tmp_path)
    assert "<img" not in text
    assert "Pictures were not asked for" in text


def test_a_picture_is_behind_a_closed_fold_with_a_warning(tmp_path: Path) -> None:
    index, held = with_pictures()
    document = fakes.document(of=index, pictures=1, attachment=lambda reference: held[reference.sha256])
    assert (document.pictures_shown, document.pictures_left) == (1, 1)  # the SVG is no picture
    text = page(document, index, tmp_path)
    assert re.search(
        r'<details class="pictures"><summary>Warning: pictures from evidence\.[^<]*</summary>\s*<figure><img src="data:image/png;base64,',
        text,
    )
    assert "svg" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_a_picture_whose_bytes_are_not_those_digested_is_not_shown() -> None:
    index, held = with_pictures()
    document = fakes.document(of=index, pictures=9, attachment=lambda reference: held[reference.sha256][:-1] + b"!")
    assert (document.pictures_shown, document.pictures_left) == (0, 2)


# --- the same again ---------------------------------------------------------------------------------------------------------


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    reports = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        reports.append(write(fakes.document(), fakes.index(), tmp_path / name))
    assert reports[0].pages == reports[1].pages
    assert reports[0].listings == reports[1].listings


def test_the_identifier_is_made_of_all_that_the_report_says() -> None:
    assert fakes.document().id == fakes.document().id
    assert fakes.document(at="2026-11-20T09:30:01Z").id != fakes.document().id


def test_no_path_of_this_machine_is_in_the_report(tmp_path: Path) -> None:
    exhibits = tuple(msgspec.structs.replace(item, image=f"/srv/store/{item.image}") for item in fakes.CASE.received)
    assert "/srv/store" not in page(fakes.document(fakes.Case(fakes.CASE.info, exhibits)), fakes.index(), tmp_path)


def test_a_font_is_embedded_only_for_a_script_that_occurs(tmp_path: Path) -> None:
    assert page(fakes.document(), fakes.index(), tmp_path).count("@font-face") == 4
    index = fakes.index((fakes.record("note", "ข้าม"),), 5)
    assert page(fakes.document(of=index), index, tmp_path).count("@font-face") == 1
    index = fakes.index((), 5)
    assert "@font-face" not in page(fakes.document(of=index), index, tmp_path)


# --- languages --------------------------------------------------------------------------------------------------------------


def test_a_language_without_a_catalogue_names_those_that_have_one(tmp_path: Path) -> None:
    assert languages() == ("en", "fil", "id", "km", "lo", "ms", "my", "th", "vi")
    with pytest.raises(UsageError, match="fil, id"):
        write(fakes.document(language="xx"), fakes.index(), tmp_path)
    with pytest.raises(UsageError):
        catalogue("../../etc/passwd")


def test_an_unknown_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"report\.html"):
        write(fakes.document(), fakes.index(), tmp_path, ("../x.html",))


@pytest.mark.parametrize("language", [name for name in languages() if name != "en"])
def test_a_catalogue_is_complete(language: str) -> None:
    with open(templates_folder() / "locale" / f"{language}.po", "rb") as file:
        held = read_po(file, locale=language)
    wanted = messages()
    for message in wanted:
        if not message.id:
            continue
        found = held.get(message.id)
        assert found is not None, message.id
        assert not found.fuzzy, message.id
        forms = found.string if isinstance(found.string, tuple | list) else (found.string,)
        assert all(forms), message.id
        source = message.id[-1] if isinstance(message.id, tuple | list) else message.id
        for form in forms:
            assert set(re.findall(r"%\(\w+\)s", form)) == set(re.findall(r"%\(\w+\)s", source)), message.id
    assert {str(message.id) for message in held} == {str(message.id) for message in wanted}, "messages that nothing asks for"


class Pseudo(gettext.NullTranslations):
    """A language in which every translated text stands in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return f"⟦{singular if number == 1 else plural}⟧"


@pytest.mark.parametrize("make", [fakes.index, fakes.hostile, lambda: EMPTY], ids=["realistic", "hostile", "empty"])
def test_no_label_is_left_untranslated(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    index = make()
    document = fakes.document(of=index, pictures=1, validation=None if index is EMPTY else fakes.VALIDATION)
    listings = write(document, index, tmp_path, ()).listings
    text = "".join(render(document, listings, "report.html", Pseudo(), language="zz"))
    assert '<html lang="zz">' in text
    ours = "".join(Page(text).ours)
    while "⟦" in ours:
        ours, count = re.subn(r"⟦[^⟦⟧]*⟧", "", ours)
        assert count
    ours = re.sub(r"\b([kMGT]B)\b", "", ours.replace(document.id, ""))  # symbols of units are international
    assert not re.findall(r"[^\W\d_]+", ours)


def test_the_indonesian_report_speaks_indonesian_and_leaves_evidence_alone(tmp_path: Path) -> None:
    text = page(fakes.document(language="id"), fakes.index(), tmp_path)
    assert '<html lang="id">' in text
    assert "Laporan pemeriksaan forensik digital" in text
    assert "2 isian wajib" not in text and "4 isian wajib belum diisi" in text
    assert '<bdi lang="en" translate="no">Message in Thai names a fee and a crossing</bdi>' in text
    assert "2026-02-13T17:40:02.123Z" in text
    summary = page(fakes.document(language="id"), fakes.index(), tmp_path, "summary.md")
    assert "## Ringkasan" in summary
    long = [str(message.id) for message in messages() if isinstance(message.id, str) and len(message.id) > 24]
    assert not [message for message in long if message in summary]
