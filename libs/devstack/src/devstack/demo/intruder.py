"""A second organization that tries to read the first one's things by their ids.

It must get, for each, what an id that never existed gets: the same status and the same bytes, apart from the
request's own id and the id that was asked for.
"""

import json
import re
from typing import Any
from uuid import uuid4

from devstack.customer import Customer

COLLECTIONS = {
    "server": "/api/esxi-servers/{}/",
    "virtual machine": "/api/virtual-machines/{}/",
    "job": "/api/backup-jobs/{}/",
    "restore point": "/api/restore-points/{}/",
    "invoice": "/api/tenants/invoices/{}/",
    "order": "/api/tenants/orders/{}/",
    "organization": "/api/tenants/organizations/{}/",
}
"""What is asked for, and where."""


def _without_ids(answer: Any, asked: str) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    """Reduce an answer to what may not differ: status, body without the two ids, telling headers."""
    try:
        body = dict(answer.json())
    except ValueError:
        return answer.status_code, answer.text, ()
    body.pop("request_id", None)
    text = re.sub(re.escape(asked), "<id>", json.dumps(body, sort_keys=True))
    kept = tuple((k, v) for k, v in sorted(answer.headers.items()) if k in {"content-type", "content-language"})
    return answer.status_code, text, kept


async def reads_nothing(intruder: Customer, ids: dict[str, str]) -> dict[str, bool]:
    """Return for each thing whether the foreign id was answered exactly as a missing one."""
    found: dict[str, bool] = {}
    for thing, foreign in ids.items():
        missing = str(uuid4())
        answers = []
        for asked in (foreign, missing):
            answer = await intruder.http.get(COLLECTIONS[thing].format(asked))
            answers.append(_without_ids(answer, asked))
        found[thing] = answers[0] == answers[1] and answers[0][0] == 404
    return found
