"""Paths, headers, limits: what passes and what does not, without any I/O."""

from urllib.parse import unquote_to_bytes

import pytest
from gateway.proxy.headers import ALLOWED_X, OURS, are_too_large, bearer, passing, returning
from gateway.proxy.paths import is_plain, is_plain_query
from gateway.proxy.route_table import RouteTable
from gateway.proxy.routes import Level, Route
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "path", [b"/", b"/api/x/", b"/api/a%20b/", b"/.well-known/jwks.json", b"/a/..b/", b"/a:b@c/", b"/caf%C3%A9/"]
)
def test_plain_paths_are_looked_at(path: bytes) -> None:
    assert is_plain(path)


@pytest.mark.parametrize(
    "path",
    [b"", b"x", b"//", b"/a//b", b"/..", b"/a/../b", b"/./", b"/%2e%2E/", b"/a%2Fb", b"/a%5Cb", b"/a\\b", b"/a;b", b"/a%3bb",
     b"/%252e", b"/%00", b"/%", b"/%g0", b"/a b", b"/\xc3\xa9", b"/a?b", b"/a#b", b"/a%3Fb", b"/a%23b", b"/%7f", b"/a\tb",
     b"/%c0%ae", b"/%ff", b"/%ef%bc%8fa", b"/%ef%bc%8e%ef%bc%8e", b"/%e2%80%a5", b"/%ef%bc%bca"],
)  # fmt: skip
def test_paths_that_two_parsers_could_read_differently_are_not(path: bytes) -> None:
    assert not is_plain(path)


@given(st.binary(max_size=60))
def test_whatever_passes_as_plain_survives_decoding_with_the_same_segments(raw: bytes) -> None:
    path = b"/" + raw
    if is_plain(path):
        decoded = unquote_to_bytes(path)
        assert decoded.count(b"/") == path.count(b"/")
        assert b".." not in decoded.split(b"/")
        assert b"//" not in decoded
        assert not {0, 59, 92} & set(decoded)


def test_a_query_has_no_blanks_controls_or_foreign_bytes() -> None:
    assert is_plain_query(b"a=1&b=%20;/?")
    assert not any(is_plain_query(query) for query in (b"a b", b"a\n", b"\xc3\xa9", b"\x7f"))


NAMES = ["x-tenant-id", "authorization", "x-internal-token", "x-forwarded-user", "remote-user", "forwarded", "cookie"]


@pytest.mark.invariant("S62")
@given(st.sampled_from(NAMES), st.lists(st.sampled_from("-_."), min_size=3, max_size=3), st.data())
def test_no_spelling_of_an_internal_header_passes(name: str, joints: list[str], data: st.DataObject) -> None:
    pieces = name.split("-")
    spelled = "".join(piece + (joints[i] if i < len(pieces) - 1 else "") for i, piece in enumerate(pieces))
    cased = "".join(data.draw(st.sampled_from([char.lower(), char.upper()])) for char in spelled)
    assert passing([(cased.encode(), b"x"), (cased.encode(), b"y")]) == []


@pytest.mark.invariant("S62")
@given(st.binary(min_size=1, max_size=30))
def test_only_plain_names_that_are_not_ours_ever_pass(name: bytes) -> None:
    for passed, _ in passing([(name, b"v")]):
        assert passed not in OURS
        assert not passed.startswith(b"x-") or passed in ALLOWED_X
        assert set(passed) <= set(b"abcdefghijklmnopqrstuvwxyz0123456789-")


def test_answers_lose_what_belongs_to_the_connection_behind() -> None:
    answer = [
        (b"Connection", b"close"),
        (b"Date", b"d"),
        (b"X-Request-Id", b"r"),
        (b"ETag", b"e"),
        (b"Set-Cookie", b"c"),
    ]
    assert returning(answer) == [(b"etag", b"e"), (b"set-cookie", b"c")]


@pytest.mark.parametrize(
    ("fields", "token"),
    [
        ([(b"Authorization", b"Bearer abc")], "abc"),
        ([(b"authorization", b"bearer abc")], "abc"),
        ([(b"authorization", b"Basic abc")], None),
        ([(b"authorization", b"Bearer ")], None),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], None),
        ([], None),
    ],
)
def test_there_is_one_bearer_token_or_none(fields, token) -> None:
    assert bearer(fields) == token


def test_header_sections_have_limits() -> None:
    assert not are_too_large([(b"a", b"b")] * 100)
    assert are_too_large([(b"a", b"b")] * 101)
    assert are_too_large([(b"a", b"x" * 33_000)])


def test_templates_match_whole_segments() -> None:
    one = Route("/a/{id}/b/", frozenset({"GET"}), "s", Level.TOKEN)
    two = Route("/a/{id}/{part}/", frozenset({"PUT"}), "s", Level.TOKEN)
    table = RouteTable([two, one])
    assert table.rows_of("/a/x/b/") == [one, two]
    assert table.rows_of("/a/x/y/") == [two]
    assert not [path for path in ("/a//b/", "/a/x/b", "/a/x/y/b/", "/a/x/b/c/", "/") if table.rows_of(path)]
