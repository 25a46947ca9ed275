"""Learning by taking matrices apart: singular vectors and alternating least squares."""
