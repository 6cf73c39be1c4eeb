"""Downloads by link through the running stack, by a client that knows an address and nothing else."""

import hashlib
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from devstack.customer import JSON, Customer
from devstack.premises import PASSWORD, House

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]


def paths(house: House) -> list[tuple[str, str]]:
    """Downloads of a house, each with the path on which links to it are made."""
    invoice = f"/api/tenants/invoices/{house.ids['invoice_id']}/"
    disk = f"/api/restore/jobs/{house.ids['restore_job_id']}/disks/{house.ids['disk_key']}/"
    return [(f"{one}{last}", f"{one}download-links/") for one, last in ((invoice, "download/"), (disk, "content"))]


async def link(customer: Customer, path: str) -> str:
    made: JSON = await customer.post(path, {}, expect=201)
    return urlsplit(made["url"]).path


@pytest.mark.invariant("S79", "S81")
async def test_a_bare_client_downloads_and_resumes_until_the_session_ends(houses: Any, endpoints: JSON) -> None:
    first, second = houses
    async with (
        Customer(first.gateway, first.email, PASSWORD) as owner,
        second.browser() as intruder,
        httpx.AsyncClient(base_url=endpoints["gateway"], trust_env=False, timeout=60) as bare,
    ):
        await owner.log_in()
        lasting = []
        for download, links in paths(first):
            itself = await owner.http.get(download)
            assert itself.status_code == 200
            begun = await bare.get(await link(owner, links))
            assert begun.status_code == 307
            follow = begun.headers["location"]
            whole = await bare.get(follow)
            assert hashlib.sha256(whole.content).digest() == hashlib.sha256(itself.content).digest()
            for name in ("etag", "content-disposition", "content-type"):
                assert whole.headers[name] == itself.headers[name]
            foreign = await intruder.http.post(links)
            assert (foreign.status_code, foreign.json()["code"]) == refused_to(await intruder.http.get(download))
            lasting.append(follow)
        headers = {"range": "bytes=512-1535", "if-range": whole.headers["etag"]}
        part = await bare.get(lasting[-1], headers=headers)
        assert (part.status_code, part.content) == (206, whole.content[512:1536])
        await owner.call("POST", "/api/auth/logout/", expect=204)
        # At once: each use asks tenancy itself, whatever the broker has delivered.
        for follow in lasting:
            answer = await bare.get(follow, headers={"range": "bytes=1536-"})
            assert (answer.status_code, answer.json()["code"]) == (410, "download_link_over")


def refused_to(answer: httpx.Response) -> tuple[int, str]:
    assert answer.status_code == 404
    return answer.status_code, answer.json()["code"]
