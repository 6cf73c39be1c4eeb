"""Requests that two parsers could cut differently: none is split, joined or forwarded by guess."""

import pytest
from common.ids import uuid7
from gateway.testing import raw_exchange

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"
HIDDEN = f"{JOBS}smuggled/"


def request(
    stack, head: str, *, body: str = "", method: str = "POST", target: str = JOBS, version: str = "1.1"
) -> bytes:
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    lines = (
        f"{method} {target} HTTP/{version}\r\nHost: backup.example\r\nAuthorization: {token}\r\n{head}\r\n\r\n{body}"
    )
    return lines.encode("latin-1")


def hidden(stack) -> str:
    """A whole second request, as it would be hidden in a body."""
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    return f"GET {HIDDEN} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"


FRAMING = {
    "two lengths": "Content-Length: 0\r\nContent-Length: {n}",
    "two lengths in one": "Content-Length: 0, {n}",
    "the same length twice in one": "Content-Length: {n}, {n}",
    "length and chunked": "Content-Length: {n}\r\nTransfer-Encoding: chunked",
    "chunked and length": "Transfer-Encoding: chunked\r\nContent-Length: {n}",
    "length of zero and chunked": "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "signed length": "Content-Length: +{n}",
    "negative length": "Content-Length: -1",
    "length in hexadecimal": "Content-Length: 0x10",
    "length with a fraction": "Content-Length: {n}.0",
    "length with an underscore": "Content-Length: 1_0",
    "no length": "Content-Length:",
    "endless length": "Content-Length: 99999999999999999999999999",
    "blank before the colon": "Content-Length : {n}",
    "blank before the colon of the encoding": "Transfer-Encoding : chunked",
    "folded encoding": "Transfer-Encoding:\r\n chunked",
    "folded length": "Content-Length:\r\n {n}",
    "chunked is not last": "Transfer-Encoding: chunked, identity",
    "chunked twice": "Transfer-Encoding: chunked, chunked",
    "chunked in two fields": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "unknown encoding": "Transfer-Encoding: xchunked",
    "compressed": "Transfer-Encoding: gzip, chunked",
    "identity": "Transfer-Encoding: identity",
    "vertical tab": "Transfer-Encoding: \x0bchunked",
    "quoted": 'Transfer-Encoding: "chunked"',
    "bare line feed": "X: y\nContent-Length: {n}",
    "bare carriage return": "X: y\rTransfer-Encoding: chunked",
    "zero byte": "X: a\x00b\r\nContent-Length: {n}",
    "name without a colon": "Transfer-Encoding chunked",
    "empty name": ": x",
    "name with a blank": "Content Length: {n}",
    "name with a byte beyond ASCII": "Content-L\xe9ngth: {n}",
}


@pytest.mark.invariant("S65")
@pytest.mark.parametrize("trick", FRAMING)
async def test_a_request_whose_end_is_in_doubt_reaches_no_service(stack, trick: str) -> None:
    second = hidden(stack)
    head = FRAMING[trick].replace("{n}", str(len(second)))
    status, _body, _all = await raw_exchange(stack.port, request(stack, head, body="0\r\n\r\n" + second))
    assert status in {0, 400, 404, 413}, trick
    assert not stack.engine.seen, trick


CHUNKS = {
    "size with a sign": "+1\r\nx\r\n0\r\n\r\n",
    "size with a prefix": "0x1\r\nx\r\n0\r\n\r\n",
    "size beyond any": "fffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "no line end after the data": "1\r\nxy\r\n0\r\n\r\n",
    "bare line feeds": "1\nx\n0\n\n",
    "not a size": "z\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.invariant("S65")
@pytest.mark.parametrize("trick", CHUNKS)
async def test_a_chunk_that_is_not_well_formed_ends_the_request(stack, trick: str) -> None:
    whole = request(stack, "Transfer-Encoding: chunked", body=CHUNKS[trick] + hidden(stack))
    status, _body, _all = await raw_exchange(stack.port, whole)
    assert status in {0, 400, 404, 413, 503}
    assert all(seen.body == b"" and seen.target != HIDDEN for seen in stack.engine.seen)


@pytest.mark.invariant("S65")
async def test_a_chunked_body_of_http_1_0_is_refused(stack) -> None:
    whole = request(stack, "Transfer-Encoding: chunked", body="0\r\n\r\n" + hidden(stack), version="1.0")
    status, _body, _all = await raw_exchange(stack.port, whole)
    assert status in {0, 400, 404}
    assert not stack.engine.seen


@pytest.mark.invariant("S65")
async def test_what_follows_a_refused_request_on_its_connection_is_never_a_request(stack) -> None:
    oversized = request(stack, f"Content-Length: {2 << 20}", body=hidden(stack))
    status, body, _all = await raw_exchange(stack.port, oversized)
    assert (status, body["code"]) == (413, "body_too_large")
    assert not stack.engine.seen


TARGETS = {
    "absolute": f"http://127.0.0.1{JOBS}",
    "absolute of another host": f"http://169.254.169.254{JOBS}",
    "authority only": "127.0.0.1:80",
    "asterisk": "*",
    "another scheme": "file:///etc/passwd",
    "no slash": "api/backup-jobs/",
    "backslash": "\\api\\backup-jobs\\",
    "fragment": f"{JOBS}#x",
    "encoded dots": "/api/backup-jobs/%2e%2e/%2e%2e/internal/sessions/",
    "doubly encoded dots": "/api/backup-jobs/%252e%252e/",
    "dots as overlong UTF-8": "/api/backup-jobs/%c0%ae%c0%ae/",
    "full-width solidus": "/api/backup-jobs/%ef%bc%8f..%ef%bc%8finternal/",
    "parameter": "/api/backup-jobs;x=1/",
    "encoded line end": "/api/backup-jobs/%0d%0aX-Tenant-Id:%20x",
    "tabulator": "/api/backup-jobs/\tx",
    "bytes beyond ASCII": "/api/backup-jobs/\xe9",
}


@pytest.mark.invariant("S65")
@pytest.mark.parametrize("trick", TARGETS)
async def test_a_target_that_is_not_a_plain_path_has_no_route(stack, trick: str) -> None:
    whole = request(stack, "Connection: close", method="GET", target=TARGETS[trick])
    status, _body, _all = await raw_exchange(stack.port, whole)
    assert status in {0, 400, 404}
    assert not stack.engine.seen


@pytest.mark.invariant("S65")
@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "OPTIONS", "HEAD", "get", "PROPFIND", "PRI", "M-SEARCH"])
async def test_a_method_that_no_row_names_reaches_no_service(stack, method: str) -> None:
    status, _body, _all = await raw_exchange(stack.port, request(stack, "Connection: close", method=method))
    assert status in {0, 400, 404, 405}
    assert not stack.engine.seen


@pytest.mark.invariant("S65")
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "TLS/1.0"])
async def test_a_connection_is_never_handed_over_to_another_protocol(stack, protocol: str) -> None:
    head = (
        f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: close"
    )
    status, _body, _all = await raw_exchange(stack.port, request(stack, head, method="GET", body=hidden(stack)))
    assert status not in {0, 101}
    assert all(seen.target != HIDDEN and not seen.values("upgrade") for seen in stack.engine.seen)


@pytest.mark.invariant("S65")
@pytest.mark.parametrize(
    "host", ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: a/../b\r\n", "Host: user@a\r\n"]
)
async def test_there_is_one_plain_host_and_no_service_learns_it(stack, host: str) -> None:
    token = stack.tenancy.headers(tenant=uuid7())["authorization"]
    whole = f"GET {JOBS} HTTP/1.1\r\n{host}Authorization: {token}\r\nConnection: close\r\n\r\n"
    status, _body, _all = await raw_exchange(stack.port, whole.encode())
    assert status == 400
    assert not stack.engine.seen
