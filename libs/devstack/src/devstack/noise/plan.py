"""What goes wrong for a seed, as data: the simulators' own rules, and where in the demo they are in force."""

import random
from dataclasses import dataclass, field
from typing import Any

Rule = dict[str, Any]

MIB = 1 << 20

STREAMED = ("first", "second", "new machine")
"""Steps of the demo that move a disk by lease; the third backup reads the datastore."""

PROVIDER_ERRORS: tuple[tuple[str, str, Rule], ...] = (
    ("paypal", "PayPal answers 503 to a new order", {"method": "POST", "path": "/v2/checkout/orders"}),
    ("paypal", "PayPal answers 503 to a capture", {"method": "POST", "path": "/v2/checkout/orders/*/capture"}),
    ("mtn_momo", "MoMo answers 503 to a request to pay", {"method": "POST", "path": "*/requesttopay"}),
    ("mtn_momo", "MoMo answers 503 to a question", {"method": "GET", "path": "*/requesttopay/*"}),
)
"""Of whom, in words, and which request: one of them per seed."""


@dataclass(frozen=True)
class Noise:
    """The faults of one seed.

    Attributes:
        seed: Makes the same noise again.
        esxi: Rules of the host by the step during which they are in force.
        expired_during: The step in which the host forgets its sessions, in the middle of the transfer.
        providers: Rules by provider, in force from before the purchases to after them.
        guest_mib_s: What the guest writes by itself while the first two backups run; ``None``: nothing.
        said: Each fault in words.
    """

    seed: int
    esxi: dict[str, list[Rule]]
    expired_during: str
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
        said = [
            f"lease of {rate} MiB/s, sessions expired in mid-transfer ({slow})",
            f"lease cut after {after / MIB:.1f} MiB ({cut})",
            f"datastore read {'cut' if datastore == 'cut' else 'answered 503'} (third)",
            "MoMo callback lost",
            f"PayPal webhook {copies + 1} times, and before the one it follows",
            words,
            f"guest writes {guest:g} MiB/s" if guest else "guest writes between the backups only",
        ]
        return cls(seed, esxi, slow, rules, guest, said)


def _datastore(how: str, chance: random.Random) -> Rule:
    if how == "cut":
        return {"match": "/folder/*.vmdk", "action": "cut", "after_bytes": chance.randint(0, 4096), "times": 1}
    return {"match": "/folder/*.vmdk", "action": "status", "status": 503, "times": 1}


def _lost_callback() -> Rule:
    return {"target": "delivery", "match": {"event": "SUCCESSFUL"}, "drop": "before", "times": 1}


def _webhooks(copies: int) -> list[Rule]:
    """The approval is held back until the capture has been told, and that more than once."""
    return [
        {"target": "delivery", "match": {"event": "CHECKOUT.ORDER.APPROVED"}, "reorder": True, "times": 1},
        {"target": "delivery", "match": {"event": "PAYMENT.CAPTURE.*"}, "duplicate": copies, "times": 1},
    ]
