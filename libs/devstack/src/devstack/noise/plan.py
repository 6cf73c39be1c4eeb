"""What goes wrong for a seed, as data: the simulators' own rules, and where in the demo they are in force."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Rule = dict[str, Any]

MIB = 1 << 20

STREAMED = ("first", "second", "new machine")
"""Steps of the demo that move a disk by lease; the third backup reads the datastore."""
WRITING = ("first", "second", "third")
"""Steps that put objects into the store."""
READING = ("new machine", "disk files")
"""Steps that get objects from it; a backup gets some, of its parent."""
FLAT_FILES = "/folder/*-flat.vmdk"

PROVIDER_ERRORS: tuple[tuple[str, str, Rule], ...] = (
    ("paypal", "PayPal answers 503 to a new order", {"method": "POST", "path": "/v2/checkout/orders"}),
    ("paypal", "PayPal answers 503 to a capture", {"method": "POST", "path": "/v2/checkout/orders/*/capture"}),
    ("mtn_momo", "MoMo answers 503 to a request to pay", {"method": "POST", "path": "*/requesttopay"}),
    ("mtn_momo", "MoMo answers 503 to a question", {"method": "GET", "path": "*/requesttopay/*"}),
)
"""Of whom, in words, and which request: one of them per seed."""


@dataclass(frozen=True)
class Refusal:
    """The store turns callers away.

    Attributes:
        call: ``put`` or ``get``.
        skip: Calls that are let through first.
        times: Calls that are turned away then, one after the other.
        stored: Of the objects of a refused put, the part that is stored all the same: S3 takes objects one by one,
            and an answer can get lost.
    """

    call: str
    skip: int
    times: int
    stored: float = 0.0


@dataclass(frozen=True)
class Noise:
    """The faults of one seed.

    Attributes:
        seed: Makes the same noise again.
        esxi: Rules of the host by the step during which they are in force.
        expired_during: The step in which the host forgets its sessions, in the middle of the transfer.
        store: When the store turns callers away, by step.
        providers: Rules by provider, in force from before the purchases to after them.
        guest_mib_s: What the guest writes by itself while the first two backups run; ``None``: nothing.
        said: Each fault in words.
    """

    seed: int
    esxi: dict[str, list[Rule]]
    expired_during: str
    store: dict[str, Refusal]
    providers: dict[str, list[Rule]]
    guest_mib_s: float | None
    said: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int) -> "Noise":
        """Choose places and sizes; every kind of fault is there for every seed."""
        chance = random.Random(seed)
        slow, cut = chance.choice(STREAMED), chance.choice(STREAMED)
        rate, after = chance.choice((8, 12, 20)), chance.randint(64 << 10, 16 * MIB)
        copies, provider = chance.randint(1, 2), chance.choice(PROVIDER_ERRORS)
        datastore = chance.choice(("cut", "status"))
        esxi: dict[str, list[Rule]] = {step: [] for step in (*STREAMED, "third")}
        # The stream that is cut comes first: a rule acts on the request that it meets first.
        esxi[cut].append({"match": "/nfc/*", "action": "cut", "after_bytes": after, "times": 1})
        esxi[slow].append(
            {
                "match": "/nfc/*",
                "action": "rate",
                "bytes_per_second": rate * MIB,
                "times": 1,
                "skip": int(slow == cut),
            }
        )
        esxi["third"].append(_datastore(datastore, chance))
        name, words, match = provider
        rules = {"paypal": _webhooks(copies), "mtn_momo": [_lost_callback()]}
        rules[name].append({"match": match, "status": 503, "times": 1})
        guest = chance.choice((None, 1.0, 4.0))
        store = _refusals(chance)
        said = [
            f"lease of {rate} MiB/s, sessions expired in mid-transfer ({slow})",
            f"lease cut after {after / MIB:.1f} MiB ({cut})",
            f"datastore read {'cut' if datastore == 'cut' else 'answered 503'} (third)",
            "MoMo callback lost",
            f"PayPal webhook {copies + 1} times, and before the one it follows",
            words,
            *(f"store answers 503 to {told.times} {told.call} ({step})" for step, told in store.items()),
            f"guest writes {guest:g} MiB/s" if guest else "guest writes between the backups only",
        ]
        return cls(seed, esxi, slow, store, rules, guest, said)

    @property
    def planned(self) -> Counter[str]:
        """How many faults of each kind there are to be."""
        kinds = Counter({"sessions expired": 1, "store 503": sum(told.times for told in self.store.values())})
        kinds.update(kind_of(rule) for rules in (*self.esxi.values(), *self.providers.values()) for rule in rules)
        return kinds


def kind_of(rule: Rule) -> str:
    """The rule's fault in a word or two."""
    if rule.get("target") == "delivery":
        return "callback lost" if rule.get("drop") else "webhook late" if rule.get("reorder") else "webhook repeated"
    if "action" not in rule:
        return "provider 503"
    place = "lease" if rule["match"].startswith("/nfc") else "datastore"
    return f"{place} {({'rate': 'slow', 'status': 503}).get(rule['action'], rule['action'])}"


def _refusals(chance: random.Random) -> dict[str, Refusal]:
    """Turned away once or a few times in a row, while a backup writes and while a restore reads."""
    writing, reading = chance.choice(WRITING), chance.choice(READING)
    return {
        writing: Refusal("put", chance.randint(0, 2), chance.randint(1, 3), chance.choice((0.0, 0.5, 1.0))),
        reading: Refusal("get", chance.randint(0, 6), chance.randint(1, 3)),
    }


def _datastore(how: str, chance: random.Random) -> Rule:
    """Of the ranges of the disk's file one, behind that of one byte by which its size is found."""
    rule: Rule = {"match": FLAT_FILES, "action": how, "times": 1, "skip": 1 + chance.randint(0, 2)}
    return rule | ({"after_bytes": chance.randint(0, 2 * MIB)} if how == "cut" else {"status": 503})


def _lost_callback() -> Rule:
    return {"target": "delivery", "match": {"event": "SUCCESSFUL"}, "drop": "before", "times": 1}


def _webhooks(copies: int) -> list[Rule]:
    """The approval is held back until the capture has been told, and that more than once."""
    return [
        {"target": "delivery", "match": {"event": "CHECKOUT.ORDER.APPROVED"}, "reorder": True, "times": 1},
        {"target": "delivery", "match": {"event": "PAYMENT.CAPTURE.*"}, "duplicate": copies, "times": 1},
    ]
