"""Cold start: vectors for tokens without interactions, by a map from what they are about to the learned space."""

from embedkit.extending.extending import extend

__all__ = ["extend"]
