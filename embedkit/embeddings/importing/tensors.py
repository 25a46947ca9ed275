"""safetensors: a model of embedkit, which is read as it is, or a stranger's file with a matrix in it."""

from __future__ import annotations

import numpy as np

from embedkit.embeddings.embeddings import Embeddings
from embedkit.embeddings.file import load
from embedkit.embeddings.importing.keys import read_keys
from embedkit.embeddings.importing.request import Request, as_matrix, check_agreement
from embedkit.embeddings.importing.rows import Rows, blocks_of
from embedkit.embeddings.safetensors import BFLOAT16, map_tensors, read_header
from embedkit.errors import ModelError, did_you_mean
from embedkit.names import Names


def read_tensors(request: Request) -> Embeddings | tuple[Names, np.ndarray]:
    """Read a model of embedkit, or a matrix of another's file and its tokens from a file of keys."""
    path = request.path
    header = read_header(path)
    if "embedkit" in header.metadata:
        request.own_tokens()
        request.without_columns()
        return load(path)
    name = request.vector_name()
    found = [n for n, tensor in header.tensors.items() if len(tensor.shape) == 2]
    if name is None and len(found) == 1:
        name = found[0]
    if name is None:
        which = f"{len(found):,} matrices" if found else "no matrix"
        some = f" ({', '.join(found[:5])}{', ...' if len(found) > 5 else ''})" if found else ""
        raise ModelError(f"{path} holds {which}{some}: name the tensor of vectors with --vector-column.")
    if name not in header.tensors:
        near = did_you_mean(name, header.tensors) or f" It has: {', '.join([*header.tensors][:10])}."
        raise ModelError(f"{path} has no tensor {name!r}.{near}")
    if request.keys is None:
        raise ModelError(f"{path} holds vectors without names: name their tokens, a line a row, with --keys FILE.")
    what = f"tensor {name!r} of {path}"
    tensor = map_tensors(path, header)[name]
    matrix = _from_bfloat16(tensor, what, request) if tensor.dtype == BFLOAT16 else tensor
    tokens = read_keys(request.keys, request.token_column)
    made = as_matrix(matrix, what, request.say)
    check_agreement(tokens, len(made), str(request.keys), what)
    return tokens, made


def _from_bfloat16(tensor: np.ndarray, what: str, request: Request) -> np.ndarray:
    """Return float32 of the same value: bfloat16 is its upper half."""
    if tensor.ndim != 2 or 0 in tensor.shape:
        return np.empty(tensor.shape, np.float32)
    request.say(f"{what} holds bfloat16; its numbers are kept as float32.")
    with Rows() as rows:
        for block in blocks_of(tensor):
            rows.append((block.view("<u2").astype(np.uint32) << 16).view(np.float32))
        return rows.matrix()
