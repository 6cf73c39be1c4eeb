"""`make migration s=billing m="add a column"`: an empty, dated migration that follows the newest one."""

import datetime as dt
import re
import sys

from bootstrap import ROOT
from common.persistence.migrate import head

from services import services

TEMPLATE = '''"""{message}."""

from alembic import op

revision = "{revision}"
down_revision = {previous}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("")
'''


def main() -> int:
    name, message = (*sys.argv[1:], "", "")[:2]
    found = {service.name: service for service in services() if service.name != "gateway"}
    if name not in found or not message:
        print(f'usage: make migration s=SERVICE m="what it does"; SERVICE is one of {", ".join(found)}')
        return 2
    package = found[name] / "src" / name.replace("-", "_")
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
    today = dt.datetime.now(tz=dt.UTC).date()
    revision = f"{today:%Y_%m_%d}_{slug}"
    path = package / "migrations" / "versions" / f"{revision}.py"
    if path.exists():
        print(f"{path.relative_to(ROOT)} is there already")
        return 1
    previous = head(package)
    written = TEMPLATE.format(
        message=message[0].upper() + message[1:].rstrip("."),
        revision=revision,
        previous=f'"{previous}"' if previous else None,
    )
    path.write_text(written)
    print(f"wrote {path.relative_to(ROOT)} (after {previous})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
