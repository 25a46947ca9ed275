"""Qdrant: a collection that is filled under a name of its own; then the alias that people use is switched to it."""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedkit
from embedkit_stores import metrics
from embedkit_stores.rows import blocks, one_line

_NAMES = {"cosine": "COSINE", "inner-product": "DOT", "euclidean": "EUCLID"}
_MARK = "-embedkit-"
_ROWS = 1_000  # sent at a time
_MOST_EMBEDDED = 20_000  # points from which on Qdrant itself advises against its embedded mode
_API_KEY = "QDRANT_API_KEY"


@dataclass(frozen=True)
class Options:
    """Which collection, and how it is searched."""

    collection: str = embedkit.option("embeddings", "The alias by which the collection is asked.", metavar="NAME")
    metric: metrics.Metric = embedkit.option("auto", metrics.HELP)


class Qdrant(embedkit.Exporter):
    """A collection of Qdrant, in a folder (embedded mode) or at the URL of a server: vector; token, label, count."""

    name = "qdrant"
    Options = Options
    keeps = frozenset({"labels", "counts"})

    def write(self, embeddings: embedkit.Embeddings, target: str, options: Any) -> None:
        """Fill a new collection and switch the alias to it; points are numbered from 0 as the tokens are.

        Raises
        ------
        embedkit.EmbedkitError
            If the store cannot be reached or written, or a collection that embedkit did not write has that name.
        """
        try:
            from qdrant_client.http.exceptions import ApiException
        except ImportError as error:
            raise embedkit.missing_extra("qdrant-client", "stores", "exporting to Qdrant") from error
        metric = metrics.chosen(options.metric, self.vectors)
        if metric == "cosine" and _is_url(target):
            self.run.say("A Qdrant server scales vectors to length 1 where nearness is cosine; lengths are left out.")
        try:
            with warnings.catch_warnings(), contextlib.closing(_client(target)) as client:
                warnings.simplefilter("ignore", UserWarning)
                self._replace(client, embeddings, target, options.collection, metric)
        except (OSError, RuntimeError, ValueError, ApiException) as error:
            raise embedkit.EmbedkitError(
                f"{self.shown(target)} cannot be written: {self.shown(_reason(error))}."
            ) from error
        if not _is_url(target) and len(embeddings) > _MOST_EMBEDDED:
            self.run.say(f"Embedded mode searches all points one by one; above {_MOST_EMBEDDED:,} a server is quicker.")

    def _replace(self, client: Any, embeddings: embedkit.Embeddings, target: str, alias: str, metric: str) -> None:
        from qdrant_client import models

        collections = [found.name for found in client.get_collections().collections]
        if alias in collections:
            raise embedkit.EmbedkitError(
                f"there is a collection {alias!r} already that embedkit did not write; name another --collection."
            )
        if _is_url(target):
            aliases = client.get_aliases().aliases
            old = [a.collection_name for a in aliases if a.alias_name == alias and _MARK in a.collection_name]
        else:  # nobody else has the folder open, so what a killed export left there is known to be left
            old = [name for name in collections if name.startswith(alias + _MARK)]
        new = f"{alias}{_MARK}{secrets.token_hex(4)}"
        try:
            distance = models.Distance[_NAMES[metric]]
            client.create_collection(new, models.VectorParams(size=embeddings.vector_size, distance=distance))
            _commit_without_waiting(client, new)
            for rows in blocks(embeddings, self.run, _ROWS):
                points = models.Batch(
                    ids=list(range(rows.start, rows.stop)),
                    vectors=rows.vectors.tolist(),
                    payloads=list(_payloads(rows)),
                )
                client.upsert(new, points, wait=rows.stop == len(embeddings))
            if not _is_url(target):
                _sync(Path(target, "collection", new))
            switch = models.CreateAlias(collection_name=new, alias_name=alias)
            client.update_collection_aliases([models.CreateAliasOperation(create_alias=switch)])
        except BaseException:
            with contextlib.suppress(Exception):
                client.delete_collection(new)
            raise
        for name in old:
            client.delete_collection(name)


def _commit_without_waiting(client: Any, collection: str) -> None:
    """Spare the embedded mode a wait for the disk after each single point, 14 ms; all are synced together."""
    with contextlib.suppress(AttributeError, KeyError):
        client._client.collections[collection].storage.storage.execute("PRAGMA synchronous = OFF")


def _sync(folder: Path) -> None:
    """Wait until a collection's files are on the disk."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _payloads(rows: Any) -> Iterator[dict[str, Any]]:
    for i, token in enumerate(rows.tokens):
        payload: dict[str, Any] = {"token": token}
        if rows.labels is not None and rows.labels[i]:
            payload["label"] = rows.labels[i]
        if rows.counts is not None:
            payload["count"] = rows.counts[i]
        yield payload


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _client(target: str) -> Any:
    """Return a client of a server, or of a folder in embedded mode."""
    from qdrant_client import QdrantClient

    if _is_url(target):
        return QdrantClient(url=target, api_key=os.environ.get(_API_KEY), timeout=60, check_compatibility=False)
    folder = Path(target)
    if folder.is_file():
        raise embedkit.EmbedkitError(f"{target} is a file; Qdrant keeps its collections in a folder: name another.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "meta.json").exists():
        raise embedkit.EmbedkitError(f"{target} is a folder of something else than Qdrant; name another.")
    if not folder.parent.is_dir():
        raise embedkit.EmbedkitError(f"{target} cannot be made: there is no folder {folder.parent}; make it first.")
    return QdrantClient(path=target)


def _reason(error: BaseException) -> str:
    """Return what is the matter, in one line."""
    if "already accessed" in str(error):
        return "another program has the folder open; close it, or run Qdrant's server"
    return one_line(error)
