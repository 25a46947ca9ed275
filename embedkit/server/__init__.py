"""A model over HTTP: an API for programs, and a page for people."""

from embedkit.server.running import Server
from embedkit.server.settings import Settings

__all__ = ["Server", "Settings"]
