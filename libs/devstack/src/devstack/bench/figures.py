"""Every figure of ``make bench``: what it is called, what it has to be, what measures it and how long that may take.

Names, groups, operators and bars are those of docs/design.md, "Figures to hold"; a test compares them. Figures that
the design names and that are not here are not measured yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from devstack.bench.report import Bar, missing


@dataclass(frozen=True, slots=True)
class Measurement:
    """A module of this package and the figures that it finds together.

    Attributes:
        module: Its name; it has ``measure(sizes, say)``, which returns the bars with their values.
        seconds: What has not ended by then is ended: some three times what it takes on a quiet machine of two cores.
        bars: Without values.
        package: Where the module is.
        asked_for_only: It takes long: measured where its group is named, and not with all.
    """

    module: str
    seconds: float
    bars: tuple[Bar, ...]
    package: str = "devstack.bench"
    asked_for_only: bool = False

    @property
    def group(self) -> str:
        return self.bars[0].group

    def lacks(self, found: Sequence[Bar]) -> str:
        """Return which of the figures were not found, as a reason; nothing when all were."""
        names = {bar.name for bar in found}
        lacking = [bar.name for bar in self.bars if bar.name not in names]
        return f"it did not tell {', '.join(lacking)}" if lacking else ""

    def complete(self, found: Sequence[Bar], reason: str) -> list[Bar]:
        """Return all bars in their order; those that were not found have the reason instead of a value."""
        values = {bar.name: bar for bar in found}
        return [values.get(bar.name) or missing(bar, reason) for bar in self.bars]


FULL_VS_RESTIC = Bar("full_vs_restic", "data-plane", None, "x", ">=", 3)
FULL_VS_LIMIT = Bar("full_vs_limit", "data-plane", None, "x", ">=", 0.7)
RESTORE_VS_BEST = Bar("restore_vs_best", "data-plane", None, "x", ">=", 1)
STORED_VS_RESTIC = Bar("stored_vs_restic", "data-plane", None, "x", "<=", 1.05)
RUNNER_PEAK = Bar("runner_peak_mib", "data-plane", None, "MiB", "<=", 512)
PROVISION_P99 = Bar("provision_p99_ms", "billing", None, "ms", "<=", 500)
PURCHASES_WRONG = Bar("purchases_wrong", "billing", None, "purchases", "=", 0, holds_now=True)
WEBHOOKS = Bar("webhooks_vs_nothing", "billing", None, "x", ">=", 0.25)
INVOICE_PDFS = Bar("invoice_pdfs_vs_line", "billing", None, "x", ">=", 0.3)
ORDERS_LIST = Bar("orders_list_ratio", "billing", None, "x", "<=", 1.2)
JANITOR_DAY = Bar("janitor_day_percent", "billing", None, "%", "<=", 1)
PURCHASES_1000 = Bar("purchases_1000_wrong", "purchases", None, "purchases", "=", 0)
GATEWAY_VS_NGINX = Bar("gateway_vs_nginx", "gateway", None, "x", ">=", 0.7)
GATEWAY_VS_NGINX_STATIC = Bar("gateway_vs_nginx_static", "gateway", None, "x", ">=", 0.35)
GATEWAY_VS_BARE = Bar("gateway_vs_bare_proxy", "gateway", None, "x", ">=", 0.2)
GATEWAY_P99 = Bar("gateway_p99_vs_nginx", "gateway", None, "x", "<=", 1.5)
TOKEN_CHECK = Bar("token_check_vs_eddsa", "gateway", None, "x", "<=", 2.5)
GATEWAY_ADDED = Bar("gateway_added_p50_ms", "gateway", None, "ms", "<=", 1.5)
RLS_SCAN_RATIO = Bar("rls_scan_ratio", "tenancy", None, "x", "<=", 1.1, holds_now=True)
LISTS = Bar("lists_ratio", "tenancy", None, "x", "<=", 1.2)
LOGINS_VS_ARGON2 = Bar("logins_vs_argon2", "tenancy", None, "x", ">=", 0.8)

MEASUREMENTS = (
    Measurement("data_plane", 1200, (FULL_VS_RESTIC, FULL_VS_LIMIT, RESTORE_VS_BEST, STORED_VS_RESTIC)),
    Measurement("runner_peak", 480, (RUNNER_PEAK,)),
    Measurement("billing", 900, (PROVISION_P99, PURCHASES_WRONG)),
    Measurement("billing_speed", 300, (WEBHOOKS, INVOICE_PDFS)),
    Measurement("billing_rows", 900, (ORDERS_LIST, JANITOR_DAY)),
    Measurement("purchases", 3600, (PURCHASES_1000,), asked_for_only=True),
    Measurement("gateway", 900, (GATEWAY_VS_NGINX, GATEWAY_P99, GATEWAY_ADDED)),
    Measurement("gateway_static", 300, (GATEWAY_VS_NGINX_STATIC, GATEWAY_VS_BARE)),
    Measurement("token_check", 60, (TOKEN_CHECK,)),
    Measurement("tenancy", 300, (RLS_SCAN_RATIO,)),
    Measurement("lists", 900, (LISTS,)),
    Measurement("logins", 300, (LOGINS_VS_ARGON2,)),
)
NAMES = tuple(bar.name for measurement in MEASUREMENTS for bar in measurement.bars)
GROUPS = tuple(dict.fromkeys(measurement.group for measurement in MEASUREMENTS))


def wanted(group: str | None) -> list[Measurement]:
    """Return what measures a group; None means all but what takes long."""
    if group is None:
        return [measurement for measurement in MEASUREMENTS if not measurement.asked_for_only]
    return [measurement for measurement in MEASUREMENTS if measurement.group == group]
