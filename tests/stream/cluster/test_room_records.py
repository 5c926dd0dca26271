"""Room records: the newest handover of each room, kept for a while; moved rooms lead to the newest one."""

from __future__ import annotations

from speakerlight.cluster import room_records
from speakerlight.cluster.room_records import KEPT_SECONDS, RoomRecords

ADA = {"commands": [{"type": "name", "id": 1, "name": "Ada"}], "people": []}
BO = {"commands": [{"type": "name", "id": 1, "name": "Bo"}], "people": []}


def test_copies_are_replaced_when_their_tag_changes_and_outlive_their_host_for_a_while() -> None:
    records = RoomRecords()
    records.update("h1", {"a": {"tag": 1, "handover": ADA}}, now=0.0)
    assert records.tags("h1") == {"a": 1} and records.tags("h2") == {}
    records.update("h1", {"a": None}, now=10.0)
    assert records.handover("a") == ADA
    records.update("h1", {"a": {"tag": 2, "handover": BO}}, now=11.0)
    assert records.handover("a") == BO
    records.update("h2", {}, now=11.0 + KEPT_SECONDS - 1)
    assert records.handover("a") == BO
    records.update("h2", {}, now=11.0 + KEPT_SECONDS)
    assert records.handover("a") is None


def test_moved_rooms_lead_to_the_newest_one() -> None:
    records = RoomRecords()
    records.moved("a", "b")
    records.moved("b", "c")
    assert [records.newest(room) for room in "abcd"] == ["c", "c", "c", "d"]
    records.moved("c", "a")
    assert records.newest("a") in "abc", "a circle ends"


def test_the_oldest_moves_are_dropped() -> None:
    records = RoomRecords()
    for number in range(room_records.MOST_MOVES + 1):
        records.moved(f"before-{number}", f"after-{number}")
    assert records.newest("before-0") == "before-0"
    assert records.newest("before-1") == "after-1"
