"""How people reach the page: the names that are this server's own, and the links that lead to it."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from rewards.errors import ConfigError

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reach:
    """The names under which a page may be asked for.

    A foreign site can point a name of its own at this machine (DNS rebinding), and would then share an
    origin with the page; so only known names are answered. It cannot do so with a bare number, which is why
    a page that is open to other machines answers to any of those.
    """

    host: str = "127.0.0.1"
    """Address that the server listens at."""
    address: str = ""
    """How people reach the page, where it is not by host and port; no path, no slash at its end."""
    names: tuple[str, ...] = ()
    """Further names of this machine."""
    port: int = 0
    """Port that people's browsers see; 0 where that is not known."""

    def cookie(self, name: str) -> str:
        """Return what a cookie is called here.

        Browsers send a cookie to every port of a host, so that two studies on one machine would sign each
        other's people out. Behind an address of its own a page has one name, whichever server answers.
        """
        return f"{name}_{self.port}" if self.port and not self.address else name

    @property
    def secure(self) -> bool:
        """Whether people come by https, so that the cookie may be kept off plain http."""
        return self.address.startswith("https://")

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the page."""
        return self.host in LOOPBACK_NAMES

    def knows_host(self, header: str) -> bool:
        """Say whether a Host header names this server."""
        found = _HOST.fullmatch(header.lower())
        if found is None:
            return False
        name = found["name"].strip("[]")
        known = {self.host, *self.names, urlsplit(self.address).hostname or ""}
        if name in LOOPBACK_NAMES or name in {one.lower() for one in known if one}:
            return True
        return not self.local and _is_number(name)

    def knows_origin(self, origin: str, host: str) -> bool:
        """Say whether an Origin header is that of the page which the Host header asked for."""
        if self.address and origin == self.address:
            return True
        scheme, _, place = origin.partition("://")
        return scheme in ("http", "https") and bool(place) and place == host.lower()


def checked_address(address: str) -> str:
    """Return an address without a slash at its end.

    Raises:
        ConfigError: It is no http or https address, or has a path, under which no page is served.
    """
    bare = address.rstrip("/")
    try:
        parts = urlsplit(bare)
        there = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        there = False
    if not there or bare != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise ConfigError(f"address is like https://labels.example.org, without a path, got {address!r}")
    # Browsers leave out the port that goes without saying.
    return bare.lower().removesuffix(":443" if parts.scheme == "https" else ":80")


def own_address(host: str, port: int) -> str:
    """Return the address of a server by its host and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def sign_in_link(address: str, annotator: int, token: str) -> str:
    """Return an annotator's personal link; whoever has it is that annotator."""
    return f"{address}/sign-in/{annotator}.{token}"


def admin_link(address: str, token: str) -> str:
    """Return the link to the admin view; its token lives as long as the server."""
    return f"{address}/admin/sign-in/{token}"


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
