"""Kernels on disk: thrown away when any file of kernels has changed, also one whose kernels others call."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import embedkit

CALL = "import numpy as np; from embedkit.trainers.sampling.kernels_sgns import total; total(np.ones(3, np.float32)); "
TOLD = "print(sum(total.stats.cache_hits.values()), sum(total.stats.cache_misses.values()))"


def test_a_change_in_one_file_of_kernels_recompiles_those_of_others(tmp_path):
    shutil.copytree(Path(embedkit.__file__).parent, tmp_path / "embedkit", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def hits_and_misses():
        command = [sys.executable, "-c", CALL + TOLD]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert hits_and_misses() == ["0", "1"]
    assert hits_and_misses() == ["1", "0"]
    with (tmp_path / "embedkit/trainers/machinery/kernels_tiles.py").open("a") as file:
        file.write("# changed\n")
    assert hits_and_misses() == ["0", "1"]
