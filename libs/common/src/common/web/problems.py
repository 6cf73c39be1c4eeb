"""Errors as problem+json (RFC 9457), in the caller's language."""

import http
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from asyncpg.exceptions import InternalClientError
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from common.errors import DomainError, NotFound, Unavailable
from common.telemetry.logs import SECRET_NAME
from common.web.field_errors import field_message

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class ServiceBusy(Unavailable):
    code = "temporarily_unavailable"
    en = "A part of the service can't be reached just now. Nothing was changed; try again in a moment."
    fr = "Une partie du service est momentanément injoignable. Rien n'a été modifié ; réessayez dans un instant."


class NoSuchRoute(NotFound):
    code = "not_found"
    en = "There is nothing here."
    fr = "Il n'y a rien à cette adresse."


_TEXTS = {
    "invalid_request": (
        "The request is not valid. See «errors» for the fields.",
        "La requête n'est pas valide. Voyez « errors » pour les champs.",
    ),
    "malformed_body": (
        "The body cannot be read. Send it as the API document (/openapi.json) describes it; nothing was changed.",
        "Le corps est illisible. Envoyez-le comme le décrit le document de l'API (/openapi.json) ; rien n'a changé.",
    ),
    "unsupported_media_type": (
        "The body is not declared as JSON. Send it with Content-Type: application/json.",
        "Le corps n'est pas déclaré comme JSON. Envoyez-le avec Content-Type: application/json.",
    ),
    "method_not_allowed": ("This method is not offered here.", "Cette méthode n'est pas proposée ici."),
    "internal_error": (
        "Something went wrong on our side. Tell us the request id.",
        "Une erreur est survenue de notre côté. Communiquez-nous l'identifiant de la requête.",
    ),
    "http_error": ("The request was refused.", "La requête a été refusée."),
}


_FRAMEWORK_CODES = {400: "malformed_body", 405: "method_not_allowed"}
"""What the framework refuses by itself: 400 only where a body cannot be parsed."""


PASSING = ("53", "40", "55P03", "57014")
"""PostgreSQL's errors that the same request may not meet again (appendix A): a server without room, such as for one
more connection; a transaction that lost to another one; a row that another kept locked, or a statement, for too long.
"""


def language_of(accept_language: str | None) -> str:
    """Return ``fr`` or ``en`` as ``Accept-Language`` (RFC 9110 §12.5.4) prefers; French when it says neither."""
    best, best_quality = "fr", 0.0
    for item in (accept_language or "").split(","):
        tag, _, quality_text = item.strip().partition(";q=")
        try:
            quality = float(quality_text) if quality_text else 1.0
        except ValueError:
            continue
        language = tag[:2].lower()
        if language in {"fr", "en"} and quality > best_quality:
            best, best_quality = language, quality
    return best


def _instance(request: Request) -> str:
    """The path, without what its route calls a token: answers are kept in more places than their asker's."""
    parts = request.url.path.split("/")
    template = getattr(request.scope.get("route"), "path", "").split("/")
    if len(parts) != len(template):
        return request.url.path
    hidden = [one.startswith("{") and SECRET_NAME.search(one) for one in template]
    return "/".join("[redacted]" if hide else part for part, hide in zip(parts, hidden, strict=True))


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    fields: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return one problem; ``fields`` are its extension members."""
    content = {
        "type": f"/problems/{code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", ""),
        "instance": _instance(request),
    }
    return JSONResponse(
        jsonable_encoder((fields or {}) | content), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def of_domain_error(request: Request, error: DomainError) -> JSONResponse:
    """Translate a fact into its HTTP answer."""
    language = language_of(request.headers.get("accept-language"))
    headers = {"Content-Language": language}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after.total_seconds())))
    elif error.kind.value in {429, 503}:
        headers["Retry-After"] = "1"
    return problem(request, error.kind.value, error.code, error.text(language), fields=error.fields, headers=headers)


def _plain(request: Request, status: int, code: str, **fields: Any) -> JSONResponse:
    language = language_of(request.headers.get("accept-language"))
    detail = _TEXTS[code][language == "fr"]
    return problem(request, status, code, detail, fields=fields, headers={"Content-Language": language})


def _field(item: Mapping[str, Any]) -> str:
    """Its path in the request; JSON that cannot be read has no fields, only a place, which its message tells."""
    return ".".join(str(part) for part in (item["loc"][:1] if item["type"] == "json_invalid" else item["loc"]))


def _is_no_json(request: Request, error: RequestValidationError) -> bool:
    """Say whether a body was taken for text because of its Content-Type, where an object was expected."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = declared == "application/json" or (declared.startswith("application/") and declared.endswith("+json"))
    return (
        bool(declared)
        and not is_json
        and any(item["loc"] == ("body",) and item["type"] == "model_attributes_type" for item in error.errors())
    )


def _of_framework(request: Request, status: int, routes: Sequence[APIRoute]) -> JSONResponse:
    """Translate what the framework refused before any route of ours was reached."""
    if status == http.HTTPStatus.NOT_FOUND:
        return of_domain_error(request, NoSuchRoute())
    answer = _plain(request, status, _FRAMEWORK_CODES.get(status, "http_error"))
    if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
        # RFC 9110 §15.5.6 demands them all; the framework would name those of the first route only.
        here = [route.methods or set() for route in routes if route.path_regex.match(request.url.path)]
        answer.headers["Allow"] = ", ".join(sorted(set().union(*here)))
    return answer


def install(app: FastAPI, routes: Sequence[APIRoute]) -> None:
    """Make every error of ``app`` a problem; ``routes`` are all of its own, for the methods of a path."""

    @app.exception_handler(DomainError)
    async def domain(request: Request, error: DomainError) -> Response:
        return of_domain_error(request, error)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        if _is_no_json(request, error):
            return _plain(request, 415, "unsupported_media_type")
        language = language_of(request.headers.get("accept-language"))
        errors = [
            {
                "field": _field(item),
                "message": field_message(item, language),
                "type": item["type"],
            }
            for item in error.errors()
        ]
        return _plain(request, 422, "invalid_request", errors=errors)

    @app.exception_handler(HTTPException)
    async def starlette(request: Request, error: HTTPException) -> Response:
        return _of_framework(request, error.status_code, routes)

    async def unreachable(request: Request, error: Exception) -> Response:
        log.error("database not usable: %r", error)
        return of_domain_error(request, ServiceBusy())

    # asyncpg's InternalClientError: the server said that it stops while a connection was between two statements.
    for kind in (OperationalError, InterfaceError, PoolTimeout, ConnectionError, TimeoutError, InternalClientError):
        app.add_exception_handler(kind, unreachable)

    @app.exception_handler(DBAPIError)
    async def database(request: Request, error: DBAPIError) -> Response:
        if error.connection_invalidated or str(getattr(error.orig, "sqlstate", "")).startswith(PASSING):
            return await unreachable(request, error)
        log.error("database refused a statement", exc_info=error)
        return _plain(request, 500, "internal_error")
