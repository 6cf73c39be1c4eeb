"""The one way to make a table in a migration: grants and row-level security come with it.

Three sorts: `tenant_table` (has ``tenant_id``), `person_table` (belongs to a person, no tenant) and
`shared_table` (neither). Verbs are written as in SQL, with columns where not all: ``"select,insert,update(status)"``;
``update(*)`` is every column but those that say whose row it is. The settings are read in a scalar sub-select,
which PostgreSQL evaluates once per query and not once per row.
"""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import MetaData, text

from common.persistence.mechanisms import metadata_for
from common.persistence.scope import TENANT_SETTING, USER_SETTING

IDENTITY_COLUMNS = frozenset({"tenant_id", "user_id", "id"})
"""Nobody may update these: a row never changes whose it is."""

_VERB = re.compile(r"\s*(select|insert|update|delete)\s*(?:\(([^)]*)\))?\s*(?:,|$)")


def setting_expression(setting: str) -> str:
    """Return the SQL of a setting as uuid; null when unset. After a first use PostgreSQL reads '' there, not null."""
    return f"(select nullif(current_setting('{setting}', true), '')::uuid)"


TENANT_IS_MINE = f"tenant_id = {setting_expression(TENANT_SETTING)}"


def _verbs(spelled: str) -> list[tuple[str, str | None]]:
    found = [(match[1], match[2]) for match in _VERB.finditer(spelled)]
    if ",".join(verb if columns is None else f"{verb}({columns})" for verb, columns in found) != spelled.replace(
        " ", ""
    ):
        msg = f"cannot read the verbs {spelled!r}"
        raise ValueError(msg)
    return found


def _columns_of(op: Any, table: str) -> list[str]:
    rows = op.get_bind().execute(
        text(
            "select attname from pg_attribute where attrelid = cast(:t as regclass) and attnum > 0 and not attisdropped"
        ),
        {"t": table},
    )
    return [row[0] for row in rows]


def _grant(op: Any, table: str, role: str, spelled: str) -> None:
    for verb, columns in _verbs(spelled):
        if verb == "update" and columns is None:
            msg = f"{table}: say which columns {role} may update, or update(*)"
            raise ValueError(msg)
        if columns == "*":
            columns = ", ".join(sorted(set(_columns_of(op, table)) - IDENTITY_COLUMNS))  # noqa: PLW2901
        if verb == "update" and columns and IDENTITY_COLUMNS & {c.strip() for c in columns.split(",")}:
            msg = f"{table}: {sorted(IDENTITY_COLUMNS)} never change"
            raise ValueError(msg)
        op.execute(f"grant {verb}{f' ({columns})' if columns else ''} on {table} to {role}")


def _policy(op: Any, table: str, role: str, spelled: str, using: str, name: str | None = None) -> None:
    for verb, _columns in _verbs(spelled):
        clause = f"with check ({using})" if verb == "insert" else f"using ({using})"
        if verb == "update":
            clause += f" with check ({using})"
        op.execute(f"create policy {name or role}_{verb} on {table} for {verb} to {role} {clause}")


def _secure(op: Any, table: str) -> None:
    op.execute(f"alter table {table} enable row level security, force row level security")


def tenant_table(
    op: Any,
    table: str,
    *,
    service: str,
    app: str,
    user: str | None = None,
    user_column: str = "user_id",
    system: Mapping[str, str] | None = None,
) -> None:
    """Secure a table that has ``tenant_id``.

    Args:
        op: Alembic's operations.
        table: An existing table.
        service: Role prefix, such as ``billing``.
        app: Verbs of the tenants' door.
        user: ``select`` where a person may read his own rows by ``user_column``.
        user_column: The column that names the person.
        system: Verbs of system roles by their suffix; they see every tenant's rows of this table.
    """
    _secure(op, table)
    op.execute(
        f"create policy tenant on {table} for all to {service}_app, {service}_owner"
        f" using ({TENANT_IS_MINE}) with check ({TENANT_IS_MINE})"
    )
    _grant(op, table, f"{service}_app", app)
    if user is not None:
        if user != "select":
            msg = f"{table}: a person only reads rows that carry a tenant"
            raise ValueError(msg)
        _grant(op, table, f"{service}_user", user)
        _policy(op, table, f"{service}_user", user, f"{user_column} = {setting_expression(USER_SETTING)}", "person")
    for suffix, verbs in (system or {}).items():
        _grant(op, table, f"{service}_{suffix}", verbs)
        _policy(op, table, f"{service}_{suffix}", verbs, "true")


def person_table(
    op: Any,
    table: str,
    *,
    service: str,
    user: str | None,
    person_column: str = "user_id",
    system: Mapping[str, str] | None = None,
) -> None:
    """Secure a table whose rows belong to a person and to no tenant (users, credentials, sessions)."""
    _secure(op, table)
    if user is not None:
        mine = f"{person_column} = {setting_expression(USER_SETTING)}"
        _grant(op, table, f"{service}_user", user)
        _policy(op, table, f"{service}_user", user, mine, "person")
    for suffix, verbs in (system or {}).items():
        _grant(op, table, f"{service}_{suffix}", verbs)
        _policy(op, table, f"{service}_{suffix}", verbs, "true")


def shared_table(
    op: Any,
    table: str,
    *,
    service: str,
    app: str | None = None,
    user: str | None = None,
    system: Mapping[str, str] | None = None,
) -> None:
    """Grant a table that is nobody's (catalogues, counters); it has neither tenant nor person."""
    for suffix, verbs in ({"app": app, "user": user} | dict(system or {})).items():
        if verbs:
            _grant(op, table, f"{service}_{suffix}", verbs)


def create(op: Any, metadata: MetaData, *tables: str) -> None:
    """Create the named tables as ``metadata`` describes them; for a table's first migration only."""
    for name in tables:
        metadata.tables[name].create(op.get_bind())


OUTBOX_NOTIFY = """
create function outbox_notify() returns trigger language plpgsql set search_path = pg_catalog as
$$ begin perform pg_notify('outbox', ''); return null; end $$;
create trigger outbox_notify after insert on outbox for each statement execute function outbox_notify();
create function inbox_notify() returns trigger language plpgsql set search_path = pg_catalog as
$$ begin perform pg_notify('inbox', ''); return null; end $$;
create trigger inbox_notify after insert on inbox for each statement execute function inbox_notify();
"""


def mechanism_tables(op: Any, service: str, *, system: tuple[str, ...] = ()) -> None:
    """Create the mechanism tables of a service with their policies; first thing in its first migration.

    Args:
        op: Alembic's operations.
        service: Role prefix.
        system: System roles that may publish, send mail and audit, besides the tenants' door and the inbox.
    """
    create(op, metadata_for(), "outbox", "inbox", "mails", "idempotency_keys", "audit_log", "leader_leases")
    for statement in OUTBOX_NOTIFY.strip().split(";\ncreate"):
        op.execute(statement if statement.startswith("create") else f"create{statement}")
    writers = dict.fromkeys(system, "insert")
    tenant_table(
        op,
        "outbox",
        service=service,
        app="insert",
        system={"relay": "select,update(*),delete"} | writers,
    )
    tenant_table(
        op,
        "inbox",
        service=service,
        app="select,update(status,handled_at,reason,attempts)",
        system={"inbox": "select,insert,update(status,next_attempt_at,handled_at,attempts,reason),delete"},
    )
    tenant_table(
        op,
        "mails",
        service=service,
        app="select,insert",
        system={"mailer": "select,update(next_attempt_at,sent_at,attempts,last_error,body_text,body_html)"}
        | dict.fromkeys(system, "select,insert"),
    )
    # The inbox's door audits what an operator drops, which may name no tenant.
    tenant_table(op, "audit_log", service=service, app="select,insert", system=writers | {"inbox": "insert"})
    _secure(op, "idempotency_keys")
    mine = f"scope_id in ({setting_expression(TENANT_SETTING)}, {setting_expression(USER_SETTING)})"
    _grant(op, "idempotency_keys", f"{service}_app", "select,insert,update(status,answer),delete")
    _policy(op, "idempotency_keys", f"{service}_app", "select,insert,update(status,answer),delete", mine, "scope")
    _grant(op, "idempotency_keys", f"{service}_inbox", "select,delete")
    _policy(op, "idempotency_keys", f"{service}_inbox", "select,delete", "true")
    shared_table(
        op,
        "leader_leases",
        service=service,
        system={"inbox": "select,insert,update(holder,held_until)"},
    )


AUDIT_COLUMNS = """
alter table audit_log add column if not exists address varchar(45), add column if not exists erased_at timestamptz,
  add column if not exists number bigint, add column if not exists content_hash bytea,
  add column if not exists hash bytea;
create index if not exists ix_audit_log_unsealed on audit_log (at, id) where number is null;
create unique index if not exists uq_audit_log_number on audit_log (tenant_id, number) nulls not distinct
  where number is not null
"""

AUDIT_GUARD = """
create function audit_log_guard() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
  if tg_op = 'UPDATE' then
    if old.number is null and new.number is not null and new.content_hash is not null and new.hash is not null
       and to_jsonb(new) - '{number,content_hash,hash}'::text[] = to_jsonb(old) - '{number,content_hash,hash}'::text[]
    then return new; end if;
    if old.number is not null and old.erased_at is null and new.erased_at is not null and new.details = '{}'
       and new.reason = '' and new.address is null and to_jsonb(new) - '{details,reason,address,erased_at}'::text[]
         = to_jsonb(old) - '{details,reason,address,erased_at}'::text[]
    then return new; end if;
  end if;
  raise exception 'audit_log rows never change' using errcode = 'integrity_constraint_violation';
end $$
"""


def mail_texts(op: Any, service: str) -> None:
    """Let the mailer empty mails that were sent long ago, and find them."""
    op.execute("create index if not exists ix_mails_texts on mails (sent_at) where body_text <> ''")
    _grant(op, "mails", f"{service}_mailer", "update(body_text,body_html)")


def audit_sealing(op: Any, service: str) -> None:
    """Let the audit log be sealed by the door ``audit``, and by nobody be changed, not even by the owner."""
    for statement in AUDIT_COLUMNS.strip().split(";\n"):
        op.execute(statement)
    op.execute(AUDIT_GUARD)
    op.execute("drop trigger if exists audit_log_immutable on audit_log")
    op.execute(
        "create trigger audit_log_immutable before update or delete on audit_log"
        " for each row execute function audit_log_guard()"
    )
    op.execute(
        "create trigger audit_log_kept before truncate on audit_log"
        " for each statement execute function audit_log_guard()"
    )
    sealer = f"{service}_audit"
    for table, verbs in {
        "audit_log": "select,update(number,content_hash,hash)",
        "outbox": "insert",
    }.items():
        _grant(op, table, sealer, verbs)
        _policy(op, table, sealer, verbs, "true")


def erasure_door(op: Any, service: str, *targets: Any) -> None:
    """Let the door ``eraser`` take what the targets name from one tenant at a time; see `common.persistence.erasure`.

    Args:
        op: Alembic's operations.
        service: Role prefix.
        targets: Each has ``table``, ``column`` and ``empty``.
    """
    create(op, metadata_for(), "erasures")
    tenant_table(
        op,
        "erasures",
        service=service,
        app="select,insert",
        system={"eraser": "select,update(finished_at,report)"},
    )
    let_erase(op, service, *targets)


def let_erase(op: Any, service: str, *targets: Any) -> None:
    """Grant the eraser what more targets need; for tables that came later."""
    eraser = f"{service}_eraser"
    for target in targets:
        mine = f"{target.column} = {setting_expression(TENANT_SETTING)}"
        read, seen = "select", mine
        if target.empty is not None and target.column in target.empty:
            # PostgreSQL demands that a changed row be visible: it names nobody then, and shows that column only.
            read, seen = f"select({target.column})", f"{mine} or {target.column} is null"
        change = "delete" if target.empty is None else f"update({','.join(target.empty)})"
        for verb, columns in _verbs(f"{read},{change}"):
            op.execute(f"grant {verb}{f' ({columns})' if columns else ''} on {target.table} to {eraser}")
            using = seen if verb == "select" else mine
            check = f" with check ({seen})" if verb == "update" else ""
            op.execute(f"create policy {eraser}_{verb} on {target.table} for {verb} to {eraser} using ({using}){check}")
