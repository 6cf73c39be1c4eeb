"""Where receipts are kept, as a port: a folder here, an object store elsewhere (``adapters``)."""

from typing import Protocol


class ReceiptStore(Protocol):
    """Keeps small files under names that begin with their tenant's id."""

    async def put(self, name: str, content: bytes) -> None:
        """Keep a file durably; the same name again replaces it."""

    async def get(self, name: str) -> bytes:
        """Return a kept file; raises FileNotFoundError."""
