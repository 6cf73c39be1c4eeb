"""What staff read of others, in whichever service, they read with a reason: the back office's one header."""

import json

import pytest

from tests.architecture.role_matrix import ROOT, SERVICES

HEADER = "x-reason"


@pytest.mark.invariant("S14")
def test_every_read_below_the_back_office_demands_a_reason() -> None:
    reads, reasons = [], []
    for service in SERVICES:
        document = json.loads((ROOT / "services" / service / "contracts" / "openapi.json").read_text(encoding="utf-8"))
        for path, item in document["paths"].items():
            if not path.startswith("/api/admin/") or "get" not in item:
                continue
            reads.append(path)
            headers = [one for one in item["get"].get("parameters", []) if one["in"] == "header"]
            if any(one["name"] == HEADER and one["required"] and one["schema"]["minLength"] == 3 for one in headers):
                reasons.append(path)
    assert len(reads) > 15
    assert reasons == reads
