"""Seed plans, prices and payment methods; repeating it changes nothing but what differs and staff left alone."""

from billing.domain.catalogue import METHODS, PLANS
from billing.persistence.unit_of_work import UnitOfWork


async def seed_catalogue(uow: UnitOfWork) -> None:
    """Insert or correct the catalogue. A method that an operator switched off stays off."""
    for plan in PLANS:
        await uow.catalogue.seed_plan(plan)
    for method in METHODS:
        await uow.catalogue.seed_method(method)
