"""The application: every route of backup-engine."""

from __future__ import annotations

from common.auth import InternalTokenVerifier
from common.web import create_app
from common.web.exports import export_router
from fastapi import FastAPI

from backup_engine.api.dependencies import Tools
from backup_engine.api.routes import (
    backup_configs,
    backup_jobs,
    esxi_servers,
    restore_points,
    restores,
    virtual_machines,
)
from backup_engine.settings import NAME

ROUTERS = (
    esxi_servers.router,
    virtual_machines.router,
    backup_configs.router,
    backup_jobs.router,
    restore_points.router,
    restores.router,
    export_router(NAME, "/api/tenants/organizations/{organization_id}/export/"),
)


def make_app(tools: Tools | None, verifier: InternalTokenVerifier | None) -> FastAPI:
    """The application; without tools it serves only to be described (contracts)."""
    return create_app(
        NAME,
        title="ESXi Backup Manager: backup engine",
        routers=ROUTERS,
        verifier=verifier,
        state={"tools": tools},
        store=tools.store if tools else None,
    )
