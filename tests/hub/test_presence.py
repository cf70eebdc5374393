"""Who is present in a room: states, diffs, and what is not told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from realtime_hub.errors import FrameError
from realtime_hub.hub.presence import Presence, Tracked, content_of


def diff(presence: Presence) -> tuple[dict[str, Any], dict[str, Any]]:
    announced = presence.announce()
    assert announced is not None
    value = json.loads(announced)
    return value["joins"], value["leaves"]


def metas(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"metas": list(entries)}


def test_an_empty_room_has_an_empty_state_and_no_diff() -> None:
    presence = Presence()
    assert presence.state() == b"{}"
    assert presence.announce() is None
    assert presence.empty


def test_a_member_that_tracks_joins_under_its_key_with_its_payload() -> None:
    presence = Presence()
    assert presence.track(1, Tracked("ana", "r1", b'{"at":"desk"}'))
    assert diff(presence) == ({"ana": metas({"phx_ref": "r1", "at": "desk"})}, {})
    assert json.loads(presence.state()) == {"ana": metas({"phx_ref": "r1", "at": "desk"})}


def test_an_update_is_a_leave_and_a_join_that_names_it() -> None:
    presence = Presence()
    presence.track(1, Tracked("ana", "r1", b"{}"))
    presence.announce()
    presence.track(1, Tracked("ana", "r2", b'{"n":1}'))
    joins, leaves = diff(presence)
    assert joins == {"ana": metas({"phx_ref": "r2", "phx_ref_prev": "r1", "n": 1})}
    assert leaves == {"ana": metas({"phx_ref": "r1"})}


def test_the_same_payload_again_changes_nothing() -> None:
    presence = Presence()
    presence.track(1, Tracked("ana", "r1", b'{"n":1}'))
    presence.announce()
    assert not presence.track(1, Tracked("ana", "r2", b'{"n":1}'))
    assert presence.announce() is None


def test_tabs_of_one_user_have_a_meta_each_and_leave_one_by_one() -> None:
    presence = Presence()
    presence.track(1, Tracked("ana", "r1", b'{"tab":1}'))
    presence.track(2, Tracked("ana", "r2", b'{"tab":2}'))
    joins, _ = diff(presence)
    assert [meta["tab"] for meta in joins["ana"]["metas"]] == [1, 2]
    presence.untrack(1)
    _, leaves = diff(presence)
    assert leaves == {"ana": metas({"phx_ref": "r1", "tab": 1})}
    assert json.loads(presence.state()) == {"ana": metas({"phx_ref": "r2", "tab": 2})}


def test_who_comes_and_goes_between_two_diffs_is_never_told() -> None:
    presence = Presence()
    presence.track(1, Tracked("ana", "r1", b"{}"))
    presence.untrack(1)
    assert presence.announce() is None
    assert presence.empty


def test_updates_between_two_diffs_are_told_as_one_from_what_was_known() -> None:
    presence = Presence()
    presence.track(1, Tracked("ana", "r1", b'{"n":1}'))
    presence.announce()
    presence.track(1, Tracked("ana", "r2", b'{"n":2}'))
    presence.track(1, Tracked("ana", "r3", b'{"n":3}'))
    joins, leaves = diff(presence)
    assert joins == {"ana": metas({"phx_ref": "r3", "phx_ref_prev": "r1", "n": 3})}
    assert leaves == {"ana": metas({"phx_ref": "r1", "n": 1})}


def test_the_state_is_what_was_announced_so_the_next_diff_completes_it() -> None:
    presence = Presence()
    presence.track(1, Tracked("ana", "r1", b"{}"))
    assert presence.state() == b"{}"
    presence.announce()
    presence.untrack(1)
    assert "ana" in json.loads(presence.state())
    presence.announce()
    assert presence.state() == b"{}"


def test_who_tracks_nothing_can_untrack() -> None:
    assert not Presence().untrack(1)


def test_a_payload_can_not_say_what_only_the_server_may() -> None:
    assert content_of({"phx_ref": "forged", "phx_ref_prev": "forged", "n": 1}) == b'{"n":1}'


def test_a_payload_too_deep_to_be_written_again_is_a_frame_error() -> None:
    deep: object = 1
    for _ in range(600):
        deep = [deep]
    with pytest.raises(FrameError):
        content_of({"deep": deep})
