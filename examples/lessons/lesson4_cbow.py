"""Lesson 4: CBOW predicts a word from the mean of the vectors around it; the hidden layer is nothing but that mean."""

import numpy as np

import embedkit

sentence = ["the", "cat", "sits", "on", "the", "mat"]
corpus = embedkit.Corpus.from_sentences([sentence])
options = {
    "loss": "softmax", "batch_size": "all", "window": 2, "shrink_windows": False, "sample": 0,
    "vector_size": 5, "alpha": 1, "min_alpha": 1,
}  # fmt: skip

emb = embedkit.train(corpus, "cbow", epochs=200, **options)

loss = 0.0
for place, word in enumerate(sentence):
    context = sentence[max(0, place - 2) : place] + sentence[place + 1 : place + 3]
    hidden = emb[context].mean(axis=0)
    scores = emb.context_vectors @ hidden
    probabilities = np.exp(scores) / np.exp(scores).sum()
    best = emb.tokens[int(probabilities.argmax())]
    print(f"mean of {', '.join(context):<18} -> {best:<4} ({probabilities.max():.2f}), it was {word}")
    loss -= np.log(probabilities[list(emb.tokens).index(word)]) / len(sentence)

# Training one epoch more begins with these very vectors, and finds the same loss.
again = embedkit.train(corpus, "cbow", epochs=201, **options)
print(f"loss by these means: {loss:.6f}")
print(f"loss by embedkit:    {again.losses[-1]:.6f}")
