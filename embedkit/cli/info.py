"""`embedkit info`: what a model is and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedkit.cli.failures import say
from embedkit.cli.model import model_option, open_model
from embedkit.cli.text import visible

if TYPE_CHECKING:
    from embedkit.embeddings import Embeddings

_SHOWN_LOSSES = 8
_SHOWN_LEVELS = 20  # of what is nested in a config that strangers wrote


@click.command()
@click.option("--verify", is_flag=True, help="Read all of the file: compare its checksum, look for numbers not finite.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="JSON for a program.")
@model_option
def info(verify: bool, form: str, model: Path) -> None:
    """Show what a model holds, how it was learned, and whether its file is whole."""
    embeddings = open_model(model)
    if verify:
        from embedkit.embeddings import verify as verify_file

        verify_file(model)
    facts = _facts(embeddings, model)
    if form == "json":
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        for name, value in facts.items():
            click.echo(f"{name + ':':<13}{visible(_shown(value))}")
    if verify:
        say("the file is whole: its checksum is right and all its numbers are finite.")


def _facts(embeddings: Embeddings, path: Path) -> dict[str, Any]:
    """Return what there is to tell, under the names to tell it by; the rest of the config as it is."""
    config = dict(embeddings.config)
    from embedkit.embeddings import info as file_info

    told = file_info(path)
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": told.size,
        "created": told.created,
        "version": told.version,
        "tokens": len(embeddings.tokens),
        "keys": 0 if embeddings.keys is None else len(embeddings.keys),
        "vector size": embeddings.vector_size,
        "query": embeddings.query,
    }
    facts |= {name: config.pop(name) for name in ("trainer", "source") if name in config}
    facts |= config
    if embeddings.losses:
        facts["losses"] = list(embeddings.losses)
    return facts


def _shown(value: Any, levels: int = _SHOWN_LEVELS) -> str:
    if levels == 0:
        return "..."
    if isinstance(value, Mapping):
        told = {name: inner for name, inner in value.items() if inner is not None and name not in ("digest", "mark")}
        return ", ".join(f"{name} {_shown(inner, levels - 1)}" for name, inner in told.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [_shown(inner, levels - 1) for inner in value]
        if len(parts) > _SHOWN_LOSSES:
            parts = [*parts[: _SHOWN_LOSSES // 2], "...", *parts[-_SHOWN_LOSSES // 2 :]]
        return ", ".join(parts)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
