"""Learning from counts of what occurs near what."""
