"""The answer that is a document as PDF."""

import hashlib

from fastapi import Response


def paper(pdf: bytes, number: str) -> Response:
    """A download named after the document, whose ETag is another as soon as one byte of it is."""
    headers = {
        "Content-Disposition": f'attachment; filename="{number}.pdf"',
        "ETag": f'"{hashlib.sha256(pdf).hexdigest()}"',
    }
    return Response(pdf, media_type="application/pdf", headers=headers)
