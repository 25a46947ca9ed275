"""Growing a trained model by new sentences."""

from embedkit.growing.updating import update as update

__all__ = ["update"]
