"""Which addresses are somebody else's on the internet, and so may be spoken to on a customer's word.

A list of our own: what `ipaddress` calls global differs between versions of Python and holds addresses that lead
inside, such as those of NAT64 and 6to4, which have any IPv4 address in them. From the registries of special-purpose
addresses (https://www.iana.org/assignments/iana-ipv4-special-registry/, …/iana-ipv6-special-registry/).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # between a provider and its customers (RFC 6598); a cloud's metadata, 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the wire server of Azure, public by its form alone
        "169.254.0.0/16",  # link-local; the metadata of clouds, 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata, 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is given out; loopback, link-local, unique local, multicast, mapped, compatible and NAT64 are outside."""

REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address is in it
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Whether the address is a host's on the internet and none of the special ones."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    return address in PUBLIC_V6 and not any(address in network for network in REFUSED_V6)


def is_loopback(address: Address) -> bool:
    """Whether the address is this machine, also where an IPv6 address says so of an IPv4 one."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
