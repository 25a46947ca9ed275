"""Coverage-guided fuzzing of the readers that are Python: of models, states, and the headers of other formats."""

from __future__ import annotations

import shutil
import sys
import time
import traceback
from pathlib import Path

KINDS = (
    ("models", "skipgram"), ("models", "als"), ("models", "fasttext"), ("states", "als"), ("inputs", "vectors.npy"),
    ("inputs", "vectors.npz"), ("inputs", "foreign.safetensors"), ("inputs", "word2vec.bin"),
    ("inputs", "fasttext.bin"), ("inputs", "vectors.vec"), ("inputs", "keys.json"), ("inputs", "keys.npy"),
    ("inputs", "questions.txt"), ("inputs", "pairs.csv"),
)  # fmt: skip
_SLOW = 1.0


def run(folder: Path, seconds: int, kept: Path | None) -> None:
    """Fuzz for so many seconds; each kind of fault is told of once, and the run goes on.

    A case is a byte that says which reader it is for, and the file; that of a model gets its right length and checksum
    where the next bit says so, without which hardly any would get any further.
    """
    import atheris
    from fuzz import _make, run_in_child

    run_in_child(_make, folder)
    with atheris.instrument_imports(include=["embedkit"], exclude=["embedkit.trainers", "embedkit.embeddings.kernels"]):
        from fuzz_mutations import with_checksum
        from fuzz_targets import targets

        import embedkit

    whole, here, seeds = folder / "whole", folder / "atheris", folder / "seeds"
    here.mkdir()
    seeds.mkdir()
    known = {(kind, target.name): target for kind in ("models", "states", "inputs") for target in targets(kind, whole)}
    chosen = [known[kind] for kind in KINDS]
    for number, target in enumerate(chosen):
        shutil.copy(target.path, here / target.path.name)
        target.read(here / target.path.name)
        for bit in (0, 128):
            (seeds / f"{number}-{bit}").write_bytes(bytes([number + bit]) + target.data)
    state = {"cases": 0, "refused": 0, "start": time.monotonic(), "slowest": 0.0}
    faults: dict[str, int] = {}

    def one(data: bytes) -> None:
        if not data:
            return
        target, body = chosen[(data[0] & 127) % len(chosen)], data[1:]
        if target.form == "tensors" and data[0] & 128:
            body = with_checksum(_with_length(body))
        path = here / target.path.name
        path.write_bytes(body)
        state["cases"] += 1
        clock = time.process_time()
        try:
            target.read(path)
        except embedkit.EmbedkitError:
            state["refused"] += 1
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            fault = f"{target.name}: {type(error).__name__} at {where}: {str(error)[:100]}"
            faults[fault] = faults.get(fault, 0) + 1
            if faults[fault] == 1:
                print(f"FOUND: {fault}", flush=True)
                traceback.print_exc(limit=-6)
                if kept:
                    kept.mkdir(parents=True, exist_ok=True)
                    (kept / f"atheris-{len(faults)}-{target.path.name}").write_bytes(body)
        took = time.process_time() - clock
        if took > _SLOW:
            print(f"SLOW: {target.name} {took:.2f} s", flush=True)
        state["slowest"] = max(state["slowest"], took)
        if state["cases"] % 20_000 == 0 or time.monotonic() - state["start"] > seconds:
            _tell(state, faults)

    arguments = [sys.argv[0], f"-max_total_time={seconds}", "-max_len=65536", "-rss_limit_mb=3000", "-timeout=20",
                 "-print_final_stats=1", f"-artifact_prefix={folder}/", str(seeds)]  # fmt: skip
    atheris.Setup(arguments, one)
    atheris.Fuzz()


def _with_length(body: bytes) -> bytes:
    """Return a safetensors file whose length of the header is where its JSON seems to end."""
    end = body.find(b"}}}") + 3
    length = end - 8 if end > 10 else max(0, len(body) - 8)
    length += -(8 + length) % 64 if body[end : end + 1] == b" " else 0
    return length.to_bytes(8, "little") + body[8:]


def _tell(state: dict, faults: dict[str, int]) -> None:
    minutes = (time.monotonic() - state["start"]) / 60
    print(f"atheris: {state['cases']:,} cases in {minutes:.1f} min, {state['refused']:,} refused; slowest "
          f"{state['slowest']:.2f} s; kinds of faults: {len(faults)}", flush=True)  # fmt: skip
