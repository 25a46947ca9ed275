"""Recommendations from clicks: python examples/clicks.py [TABLE]. The table needs columns for user, item and time."""

import sys

import embedkit

emb = embedkit.train("sessions", input=tuple(sys.argv[1:]))
user = "user42" if "user42" in emb.keys else emb.keys[0]
print(f"{len(emb.keys):,} users, {len(emb):,} items; for {user}:")
for item, score in emb.recommend(user, topn=5):
    print(f"  {score:.2f}  {item}")

item = emb.recommend(user, topn=1)[0][0]
print(f"why {item}:")
for seen, part in emb.explain(user, item, topn=3).parts:
    print(f"  {part:+.2f}  {seen}")
