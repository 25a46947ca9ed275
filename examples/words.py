"""Train word vectors on a text and look around: python examples/words.py [TEXT ...]."""

import sys

import embedkit

emb = embedkit.train("text", "skipgram", input=tuple(sys.argv[1:]), vector_size=100)
print(f"{len(emb):,} words")

word = "king" if "king" in emb else emb.tokens[0]
print(f"similar to {word}:")
for other, score in emb.most_similar(word, topn=5):
    print(f"  {score:.2f}  {other}")

if all(w in emb for w in ("man", "king", "woman")):
    (answer, _), *_ = emb.analogy("man", "king", "woman")
    print(f"man is to king as woman is to {answer}")
