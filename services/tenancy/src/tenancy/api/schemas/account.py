"""Bodies and answers about an account: its address, its password, its second factor."""

from common.web import Answer, Body

from tenancy.api.schemas.auth import Email, Password, RecoveryCode, Token, TotpCode
from tenancy.usecases.steps.second_factor import Proof


class TokenIn(Body):
    """The token of a link that was mailed."""

    token: Token


class EmailIn(Body):
    """An address, which may have an account or not."""

    email: Email


class ResetIn(Body):
    """The token of the link that was mailed, and the new password."""

    token: Token
    password: Password


class PasswordIn(Body):
    """The password as it is, and as it shall be."""

    current_password: Password
    password: Password


class NewEmailIn(Body):
    """The address that is wanted, and the caller's password."""

    email: Email
    password: Password


class AgainIn(Body):
    """The caller's password once more."""

    password: Password


class TotpCodeIn(Body):
    """A one-time code."""

    totp_code: TotpCode


class CodeIn(Body):
    """One of the two codes that prove a second factor."""

    totp_code: TotpCode | None = None
    recovery_code: RecoveryCode | None = None

    @property
    def proof(self) -> Proof:
        return Proof(self.totp_code, self.recovery_code)


class SwitchOffIn(CodeIn):
    """The caller's password once more, and a code."""

    password: Password


class TotpOut(Answer):
    """Whether there is a second factor, and how many recovery codes are left."""

    enabled: bool
    obligatory: bool
    recovery_codes_left: int


class SecretOut(Answer):
    """What an authenticator application takes; shown once. It counts from the first right code on."""

    secret: str
    otpauth_uri: str


class RecoveryCodesOut(Answer):
    """Shown once; each is good for one sign-in."""

    recovery_codes: list[str]
