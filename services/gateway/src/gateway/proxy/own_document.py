"""The OpenAPI document of what the gateway answers itself: links to downloads, made from the route table."""

import re
from functools import cache
from typing import Any

from gateway.proxy.routes import DOWNLOADS, GATEWAY, Level, Route

ACCESS = {Level.PUBLIC: "public", Level.TOKEN: "person", Level.ORGANIZATION: "organization"}
LINK = {
    "title": "DownloadLink",
    "type": "object",
    "required": ["url", "starts_before"],
    "properties": {
        "url": {
            "type": "string",
            "format": "uri",
            "description": "Needs no Authorization; who has it may download. It answers 307 with the address that the"
            " download goes on at, with Range, for 12 hours or until the session or API key that asked for it ends.",
        },
        "starts_before": {"type": "string", "format": "date-time", "description": "A minute from now."},
    },
}


@cache
def own_document() -> dict[str, Any]:
    """The document; links are open to whom the service lets download."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "gateway", "version": "1"},
        "paths": {row.path: {method.lower(): _operation(row) for method in row.methods} for row in GATEWAY},
        "components": {"schemas": {"DownloadLink": LINK}},
    }


def _operation(row: Route) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", row.path)
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", row.path).strip("_"),
        "tags": ["Downloads"],
        "parameters": [{"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in names],
        "x-access": {"level": ACCESS[row.level], "roles": []},
    }
    if row.path == DOWNLOADS:
        return described | {
            "summary": "Download by link",
            "responses": {
                "200": {"description": "The whole of it"},
                "206": {"description": "The range that was asked for"},
                "307": {"description": "The first use: Location is where the download goes on"},
                "409": {"description": "It has changed since the first use"},
                "410": {"description": "The link is not valid, or its time is over"},
            },
        }
    schema = {"$ref": "#/components/schemas/DownloadLink"}
    return described | {
        "summary": "Make a download link",
        "responses": {
            "201": {"description": "The link", "content": {"application/json": {"schema": schema}}},
            "404": {"description": "Whatever the download itself would answer"},
        },
    }
