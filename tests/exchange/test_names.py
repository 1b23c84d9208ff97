"""Whether a text names somebody, however it was typed; and what of a record tells of whom it is."""

import sys
import unicodedata
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from parties import Person, Review, record

from forensics.exchange import policy
from forensics.exchange.names import folded, mentions
from forensics.location import Layer, Location

VIETNAMESE = "Nguyễn Thị Hồng"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("王芳", "我和王芳一起走"),
        ("王芳", "我和王 芳一起走"),
        ("李", "李先生"),
        ("Vy", "ask Vy, she knows"),
        ("Vy", "img_VY_01.jpg"),
        ("Vy", "คุณVyมาแล้ว"),  # Thai puts no space before or after it
        ("Ân", unicodedata.normalize("NFD", "gọi Ân nhé")),
        ("U", "Brother of U."),
        (VIETNAMESE, unicodedata.normalize("NFD", f"gửi {VIETNAMESE} 5 triệu")),
        (unicodedata.normalize("NFD", VIETNAMESE), f"gửi {VIETNAMESE.upper()} 5 triệu"),
        ("សុខ ដារ៉ា", "ឈ្មោះ\u200bសុខ\u200bដារ៉ា\u200bនៅ"),  # words of Khmer, with the space of no width between them
        ("สมชาย ใจดี", "นาย\u200bสม\u200bชาย ใจ\u2060ดี"),
        ("အောင်ဆန်း", "ကို\u200bအောင်\u200bဆန်း"),
        ("Aye Chan", "A\u00adye\u00a0CH\u034fAN"),
        ("សុខ", str(Location(exhibit="2026-1", layers=(Layer("ext4"),), path="/ស\u200bុខ.txt"))),
        ("សុខ", str(Location(exhibit="2026-1", layers=(Layer("ext4"), Layer("zip", Location("", path="/ស\u200bុខ.zip").inner)), path="/a"))),
        ("သူ", r'{"name": "\u101e\u1030"}'),
        ("Aye Chan", "Ａｙｅ　Ｃｈａｎ"),
        ("葛城", "葛\U000e0100城さん"),  # a variant of a character, chosen by a selector that nobody sees
        (VIETNAMESE, "gui Nguyen Thi Hong 5 trieu"),
        ("Nguyen Thi Hong", f"gửi {VIETNAMESE} 5 triệu"),
        ("Nguyen Thi Hong", unicodedata.normalize("NFD", f"gửi {VIETNAMESE}")),
        ("Nguyễn", "nguyenhoa92@example.org"),
        ("José", "ask Jose, he knows"),
        ("Jose", "pregúntale a José"),
        ("Đặng Văn Đức", "DANG VAN DUC"),
        ("Dang Van Duc", "đặng văn đức"),
        ("Łukasz Sørensen", "lukasz  sorensen.jpg"),
        ("Lukasz", "Łukasz"),
        ("Æneas", "Aeneas"),
        ("Işıl", "isil"),
        ("Tân", "gặp tan ở bến"),
        ("Семён", "семен сказал"),
        ("Άννα", "αννα"),
        ("Nguyễn", "นางnguyenมาแล้ว"),
    ],
)
def test_a_name_is_found_however_it_is_typed(name: str, text: str) -> None:
    assert mentions(["nothing", text], [name]) == [name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Vy", "a navy ship, heavy, vying"),
        ("Ba", "content 1ba4 ba77 77ba of them"),
        ("An", "gọi ân, án"),
        ("Vy", "vy\u030c"),  # a letter with a mark that composes with nothing
        ("王芳", "王先生和芳"),
        ("\u200b", "any\u200btext"),
        ("Tô", "go to them"),  # of two letters, the marks count
        ("Á", "a boat"),
        ("Tân", "a standard boat"),
        ("ส้ม", "สม"),  # marks of other scripts are no marks on a letter
    ],
)
def test_a_name_is_not_found_in_another_word(name: str, text: str) -> None:
    assert mentions([text], [name]) == []


def test_a_placeholder_of_one_letter_is_a_name_as_well() -> None:
    assert mentions(["vessel A of three", "3 vessels"], ["A"]) == ["A"]
    assert mentions(["3 vessels", "à la carte"], ["A"]) == []


def test_what_was_found_with_all_marks_is_found_without_any_as_well() -> None:
    for name in ("Nguyễn", "Đỗ Mười", "Tân", "Lê", "王芳", "สมชาย"):
        assert mentions([f"x {name} y"], [name]) == [name]
        assert mentions([f"x{name}y"], [name]) == ([] if name == "Lê" else [name])


def test_digits_of_every_script_are_the_same() -> None:
    for digits in ("๐๑๒๓๔๕๖๗๘๙", "០១២៣៤៥៦៧៨៩", "໐໑໒໓໔໕໖໗໘໙", "၀၁၂၃၄၅၆၇၈၉", "٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９"):
        assert folded(digits) == "0123456789"


def test_a_protected_person_with_a_short_name_is_among_the_names() -> None:
    people = {
        "P-1": Person(id="P-1", name="王芳", role="minor"),
        "P-2": Person(id="P-2", name="Vy", role="victim"),
        "P-3": Person(id="P-3", name="Joko"),
        "P-4": Person(id="P-4", role="minor"),
    }
    assert policy.protected_names(Review({}, people), "VN") == {"王芳": {"minor"}, "vy": {"victim"}}


# --- numbers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("+20 10 0123 4567", {"01234567"}),
        ("201001234567", {"01234567"}),
        ("+20101023", {"20101023"}),
        ("โทร๐๘๑-๒๓๔-๕๖๗๘ครับ", {"12345678"}),
        ("ទូរស័ព្ទ ០១២ ៣៤៥ ៦៧៨", {"12345678"}),
        ("ໂທ ໐໒໐ ໕໕໑໒ ໓໔໕໖", {"55123456"}),
        ("ဖုန်း ၀၉ ၁၂၃ ၄၅၆ ၇၈၉", {"23456789"}),
        ("0812\u20113456\u20137890", {"34567890"}),
        ("passport mc1234567", {"mc1234567"}),
        ("passport MC 1234567", {"mc1234567", "1234567"}),
        ("หนังสือเดินทางAA1234567", {"aa1234567"}),
        ("taken 20260102", set()),
        ("taken 20260102123456", set()),
        ("taken 2026-01-02 12:34:56", set()),
        ("2026-01-02T12:34:56Z", set()),
        ("20261399", {"20261399"}),
    ],
)
def test_a_number_or_an_address_is_the_same_however_it_is_written(text: str, found: set[str]) -> None:
    assert policy.selectors(record(1, summary="x", data={"text": text})) == found


def test_an_address_ends_where_its_own_script_does() -> None:
    assert "aye@example.org" in policy.selectors(record(1, summary="อีเมลaye@example.orgนะ"))
    path = Location(exhibit="2026-1", layers=(Layer("ext4"),), path="/mail/aye@example.org/inbox")
    assert "aye@example.org" in policy.selectors(record(1, summary="x"), str(path))
    assert "andré@example.org" in policy.selectors(record(1, summary="write to Andre\u0301@example.org"))
