"""Lesson 3: what is minimised. Cross-entropy begins at ln V, where every word is as likely as any other."""

import math

import numpy as np

import embedkit

corpus = embedkit.Corpus.from_sentences([["a", "b", "c", "d"]])
options = {"loss": "softmax", "batch_size": "all", "window": 1, "shrink_windows": False, "sample": 0, "vector_size": 8}

# The model scores a word o after a word c by the dot product u_o · v_c of two vectors, and softmax makes probabilities
# of the scores of all words. It begins with u = 0: all scores are 0, all probabilities 1/4.
emb = embedkit.train(corpus, "skipgram", epochs=1, **options)
print(f"untrained: {emb.losses[0]:.3f} = ln 4 = {math.log(4):.3f}")

# Training makes the words that do occur together likelier.
emb = embedkit.train(corpus, "skipgram", epochs=2000, alpha=1, **options)
print(f"trained:   {emb.losses[-1]:.3f}")

# It cannot become 0: of the six pairs ab, ba, bc, cb, cd and dc two are certain, and in four a word has two neighbours.
print(f"the least: {4 / 6 * math.log(2):.3f} = 4/6 · ln 2")

scores = emb.vectors @ emb.context_vectors.T
probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
order = [list(emb.tokens).index(word) for word in "abcd"]
print("probability of each neighbour:")
for word, row in zip("abcd", probabilities[order][:, order], strict=True):
    print(f"  {word}: {' '.join(f'{other} {p:.2f}' for other, p in zip('abcd', row, strict=True))}")
