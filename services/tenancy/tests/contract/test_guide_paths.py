"""What the guide promises of tenancy's API. That contracts equal the code is proved for all services at once."""

import pytest
from tenancy.contracts import documents

pytestmark = pytest.mark.contract


def test_the_guides_paths_are_served_to_the_letter() -> None:
    paths = documents()["openapi.json"]["paths"]
    base = "/api/tenants/organizations/"
    for path in ("", "{organization_id}/", "{organization_id}/members/", "{organization_id}/usage/"):
        assert "get" in paths[base + path]
    assert "post" in paths[base + "{organization_id}/invite_member/"]
