"""How a receipt is sent to whoever may see it: as a file to keep, never as a page that a browser would show."""

from fastapi import Response

from billing.persistence.receipts import Receipt
from billing.ports import DocumentStore


async def receipt_file(receipts: DocumentStore, receipt: Receipt) -> Response:
    """Answer with the file under its own name."""
    name = receipt.object_name.rpartition("/")[2]
    return Response(
        await receipts.get(receipt.object_name),
        media_type=receipt.content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"},
    )
