"""Builds a service's FastAPI application, the same way for each."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from common.auth.access import access_of
from common.auth.internal_token import InternalTokenVerifier
from common.web import problems
from common.web.context import RequestContext
from common.web.door import TokenDoor

if TYPE_CHECKING:
    from common.persistence.store import Store


async def refuse_unknown_query(request: Request) -> None:
    """Refuse query fields that the route does not declare, as unknown body fields are refused."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = {field.alias for dependant in _flat(route.dependant) for field in dependant.query_params}
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": "Unknown query field", "type": "extra_forbidden"} for name in unknown]
        )


async def refuse_nul(request: Request) -> None:
    """Refuse the character NUL in query and path, as in bodies: PostgreSQL cannot even compare its text with it."""
    places = (("query", request.query_params.multi_items()), ("path", request.path_params.items()))
    found = [(place, name) for place, given in places for name, value in given if "\0" in str(value)]
    if found:
        raise RequestValidationError(
            [{"loc": at, "msg": "The character NUL is not allowed", "type": "value_error"} for at in found]
        )


def _flat(dependant: Any) -> list[Any]:
    return [dependant, *(inner for child in dependant.dependencies for inner in _flat(child))]


def create_app(
    service: str,
    *,
    title: str,
    routers: Iterable[APIRouter],
    verifier: InternalTokenVerifier | None,
    state: Mapping[str, Any],
    store: "Store[Any] | None" = None,
    lifespan: Any = None,
) -> FastAPI:
    """Return the application of a service.

    Args:
        service: Its name, for logs and metrics.
        title: Title of its OpenAPI document.
        routers: Its routes; trailing slashes are kept to the letter.
        verifier: Checks the gateway's tokens; ``None`` only for the gateway itself.
        state: What dependencies find at ``request.app.state``.
        store: The service's doors; without them nobody of the staff is let in in an organization's name.
        lifespan: Optional ASGI lifespan.
    """
    app = FastAPI(
        title=title,
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        separate_input_output_schemas=False,
        dependencies=[Depends(refuse_unknown_query), Depends(refuse_nul)],
        lifespan=lifespan,
    )
    for name, value in state.items():
        setattr(app.state, name, value)
    offered = [*routers]
    problems.install(app, [route for router in offered for route in router.routes if isinstance(route, APIRoute)])
    for router in offered:
        _declare_access(router)
        app.include_router(router)
    if verifier is not None:
        app.add_middleware(TokenDoor, verifier=verifier, store=store)
    app.add_middleware(RequestContext, service=service)
    return app


def _declare_access(router: APIRouter) -> None:
    """Write each route's demand into its OpenAPI operation, for the merged document and the role matrix.

    Before the router is included: FastAPI then keeps the routes to itself.
    """
    for route in router.routes:
        if isinstance(route, APIRoute):
            demands = [found for child in _flat(route.dependant) if (found := access_of(child.call)) is not None]
            if demands:
                access = {"level": demands[0].level, "roles": list(demands[0].roles)}
                route.openapi_extra = (route.openapi_extra or {}) | {"x-access": access}
