"""Bank statements: dialects of CSV, CAMT.053, files that attack the reader, and which transfer a line is."""

from datetime import date
from uuid import uuid4

import pytest
from billing.adapters.bank_statements import read_statement
from billing.domain.money import Money
from billing.domain.statement import Awaited, Credit, Fit, fingerprints, fit_of, match, orders_named
from billing.errors import StatementUnreadable
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit

ORDER = "ORD-20261122-7KQ2MX9RBD"
REFERENCE = f"{ORDER}-1"
DAY = date(2026, 11, 24)
FIFTY = Money(50_000, "XAF")


def csv(text: str, encoding: str = "utf-8") -> list[Credit]:
    return list(read_statement(text.encode(encoding), "XAF").credits)


DIALECTS = {
    "French, semicolons, debit and credit, Windows-1252": (
        (
            "Relevé du compte 10001 00001;;;;\r\n;;;;\r\n"
            "Date comptable;Date valeur;Libellé;Débit;Crédit\r\n"
            ";;Solde initial;;900 000\r\n"
            f"24/11/2026;25/11/2026;VIR RECU {REFERENCE};;50\u00a0000,00\r\n"
            "24/11/2026;24/11/2026;FRAIS DE TENUE;1 500;\r\n"
        ),
        "cp1252",
    ),
    "English, commas, one signed amount": (
        (
            "Booking date,Description,Amount,Currency\n"
            f'2026-11-24,"Transfer {REFERENCE}","50,000.00",XAF\n'
            "2026-11-24,Fees,-1500,XAF\n"
        ),
        "utf-8",
    ),
    "German-style marks, tabs, byte order mark": (
        f"date\tmotif\tmontant\tdevise\n24.11.2026\t{REFERENCE}\t50.000\tXAF\n24.11.2026\tFrais\t1.500-\tXAF\n",
        "utf-8-sig",
    ),
    "compact days, a plus, currency in the cell, bars": (
        f"DATE|LIBELLE|MONTANT\n20261124|{REFERENCE}|+50 000 FCFA\n20261124|Frais|(1 500)\n",
        "utf-8",
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_of_csv_say_the_same(dialect: str) -> None:
    text, encoding = DIALECTS[dialect]
    statement = read_statement(text.encode(encoding), "XAF")
    assert [(credit.booked_on, credit.amount) for credit in statement.credits] == [(DAY, FIFTY)]
    assert REFERENCE in statement.credits[0].text
    assert statement.left_out == 1


@pytest.mark.parametrize(
    ("written", "currency", "minor"),
    [
        ("1 192 500", "XAF", 1_192_500),
        ("1\u202f192\u202f500", "XAF", 1_192_500),
        ("1.192.500,00", "XAF", 1_192_500),
        ("1,192,500.00", "XAF", 1_192_500),
        ("1'192'500", "XAF", 1_192_500),
        ("25.000", "XAF", 25_000),
        ("25,000", "EUR", 2_500_000),
        ("38,11", "EUR", 3811),
        ("38.1", "EUR", 3810),
        ("1.234,56 EUR", "EUR", 123_456),
        ("1.234", "KWD", 1234),
    ],
)
def test_amounts_are_read_in_every_usual_spelling(written: str, currency: str, minor: int) -> None:
    (credit,) = csv(f'date;libelle;montant;devise\n2026-11-24;x;"{written}";{currency}\n')
    assert credit.amount == Money(minor, currency)


@pytest.mark.parametrize("written", ["12,5", "1,23,456", "1.2.3", "abc", "1e5", "1 000,001", "50 000 USD", "٥٠"])
def test_an_amount_that_is_none_is_refused_with_its_row(written: str) -> None:
    with pytest.raises(StatementUnreadable) as refused:
        csv(f'date;libelle;montant\n2026-11-24;x;1000\n2026-11-24;x;"{written}"\n')
    assert "row 3" in str(refused.value.text("en") if hasattr(refused.value, "text") else vars(refused.value))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"%PDF-1.4",
        b"a;b;c\n1;2;3\n",
        b"date;libelle\n2026-11-24;x\n",
        b"date;libelle;montant\nhier;x;1\n",
    ],
)
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(StatementUnreadable):
        read_statement(content, "XAF")


ENTRY = """
<Ntry><Amt Ccy="XAF">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{more}<Sts>{status}</Sts>
<BookgDt><Dt>2026-11-24</Dt></BookgDt><AcctSvcrRef>BK-1</AcctSvcrRef><NtryDtls>{details}</NtryDtls></Ntry>"""
DETAIL = """<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs>{amount}<RltdPties><Dbtr><Nm>Entreprise XYZ</Nm></Dbtr>
</RltdPties><RmtInf><Ustrd>paiement</Ustrd><Ustrd>{text}</Ustrd></RmtInf></TxDtls>"""


def camt(*entries: str, version: str = "02", before: str = "", account: str = "CM2110001000") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt><Stmt><Id>1</Id>'
        f"<Acct><Id><IBAN>{account}</IBAN></Id></Acct>{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def entry(
    amount: str = "50000", direction: str = "CRDT", status: str = "BOOK", text: str = REFERENCE, more: str = ""
) -> str:
    return ENTRY.format(
        amount=amount, direction=direction, status=status, more=more, details=DETAIL.format(text=text, amount="")
    )


@pytest.mark.parametrize("version", ["02", "08"])
def test_camt_says_amount_day_text_payer_and_account(version: str) -> None:
    status = "BOOK" if version == "02" else "<Cd>BOOK</Cd>"
    statement = read_statement(camt(entry("50000.00", status=status), version=version), "XAF")
    assert statement.account == "CM2110001000"
    assert statement.credits == (Credit(DAY, FIFTY, f"paiement {REFERENCE}", "Entreprise XYZ", "BK-1"),)


def test_camt_leaves_out_debits_reversals_and_what_is_not_booked() -> None:
    others = (entry(direction="DBIT"), entry(status="PDNG"), entry(more="<RvslInd>true</RvslInd>"))
    statement = read_statement(camt(entry(), *others), "XAF")
    assert (len(statement.credits), statement.left_out) == (1, 3)


def test_a_collected_entry_is_taken_apart_where_its_parts_add_up() -> None:
    parts = [DETAIL.format(text=f"{ORDER}-{n}", amount=f'<Amt Ccy="XAF">{n}0000</Amt>') for n in (2, 3)]
    both = ENTRY.format(amount="50000", direction="CRDT", status="BOOK", more="", details="".join(parts))
    statement = read_statement(camt(both), "XAF")
    assert [credit.amount.amount_minor for credit in statement.credits] == [20_000, 30_000]
    wrong = both.replace(">50000<", ">60000<")
    assert [credit.amount.amount_minor for credit in read_statement(camt(wrong), "XAF").credits] == [60_000]


ATTACKS = {
    "external entity": '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "parameter entity": '<!DOCTYPE d [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>',
    "external document type": '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd">',
    "laughs": "<!DOCTYPE d ["
    '<!ENTITY x "ha">' + "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10)) + "]>",
    "a document type that does nothing": "<!DOCTYPE d>",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_document_type_is_never_read(attack: str) -> None:
    reference = "&x9;" if attack == "laughs" else "&x;" if "entity" in attack else "text"
    with pytest.raises(StatementUnreadable):
        read_statement(camt(entry(text=reference), before=ATTACKS[attack]), "XAF")


@pytest.mark.parametrize(
    "content",
    [
        b"<Document/>",
        b"<Document",
        camt(entry()).replace(b"camt.053", b"pain.001"),
        camt(entry("12.5")),
        camt(entry("-5")).replace(b"XAF", b"ZZZ"),
        camt(entry()).replace(b"UTF-8", b"no-such-code"),
        camt(entry()).replace(b"2026-11-24", b"soon"),
    ],
)
def test_xml_that_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(StatementUnreadable):
        read_statement(content, "XAF")


@given(st.binary(max_size=300))
def test_no_file_breaks_the_reader(content: bytes) -> None:
    for file in (content, b"<" + content, b"date;libelle;montant\n" + content):
        try:
            read_statement(file, "XAF")
        except StatementUnreadable:
            continue


@pytest.mark.parametrize(
    "text",
    [
        REFERENCE,
        "vir ord-20261122-7kq2mx9rbd-1 merci",
        "ORD202611227KQ2MX9RBD1",
        "ORD 20261122 7KQ2 MX9R BD 1",
        f"/{ORDER}/",
    ],
)
def test_an_order_is_found_in_whatever_spelling_the_bank_left(text: str) -> None:
    assert orders_named(text) == [ORDER]


@pytest.mark.parametrize("text", ["", "ORD-2026-1", "virement", "ORD-20261122-7KQ2MX", "ORD-20261122-OOOOOOOOOO"])
def test_no_order_is_found_where_none_is_quoted(text: str) -> None:
    assert orders_named(text) == []


def _awaited(reference: str = REFERENCE, due: Money = FIFTY) -> Awaited:
    return Awaited(uuid4(), uuid4(), reference, due)


def test_a_line_is_the_transfer_that_it_quotes_in_its_currency_and_no_other() -> None:
    ours, other = _awaited(), _awaited("ORD-20261122-22222222KK-1")
    line = Credit(DAY, Money(20_000, "XAF"), f"PAIEMENT {ORDER}")
    assert match(line, [other, ours]) is ours
    assert match(line, [other]) is None
    assert match(line, [_awaited(due=Money(7622, "EUR"))]) is None
    assert match(Credit(DAY, FIFTY, "virement"), [ours]) is None
    assert match(Credit(DAY, FIFTY, f"{ORDER} et {other.reference}"), [ours, other]) is None


def test_amounts_fit_or_are_too_little_or_too_much() -> None:
    assert [fit_of(Money(n, "XAF"), FIFTY) for n in (50_000, 49_999, 50_001)] == [Fit.EXACT, Fit.PARTIAL, Fit.SURPLUS]


def test_lines_alike_are_told_apart_by_counting_and_stay_the_same_in_another_file() -> None:
    line, other = Credit(DAY, FIFTY, "a"), Credit(DAY, FIFTY, "b")
    first, second, third = fingerprints([line, line, other])
    assert len({first, second, third}) == 3
    assert fingerprints([other, line, line]) == [third, first, second]
