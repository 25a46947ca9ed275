"""Lesson 5: the gradient of a batch is the mean of its pairs' gradients, and an update is one step against it."""

import numpy as np

import embedkit

sentence = ["the", "cat", "sits", "on", "the", "mat"]
corpus = embedkit.Corpus.from_sentences([sentence])
alpha = 0.5
options = {
    "loss": "softmax", "batch_size": "all", "window": 2, "shrink_windows": False, "sample": 0,
    "vector_size": 4, "alpha": alpha, "min_alpha": alpha,
}  # fmt: skip

# One update is an epoch here. Vectors before the tenth update, and after it:
before = embedkit.train(corpus, "skipgram", epochs=9, **options)
after = embedkit.train(corpus, "skipgram", epochs=10, **options)

number = {word: row for row, word in enumerate(before.tokens)}
ids = [number[word] for word in sentence]
pairs = [(c, o) for i, c in enumerate(ids) for j, o in enumerate(ids) if 0 < abs(i - j) <= 2]

# Of a pair's loss -ln p(o | c) = ln(sum over w of exp(u_w · v_c)) - u_o · v_c, the gradients are
#     by v_c: (sum over w of p(w | c) u_w) - u_o,        by u_w: (p(w | c) - [w is o]) v_c.
V, U = before.vectors.astype(float), before.context_vectors.astype(float)
by_v, by_u = np.zeros((len(pairs), *V.shape)), np.zeros((len(pairs), *U.shape))
for k, (c, o) in enumerate(pairs):
    p = np.exp(U @ V[c]) / np.exp(U @ V[c]).sum()
    p[o] -= 1
    by_v[k, c] = p @ U
    by_u[k] = np.outer(p, V[c])
print(f"{len(pairs)} gradients of {V.size + U.size} numbers each")

expected_v, expected_u = V - alpha * by_v.mean(axis=0), U - alpha * by_u.mean(axis=0)
error = max(abs(after.vectors - expected_v).max(), abs(after.context_vectors - expected_u).max())
step = max(abs(after.vectors - V).max(), abs(after.context_vectors - U).max())
print(f"the update is alpha times their mean: {error < 1e-6} (it is as large as {step:.4f})")
