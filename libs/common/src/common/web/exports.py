"""The route by which an owner takes along what a service keeps of his organization."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from common.auth.access import Principal, requires
from common.errors import NotFound
from common.persistence.export import MEDIA_TYPE, Exporter

LONGEST = 1800
"""Seconds for which one export may keep its transaction; then it is cut, which its reader sees by the last line."""

Owner = Annotated[Principal, requires("owner", in_person=True)]


class NotTheActiveOrganization(NotFound):
    code = "not_the_active_organization"
    en = "There is no such organization, or it is not the active one."
    fr = "Cette organisation n'existe pas, ou n'est pas l'organisation active."


class ExportAnswer(StreamingResponse):
    """An export while it is read: begun with the answer, and over with it.

    Args:
        exporter: Of the service.
        tenant_id: Whose rows.
        actor: Who takes them.
        service: What the file is named after.
    """

    def __init__(self, exporter: Exporter, tenant_id: UUID, actor: UUID, service: str) -> None:
        disposition = f'attachment; filename="{service}-{tenant_id}.ndjson"'
        super().__init__((), media_type=MEDIA_TYPE, headers={"content-disposition": disposition})
        self._opened = exporter.of(tenant_id, actor=actor)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what refuses the export does so before anything is sent."""
        async with asyncio.timeout(LONGEST), self._opened as lines:
            self.body_iterator = lines
            await super().__call__(scope, receive, send)


def export_router(service: str, path: str) -> APIRouter:
    """Return the route; the application's state has ``tools`` with an `Exporter` as ``exporter``.

    Args:
        service: Its name.
        path: Where the exports of all services are, with ``{organization_id}`` in it; the service's name is added.
    """
    router = APIRouter(tags=["export"])

    @router.get(
        f"{path}{service}/",
        response_class=StreamingResponse,
        responses={200: {"content": {MEDIA_TYPE: {}}, "description": "One JSON object a line; the last one is `end`"}},
    )
    async def export(organization_id: UUID, request: Request, who: Owner) -> StreamingResponse:
        """All that this service keeps of the active organization, in whatever state that is, but for secrets.

        The first line says what is left out and why; without the last line, `{"end": …}`, the file is not whole.
        """
        if organization_id != who.tenant_id:
            raise NotTheActiveOrganization
        exporter: Exporter = request.app.state.tools.exporter
        return ExportAnswer(exporter, who.tenant_id, who.user_id, service)

    return router
