"""Where a disk is full: one line, an exit code of 1, and what was whole stays whole."""

import contextlib

import numpy as np
import pytest
from click.testing import CliRunner

import embedkit
from embedkit.cli.app import app

resource = pytest.importorskip("resource")

MODEL = ("--model", "model.safetensors")
WRITES = {
    "train": ("train --source text --trainer skipgram --epochs 1 --vector-size 8 --output OUT", "m.safetensors"),
    "update": ("update --source sessions --input more.csv --model als.safetensors --output OUT", "m.safetensors"),
    "import": ("import vectors.npy --keys keys.txt --output OUT", "m.safetensors"),
    "extend": ("extend --model model.safetensors --content content.npz --output OUT", "m.safetensors"),
    "csv": ("recommend --model model.safetensors --all --format csv --output OUT", "r.csv"),
    "json": ("recommend --model model.safetensors --all --format json --output OUT", "r.json"),
    "parquet": ("recommend --model model.safetensors --all --format parquet --output OUT", "r.parquet"),
    "word2vec": ("export --model model.safetensors --to word2vec OUT", "v.txt"),
    "word2vec-binary": ("export --model model.safetensors --to word2vec-binary OUT", "v.bin"),
    "npz": ("export --model model.safetensors --to npz OUT", "v.npz"),
    "export parquet": ("export --model model.safetensors --to parquet OUT", "v.parquet"),
    "safetensors": ("export --model model.safetensors --to safetensors OUT", "v.safetensors"),
    "projector": ("export --model model.safetensors --to projector OUT", "projector"),
    "map picture": ("map --model model.safetensors --method pca --output OUT", "map.png"),
    "map page": ("map --model model.safetensors --method pca --output OUT", "map.html"),
    "map table": ("map --model model.safetensors --method pca --output OUT", "map.csv"),
    "plot": ("plot loss --model als.safetensors --output OUT", "loss.png"),
    "study": ("tune --source sessions --trainer als --trials 1 --set als.epochs=1 --study OUT", "study.db"),
    "split": ("evaluate recommendations --source sessions --trainer spectral --split-output OUT", "split"),
}
"""Each command, and what it writes."""

NEEDS = {"study": "optuna", "map picture": "matplotlib", "plot": "matplotlib"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give a folder with whole files."""
    folder = tmp_path_factory.mktemp("made")
    embedkit.train("sessions", "spectral", vector_size=32).save(folder / "model.safetensors")
    embedkit.train("sessions", "als", vector_size=8, epochs=2).save(folder / "als.safetensors")
    (folder / "more.csv").write_text("user,item\nuser1,a\nuser2,b\n" * 200)
    emb = embedkit.load(folder / "model.safetensors")
    np.save(folder / "vectors.npy", np.asarray(emb.vectors))
    (folder / "keys.txt").write_text("\n".join(emb.tokens))
    content = np.random.default_rng(1).standard_normal((len(emb) + 1, 6)).astype(np.float32)
    np.savez(folder / "content.npz", vectors=content, keys=np.array([*emb.tokens, "new"]))
    return folder


@contextlib.contextmanager
def no_file_beyond(n_bytes):
    """Let no file of this process grow beyond so many bytes, as on a full disk; Python ignores the signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files_below(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def call(command, output):
    words = [str(output) if word == "OUT" else word for word in command.split()]
    return CliRunner().invoke(app, words)


def told_in_one_line(result):
    assert result.exit_code == 1, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("embedkit: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "cannot be written: File too large" in lines[0] or "temporary files" in lines[0], lines[0]
    assert "File too large" in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("what", WRITES)
def test_a_full_disk(what, made, tmp_path, monkeypatch):
    if what in NEEDS:
        pytest.importorskip(NEEDS[what])
    monkeypatch.chdir(made)
    command, name = WRITES[what]
    before = tmp_path / name
    if "." in name and what != "study":  # which another file is refused as, whatever room there is
        before.write_bytes(b"whole before")
    whole = files_below(tmp_path)
    inputs = files_below(made)
    with no_file_beyond(1024):
        result = call(command, before)
    told_in_one_line(result)
    assert files_below(tmp_path) == whole
    assert files_below(made) == inputs
