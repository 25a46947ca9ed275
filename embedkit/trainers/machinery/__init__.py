"""What several ways of learning run on: threads, tables of vectors, draws, products in registers."""
