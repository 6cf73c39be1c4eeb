"""Tenancy makes API keys and the gateway reads them; they share no code."""

from gateway.proxy.api_keys import well_formed
from gateway.proxy.routes import ROUTES
from gateway.proxy.scopes import AREAS, scopes_of
from tenancy.domain.api_keys import Scope, new_key


def test_the_gateway_takes_every_key_that_tenancy_makes() -> None:
    assert all(well_formed(new_key()) for _ in range(200))


def test_every_scope_opens_something_and_every_area_has_a_scope() -> None:
    opened = set().union(*(scopes_of(route.path, method) for route in ROUTES for method in route.methods))
    assert {scope.value for scope in Scope} == opened, "nobody is told to make a key with a scope that none can have"
    assert set(AREAS.values()) == {scope.value.partition(":")[0] for scope in Scope}
