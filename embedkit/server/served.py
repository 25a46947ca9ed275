"""A model that is being served: checked, indexed for search, and in a private copy that nobody can change under it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedkit import memory
from embedkit.corpus.workdir import WorkFolder
from embedkit.embeddings import Embeddings, info, load, verify
from embedkit.errors import EmbedkitError, ModelError
from embedkit.names import Names
from embedkit.server.ranker import Ranker
from embedkit.server.search import NameSearch
from embedkit.server.settings import Settings

_EXAMPLES = 6


class Texts:
    """Names read one at a time, several times faster than by `Names`."""

    def __init__(self, names: Names) -> None:
        self._utf8, self._offsets = names.utf8.data, names.offsets.data

    def __getitem__(self, i: int) -> str:
        return str(self._utf8[self._offsets[i] : self._offsets[i + 1]], "utf-8")


@dataclass(frozen=True)
class Served:
    """A model and what is made of it once, before anybody asks.

    Attributes
    ----------
    embeddings, ranker
        The model, and what ranks its tokens.
    tokens, labels, keys
        Their texts by id; labels and keys may be missing.
    token_search, key_search
        Search as you type.
    popular
        int64, the most frequent tokens' ids, most frequent first; None where the model does not count.
    description
        What `/health` tells.
    """

    embeddings: Embeddings
    ranker: Ranker
    tokens: Texts
    labels: Texts | None
    keys: Texts | None
    token_search: NameSearch
    key_search: NameSearch | None
    popular: np.ndarray | None
    description: dict[str, Any]

    def label(self, token: int) -> str:
        """Return the name to show for a token, which is the token where it has none."""
        return (self.labels[token] if self.labels is not None else "") or self.tokens[token]

    def named(self, tokens: Sequence[int]) -> list[dict[str, Any]]:
        """Return tokens by id and label."""
        return [{"token": self.tokens[token], "label": self.label(token)} for token in tokens]

    def history(self, row: int) -> np.ndarray:
        """Return the tokens of a key, int32, oldest first; none where the model holds no histories."""
        histories = self.embeddings.histories
        if histories is None:
            return np.empty(0, np.int32)
        return np.asarray(histories.indices[histories.indptr[row] : histories.indptr[row + 1]])

    @property
    def examples(self) -> dict[str, list[str]]:
        """Some tokens and keys to begin with, the frequent ones."""
        n = min(_EXAMPLES, len(self.embeddings))
        ids = range(n) if self.popular is None else self.popular[:n].tolist()
        keys = [] if self.key_search is None or self.keys is None else self.key_search.find("", _EXAMPLES)
        return {"tokens": [self.tokens[i] for i in ids], "keys": [self.keys[i] for i in keys] if self.keys else []}


def open_served(settings: Settings, executor: Executor) -> Served:
    """Check the model file, load it and make it ready.

    Raises
    ------
    ModelError
        If it is missing, damaged or holds numbers that are not finite.
    """
    path = settings.model
    if not path.is_file():
        load(path)
    folder = _private_folder()
    # Who overwrites the file in place would change, or take away, what is mapped here; a copy without a name
    # stays as it is, takes no memory that the system cannot have back, and is gone when the server is.
    copy = folder.path / path.name
    try:
        shutil.copyfile(path, copy)
        checksum = verify(copy).checksum
        embeddings, told = load(copy, index=False), info(copy)
    except OSError as error:
        raise ModelError(f"{path} cannot be copied to {folder.path.parent}: {error.strerror or error}.") from error
    except ModelError as error:
        raise ModelError(str(error).replace(str(copy), str(path))) from error
    finally:
        folder.remove()
    if not len(embeddings):
        raise ModelError(f"{path} holds no tokens; there is nothing to serve. Train it again.")
    description = {
        "name": path.stem,
        "version": checksum[:12],
        "created": told.created,
        "tokens": len(embeddings),
        "keys": len(embeddings.keys or ()),
        "vector_size": embeddings.vector_size,
        "trainer": str(embeddings.config.get("trainer", "")),
        "words": embeddings.config.get("source") == "text" and embeddings.keys is None,
    }
    return _ready(embeddings, description, settings, executor)


def _private_folder() -> WorkFolder:
    """Return a new folder; what a killed server left is removed."""
    try:
        return WorkFolder()
    except EmbedkitError as error:
        raise EmbedkitError(f"{str(error).partition(';')[0]}; name another with $TMPDIR.") from error


def _ready(embeddings: Embeddings, description: dict[str, Any], settings: Settings, executor: Executor) -> Served:
    ranker = Ranker(embeddings, executor, settings.n_threads)
    keys, histories, counts = embeddings.keys, embeddings.histories, embeddings.counts
    popular = None if counts is None else np.argsort(-counts, kind="stable")[: settings.max_topn + settings.max_list]
    lengths = None if histories is None else np.diff(histories.indptr)
    served = Served(
        embeddings=embeddings,
        ranker=ranker,
        tokens=Texts(embeddings.tokens),
        labels=None if embeddings.labels is None else Texts(embeddings.labels),
        keys=None if keys is None else Texts(keys),
        token_search=NameSearch(embeddings.tokens, embeddings.labels, counts),
        key_search=None if keys is None else NameSearch(keys, None, lengths),
        popular=popular,
        description=description,
    )
    with contextlib.suppress(EmbedkitError):  # what a model cannot answer is told to who asks it
        ranker.warm_up()
    served.token_search.find("\x00", 1)
    memory.give_back()
    return served
