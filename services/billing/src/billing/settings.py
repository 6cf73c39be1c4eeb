"""Billing's settings. The guide's names without prefix are accepted; ours win.

Every method in ``BILLING_PAYMENT_METHODS`` must be configured in full: a missing value stops the start with one line.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    HttpSettings,
    MailSettings,
    ServiceSettings,
    TokenSettings,
    service_config,
)
from pydantic import AliasChoices, Field, PositiveInt, SecretStr, model_validator

from billing.domain.lifecycle import Terms
from billing.domain.payment import Patience
from billing.domain.plan import Method
from billing.domain.return_url import origin_of
from billing.domain.tries import CouponLimits, PromptLimits

NAME = "billing"

MOMO_CURRENCY = {"sandbox": "EUR", "mtncameroon": "XAF", "mtncongo": "XAF"}
"""Currency of each MTN environment that an order in XAF can be paid in at a fixed rate."""

Currency = Literal["XAF", "EUR", "USD"]
"""A currency that plans have prices in (``domain.catalogue.CURRENCIES``)."""

WARNINGS = 3
"""How often a customer is warned, at least, before his data is deleted."""


MOMO_LIMITS = {"mtncameroon": 1_000_000, "mtncongo": 1_000_000}
"""Most that MTN lets one payment be, in whole units. Its own pages do not say; this is what resellers are told, and the
setting is for what an operator's contract says."""


def _also(name: str) -> AliasChoices:
    """Accept a variable with our prefix, else without."""
    return AliasChoices(f"BILLING_{name.upper()}", name, name.upper())


class PayPalSettings(ServiceSettings):
    """PayPal: one application of one environment."""

    paypal_mode: Literal["sandbox", "live"] = Field(
        "sandbox", validation_alias=_also("paypal_mode"), description="PayPal environment"
    )
    paypal_client_id: str = Field("", validation_alias=_also("paypal_client_id"), description="REST application")
    paypal_client_secret: SecretStr = Field(
        SecretStr(""), validation_alias=_also("paypal_client_secret"), description="Its secret"
    )
    paypal_base_url: str = Field("", validation_alias=_also("paypal_base_url"), description="Instead of PayPal's host")
    paypal_currency: Literal["EUR"] = Field(
        "EUR", validation_alias=_also("paypal_currency"), description="Charged for orders in XAF; PayPal takes no XAF"
    )
    paypal_currencies: list[Literal["EUR", "USD"]] = Field(
        ["EUR", "USD"],
        validation_alias=_also("paypal_currencies"),
        description="JSON list: currencies that our PayPal account holds; orders in them are charged as they are",
    )
    paypal_merchant_id: str = Field(
        "", validation_alias=_also("paypal_merchant_id"), description="Payee that captures must name, if set"
    )
    paypal_webhook_id: str = Field(
        "", validation_alias=_also("paypal_webhook_id"), description="Id that PayPal gave to our listener"
    )

    paypal_webhook_check: Literal["offline", "online"] | None = Field(
        None,
        validation_alias=_also("paypal_webhook_check"),
        description="offline: by certificate, asking PayPal where that cannot be had; online: PayPal is always asked;"
        " by default offline at PayPal's own hosts and online elsewhere",
    )
    paypal_webhook_ca_file: Path | None = Field(
        None,
        validation_alias=_also("paypal_webhook_ca_file"),
        description="Authorities of webhooks' certificates instead of the public ones; not in production",
    )

    @property
    def checks_webhooks_offline(self) -> bool:
        """Whether webhooks are first checked by their certificate."""
        if self.paypal_webhook_check is None:
            return not self.paypal_base_url
        return self.paypal_webhook_check == "offline"

    @property
    def paypal_url(self) -> str:
        """Base URL of PayPal's API."""
        hosts = {"sandbox": "https://api-m.sandbox.paypal.com", "live": "https://api-m.paypal.com"}
        return self.paypal_base_url or hosts[self.paypal_mode]


class ListenerSettings(PayPalSettings, HttpSettings):
    """What the command that manages PayPal's webhooks reads: the rest may not be there yet, as the webhook's id."""

    model_config = service_config("BILLING_")


class MoMoSettings(ServiceSettings):
    """MTN Mobile Money: host, environment and currency are one set."""

    mtn_momo_environment: Literal["sandbox", "production"] = Field(
        "production", validation_alias=_also("mtn_momo_environment"), description="sandbox, or the country's system"
    )
    mtn_momo_country: str = Field(
        "mtncameroon", validation_alias=_also("mtn_momo_country"), description="X-Target-Environment in production"
    )
    mtn_momo_base_url: str = Field("", validation_alias=_also("mtn_momo_base_url"), description="Instead of MTN's host")
    mtn_momo_subscription_key: SecretStr = Field(
        SecretStr(""), validation_alias=_also("mtn_momo_subscription_key"), description="Collection product key"
    )
    mtn_momo_user_id: str = Field("", validation_alias=_also("mtn_momo_user_id"), description="API user, UUID v4")
    mtn_momo_api_key: SecretStr = Field(
        SecretStr(""), validation_alias=_also("mtn_momo_api_key"), description="The API user's key"
    )

    mtn_momo_disbursement_key: SecretStr = Field(
        SecretStr(""),
        validation_alias=_also("mtn_momo_disbursement_key"),
        description="Disbursement product key, where the contract has it: refunds go by MTN; without it by hand",
    )
    mtn_momo_disbursement_user_id: str = Field(
        "", validation_alias=_also("mtn_momo_disbursement_user_id"), description="Its API user, UUID v4"
    )
    mtn_momo_disbursement_api_key: SecretStr = Field(
        SecretStr(""), validation_alias=_also("mtn_momo_disbursement_api_key"), description="That API user's key"
    )
    mtn_momo_limit: int | None = Field(
        None,
        ge=1,
        validation_alias=_also("mtn_momo_limit"),
        description="Most that one payment may be, in whole units; by default 1 000 000 where XAF is charged",
    )

    @property
    def mtn_momo_most(self) -> int | None:
        """The most that one payment may be, in whole units of its currency; ``None`` where no limit is known."""
        return self.mtn_momo_limit or MOMO_LIMITS.get(self.mtn_momo_target)

    @property
    def mtn_momo_refunds(self) -> bool:
        """Whether payments by Mobile Money are refunded by MTN."""
        return bool(self.mtn_momo_disbursement_user_id)

    @property
    def mtn_momo_target(self) -> str:
        """X-Target-Environment."""
        return "sandbox" if self.mtn_momo_environment == "sandbox" else self.mtn_momo_country

    @property
    def mtn_momo_url(self) -> str:
        """Base URL of MTN's API."""
        hosts = {"sandbox": "https://sandbox.momodeveloper.mtn.com", "production": "https://proxy.momoapi.mtn.com"}
        return self.mtn_momo_base_url or hosts[self.mtn_momo_environment]


class BankSettings(ServiceSettings):
    """The account that transfers go to, as it is shown to customers."""

    bank_name: str = Field("", validation_alias=_also("bank_name"), description="Bank")
    bank_account_name: str = Field("", validation_alias=_also("bank_account_name"), description="Holder")
    bank_account_number: str = Field("", validation_alias=_also("bank_account_number"), description="Account number")
    bank_swift_code: str = Field("", validation_alias=_also("bank_swift_code"), description="BIC")
    bank_iban: str = Field("", validation_alias=_also("bank_iban"), description="IBAN")
    bank_branch: str = Field("", validation_alias=_also("bank_branch"), description="Branch")
    bank_currency: Currency = Field(
        "XAF",
        validation_alias=_also("bank_currency"),
        description="The account's; orders in others go by other methods",
    )

    def bank_details(self) -> dict[str, str]:
        """Return the account for an answer."""
        return {
            "bank_name": self.bank_name,
            "account_name": self.bank_account_name,
            "account_number": self.bank_account_number,
            "swift_code": self.bank_swift_code,
            "iban": self.bank_iban,
            "branch": self.bank_branch,
        }


class Settings(
    DatabaseSettings,
    BrokerSettings,
    TokenSettings,
    HttpSettings,
    MailSettings,
    PayPalSettings,
    MoMoSettings,
    BankSettings,
):
    """Everything that billing reads from the environment, once."""

    model_config = service_config("BILLING_")

    payment_methods: list[Method] = Field(
        list(Method), description="JSON list of the methods that this deployment offers; empty offers none"
    )
    catalogue_currency: Currency = Field(
        "XAF",
        description="Currency of new orders that name none, and of the catalogue's monthly_price and yearly_price",
    )
    provider_calls_per_second: int = Field(
        10, ge=1, description="Status questions per provider and second, all processes together; MTN allows 10"
    )
    app_base_url: str = Field(
        "http://localhost:5173", validation_alias=_also("app_base_url"), description="Where customers' browsers are"
    )
    payment_return_origins: list[str] | None = Field(
        None,
        validation_alias=_also("payment_return_origins"),
        description="JSON list of origins that PayPal may send browsers to; in production by default that of the app",
    )
    receipts_folder: Path = Field(
        description="Folder of documents: receipts that customers send, and what was issued under a number"
    )
    receipt_limit_bytes: int = Field(5_000_000, ge=1, le=20_000_000, description="Largest receipt")
    issuer_code: str = Field("EBM", pattern=r"^[A-Z0-9]{2,12}$", description="Prefix and counter of invoice numbers")
    issuer_name: str = Field("ESXi Backup Manager SAS", description="Who issues invoices")
    issuer_address: str = Field("", description="Its address")
    issuer_email: str = Field("", description="Its address for questions")
    issuer_rccm: str = Field("", description="Its trade register number")
    issuer_niu: str = Field("", description="Its taxpayer number")
    issuer_legal: str = Field("", description="Its legal form and capital, as invoices name them")
    issuer_phone: str = Field("", description="Its telephone number")
    issuer_tax_regime: str = Field("", description="Its tax regime, as invoices name it")
    issuer_tax_office: str = Field("", description="Its tax office, as invoices name it")
    issuer_vat_registered: bool = Field(default=False, description="Whether it charges VAT (17.5 % + 10 % of it)")

    renewal_reminder_days: list[PositiveInt] = Field(
        [7, 3, 1], description="JSON list: days before the end on which customers are reminded to renew"
    )
    auto_renew_days: int = Field(3, ge=1, le=20, description="Days before the end on which Mobile Money is asked")
    grace_days: int = Field(7, ge=1, description="Days after the end in which everything still works")
    suspension_days: int = Field(30, ge=1, description="Days after the grace until an unpaid subscription ends")
    deletion_days: int = Field(60, ge=30, description="Days after that until the organization's data is deleted")
    deletion_warning_days: list[PositiveInt] = Field(
        [30, 7, 1], description="JSON list: days before the deletion on which customers are warned"
    )
    order_days: int = Field(14, ge=1, description="Days after which an unpaid order is cancelled")
    coupon_failures: int | None = Field(
        None,
        ge=1,
        description="Coupon codes of one person that may be wrong in a quarter of an hour, by whichever route;"
        " 10 in production, 6 000 elsewhere",
    )
    coupon_failures_per_address: int | None = Field(
        None,
        ge=1,
        description="The same of all persons at one address; 50 in production, 6 000 elsewhere",
    )

    transfer_evidence: bool | None = Field(
        None,
        description="Whether whoever approves a transfer by hand must name the bank's movement and its value date;"
        " true in production, false elsewhere",
    )
    transfer_reminder_days: int = Field(
        5, ge=1, description="Days after which finance has a case about a submitted transfer that nobody has checked"
    )
    transfer_days: int = Field(
        30,
        ge=1,
        description="Days after which the order of such a transfer is cancelled and its coupon is free again;"
        " its money, whenever it is found, still pays the order",
    )
    momo_prompts_per_number: int | None = Field(
        None,
        ge=1,
        description="Mobile Money requests that one phone number may be sent within an hour, whoever asks for them;"
        " 5 in production, 6 000 elsewhere",
    )
    momo_prompts_per_order: int | None = Field(
        None, ge=1, description="The same for one order, whatever the numbers; 5 in production, 6 000 elsewhere"
    )
    momo_prompts_per_person: int | None = Field(
        None, ge=1, description="The same by one person for all that he orders; 15 in production, 6 000 elsewhere"
    )

    @property
    def prompt_limits(self) -> PromptLimits:
        """How many requests to pay may be sent to phones."""
        number, order, person = (5, 5, 15) if self.environment == "production" else (6_000, 6_000, 6_000)
        return PromptLimits(
            self.momo_prompts_per_number or number,
            self.momo_prompts_per_order or order,
            self.momo_prompts_per_person or person,
        )

    @property
    def coupon_limits(self) -> CouponLimits:
        """How many coupon codes may be wrong."""
        person, address = (10, 50) if self.environment == "production" else (6_000, 6_000)
        return CouponLimits(self.coupon_failures or person, self.coupon_failures_per_address or address)

    @property
    def names_movements(self) -> bool:
        """Whether an approval by hand names what was seen at the bank."""
        return self.environment == "production" if self.transfer_evidence is None else self.transfer_evidence

    @property
    def patience(self) -> Patience:
        """How long a submitted transfer waits."""
        return Patience(timedelta(days=self.transfer_reminder_days), timedelta(days=self.transfer_days))

    @property
    def terms(self) -> Terms:
        """How long each stage of a subscription lasts."""
        return Terms(
            reminders=tuple(sorted(set(self.renewal_reminder_days), reverse=True)),
            charge_days=self.auto_renew_days,
            grace=timedelta(days=self.grace_days),
            suspension=timedelta(days=self.suspension_days),
            deletion=timedelta(days=self.deletion_days),
            warnings=tuple(sorted(set(self.deletion_warning_days), reverse=True)),
        )

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        if len(set(self.deletion_warning_days)) < WARNINGS or max(self.deletion_warning_days) >= self.deletion_days:
            raise ValueError(
                f"BILLING_DELETION_WARNING_DAYS: {WARNINGS} different days or more, all below BILLING_DELETION_DAYS"
            )
        return self

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name, value in self._needed().items() if not value]
        if missing:
            raise ValueError("missing: " + ", ".join(missing))
        if Method.MTN_MOMO in self.payment_methods and self.mtn_momo_target not in MOMO_CURRENCY:
            raise ValueError(f"MTN_MOMO_COUNTRY: no fixed rate is known for {self.mtn_momo_target}")
        if self.environment == "production" and (play := self._play_money()):
            raise ValueError(f"production sells nothing for play money: {' and '.join(play)} is sandbox")
        if self.environment == "production" and self.paypal_webhook_ca_file is not None:
            raise ValueError("production believes public authorities only: unset PAYPAL_WEBHOOK_CA_FILE")
        wrong = [origin for origin in self.payment_return_origins or [] if origin_of(origin) != origin]
        if wrong:
            raise ValueError(f"PAYMENT_RETURN_ORIGINS: not an origin (scheme://host[:port]): {', '.join(wrong)}")
        return self

    def _play_money(self) -> list[str]:
        modes = {
            "PAYPAL_MODE": (Method.PAYPAL, self.paypal_mode),
            "MTN_MOMO_ENVIRONMENT": (Method.MTN_MOMO, self.mtn_momo_environment),
        }
        return [name for name, (method, mode) in modes.items() if method in self.payment_methods and mode == "sandbox"]

    def _needed(self) -> dict[str, Any]:
        needed: dict[str, Any] = {}
        if Method.PAYPAL in self.payment_methods:
            needed |= {
                "PAYPAL_CLIENT_ID": self.paypal_client_id,
                "PAYPAL_CLIENT_SECRET": self.paypal_client_secret.get_secret_value(),
                "PAYPAL_WEBHOOK_ID": self.paypal_webhook_id,
            }
        if Method.MTN_MOMO in self.payment_methods:
            needed |= {
                "MTN_MOMO_SUBSCRIPTION_KEY": self.mtn_momo_subscription_key.get_secret_value(),
                "MTN_MOMO_USER_ID": self.mtn_momo_user_id,
                "MTN_MOMO_API_KEY": self.mtn_momo_api_key.get_secret_value(),
            }
        needed |= self._disbursement()
        if Method.BANK_TRANSFER in self.payment_methods:
            needed |= {
                "BANK_NAME": self.bank_name,
                "BANK_ACCOUNT_NAME": self.bank_account_name,
                "BANK_ACCOUNT_NUMBER": self.bank_account_number,
            }
        if self.issuer_vat_registered:
            needed |= {"BILLING_ISSUER_RCCM": self.issuer_rccm, "BILLING_ISSUER_NIU": self.issuer_niu}
        return needed

    def _disbursement(self) -> dict[str, str]:
        """Return the credentials of refunds by MTN: all of them are needed, or none."""
        credentials = {
            "MTN_MOMO_DISBURSEMENT_KEY": self.mtn_momo_disbursement_key.get_secret_value(),
            "MTN_MOMO_DISBURSEMENT_USER_ID": self.mtn_momo_disbursement_user_id,
            "MTN_MOMO_DISBURSEMENT_API_KEY": self.mtn_momo_disbursement_api_key.get_secret_value(),
        }
        return credentials if any(credentials.values()) else {}

    @property
    def return_origins(self) -> frozenset[str] | None:
        """Origins that browsers may be sent to; ``None`` allows any https origin and loopback."""
        if self.payment_return_origins is not None:
            return frozenset(self.payment_return_origins)
        if self.environment != "production":
            return None
        origin = origin_of(self.app_base_url)
        return frozenset({origin} if origin else ())
