"""What a host may answer before its answer is refused unread."""

import http.client
import io
import time

import pytest
from backup_engine.adapters.vsphere import soap
from backup_engine.adapters.vsphere.faults import UnsafeAnswer
from backup_engine.adapters.vsphere.soap import BoundedResponse, newest_common_version


class Wire:
    def __init__(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._data = head + body

    def makefile(self, *_: object) -> io.BytesIO:
        return io.BytesIO(self._data)


def answered(body: bytes, *, deadline: float = float("inf")) -> http.client.HTTPResponse:
    kind = type("Bounded", (BoundedResponse,), {"deadline": deadline})
    response = kind(Wire(body))
    response.begin()
    return response


def read_in_steps(response: http.client.HTTPResponse, step: int) -> bytes:
    return b"".join(iter(lambda: response.read(step), b""))


def test_an_ordinary_answer_passes() -> None:
    assert read_in_steps(answered(b"<a>1</a>"), 3) == b"<a>1</a>"


@pytest.mark.parametrize("step", [1, 5, 4096])
@pytest.mark.parametrize(
    "body",
    [
        b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<!DOCTYPE a><a/>".encode("utf-16"),
        b"<a/>" * 2000 + b"<!ENTITY b 'c'>",
    ],
)
def test_a_document_type_is_refused_at_any_cut_and_in_any_encoding(body: bytes, step: int) -> None:
    with pytest.raises(UnsafeAnswer, match="document type"):
        read_in_steps(answered(body), step)


def test_an_answer_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "MOST_ANSWER_BYTES", 1000)
    with pytest.raises(UnsafeAnswer, match="more than"):
        read_in_steps(answered(b"x" * 1001), 100)
    with pytest.raises(UnsafeAnswer, match="more than"):
        answered(b"x" * 1001).read()


def test_an_answer_that_drips_past_its_deadline_is_given_up() -> None:
    response = answered(b"x" * 100, deadline=time.monotonic() - 1)
    with pytest.raises(TimeoutError):
        response.read(1)


@pytest.mark.parametrize(
    ("api", "version"),
    [
        ("6.5", "vim.version.version11"),
        ("6.7", "vim.version.version12"),
        ("7.0.3.0", "vim.version.v7_0_3_0"),
        ("8.0.3.0", "vim.version.v8_0_3_0"),
        ("8.0.99.0", "vim.version.v8_0_3_1"),
        ("nonsense", "vim.version.version11"),
    ],
)
def test_the_newest_version_that_both_sides_speak_is_used(api: str, version: str) -> None:
    assert newest_common_version(api) == version
