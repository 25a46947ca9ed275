"""What cannot fit is refused before it is begun, with what it needs and what would fit."""

import importlib.util
import platform
import resource
import subprocess
import sys

import pyarrow as pa
import pytest

import embedkit
from embedkit import Corpus, EmbedkitError, Sentence
from embedkit.corpus.vocabulary import GrowingVocabulary
from embedkit.memory import available_bytes, check_fits, of_cgroups, of_machine, readable, smaller


def test_there_is_some_memory():
    assert available_bytes() > 1 << 20


def test_room_to_swap_to_counts(tmp_path):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 4000 kB\nMemAvailable:    1000 kB\nSwapTotal: 900 kB\nSwapFree:   500 kB\n")
    assert of_machine(told) == 1500 * 1024
    told.write_text("MemAvailable: 1000 kB\n")
    assert of_machine(told) == 1000 * 1024
    told.write_text("MemTotal: 4000 kB\n")
    assert of_machine(told) is None


def test_what_fits_passes():
    check_fits(1000, "a thousand bytes", "none needed")


def test_what_does_not_fit_is_refused_with_the_remedy():
    with pytest.raises(
        EmbedkitError, match=r"^a monster would need 1,000 TB of memory and .* are free; feed it less\.$"
    ):
        check_fits(10**15, "a monster", "feed it less")


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(12, "12 bytes"), (1500, "1.5 kB"), (3_210_000_000, "3.21 GB"), (5e15, "5,000 TB")]
)
def test_bytes_are_said_as_people_say_them(n_bytes, text):
    assert readable(n_bytes) == text


def test_a_smaller_size_is_advised_where_one_would_fit():
    assert smaller(1200, "take fewer tokens") == "a --vector-size of 1,200 would fit, or take fewer tokens"
    assert smaller(0, "take fewer tokens") == "take fewer tokens"


def test_vectors_that_would_not_fit_are_refused_before_training():
    corpus = Corpus.from_sentences([[f"t{i}" for i in range(100_000)]] * 2)
    with pytest.raises(
        EmbedkitError, match=r"vectors of 100,000 tokens × 100,000 would need .* --vector-size of"
    ) as caught:
        embedkit.train(corpus, "skipgram", vector_size=100_000)
    assert "\n" not in str(caught.value)


def test_what_als_needs_counts_the_square_of_the_size(monkeypatch):
    for where in ("embedkit.memory", "embedkit.trainers.factors.factorization"):
        monkeypatch.setattr(f"{where}.available_bytes", lambda: 10**9)
    corpus = Corpus.from_sentences([Sentence([f"t{i}", f"t{i + 1}"], key=f"k{i}") for i in range(9)])
    with pytest.raises(EmbedkitError, match=r"× 90,000 .* would need 97.3 GB .* 1 GB are free; a --vector-size of 8,8"):
        embedkit.train(corpus, "als", vector_size=90_000)


def test_a_limit_of_the_process_counts():
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_DATA, ({1 << 30}, {resource.RLIM_INFINITY}))\n"
        "from embedkit.memory import available_bytes\n"
        f"print(available_bytes() < {1 << 30})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has heaps of threads")
@pytest.mark.parametrize(("prepare", "many"), [("", True), ("from embedkit.memory import one_heap; one_heap()", False)])
def test_threads_share_one_heap_where_asked_to(prepare, many):
    script = f"""
import ctypes, threading
{prepare}
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(4)
def work():
    blocks = [bytes(100_000) for _ in range(100)]
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert (told.count("<heap nr=") > 1) == many


def grouped(tmp_path, cgroup, mount):
    """Write the files of a process that say which control groups it is in."""
    process = tmp_path / "self"
    process.mkdir()
    (process / "cgroup").write_text(cgroup)
    (process / "mountinfo").write_text(f"31 23 0:28 / /sys rw - tmpfs tmpfs rw\n{mount}\n")
    return process


def group(folder, limit, used, stat="", *, first):
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if first else ("memory.max", "memory.current")
    for name, number in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{number}\n")
    (folder / "memory.stat").write_text(stat)


def test_groups_of_the_first_version_count_with_all_that_they_are_nested_in(tmp_path):
    root = tmp_path / "cgroup" / "memory"
    group(root, 2**63 - 4096, 5000, first=True)
    group(root / "a", 900, 500, "total_active_file 100\ntotal_inactive_file 50\ntotal_rss 300\n", first=True)
    group(root / "a" / "b", 1000, 300, first=True)
    process = grouped(
        tmp_path, "9:name=systemd:/x\n4:cpu,memory:/a/b\n0::/\n", f"35 31 0:32 / {root} rw - cgroup cgroup rw,memory"
    )
    assert of_cgroups(process) == [700, 900 - 500 + 150, 2**63 - 4096 - 5000]


def test_groups_of_the_second_version_too_and_max_is_no_limit(tmp_path):
    root = tmp_path / "cg roup"
    escaped = str(root).replace(" ", "\\040")
    group(root / "a", "max", 500, first=False)
    group(root / "a" / "b", 1000, 700, "active_file 10\ninactive_file 20\n", first=False)
    process = grouped(tmp_path, "0::/a/b\n", f"35 31 0:32 / {escaped} rw - cgroup2 cgroup2 rw")
    assert of_cgroups(process) == [330]


@pytest.mark.parametrize("own", ["/docker/1", "/docker/1/sub", "/../../elsewhere"])
def test_in_a_container_its_own_group_is_where_it_is_mounted(tmp_path, own):
    root = tmp_path / "memory"
    group(root, 1000, 400, first=True)
    group(root / "sub", 800, 300, first=True)
    process = grouped(tmp_path, f"4:memory:{own}\n", f"35 31 0:32 /docker/1 {root} rw - cgroup cgroup rw,memory")
    assert of_cgroups(process) == ([500, 600] if own.endswith("sub") else [600])


def test_without_control_groups_there_is_no_limit(tmp_path):
    assert of_cgroups(tmp_path) == []


LIMITED = """
import resource, sys
import numpy as np
import pyarrow as pa
import embedkit.atlas
from embedkit import Corpus, Sentence
from embedkit.corpus.vocabulary import GrowingVocabulary

def vocabulary():
    made = GrowingVocabulary("keys")
    made.encode(pa.array(["compiled"]))
    return made

{prepare}
data = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (data + {room}, resource.RLIM_INFINITY))
try:
    {act}
except embedkit.EmbedkitError as error:
    print(error)
"""


@pytest.mark.slow  # each in a process of its own
@pytest.mark.parametrize(
    ("prepare", "act", "room", "said"),
    [
        (
            "v = vocabulary()",
            "while True: v.encode(pa.array([f'a token of some length {i}' for i in range(len(v), len(v) + 50000)]))",
            "(60 << 20)",
            "different keys so far would need",
        ),
        (
            "c = Corpus.from_sentences([Sentence(['a', 'b'], 'k', times=[2, 1])] * 200_000)",
            "c.histories()",
            "(10 << 20)",
            "bringing 400,000 tokens into the order of their keys and times would need",
        ),
        (
            "c = Corpus.from_sentences([Sentence([f't{i}', 'b'], f'k{i}') for i in range(5000)])",
            "embedkit.train(c, 'als', vector_size=2000)",
            "(120 << 20)",
            "vectors of 5,001 tokens and 5,000 rows × 2,000 from 10,000 interactions would need",
        ),
        (
            "c = Corpus.from_sentences([Sentence([f't{i}', 'b'], f'k{i}') for i in range(5000)])",
            "embedkit.train(c, 'spectral', vector_size=2000)",
            "(120 << 20)",
            "singular vectors of 5,001 tokens × 2,000 from 10,000 interactions would need",
        ),
        (
            "many = lambda x: [Sentence(['a', x], f'k{i // 25_000}') for i in range(200_000)]\n"
            "c, d = (Corpus.from_sentences(many(x)) for x in 'bc')\n"
            "e = embedkit.train(c, 'als', vector_size=2, epochs=1)",
            "embedkit.update(e, d)",
            "(12 << 20)",
            "joining histories of 800,000 interactions would need",
        ),
        *(
            (
                "def of(n, key): return [Sentence([f'a{i % 9}' for i in range(n)], key)]\n"
                "c = Corpus.from_sentences([s for k in range(8) for s in of(50_000, f'k{k}')])\n"
                "d = Corpus.from_sentences([s for k in range(8) for s in of(2, f'k{k}') * 2])\n"
                f"e = embedkit.train(c, '{trainer}', vector_size=2, epochs=1)",
                "embedkit.update(e, d)",
                "(62 << 20)",
                said,
            )
            for trainer, said in (
                ("als", "rows × 2 from 400,032 interactions would need"),
                ("contrastive", "learning vectors of 9 tokens × 2"),
            )
        ),
        pytest.param(
            "e = embedkit.Embeddings(map(str, range(2000)), np.ones((2000, 4), np.float32))",
            "e.indexed()",
            "(100 << 20)",
            "faiss needs 300 MB of memory to begin with",
            marks=pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="needs faiss"),
        ),
        pytest.param(
            "import faiss; e = embedkit.Embeddings(map(str, range(20_000)), np.ones((20_000, 400), np.float32))",
            "e.indexed()",
            "(40 << 20)",
            "an index of 20,000 tokens × 400 would need",
            marks=pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="needs faiss"),
        ),
        (
            "e = embedkit.Embeddings(map(str, range(20_000)), np.ones((20_000, 8), np.float32))",
            "embedkit.atlas.coordinates(e, method='tsne')",
            "(40 << 20)",
            "a map of 20,000 tokens by tsne would need",
        ),
    ],
)
def test_what_would_not_fit_is_refused_in_one_line_before_it_is_done(prepare, act, room, said):
    script = LIMITED.format(prepare=prepare, act=act, room=room)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.slow  # each in a process of its own
@pytest.mark.parametrize("trainer", ["skipgram", "als", "spectral"])
def test_what_would_not_fit_in_partitions_is_refused_before_it_is_learned(trainer, tmp_path):
    text = tmp_path / "words.txt"
    text.write_text("".join(f"a{i} b{i} a{i + 1}\n" for i in range(8000)))
    size = "--vector-size=7500"
    arguments = ["train", "--source=text", "--min-count=1", f"--input={text}", f"--trainer={trainer}", size]
    arguments += ["--matrix=key-token"] if trainer == "spectral" else []
    done = subprocess.run(
        [sys.executable, "-m", "embedkit", *arguments, "--engine=local", f"--output={tmp_path / 'm.safetensors'}"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (2 * 10**9, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "× 7,500 in partitions would need" in done.stderr
    assert "would fit" in done.stderr.splitlines()[-1]


JOINED = """
import gc, resource
import numpy as np
import embedkit
from embedkit import Corpus, Run, Sentence
from embedkit.contracts import History
from embedkit.growing import joining

def model(n_keys, entries):
    n = n_keys * entries
    ids = np.random.default_rng(0).integers(0, 9, n).astype(np.int32)
    columns = np.ones(n, np.float32) if {weighted} else None, np.arange(n) if {timed} else None
    histories = History(np.arange(n_keys + 1) * entries, ids, *columns)
    names = [f"i{{i}}" for i in range(9)]
    return embedkit.Embeddings(names, np.ones((9, 2), np.float32), counts=np.ones(9, np.int64),
                               keys=map(str, range(n_keys)), histories=histories)

def new(n_keys):
    columns = {{"weights": [1.0] if {weighted} else None, "times": [10**9] if {timed} else None}}
    return Corpus.from_sentences([Sentence(["i1"], str(key), **columns) for key in range(n_keys)])

joining.join(model(2, 2), new(2), Run())
old, corpus = model(10_000, 100), new({touched})
check_fits, asked = joining.check_fits, []

def limited(needed, what, remedy):
    asked.append(needed)
    data = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (data + needed + (2 << 20), resource.RLIM_INFINITY))
    check_fits(needed, what, remedy)

joining.check_fits = limited
grown = joining.join(old, corpus, Run())
assert asked and len(grown.merged.indices) == 1_000_000 + {touched}
"""


@pytest.mark.slow  # each in a process of its own
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("touched", [3, 10_000])
def test_histories_are_joined_where_there_is_as_much_room_as_is_asked_for(weighted, timed, touched):
    script = JOINED.format(weighted=weighted, timed=timed, touched=touched)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_vocabulary_grows_where_there_is_room():
    words = GrowingVocabulary()
    ids = words.encode(pa.array([f"t{i}" for i in range(100_000)]))
    assert ids.tolist() == list(range(100_000))


@pytest.mark.slow  # each in a process of its own
@pytest.mark.parametrize(("kind", "flag"), [("RLIMIT_DATA", "-d"), ("RLIMIT_AS", "-v")])
def test_a_command_that_has_no_room_to_begin_says_so(kind, flag, tmp_path):
    limited = (
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.{kind}, ({250 << 20}, resource.RLIM_INFINITY))\n"
        "sys.argv = ['embedkit', 'train', '--source', 'sessions', '--trainer', 'als']\n"
        "runpy.run_module('embedkit', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"embedkit: a limit of this process (ulimit {flag}) leaves" in done.stderr
    assert "Traceback" not in done.stderr
