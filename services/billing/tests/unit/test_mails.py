"""Billing's mails: both languages and forms of each, the same facts in both, and nothing of a hostile name."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.resources import files
from uuid import UUID, uuid4

import pytest
from billing.domain.credit_note import CreditNote
from billing.domain.dispute import Dispute, DisputeKind, DisputeStatus
from billing.domain.invoice import Invoice, Issuer, invoice_lines, number_of
from billing.domain.money import Money
from billing.domain.order import Customer, Order, OrderKind, OrderPaymentStatus, OrderStatus
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.period import Period
from billing.domain.plan import BillingCycle, BoughtPlan, Method
from billing.domain.pricing import VAT_CAMEROON, amounts
from billing.domain.refund import Channel, Refund, RefundStatus
from billing.domain.subscription import Subscription, SubscriptionStatus
from billing.domain.usage import Excess
from billing.usecases.steps import mails, subscription_mails
from common.persistence import MailMessage

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ISSUER = Issuer(
    code="EBM",
    name="ESXi Backup Manager SAS",
    address="Rue 1.234, Bonanjo, Douala",
    email="compta@backup.example",
    rccm="RC/DLA/2026/B/1234",
    niu="M012600001234A",
    tax_rates=VAT_CAMEROON,
)
BANK = {
    "bank_name": "Banque d'essai",
    "account_name": "EBM SAS",
    "account_number": "10001 00001",
    "swift_code": "TESTCMCX",
    "iban": "CM21 1000",
    "branch": "Bonanjo",
}


def order(language: str, customer: str = "Entreprise Ngoué & Fils") -> Order:
    return Order(
        tenant_id=uuid4(),
        id=uuid4(),
        user_id=uuid4(),
        number="ORD-20261122-ABCDEFGHJK",
        kind=OrderKind.NEW,
        plan=BoughtPlan(3, "gold", "Gold", {}, {}, {}),
        cycle=BillingCycle.YEARLY,
        customer=Customer(customer, "achats@ngoue.example"),
        language=language,
        amounts=amounts(Money(1_000_000, "XAF"), Money(0, "XAF"), VAT_CAMEROON),
        coupon_id=None,
        coupon_code=None,
        status=OrderStatus.PENDING,
        payment_status=OrderPaymentStatus.UNPAID,
        allocated_minor=0,
        fingerprint="",
        effective_at=None,
        created_at=NOW,
    )


def payment(of: Order) -> Payment:
    return Payment(
        tenant_id=of.tenant_id, id=uuid4(), user_id=of.user_id, order_id=of.id, method=Method.BANK_TRANSFER,
        status=PaymentStatus.FAILED, amount=of.amounts.total, charged=of.amounts.total, rate_numerator=1,
        rate_denominator=1, reference=f"{of.number}-1", provider_reference=None, receipt_reference=None,
        create_request_id="", capture_request_id="", captures=1, callback_token=None, phone_number=None,
        return_url=None, cancel_url=None, redirect_url=None, reason_code="NOT_ENOUGH_FUNDS", submitted_by=None,
        approved_by=None, language=of.language, polls=0, next_poll_at=None, created_at=NOW, completed_at=None,
    )  # fmt: skip


def invoice(of: Order) -> Invoice:
    return Invoice(
        tenant_id=of.tenant_id, id=UUID(int=7), order_id=of.id, order_number=of.number, issuer=ISSUER.document(),
        year=2026, sequence=42, number=number_of("EBM", 2026, 42), issued_at=NOW, customer=of.customer,
        language=of.language, amounts=of.amounts, lines=invoice_lines(of),
        period=Period(NOW, NOW.replace(year=2027), 22),
    )  # fmt: skip


def subscription(of: Order) -> Subscription:
    return Subscription(
        tenant_id=of.tenant_id, plan=of.plan, cycle=of.cycle, currency="XAF", status=SubscriptionStatus.ACTIVE,
        anchor_day=22, started_at=NOW, ends_at=NOW.replace(year=2027), version=1, status_since=NOW, stepped_at=NOW, auto_renew=True,
    )  # fmt: skip


def refund(of: Order) -> Refund:
    return Refund(
        tenant_id=of.tenant_id, id=uuid4(), payment_id=uuid4(), order_id=of.id, method=Method.BANK_TRANSFER,
        channel=Channel.BY_HAND, status=RefundStatus.COMPLETED, amount=of.amounts.total, from_order=of.amounts.total,
        from_credit=Money(0, "XAF"), request_id="", requests=1, provider_reference=None, refund_reference="V-1",
        reason="", reason_code=None, requested_by=None, decided_by=None, polls=0, next_poll_at=None, created_at=NOW,
        sent_at=None, completed_at=NOW,
    )  # fmt: skip


JUNE = Period(datetime(2027, 6, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC), 1)


def dispute(of: Order) -> Dispute:
    return Dispute(
        tenant_id=of.tenant_id, id=uuid4(), payment_id=uuid4(), kind=DisputeKind.DISPUTE, reference="PP-D-27803",
        status=DisputeStatus.OPEN, reason="", amount=None, opened_at=NOW, resolved_at=None, next_poll_at=None,
    )  # fmt: skip


def note(of: Order) -> CreditNote:
    return CreditNote(
        tenant_id=of.tenant_id, id=uuid4(), invoice_id=uuid4(), invoice_number="EBM-2026-000042", refund_id=uuid4(),
        issuer=ISSUER.document(), series="EBM-AV", year=2026, sequence=7, number=number_of("EBM-AV", 2026, 7),
        issued_at=NOW, customer=of.customer, language=of.language, net=of.amounts.net, taxes=of.amounts.taxes,
        total=of.amounts.total, reason="",
    )  # fmt: skip


NOTE = "introuvable sur le relevé"

WRITTEN: dict[str, Callable[[Order], MailMessage]] = {
    "order_received": lambda of: mails.order_received(of, ISSUER),
    "how_to_pay": lambda of: mails.how_to_pay(of, payment(of), BANK, ISSUER),
    "payment_confirmed": lambda of: mails.confirmation(of, invoice(of)),
    "part_received": lambda of: mails.part_received(of, payment(of), Money(400_000, "XAF"), ISSUER),
    "credit_kept": lambda of: mails.credit_kept(of, payment(of), of.amounts.total, ISSUER),
    "order_outdated": lambda of: mails.order_outdated(of, payment(of), ISSUER),
    "payment_failed": lambda of: mails.payment_failed(of, payment(of), ISSUER),
    "transfer_rejected": lambda of: mails.transfer_rejected(of, payment(of), NOTE, ISSUER),
    "transfer_overdue": lambda of: mails.transfer_overdue(of, payment(of), ISSUER),
    "invoice": lambda of: mails.invoice_issued(invoice(of)),
    "renewal_due": lambda of: subscription_mails.renewal_due(subscription(of), of, of, ISSUER, days=3),
    "subscription_past_due": lambda of: subscription_mails.subscription_past_due(
        subscription(of), of, of, ISSUER, until=NOW
    ),
    "subscription_cancelled": lambda of: subscription_mails.subscription_cancelled(subscription(of), of, ISSUER),
    "plan_too_small": lambda of: subscription_mails.plan_too_small(of, (Excess("max_vms", 10, 30),), ISSUER),
    "deletion_warning": lambda of: subscription_mails.deletion_warning(subscription(of), of, ISSUER, days=7, at=NOW),
    "payment_disputed": lambda of: mails.payment_disputed(of, payment(of), dispute(of), ISSUER),
    "dispute_won": lambda of: mails.dispute_won(of, payment(of), dispute(of), ISSUER),
    "dispute_lost": lambda of: mails.dispute_lost(of, payment(of), dispute(of), ISSUER),
    "paid_while_disputed": lambda of: mails.paid_while_disputed(of, JUNE, dispute(of), ISSUER),
    "auto_renewal_ended": lambda of: mails.auto_renewal_ended(of, JUNE, ISSUER),
    "dispute_lifted": lambda of: mails.dispute_lifted(of, payment(of), dispute(of), ISSUER),
    "refund_sent": lambda of: mails.refund_sent(of, refund(of), note(of), ISSUER),
    "payment_taken_back": lambda of: mails.refund_sent(of, refund(of), note(of), ISSUER, taken=True),
}
FACTS = {
    "order_received": {"ORD-20261122-ABCDEFGHJK", "Gold"},
    "how_to_pay": {"ORD-20261122-ABCDEFGHJK-1", "Banque d'essai (Bonanjo)", "EBM SAS", "CM21 1000", "TESTCMCX"},
    "payment_confirmed": {"ORD-20261122-ABCDEFGHJK", "EBM-2026-000042"},
    "part_received": {"ORD-20261122-ABCDEFGHJK"},
    "credit_kept": {"ORD-20261122-ABCDEFGHJK"},
    "order_outdated": {"ORD-20261122-ABCDEFGHJK"},
    "payment_failed": {"ORD-20261122-ABCDEFGHJK"},
    "transfer_rejected": {"ORD-20261122-ABCDEFGHJK-1", NOTE},
    "transfer_overdue": {"ORD-20261122-ABCDEFGHJK-1"},
    "invoice": {"EBM-2026-000042", "ORD-20261122-ABCDEFGHJK"},
    "renewal_due": {"ORD-20261122-ABCDEFGHJK", "Gold"},
    "subscription_past_due": {"ORD-20261122-ABCDEFGHJK", "Gold", "2026"},
    "deletion_warning": {"Gold", "2026"},
    "payment_disputed": {"PP-D-27803", "ORD-20261122-ABCDEFGHJK"},
    "dispute_won": {"PP-D-27803", "ORD-20261122-ABCDEFGHJK"},
    "dispute_lost": {"PP-D-27803", "ORD-20261122-ABCDEFGHJK"},
    "paid_while_disputed": {"PP-D-27803", "ORD-20261122-ABCDEFGHJK", "2027"},
    "auto_renewal_ended": {"ORD-20261122-ABCDEFGHJK", "2027"},
    "dispute_lifted": {"PP-D-27803", "ORD-20261122-ABCDEFGHJK"},
    "refund_sent": {"EBM-AV-2026-000007", "ORD-20261122-ABCDEFGHJK"},
    "payment_taken_back": {"EBM-AV-2026-000007", "ORD-20261122-ABCDEFGHJK"},
    "subscription_cancelled": {"Gold", "2027"},
    "plan_too_small": {"Gold", "ORD-20261122-ABCDEFGHJK", "30 / 10"},
}
WITHOUT_AMOUNT = {"deletion_warning", "plan_too_small", "subscription_cancelled"}
AMOUNT = {"fr": "1 192 500 XAF", "en": "1,192,500 XAF"}


class _Words(HTMLParser):
    """What an HTML reader sees, and the elements that bring it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words = ""
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.words += f" {data}"


def _plain(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


def test_every_mail_has_its_four_texts_and_none_is_left_over() -> None:
    kept = {entry.name for entry in files("billing").joinpath("templates/mails").iterdir()}
    texts = {
        f"{name}.{language}.{form}" for name in mails.MAILS for language in ("fr", "en") for form in ("txt", "html")
    }
    assert kept == texts | {"layout.txt", "layout.html"}
    assert set(WRITTEN) == set(FACTS) == set(mails.MAILS)


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("name", mails.MAILS)
def test_both_halves_of_a_mail_tell_the_same_facts_and_who_writes(name: str, language: str) -> None:
    mail = WRITTEN[name](order(language))
    assert mail.html is not None
    text, html = _plain(mail.text), _plain(_Words(mail.html).words)
    everything = FACTS[name] | (set() if name in WITHOUT_AMOUNT else {AMOUNT[language]}) | {
        "Entreprise Ngoué & Fils", "ESXi Backup Manager SAS", "Rue 1.234, Bonanjo, Douala",
        "RCCM RC/DLA/2026/B/1234 · NIU M012600001234A", "compta@backup.example",
    }  # fmt: skip
    for fact in everything:
        assert fact in text, fact
        assert fact in html, fact
    for said in (mail.subject, text, html):
        assert not re.search(r"\{\{|\{%|None|Undefined|&amp;amp;", said)
    assert mail.subject
    assert ("Bonjour" in text) == (language == "fr")
    assert mail.language == language


def test_each_language_has_texts_of_its_own() -> None:
    for name in mails.MAILS:
        french, english = WRITTEN[name](order("fr")), WRITTEN[name](order("en"))
        assert french.subject != english.subject
        assert french.text.partition("ORD-")[0] != english.text.partition("ORD-")[0]


@pytest.mark.parametrize("name", mails.MAILS)
def test_a_hostile_name_is_text_in_html_and_adds_no_line_to_a_text_or_header(name: str) -> None:
    ordinary = WRITTEN[name](order("en"))
    hostile = "<script>alert(1)</script><img src=x>\r\nBcc: all@evil.example\r\n\r\nPay 1 XAF to {{ 7*7 }} \u202egnp"
    mail = WRITTEN[name](order("en", hostile))
    assert mail.html is not None
    assert ordinary.html is not None
    assert _Words(mail.html).tags == _Words(ordinary.html).tags
    assert "<script>alert(1)</script>" in _Words(mail.html).words
    assert mail.text.count("\n") == ordinary.text.count("\n")
    assert not re.search(r"^Bcc:", mail.text, re.MULTILINE)
    assert "\r" not in mail.text + mail.subject
    assert "\n" not in mail.subject
    assert "{{ 7*7 }}" in mail.text
    assert "\u202e" not in mail.text


def test_a_note_with_lines_stays_one_fact() -> None:
    of = order("fr")
    mail = mails.transfer_rejected(of, payment(of), "relevé 12\n\nMotif : payez ailleurs", ISSUER)
    assert "relevé 12  Motif : payez ailleurs" in mail.text
    assert mails.transfer_rejected(of, payment(of), "", ISSUER).text.count("Motif") == 0


def test_particulars_that_the_issuer_has_not_are_left_out() -> None:
    bare = replace(ISSUER, address="", email="", rccm="", niu="")
    assert mails.particulars(bare.document(), "fr") == ["ESXi Backup Manager SAS"]
    assert "RCCM" not in mails.order_received(order("fr"), bare).text


def test_a_mail_in_a_language_without_texts_is_french() -> None:
    assert mails.order_received(order("de"), ISSUER).language == "fr"
