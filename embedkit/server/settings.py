"""What a server is started with, checked."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from embedkit.errors import EmbedkitError, OptionError
from embedkit.memory import available_cores

_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes
    ----------
    model
        The model file, which is watched.
    host, port
        Where to listen; port 0 takes a free one.
    token
        What requests must bear, or None.
    allowed_hosts
        Names by which browsers may call the server, besides those of this machine.
    trusted_proxies
        Addresses whose `X-Forwarded-For` tells who asks.
    max_topn, max_list, max_body, max_text
        The most answers to a question, entries of a list, bytes of a request's body, characters of a name.
    queue
        How many requests are worked on or wait at a time; half of them may be from one address.
    rate
        Requests a second from one address, or None for any number; a second's worth may come at once.
    threads
        How many batches are ranked at a time; None: one for every processor but one.
    connections
        How many connections may be open; a quarter of them may be from one address.
    patience
        Seconds in which a head, then a body must have arrived whole, and in which some of an answer must be taken.
    unsent
        Bytes of answers that may wait to be taken, in all.
    drain
        Seconds that are left to requests at work when the server is stopped.
    watch
        Seconds between looks at the model file.
    map_method
        How the places of the page's map are found: `pca` at once, `tsne` and `umap` better and in a minute or more.
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    max_topn: int = 1000
    max_list: int = 1000
    max_body: int = 1 << 20
    max_text: int = 1000
    queue: int = 256
    rate: float | None = None
    threads: int | None = None
    connections: int = 1000
    patience: float = 10.0
    unsent: int = 1 << 28
    drain: float = 30.0
    watch: float = 1.0
    map_method: Literal["pca", "tsne", "umap"] = "pca"

    def __post_init__(self) -> None:
        for name in ("max_topn", "max_list", "max_body", "max_text", "queue", "connections", "unsent"):
            if getattr(self, name) < 1:
                raise OptionError(name, f"must be a whole number of at least 1; got {getattr(self, name)}.")
        if self.threads is not None and self.threads < 1:
            raise OptionError("threads", f"must be a whole number of at least 1; got {self.threads}.")
        if not 0 <= self.port <= 65535:
            raise OptionError("port", f"must be from 0 (any free one) to 65535; got {self.port}.")
        for name in ("rate", "patience", "drain", "watch"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OptionError(name, f"must be a number above 0; got {value}.")
        _check_token(self.token)
        if self.token is None and not is_loopback(self.host):
            raise EmbedkitError(
                f"{self.host} can be reached from other machines, so requests must bear a token: put one into a file "
                "and name it with --token-file, or set $EMBEDKIT_TOKEN. Without a token the host is 127.0.0.1."
            )

    @property
    def n_threads(self) -> int:
        """How many batches are ranked at a time."""
        count = available_cores()
        return self.threads or max(1, count - 1)


def _check_token(token: str | None) -> None:
    if token is None:
        return
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise EmbedkitError(
            f"the token must have at least {_SHORTEST_TOKEN} characters, letters, digits and signs without spaces; "
            'make one with python -c "import secrets; print(secrets.token_urlsafe())".'
        )


def is_loopback(host: str) -> bool:
    """Return whether an address, or every address of a name, is of this machine alone."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = {str(entry[4][0]).partition("%")[0] for entry in found}
    return bool(addresses) and all(ipaddress.ip_address(address).is_loopback for address in addresses)


def read_token(path: Path) -> str:
    """Return the token in a file, the white space around it aside.

    Raises
    ------
    EmbedkitError
        If the file cannot be read or is empty.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise EmbedkitError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not token:
        raise EmbedkitError(f"{path} is empty; write the token into it.")
    return token
