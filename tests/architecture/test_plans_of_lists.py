"""What PostgreSQL plans for the statements behind everything that a member reads: his organization's rows by an index.

Every reading operation is asked of the running application; each statement is planned where it runs, with the role,
the tenant and the row-level security that are in force there, and before it runs. Sequential scans are switched off
for the plan: tables of a test are small, and what is still scanned from one end to the other then has no index at all.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest
from common.testing import ServiceDatabase
from sqlalchemy import Engine, event

from tests.architecture.houses import House, path_of
from tests.architecture.role_matrix import rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SMALL = {"plans", "plan_prices", "payment_methods"}
"""Tables of which the platform itself writes some dozen rows: reading them whole is the plan."""
LED_BY = ("tenant_id", "user_id")
"""What an index is asked by where the rows are an organization's, or a person's own."""


@contextmanager
def planned() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Collect each SELECT with its plan."""
    found: list[tuple[str, dict[str, Any]]] = []

    def plan(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if many or not statement.lstrip().lower().startswith("select") or " FROM " not in statement.replace("\n", " "):
            return
        cursor = connection.connection.cursor()
        cursor.execute("set local enable_seqscan = off", ())
        cursor.execute(f"explain (format json) {statement}", parameters)
        answer = cursor.fetchall()[0][0]
        cursor.execute("set local enable_seqscan = on", ())
        cursor.close()
        found.append((statement, (json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]))

    event.listen(Engine, "before_cursor_execute", plan)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", plan)


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node of a plan that reads a table."""
    if "Relation Name" in node:
        yield node
    for below in node.get("Plans", ()):
        yield from scans(below)


def conditions(node: dict[str, Any]) -> str:
    """By what a node looks rows up; a bitmap's is one below."""
    return str(node.get("Index Cond", "")) + "".join(conditions(below) for below in node.get("Plans", ()))


def complaint(scan: dict[str, Any], of_tenants: set[str]) -> str | None:
    """What is wrong with one scan."""
    table = scan["Relation Name"]
    if table in SMALL:
        return None
    if scan["Node Type"] == "Seq Scan":
        return f"{table} is read from one end to the other"
    if table in of_tenants and not any(f"({column} = " in conditions(scan) for column in LED_BY):
        return f"{table} is looked up by {conditions(scan) or 'nothing'}"
    return None


@pytest.mark.invariant("S10")
async def test_whatever_a_member_reads_is_looked_up_by_his_organization(
    house: House, request: pytest.FixtureRequest, databases: dict[str, ServiceDatabase]
) -> None:
    service = request.node.callspec.params["house"]
    of_tenants = await tenants_tables(databases[service])
    tenant, person = await house.organization("active", "owner", frozenset())
    wrong: dict[str, set[str]] = {}
    looked_up: set[str] = set()
    async with house.client(user_id=person, tenant_id=tenant, roles=["owner"]) as client:
        for row in rows():
            if row.service != service or row.method != "GET" or not row.lets_in("owner"):
                continue
            with planned() as plans:
                answer = await client.get(path_of(row, tenant))
            assert answer.status_code < 500, row.operation
            for statement, plan in plans:
                for scan in scans(plan):
                    looked_up.add(scan["Relation Name"])
                    if told := complaint(scan, of_tenants):
                        wrong.setdefault(f"{row.operation}: {told}", set()).add(statement)
    assert wrong == {}
    assert len(looked_up & of_tenants) > 3, looked_up


async def tenants_tables(database: ServiceDatabase) -> set[str]:
    """The tables of a service whose rows name a tenant."""
    connection = await asyncpg.connect(database.admin_url)
    try:
        named = await connection.fetch(
            "select table_name from information_schema.columns"
            " where column_name = 'tenant_id' and table_schema = 'public'"
        )
    finally:
        await connection.close()
    return {row["table_name"] for row in named}
