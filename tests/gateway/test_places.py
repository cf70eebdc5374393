"""Where a client that resumes by name is, until its pong says that it has been told."""

from __future__ import annotations

import time

import pytest

from realtime_hub.gateway.places import GAP_RESUME, Places
from realtime_hub.gateway.resume import ForgetfulStore, ResumeBook
from realtime_hub.identity import Identity
from realtime_hub.lsn import Position

ANON = Identity("anon", "{}")
HERE, LATER = Position(1, 10, 0), Position(1, 20, 0)


@pytest.fixture
def book() -> ResumeBook:
    return ResumeBook(ForgetfulStore(), max_age=60, clock=time.time)


def connected(book: ResumeBook, first_ref: str) -> Places:
    places = Places("a-name-of-its-own", book, lambda: None)
    places.note_ref(first_ref)
    return places


def told(places: Places, topic: str = "a") -> str | Position | None:
    """What a join is answered: a gap's reason, the place to go on from, or nothing."""
    place, gap = places.claim(topic, ANON)
    return place if gap is None else gap.reason


def answer(places: Places, place: Position, *topics: str) -> None:
    """Ping, and have the pong."""
    given = dict.fromkeys(topics or ("a",), place)
    frame = places.ping(given, given, time.monotonic() + 3600)
    assert frame is not None
    places.pong(frame[2:])


def test_who_comes_for_the_first_time_begins_where_it_joined(book: ResumeBook) -> None:
    first = connected(book, "1")
    assert told(first) is None
    first.begin("a", HERE)
    first.release()
    assert told(connected(book, "4")) == HERE


def test_a_gap_is_told_again_until_a_pong_acknowledges_it(book: ResumeBook) -> None:
    for _ in range(2):
        lost = connected(book, "4")
        assert told(lost) == GAP_RESUME
        lost.release()  # before it has answered
    found = connected(book, "7")
    assert told(found) == GAP_RESUME
    answer(found, LATER)
    found.release()
    assert told(connected(book, "9")) == LATER


def test_who_was_told_of_a_gap_goes_on_from_there_and_is_told_again(book: ResumeBook) -> None:
    lost = connected(book, "4")
    assert told(lost) == GAP_RESUME
    lost.begin("a", HERE, gap=True)
    lost.release()
    again = connected(book, "7")
    place, gap = again.claim("a", ANON)
    assert (place, gap and gap.reason) == (HERE, GAP_RESUME)
    again.begin("a", HERE, gap=True)
    answer(again, HERE)  # nothing has come since, and it has read the gap
    again.release()
    assert told(connected(book, "9")) == HERE


def test_a_ping_of_before_does_not_ask_for_the_gap(book: ResumeBook) -> None:
    lost = connected(book, "4")
    assert told(lost) == GAP_RESUME
    frame = lost.ping({"a": HERE}, {"a": HERE}, time.monotonic() + 3600)
    assert frame is not None
    lost.begin("a", HERE, gap=True)
    lost.pong(frame[2:])
    lost.release()
    assert told(connected(book, "7")) == GAP_RESUME


def test_topics_are_lost_and_found_each_for_itself(book: ResumeBook) -> None:
    lost = connected(book, "4")
    assert told(lost, "a") == told(lost, "b") == GAP_RESUME
    answer(lost, LATER, "a")
    lost.release()
    found = connected(book, "7")
    assert (told(found, "a"), told(found, "b")) == (LATER, GAP_RESUME)


def test_a_new_topic_of_a_client_that_is_known_is_no_gap(book: ResumeBook) -> None:
    first = connected(book, "1")
    assert told(first, "a") is None
    first.begin("a", HERE)
    first.release()
    again = connected(book, "4")
    assert (told(again, "a"), told(again, "b")) == (HERE, None)


def test_who_has_left_everything_is_still_known(book: ResumeBook) -> None:
    first = connected(book, "1")
    assert told(first) is None
    first.begin("a", HERE)
    first.forget("a")
    first.release()
    assert told(connected(book, "4"), "b") is None


def test_a_topic_that_begins_with_its_rows_is_found_once_they_are_acknowledged(
    book: ResumeBook,
) -> None:
    first = connected(book, "1")
    assert told(first) is None
    answer(first, LATER)  # of the rows' end, behind which it goes on
    first.release()
    assert told(connected(book, "4")) == LATER
