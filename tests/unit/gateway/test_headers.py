from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable.gateway.headers import InvalidHeaderError, ReplyHead, RequestHeaders, declared_length

DATE = b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n"


@pytest.fixture
def render():
    return ReplyHead(now=lambda: 1.9).render


def test_names_arrive_in_lower_case_and_every_byte_has_its_character():
    pairs = RequestHeaders().translate(((b"X-Name", b"caf\xe9 \xff"), (b"Accept", b"*/*")), "10.1.2.3", upgrade=False)

    assert pairs == [("x-name", "caf\u00e9 \u00ff"), ("accept", "*/*"), ("cf-connecting-ip", "10.1.2.3")]


def test_what_only_the_gateway_may_say_is_removed_from_clients():
    raw = (
        (b"X-Durable-Actor", b"forged"),
        (b"CF-Connecting-IP", b"1.2.3.4"),
        (b"X-Forwarded-For", b"1.2.3.4"),
        (b"Cookie", b"a=1"),
    )

    assert RequestHeaders().translate(raw, "127.0.0.1", upgrade=False) == [
        ("x-forwarded-for", "1.2.3.4"),
        ("cookie", "a=1"),
        ("cf-connecting-ip", "127.0.0.1"),
    ]


def test_hop_by_hop_fields_and_those_that_connection_names_end_here():
    raw = (
        (b"Connection", b"keep-alive, X-Hop"),
        (b"Keep-Alive", b"timeout=5"),
        (b"TE", b"trailers"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"h2c"),
        (b"X-Hop", b"1"),
        (b"X-Kept", b"2"),
    )

    assert RequestHeaders().translate(raw, "", upgrade=False) == [("x-kept", "2"), ("cf-connecting-ip", "")]


def test_a_web_socket_request_still_shows_what_it_asks_for():
    raw = ((b"Upgrade", b"WebSocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Protocol", b"chat"))

    assert RequestHeaders().translate(raw, "", upgrade=True) == [
        ("sec-websocket-protocol", "chat"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("cf-connecting-ip", ""),
    ]


@given(st.lists(st.tuples(st.binary(min_size=1), st.binary()), max_size=8))
def test_no_request_header_is_beyond_the_wire(raw):
    from durable.wire.codec import FrameWriter
    from durable.wire.messages import HttpRequest

    pairs = RequestHeaders().translate(tuple(raw), "127.0.0.1", upgrade=False)

    FrameWriter().append(HttpRequest(1, None, "GET", "/", pairs))


def test_a_response_head_states_length_and_date(render):
    head = render(200, "", [("content-type", "text/plain")], length=5)

    assert head == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n" + DATE + b"\r\n"


def test_fields_may_repeat_and_keep_their_order(render):
    head = render(200, "Fine", [("Set-Cookie", "a=1"), ("X", "\u00e9"), ("Set-Cookie", "b=2")], length=None)

    assert head == b"HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX: \xe9\r\nSet-Cookie: b=2\r\n" + DATE + b"\r\n"


def test_what_frames_the_response_is_ours_to_say(render):
    ours = [("Content-Length", "7"), ("Transfer-Encoding", "gzip"), ("Connection", "upgrade"), ("Upgrade", "h2c")]

    head = render(200, "", ours, length=None, chunked=True, connection="close")

    assert head == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + DATE + b"Connection: close\r\n\r\n"


def test_a_date_of_the_programs_own_is_kept(render):
    assert (
        render(204, "", [("date", "yesterday")], length=None) == b"HTTP/1.1 204 No Content\r\ndate: yesterday\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("reason", "headers", "message"),
    [
        ("", [("X-A", "1\r\nSet-Cookie: x")], "The value of header 'X-A' contains the control character '\\r'"),
        ("", [("X-A", "1\n2")], "The value of header 'X-A' contains the control character '\\n'"),
        ("", [("X-A", "1\x00")], "The value of header 'X-A' contains the control character '\\x00'"),
        ("", [("X-A", "\x1b[2J")], "The value of header 'X-A' contains the control character '\\x1b'"),
        ("", [("X-A", "\u20ac 5")], "The value of header 'X-A' contains '\u20ac', which is not a latin-1 character"),
        ("", [("X A", "1")], "'X A' is not a valid header name."),
        ("", [("X:", "1")], "'X:' is not a valid header name."),
        ("", [("", "1")], "'' is not a valid header name."),
        ("", [("X\r\nY", "1")], "'X\\r\\nY' is not a valid header name."),
        ("", [("\u00e9", "1")], "'\u00e9' is not a valid header name."),
        ("OK\r\nX: 1", [], "The status text contains the control character '\\r'"),
        ("\u20ac", [], "The status text contains '\u20ac', which is not a latin-1 character"),
        ("", [("X-A", "\ud800")], "The value of header 'X-A' contains '\\ud800', which is not a latin-1 character"),
    ],
)
def test_what_could_inject_something_is_refused_with_its_place(render, reason, headers, message):
    with pytest.raises(InvalidHeaderError) as caught:
        render(200, reason, headers, length=0)

    assert str(caught.value).startswith(message)


def test_characters_that_only_look_unprintable_pass(render):
    assert b"X: a\tb\xa0\xad\x85\r\n" in render(200, "", [("X", "a\tb\u00a0\u00ad\u0085")], length=0)


@given(st.text(max_size=30), st.lists(st.tuples(st.text(max_size=10), st.text(max_size=30)), max_size=5))
def test_a_head_has_exactly_the_lines_it_was_given_or_is_refused(reason, headers):
    try:
        head = ReplyHead(now=lambda: 1.0).render(200, reason, headers, length=0)
    except InvalidHeaderError:
        return
    lines = head.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert len(lines) <= len(headers) + 5
    assert b"\n" not in head.replace(b"\r\n", b"")


def test_many_different_names_do_not_fill_the_memory(render):
    heads = ReplyHead(now=lambda: 1.0)
    requests = RequestHeaders()
    for number in range(3000):
        heads.render(200, "", [(f"X-{number}", "1")], length=0)
        requests.translate(((b"X-%d" % number, b"1"),), "", upgrade=False)

    assert len(heads._kinds) == len(requests._names) == 1024


@pytest.mark.parametrize(
    ("headers", "length"), [([], None), ([("content-Length", "12")], 12), ([("Content-Length", "0")], 0)]
)
def test_a_length_of_the_programs_own_is_read(headers, length):
    assert declared_length(headers) == length


@pytest.mark.parametrize("value", ["", "-1", "1.0", "abc", "+5", "\u0661", "9" * 19])
def test_a_length_that_is_no_number_is_refused(value):
    with pytest.raises(InvalidHeaderError, match="The value of header 'Content-Length' is not a number of bytes"):
        declared_length([("Content-Length", value)])
