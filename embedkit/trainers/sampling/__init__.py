"""Learning from pairs, against noise or a tree: skip-gram, CBOW and what is made like them."""
