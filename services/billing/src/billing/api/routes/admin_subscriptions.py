"""``/api/admin/organizations/{id}/plan/``: finance orders a change of plan for a customer who asked for it."""

from datetime import timedelta
from uuid import UUID

from common.web import IdempotencyKey
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from billing.api.dependencies import Finance, ToolsDep
from billing.api.offering import selling_of
from billing.api.routes.orders import answer_of
from billing.api.schemas.office import PlanWantedIn
from billing.api.schemas.orders import OrderOut
from billing.workflows.ordering import Asked, change_for_customer

router = APIRouter(prefix="/api/admin/organizations", tags=["back office"])


@router.post("/{organization_id}/plan/", status_code=201, response_model=OrderOut)
async def change_plan(
    organization_id: UUID,
    wanted: PlanWantedIn,
    who: Finance,
    tools: ToolsDep,
    request: Request,
    key: IdempotencyKey = None,
) -> Response:
    """Order another plan for an organization, at the price that it would pay itself; nothing is given away.

    Where its credit or the coupon pays it all, the plan changes at once; else the customer is mailed how to pay.
    """
    route = f"POST /api/admin/organizations/{organization_id}/plan/"
    status, answer = await change_for_customer(
        tools.store,
        organization_id,
        wanted.wanted,
        selling_of(tools),
        holds=timedelta(days=tools.settings.order_days),
        asked=Asked(by=who.user_id, route=route, key=key, body=await request.body()),
        answer=answer_of,
    )
    return JSONResponse(answer, status_code=status)
