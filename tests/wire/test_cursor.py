import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.errors import CursorError
from realtime_hub.lsn import Position
from realtime_hub.wire.cursor import cursor_key, decode_cursor, encode_cursor

KEY = cursor_key(b"super-secret-jwt-token-with-at-least-32-characters-long")
POSITION = Position(1_795_405_526_123, 0x16_B374_D848, 7)

positions = st.builds(
    Position,
    st.integers(0, 2**56 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
)


@given(positions)
def test_a_cursor_gives_its_position_back(position):
    assert decode_cursor(encode_cursor(position, KEY), KEY) == position


@given(positions)
def test_a_cursor_is_short_and_safe_in_urls(position):
    cursor = encode_cursor(position, KEY)
    assert len(cursor) == 48
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(positions, st.integers(0, 47), st.characters())
def test_no_cursor_with_a_changed_character_is_read(position, index, character):
    cursor = encode_cursor(position, KEY)
    altered = cursor[:index] + character + cursor[index + 1 :]
    if altered == cursor:
        return
    with pytest.raises(CursorError):
        decode_cursor(altered, KEY)


@given(positions, st.integers(0, 36 * 8 - 1))
def test_no_cursor_with_a_flipped_bit_is_read(position, bit):
    raw = bytearray(base64.urlsafe_b64decode(encode_cursor(position, KEY)))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CursorError):
        decode_cursor(base64.urlsafe_b64encode(raw).decode(), KEY)


@given(st.text())
def test_text_that_is_no_cursor_is_refused(text):
    with pytest.raises(CursorError):
        decode_cursor(text, KEY)


@given(st.text("ABCDEFGHIJKLMNOPabcdefghijklmnop0123456789-_=+/", min_size=48, max_size=48))
def test_text_of_the_right_length_is_refused(text):
    with pytest.raises(CursorError):
        decode_cursor(text, KEY)


def test_the_other_base64_alphabet_is_refused():
    cursors = (encode_cursor(Position(1, lsn, 0), KEY) for lsn in range(100))
    cursor = next(cursor for cursor in cursors if "_" in cursor and "-" in cursor)
    with pytest.raises(CursorError):
        decode_cursor(cursor.replace("_", "/").replace("-", "+"), KEY)


def test_a_cursor_of_another_key_is_refused():
    with pytest.raises(CursorError):
        decode_cursor(encode_cursor(POSITION, cursor_key(b"another")), KEY)


def test_the_derived_key_is_not_the_secret():
    assert cursor_key(b"secret") != b"secret"
    assert len(cursor_key(b"secret")) == 32


def test_the_form_stays_as_it_is():
    assert encode_cursor(POSITION, bytes(32)) == CURSOR_OF_VERSION_1


def test_the_error_does_not_repeat_the_text():
    with pytest.raises(CursorError) as caught:
        decode_cursor("a" * 48, KEY)
    assert "aaa" not in str(caught.value)
    assert caught.value.code == "InvalidCursor"


CURSOR_OF_VERSION_1 = "AQABogaCNGsAAAAWs3TYSAAAAAfLFwDTPtyqglqXs8dlACL4"
