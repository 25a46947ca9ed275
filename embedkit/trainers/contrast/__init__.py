"""Learning by telling what belongs to a history from all else in a batch."""
