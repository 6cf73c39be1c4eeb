"""HTTP, the same for every service: problems, pages, ids, languages, health and metrics."""

from common.web.app import create_app
from common.web.pages import Cursor, Page, Paging, PagingDep
from common.web.parts import HttpPart, OpsPart
from common.web.problems import language_of
from common.web.requests import IdempotencyKey, LanguageDep, ReadReason
from common.web.schemas import Answer, Body, OneLine

__all__ = [
    "Answer",
    "Body",
    "Cursor",
    "HttpPart",
    "IdempotencyKey",
    "LanguageDep",
    "OneLine",
    "OpsPart",
    "Page",
    "Paging",
    "PagingDep",
    "ReadReason",
    "create_app",
    "language_of",
]
