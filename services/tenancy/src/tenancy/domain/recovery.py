"""Recovery codes: for whoever has lost the telephone with their one-time codes."""

import base64
import secrets

HOW_MANY = 10
CODE_BYTES = 10
"""80 bits: a code cannot be guessed, so a plain hash of it is enough at rest."""


def new_codes() -> list[str]:
    """Ten codes as people write them down: four groups of four letters and digits."""
    return [_grouped(base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower()) for _ in range(HOW_MANY)]


def _grouped(code: str) -> str:
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))


def normalized_code(typed: str) -> str:
    """The code as it was made, however it was typed: without blanks and dashes, in lower case; 0 and 1 are o and l."""
    plain = "".join(char for char in typed.lower() if char.isalnum())
    return _grouped(plain.replace("0", "o").replace("1", "l"))
