"""A TLS server with a certificate of its own."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backup_engine.adapters.vsphere.dialer import thumbprint_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def tls_server(tmp_path: Path) -> Any:
    """`async with tls_server(handler) as (port, sha256 of its certificate, what clients sent)`."""

    @asynccontextmanager
    async def serve(handler: Handler | None = None) -> AsyncIterator[tuple[int, str, list[bytes]]]:
        heard: list[bytes] = []

        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                if handler is not None:
                    await handler(reader, writer)
                else:
                    heard.append(await reader.read(100))
            finally:
                writer.transport.abort()

        context, digest = _identity(tmp_path)
        server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1], digest, heard

    return serve


def _identity(folder: Path) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "esxi")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{certificate.serial_number}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context, thumbprint_of(certificate.public_bytes(serialization.Encoding.DER))
