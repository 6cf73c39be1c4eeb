"""The one dialer: every connection to a host that a customer names starts here.

A name is resolved once, its addresses are checked against what this deployment allows, and from then on only the
checked address is connected to, whatever the name resolves to later. The certificate is pinned by thumbprint; no
authority is asked, because ESXi signs its own. Not here: what is then spoken (`soap.py`, `http_data.py`).
"""

import asyncio
import hashlib
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backup_engine.errors.hypervisor import CertificateChanged, CertificateUntrusted, HostNotAllowed, HostUnreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECT_SECONDS = 15.0
"""For TCP and for TLS each: an ESXi host under load answers within seconds; a filtered port never does."""

CLUSTER_RANGES = ("10.96.0.0/12", "10.244.0.0/16", "10.42.0.0/15", "172.17.0.0/16")
"""Where Kubernetes distributions and container engines put pods and services unless told otherwise."""

_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # «this» network
        "169.254.0.0/16",  # link-local: metadata of AWS, Azure, GCP, OpenStack
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "192.0.0.0/24",  # metadata of Oracle Cloud (192.0.0.192), protocol assignments
        "168.63.129.16/32",  # Azure's host agent
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::/96",  # IPv4-compatible (RFC 4291): no host has one
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765), which a translator would unwrap
        "64:ff9b:1::/48",  # translation prefixes of a site's own (RFC 8215)
        "fe80::/10",
        "fec0::/10",  # site-local, deprecated
        "fd00:ec2::254/128",  # metadata of AWS over IPv6
        "fd20:ce::254/128",  # metadata of GCP over IPv6
        "ff00::/8",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """Which addresses this deployment may connect to.

    Args:
        allow: networks; when there are any, nothing else is allowed.
        deny: networks that are refused besides `CLUSTER_RANGES`, allowed ones included. The deployment's own
            cluster belongs here.
        allow_loopback: for development, where simulated hosts listen on loopback.
    """

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    allow_loopback: bool = False

    def allows(self, address: Address) -> bool:
        """Judge the address that a packet would really go to."""
        address = _carried(address)
        if address.is_loopback:
            return self.allow_loopback
        if _within(address, _NEVER) or _within(address, _networks((*CLUSTER_RANGES, *self.deny))):
            return False
        return not self.allow or _within(address, _networks(self.allow))


def _carried(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, where the network would unwrap it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
    return address


def _networks(texts: Sequence[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def _within(address: Address, networks: Sequence[_Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@dataclass(frozen=True, slots=True)
class PinnedHost:
    """A host after dialling: a checked address and the certificate that must answer there.

    `thumbprint` is SHA-256 or, where vSphere itself named the certificate of a host, SHA-1; lower-case hex.
    """

    host: str
    port: int
    address: str
    thumbprint: str

    @property
    def authority(self) -> str:
        """`Host` header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == 443 else f"{name}:{self.port}"

    def connect(self, timeout_seconds: float = CONNECT_SECONDS) -> ssl.SSLSocket:
        """A new TLS connection to this certificate; blocks, for threads.

        Raises:
            CertificateChanged: another certificate answered; nothing was sent to it.
            CertificateUntrusted: no TLS worth the name.
            HostUnreachable: refused, filtered, or not TLS.
        """
        connection, certificate = _handshake(self.host, self.address, self.port, timeout_seconds)
        try:
            self.verify(certificate)
        except CertificateChanged:
            connection.close()
            raise
        return connection

    def verify(self, certificate: bytes) -> None:
        """Compare a certificate (DER) with the pin. Raises CertificateChanged."""
        seen = thumbprint_of(certificate, "sha1" if len(self.thumbprint) == 40 else "sha256")
        if not hmac.compare_digest(seen, self.thumbprint):
            raise CertificateChanged(host=self.host, expected=self.thumbprint, seen=seen)


class Dialer:
    """Resolves, checks and pins."""

    def __init__(self, policy: DialPolicy) -> None:
        self._policy = policy

    async def dial(self, host: str, port: int, thumbprint: str | None) -> PinnedHost:
        """Find the address that answers with the expected certificate, or with any at first use (None).

        Raises:
            HostNotAllowed: every address of the host is out of bounds.
            HostUnreachable: unknown name, or nobody answers.
            CertificateChanged: another certificate than the pinned one.
            CertificateUntrusted: no TLS worth the name.
        """
        addresses = await self.addresses(host, port)
        for index, address in enumerate(addresses):
            try:
                return await asyncio.to_thread(_pin, host, address, port, thumbprint)
            except HostUnreachable:
                if index + 1 == len(addresses):
                    raise
        raise AssertionError("addresses() gives at least one")

    async def addresses(self, host: str, port: int) -> list[str]:
        """The host's allowed addresses, resolved now. Raises HostNotAllowed, HostUnreachable."""
        name = host.strip("[]")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise HostUnreachable(host=host, reason="the name does not resolve") from error
        texts = dict.fromkeys(str(entry[4][0]) for entry in found)
        allowed = [text for text in texts if "%" not in text and self._policy.allows(ipaddress.ip_address(text))]
        if not allowed:
            raise HostNotAllowed(host=host)
        return allowed

    async def dial_named(self, host: str, port: int, pinned: PinnedHost, sha1: str | None) -> PinnedHost:
        """Another host that a pinned host refers to (a vCenter's ESXi hosts), under the same guard.

        Its certificate is the one that the pinned host named; without a name for it, it must be the pinned one.
        """
        if (host, port) == (pinned.host, pinned.port):
            return pinned
        return await self.dial(host, port, sha1 or pinned.thumbprint)


def _pin(host: str, address: str, port: int, thumbprint: str | None) -> PinnedHost:
    connection, certificate = _handshake(host, address, port, CONNECT_SECONDS)
    connection.close()
    pinned = PinnedHost(host, port, address, normalized(thumbprint) if thumbprint else "")
    if thumbprint is None:
        return replace(pinned, thumbprint=thumbprint_of(certificate))
    pinned.verify(certificate)
    # However the certificate was named, connections compare the strong digest.
    return replace(pinned, thumbprint=thumbprint_of(certificate))


def _handshake(host: str, address: str, port: int, timeout_seconds: float) -> tuple[ssl.SSLSocket, bytes]:
    try:
        raw = socket.create_connection((address, port), timeout=timeout_seconds)
    except OSError as error:
        raise HostUnreachable(host=host, reason=error.strerror or "no answer in time") from error
    try:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = tls_context().wrap_socket(raw, server_hostname=host.strip("[]"))
        certificate = connection.getpeercert(binary_form=True)
    except ssl.SSLError as error:
        raw.close()
        raise CertificateUntrusted(host=host, reason=error.reason or "no TLS is spoken there") from error
    except (OSError, ValueError) as error:
        raw.close()
        raise HostUnreachable(host=host, reason="the connection ended while TLS was set up") from error
    if certificate is None:
        connection.close()
        raise CertificateUntrusted(host=host, reason="no certificate was shown")
    return connection, certificate


def tls_context() -> ssl.SSLContext:
    """TLS 1.2 or later; who answers is proven by the pin, not by an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def thumbprint_of(certificate: bytes, algorithm: str = "sha256") -> str:
    """Lower-case hex of a certificate in DER. SHA-1 only to compare with what vSphere states in SHA-1."""
    return hashlib.new(algorithm, certificate, usedforsecurity=False).hexdigest()


def normalized(thumbprint: str) -> str:
    """`AB:CD…` as vSphere shows it → `abcd…`."""
    return thumbprint.replace(":", "").strip().lower()
