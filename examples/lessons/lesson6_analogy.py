"""Lesson 6: directions mean something. king - man + woman is queen."""

import numpy as np

import embedkit

# The text source's own sample: invented sentences about people, animals, places and food.
emb = embedkit.train("text", "skipgram", vector_size=100, window=5)
print(f"{len(emb)} words of {emb.vector_size} numbers each")


def unit(word):
    """Return a word's vector at length 1."""
    return emb[word] / np.linalg.norm(emb[word])


# By hand: go from man to king, the same way from woman, and see who is near. The words asked with are left out.
there = unit("king") - unit("man") + unit("woman")
for word, cosine in emb.most_similar(there, topn=3, exclude=["king", "man", "woman"]):
    print(f"  {cosine:.2f}  {word}")

answer, _ = emb.analogy("man", "king", "woman", topn=1)[0]
print(f"king - man + woman = {answer}")
