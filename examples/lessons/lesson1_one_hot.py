"""Lesson 1: words as one-hot vectors, and why their product with a matrix is a look-up of its rows."""

import numpy as np

import embedkit

text = ["i", "i", "i", "i", "need", "some", "more", "coffee", "coffee", "coffee"]
corpus = embedkit.Corpus.from_sentences([text])
words = list(corpus.tokens)  # the vocabulary, the most frequent first

# A one-hot vector has a 1 in its word's place. As many numbers as there are words, and nothing said about any of them:
one_hot = np.eye(len(words))
for word, row in zip(words, one_hot, strict=True):
    print(f"{word:>6}: {row.astype(int)}")

# ... for every two of them are equally far apart.
distances = {float(np.linalg.norm(a - b).round(6)) for a in one_hot for b in one_hot if a is not b and (a != b).any()}
print(f"distances between any two: {distances}")

# An embedding replaces them by a few numbers that are learned. Multiplying the text's one-hot rows by the matrix of
# vectors gives the vector of each of its words,
emb = embedkit.train(corpus, "skipgram", vector_size=3)
rows = one_hot[[words.index(word) for word in text]]
product = rows @ emb.vectors
print(f"{rows.shape} times {emb.vectors.shape} gives {product.shape}")

# which is what looking up rows of the matrix gives without any multiplication.
print(f"the product is the look-up: {np.allclose(product, emb[text])}")
