"""Read our bank's statements: ISO 20022 CAMT.053 (XML) and CSV as banks here and in Europe export it.

CSV: a header in French or English somewhere in the first rows (`COLUMNS` lists the names), then a row per entry;
separated by ``;``, ``,``, tab or ``|``; UTF-8 or Windows-1252; days as 2026-11-22, 22/11/2026, 22.11.2026 or 20261122;
amounts as 1 192 500, 1.192.500,00 or 1,192,500.00. Only credits count: debits, reversals and entries that the bank has
not booked are left out and counted. XML may have no document type: no entity is ever expanded.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from billing.domain.money import EXPONENTS, Money, MoneyError
from billing.domain.statement import Credit, Statement
from billing.errors import StatementUnreadable

COLUMNS = {
    "booked_on": (
        "date comptable", "date operation", "date d operation", "booking date", "date de comptabilisation",
        "transaction date", "operation date", "date", "date valeur", "date de valeur", "value date",
    ),
    "amount": ("montant", "amount", "montant operation"),
    "credit": ("credit", "montant credit", "credit amount", "credits"),
    "debit": ("debit", "montant debit", "debit amount", "debits"),
    "currency": ("devise", "currency", "monnaie", "ccy"),
    "text": (
        "libelle", "libelle operation", "motif", "description", "details", "communication", "remittance information",
        "label", "narrative", "nature de l operation",
    ),
    "counterparty": ("donneur d ordre", "contrepartie", "emetteur", "counterparty", "payer", "debtor", "nom", "name"),
    "bank_reference": (
        "reference", "reference banque", "reference operation", "bank reference", "transaction id", "numero operation",
        "n operation", "reference de l operation",
    ),
}  # fmt: skip
"""Names of columns without accents and case; of several, the first in this order counts."""

HEADER_WITHIN = 40
"""Rows above the header in which banks name the account."""

MOST_ENTRIES = 20_000

_DAYS = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y%m%d", "%d/%m/%y", "%Y/%m/%d")
_LENGTHS = {"text": 500, "counterparty": 200, "bank_reference": 100}


def read_statement(content: bytes, currency: str) -> Statement:
    """Return what a statement says.

    Args:
        content: The file.
        currency: Of our account, where a CSV names none.

    Raises:
        StatementUnreadable: Neither CAMT.053 nor a CSV whose columns we know, or an entry that cannot be read.
    """
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return _camt(content)
    return _csv(content, currency)


# --- CSV ---


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    if "\0" in text:
        raise StatementUnreadable(where="the file")
    return text


def _name(cell: str) -> str:
    plain = unicodedata.normalize("NFKD", cell).encode("ascii", "ignore").decode().lower()
    return " ".join(re.sub(r"[^a-z]+", " ", plain).split())


def _columns(cells: list[str]) -> dict[str, int] | None:
    """Return where each column is, if these cells are a header."""
    names = [_name(cell) for cell in cells]
    found = {
        column: next((names.index(known) for known in spellings if known in names), -1)
        for column, spellings in COLUMNS.items()
    }
    known = {column: at for column, at in found.items() if at >= 0}
    return known if "booked_on" in known and "text" in known and {"amount", "credit"} & known.keys() else None


def _csv(content: bytes, currency: str) -> Statement:
    text = _decoded(content)
    for delimiter in ";,\t|":
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        for at, cells in enumerate(rows[:HEADER_WITHIN]):
            columns = _columns(cells)
            if columns is not None:
                return _csv_statement(rows, at + 1, columns, currency)
    raise StatementUnreadable(where="the header")


def _csv_statement(rows: list[list[str]], first: int, columns: dict[str, int], currency: str) -> Statement:
    found, left_out = [], 0
    for number, cells in enumerate(rows[first:], start=first + 1):
        if not any(cell.strip() for cell in cells):
            continue
        row = {name: cells[at].strip() if at < len(cells) else "" for name, at in columns.items()}
        if not row["booked_on"]:
            continue  # opening and closing balances have no day
        try:
            amount = _csv_amount(row, row.get("currency") or currency)
            if amount is None or amount.amount_minor <= 0:
                left_out += 1
                continue
            found.append(_credit(_day(row["booked_on"]), amount, row))
        except (MoneyError, ValueError):
            raise StatementUnreadable(where=f"row {number}") from None
    return _statement("csv", None, found, left_out)


def _csv_amount(row: dict[str, str], currency: str) -> Money | None:
    if row.get("credit"):
        return _amount(row["credit"], currency.upper())
    if row.get("amount") and not row.get("debit"):
        return _amount(row["amount"], currency.upper())
    return None


def _day(text: str) -> date:
    for form in _DAYS:
        try:
            return datetime.strptime(text[:10], form).date()  # noqa: DTZ007  a bank's day has no zone
        except ValueError:
            continue
    raise ValueError(text)


def _amount(text: str, currency: str) -> Money:
    """Read an amount whose marks differ from bank to bank; what could be read in two ways is refused.

    Raises:
        MoneyError: No amount of that currency.
    """
    if currency not in EXPONENTS:
        raise MoneyError(currency)
    digits = re.sub(rf"[\s\u00a0\u202f']|{currency}|FCFA$", "", text, flags=re.IGNORECASE)
    negative = digits.startswith(("-", "\u2212", "(")) or digits.endswith("-")
    digits = digits.strip("+-\u2212()")
    marks = [mark for mark in digits if not mark.isdigit()]
    if marks and (len(set(marks)) == 2 or len(marks) == 1):
        last = marks[-1]
        whole, _, fraction = digits.rpartition(last)
        # One mark with three digits behind it parts thousands, unless the currency has three decimals.
        if len(set(marks)) == 2 or len(fraction) != 3 or EXPONENTS[currency] == 3:
            digits = f"{_grouped(whole)}.{fraction}"
        else:
            digits = _grouped(digits)
    else:
        digits = _grouped(digits)
    money = Money.read(digits, currency)
    return -money if negative else money


def _grouped(digits: str) -> str:
    """Return the digits of a whole number whose thousands may be apart.

    Raises:
        MoneyError: The groups are not of three.
    """
    if not re.fullmatch(r"\d+|\d{1,3}([.,]\d{3})+", digits, flags=re.ASCII):
        raise MoneyError(digits)
    return re.sub(r"[.,]", "", digits)


# --- CAMT.053 ---


def _camt(content: bytes) -> Statement:
    try:
        root = fromstring(content, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise StatementUnreadable(where="the XML") from None
    if ":camt.053." not in root.tag:
        raise StatementUnreadable(where="the XML")
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    accounts = {_camt_account(statement) for statement in root.iter("Stmt")} - {None}
    if len(accounts) > 1:
        raise StatementUnreadable(where="the account")
    taken: list[Credit] = []
    left_out = 0
    for entry in root.iter("Ntry"):
        try:
            found = list(_camt_credits(entry))
        except (MoneyError, ValueError):
            raise StatementUnreadable(where=f"entry {_text(entry, 'AcctSvcrRef') or _text(entry, 'NtryRef')}") from None
        taken += found
        left_out += not found
    return _statement("camt.053", accounts.pop() if accounts else None, taken, left_out)


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _camt_account(statement: Element) -> str | None:
    return _text(statement, "Acct/Id/IBAN") or _text(statement, "Acct/Id/Othr/Id") or None


def _money(element: Element) -> Money:
    return Money.read((element.text or "").strip(), element.get("Ccy", ""))


def _camt_credits(entry: Element) -> Iterator[Credit]:
    booked = (_text(entry, "Sts/Cd") or _text(entry, "Sts")) == "BOOK"
    if not booked or _text(entry, "CdtDbtInd") != "CRDT" or _text(entry, "RvslInd") in {"true", "1"}:
        return
    amount = entry.find("Amt")
    if amount is None:
        raise ValueError("Amt")
    day = _day(_text(entry, "BookgDt/Dt") or _text(entry, "BookgDt/DtTm"))
    details = entry.findall("NtryDtls/TxDtls")
    parts = [_detail_amount(detail) for detail in details]
    whole = _money(amount)
    if len(details) > 1 and all(parts) and _sum(parts) == whole:
        for detail, part in zip(details, parts, strict=True):
            assert part is not None
            yield _credit(day, part, _camt_row(entry, [detail]))
        return
    yield _credit(day, whole, _camt_row(entry, details))


def _sum(parts: list[Money | None]) -> Money | None:
    known = [part for part in parts if part is not None]
    if len({part.currency for part in known}) != 1:
        return None
    total = Money.zero(known[0].currency)
    for part in known:
        total += part
    return total


def _detail_amount(detail: Element) -> Money | None:
    for path in ("Amt", "AmtDtls/TxAmt/Amt"):
        found = detail.find(path)
        if found is not None:
            return _money(found)
    return None


def _camt_row(entry: Element, details: list[Element]) -> dict[str, str]:
    said: list[str] = []
    names: list[str] = []
    references: list[str] = []
    for detail in details:
        said += [element.text or "" for element in detail.findall("RmtInf/Ustrd")]
        said += [element.text or "" for element in detail.findall("RmtInf/Strd/CdtrRefInf/Ref")]
        said.append(_text(detail, "Refs/EndToEndId").replace("NOTPROVIDED", ""))
        names.append(_text(detail, "RltdPties/Dbtr/Pty/Nm") or _text(detail, "RltdPties/Dbtr/Nm"))
        references.append(_text(detail, "Refs/AcctSvcrRef"))
    said.append(_text(entry, "AddtlNtryInf"))
    references.append(_text(entry, "AcctSvcrRef"))
    return {
        "text": " ".join(filter(None, said)),
        "counterparty": ", ".join(filter(None, names)),
        "bank_reference": next(filter(None, references), ""),
    }


# --- both ---


def _credit(day: date, amount: Money, row: dict[str, Any]) -> Credit:
    said = {name: " ".join(str(row.get(name, "")).split())[:length] for name, length in _LENGTHS.items()}
    return Credit(day, amount, **said)


def _statement(form: str, account: str | None, found: list[Credit], left_out: int) -> Statement:
    if len(found) + left_out > MOST_ENTRIES:
        raise StatementUnreadable(where=f"more than {MOST_ENTRIES} entries")
    return Statement(form, account, tuple(found), left_out)
