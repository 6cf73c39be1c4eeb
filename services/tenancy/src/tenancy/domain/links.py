"""What one-time links and other short-lived proofs are for."""

from enum import StrEnum


class Purpose(StrEnum):
    """A link opens what it was made for and nothing else."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105
    LEAVE_EMAIL = "leave_email"
    """Sent to the address that an account has, when another one is wanted."""
    TAKE_EMAIL = "take_email"
    """Sent to the address that is wanted."""
    SECOND_STEP = "second_step"
    """Not mailed: handed to a client whose password was right and whose code is missing."""
