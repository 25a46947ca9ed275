"""Lesson 2: the pairs that skip-gram learns from, and how many updates an epoch of them makes."""

import embedkit

sentence = ["the", "cat", "sits", "on", "the", "mat"]
window = 2

# Each word predicts the words up to two places from it.
pairs = [
    (centre, context)
    for i, centre in enumerate(sentence)
    for j, context in enumerate(sentence)
    if 0 < abs(i - j) <= window
]
for centre in dict.fromkeys(sentence):
    print(f"{centre:>4} -> {', '.join(context for word, context in pairs if word == centre)}")
print(f"{len(pairs)} pairs")

# A batch is as many pairs as make one update together. Word2Vec's own economies are switched off, so that each pair
# is there: windows of random size, and the thinning out of frequent words.
corpus = embedkit.Corpus.from_sentences([sentence])
options = {"loss": "softmax", "window": window, "shrink_windows": False, "sample": 0}
for batch_size in ("all", 4, 1):
    emb = embedkit.train(corpus, "skipgram", batch_size=batch_size, epochs=1, **options)
    print(f"batch size {batch_size:>3}: {emb.config['updates']:2} updates an epoch")
