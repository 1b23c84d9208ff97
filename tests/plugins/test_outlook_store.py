"""Outlook stores: what libpff's own pffexport 20180714 says of one is what is found in it."""

import hashlib
import lzma
import random
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from forensics.plugins.outlook_store import MAX_NESTED, MAX_PEOPLE, _Walk, outlook_store

from forensics.plugin import Corrupt, Finding, Inventory, Unsupported
from forensics.testing import unpack

INBOX = "Root - Mailbox/IPM_SUBTREE/Inbox"


@cache
def store() -> bytes:
    return lzma.decompress((Path(__file__).parent / "data/outlook/pstextractortestpdf.ost.xz").read_bytes())


def inbox(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.data.get("folder") == INBOX]


def test_messages_say_who_wrote_to_whom_when_and_what() -> None:
    _, findings, _ = unpack(outlook_store, store(), name="a.ost")
    first, second = inbox(findings)
    assert first.kind == second.kind == "e-mail"
    assert first.when == datetime(2021, 8, 14, 16, 13, 4, tzinfo=UTC)
    assert first.data["sender"] == "Ed <epfromer@gmail.com>"
    assert first.data["recipients"] == ["pstextractortestpdf@outlook.com"]
    assert first.data["subject"] == "single PDF"
    assert first.data["delivered"] == "2021-08-14T16:13:09.777080Z"
    assert first.data["attachments"] == ["Clinometer Usage.pdf"]
    assert second.data["subject"] == "Welcome to your new Outlook.com account"


def test_bodies_and_attachments_are_those_of_pffexport() -> None:
    members, _, _ = unpack(outlook_store, store())
    found = {member.path.removeprefix(INBOX): hashlib.sha256(data).hexdigest() for member, data in members if member.path.startswith(INBOX)}
    assert found["/2097380/Clinometer Usage.pdf"] == "36a917a48e7b93f5226a082529e6c3ec663f083d4f9387551303d82379e2e445"
    assert found["/2097380/message.html"] == "a2031075a2240497557463739c23244912f5667ec384a166ae6f35f82cc0bd1a"
    assert found["/2097412/message.html"] == "a7a1ed7580b3fed9109fae421f128ccdb439c3a6aea6760d32e3b4ef21fb1fc3"
    assert found["/2097412/devices.png"] == "962637a8fe3c1e6691d17b8e769cd8956a0604cbd9d7d39f54b73a33bfbd14b9"
    assert found["/2097412/microsoft-logo.png"] == "a4e3abc6bf3ee4596151abb8d336f883860703e8ea297eb77181189a36813626"
    assert sum(path.endswith(".png") for path in found) == 11


def test_items_whose_blocks_are_gone_are_damage() -> None:
    _, findings, error = unpack(outlook_store, store())
    (damage,) = (finding for finding in findings if finding.kind == "damaged-members")
    assert damage.data["damaged"] == 160  # the entries of the calendar "United States holidays"
    assert "United States holidays" in damage.summary
    assert isinstance(error, Corrupt)


def test_folder_whose_list_of_messages_is_gone_is_damage() -> None:
    data = bytearray(store())
    data[4126720 : 4126720 + 512] = bytes(512)  # libpff: number_of_sub_messages of the folder 8578 cannot be read
    _, findings, error = unpack(outlook_store, bytes(data))
    assert inbox(findings) == []
    assert [finding.kind for finding in findings][-1] == "damaged-members"
    assert f"{INBOX}: its messages cannot be read" in str(findings[-1].data["examples"])
    assert isinstance(error, Corrupt)


def test_attachments_beyond_the_limit_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensics.plugins.outlook_store.MAX_ATTACHMENTS", 2)
    members, findings, _ = unpack(outlook_store, store())
    assert sum(member.path.endswith(".png") for member, _ in members) == 2
    assert [finding.data["examples"] for finding in findings if finding.kind == "unread-members"] == [
        [f"{INBOX}/2097412: of 11 attachments the first 2 are read"]
    ]


class Held:
    """Something of a store that holds `items`, and no content of its own."""

    def __init__(self, *items: object) -> None:
        self.items = items
        self.number_of_sub_items = self.number_of_record_sets = len(items)

    def get_sub_item(self, number: int) -> object:
        return self.items[number]

    get_record_set = get_sub_item

    @property
    def size(self) -> int:
        raise OSError("attachment without data")


class Message(Held):
    """A message, as far as one is told from other items."""

    get_sender_name = None


def test_attached_items_that_are_not_followed_are_said() -> None:
    inventory = Inventory("Outlook store")
    assert list(_Walk(inventory)._attachment(Held(Message(), object()), "a", MAX_NESTED)) == []
    (finding,) = inventory.findings()
    assert finding.data["examples"] == ["a: messages deeper than 8 are not followed", "a: attached item that is no message"]


def test_what_is_no_message_and_what_cannot_be_read_is_said() -> None:
    class Entries:
        number_of_entries = 3

        def get_entry(self, number: int) -> object:
            if number:
                raise OSError("libpff_record_entry: unable to read")
            return SimpleNamespace(value_type=3, entry_type=0x0C15, get_data_as_integer=lambda: 2)

    inventory = Inventory("Outlook store")
    walk = _Walk(inventory)
    orphans = SimpleNamespace(number_of_orphan_items=1, get_orphan_item=lambda number: object())
    assert list(walk.orphans(orphans)) == []
    assert list(walk._attachment(Held(), "a/plan.pdf", 0)) == []
    assert list(walk._sets(Held(Entries()), "a", "recipients")) == [{0x0C15: 2}]
    assert {finding.kind: finding.data["examples"] for finding in inventory.findings()} == {
        "unread-members": [
            "orphans/0: an item that is no message",
            "a/plan.pdf: no content: a reference to a file elsewhere, or its content is lost",
        ],
        "damaged-members": ["a: 2 of 3 entries of its recipients cannot be read"],
    }


def test_recipients_beyond_the_limit_are_said() -> None:
    inventory = Inventory("Outlook store")
    sets = _Walk(inventory)._sets(Held(*[SimpleNamespace(number_of_entries=0)] * (MAX_PEOPLE + 1)), "a", "recipients")
    assert len(list(sets)) == MAX_PEOPLE
    (finding,) = inventory.findings()
    assert finding.data["examples"] == ["a: of 501 recipients the first 500 are read"]


@pytest.mark.parametrize("share", [1, 3, 6, 9])
def test_cut_store_is_corrupt_or_gives_what_is_there(share: int) -> None:
    _, findings, error = unpack(outlook_store, store()[: len(store()) * share // 10])
    assert isinstance(error, Corrupt)
    assert [finding.kind for finding in findings][-1] == "damaged-members"


def test_zeroed_half_ends_well() -> None:
    data = store()
    _, _, error = unpack(outlook_store, data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert error is None or isinstance(error, Corrupt)


@pytest.mark.parametrize("content", [b"", b"!BDN", b"!BDN" + bytes(600), b"!BDN" + random.Random(4).randbytes(70_000), b"x" * 600])
def test_garbage_is_not_mine_or_corrupt(content: bytes) -> None:
    members, _, error = unpack(outlook_store, content)
    assert members == []
    assert isinstance(error, Unsupported | Corrupt)
