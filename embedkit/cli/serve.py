"""`embedkit serve`: the model over HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from embedkit.cli.failures import say
from embedkit.cli.model import FILE, model_option, open_model
from embedkit.errors import missing_extra

_EXTRA = ("fastapi", "uvicorn", "httptools", "prometheus_client")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; others need a token.")
@click.option("--port", type=int, default=8000, show_default=True, help="The port; 0 takes a free one.")
@click.option("--token", envvar="EMBEDKIT_TOKEN", help="What requests must bear; better in $EMBEDKIT_TOKEN or a file.")
@click.option("--token-file", type=FILE, metavar="FILE", help="The file that holds the token.")
@click.option(
    "--allowed-host", "allowed_hosts", multiple=True, metavar="NAME", help="A name of this server; repeat it."
)
@click.option(
    "--trusted-proxy", "trusted_proxies", multiple=True, metavar="ADDRESS",
    help="A proxy whose X-Forwarded-For tells who asks; repeat it.",
)  # fmt: skip
@click.option("--max-topn", type=int, default=1000, show_default=True, help="The most answers to a question.")
@click.option("--max-list", type=int, default=1000, show_default=True, help="The most entries of a list.")
@click.option("--max-body", type=int, default=1 << 20, show_default=True, help="The most bytes of a request.")
@click.option("--queue", type=int, default=256, show_default=True, help="Requests at a time; more are sent away (503).")
@click.option(
    "--rate", type=float, metavar="NUMBER", help="Requests a second from one address; more are refused (429)."
)
@click.option("--threads", type=int, help="Threads that rank; one for every processor but one where not given.")
@click.option(
    "--map", "map_method", type=click.Choice(["pca", "tsne", "umap"]), default="pca", show_default=True,
    help="How the page's map is made: pca at once; tsne and umap are better and take a minute or more.",
)  # fmt: skip
@model_option
def serve(token: str | None, token_file: Path | None, model: Path, **given: Any) -> None:
    """Serve the model to programs (REST) and to people (a page), at http://127.0.0.1:8000.

    A new model file in the place of the old one is taken up while the server runs.
    """
    _check_extra()
    from embedkit.server.running import Server
    from embedkit.server.settings import Settings, read_token

    in_flag = click.get_current_context().get_parameter_source("token") is ParameterSource.COMMANDLINE
    if token_file is not None:
        if in_flag:
            raise click.UsageError("--token and --token-file are two ways to give the token; give one of them.")
        token = read_token(token_file)
    settings = Settings(model=model, token=token if in_flag else token or None, **given)
    if not model.exists():
        open_model(model)
    say(f"loading {model}.")
    if not Server(settings, say).run():
        # A map being made, or a model being loaded, would hold up the end for as long as that takes.
        sys.stderr.flush()
        os._exit(0)


def _check_extra() -> None:
    from importlib import import_module

    for package in _EXTRA:
        try:
            import_module(package)
        except ImportError as error:
            raise missing_extra(package, "serve", "embedkit serve") from error
