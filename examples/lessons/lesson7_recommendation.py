"""Lesson 7: a recommendation is the same dot product. score = user · item."""

import numpy as np

import embedkit

# A session of clicks is a sentence, an item is a word. The sessions source reads its own sample.
emb = embedkit.train("sessions", "skipgram", epochs=20)
user, items = "user42", emb.context_vectors
print(f"{len(emb.keys)} users, {len(emb)} items")

# The user's vector is made of what they have seen: the mean of those items' vectors.
query = emb.key_vector(user)
scores = items @ query

# The best of what is new to them:
row = list(emb.keys).index(user)
seen = set(emb.histories.take([row]).indices.tolist())
print(f"a user is the mean of {len(seen)} items: {np.allclose(query, emb.vectors[list(seen)].mean(axis=0), atol=1e-5)}")
by_hand = [emb.tokens[int(i)] for i in np.argsort(-scores) if int(i) not in seen][:5]

for item, score in emb.recommend(user, topn=5):
    own = scores[list(emb.tokens).index(item)]
    print(f"  {score:.3f}  = user · item = {own:.3f}  {item}")
print(f"the five best by hand: {by_hand == [item for item, _ in emb.recommend(user, topn=5)]}")
