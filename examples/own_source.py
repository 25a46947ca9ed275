"""A source of one's own in one file: recipes, whose ingredients go together. Nothing needs to be installed for it."""

import random
from collections.abc import Iterator

import embedkit

KITCHENS = {
    "italian": ["tomato", "basil", "mozzarella", "pasta", "olive oil", "oregano"],
    "korean": ["gochujang", "kimchi", "rice", "sesame oil", "scallion", "tofu"],
    "mexican": ["corn", "lime", "coriander", "black beans", "chili", "avocado"],
}


class Recipes(embedkit.Source):
    """Invented recipes of three kitchens."""

    name = "recipes"
    defaults = {"window": "sentence", "epochs": 100}

    def sentences(self) -> Iterator[embedkit.Sentence]:
        """Yield the ingredients of each recipe."""
        chance = random.Random(1)
        for _ in range(300):
            kitchen = chance.choice(list(KITCHENS))
            yield embedkit.Sentence([*chance.sample(KITCHENS[kitchen], 4), "salt"])


emb = embedkit.train(Recipes, vector_size=16)
for ingredient in ("basil", "kimchi", "lime"):
    print(f"{ingredient}: {', '.join(token for token, _ in emb.most_similar(ingredient, topn=3))}")
