"""The text source on real files: what it reads, and the one line it says where it cannot."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import zstandard

import embedkit
import embedkit_text.source
from embedkit_text import Text
from embedkit_text.batching import ahead

LINES = "The cat sat.\nA dog ran\n\n고양이 한 마리\n"
SENTENCES = [["the", "cat", "sat"], ["a", "dog", "ran"], ["고양이", "한", "마리"]]
ALL_TOKENS = [token for sentence in SENTENCES for token in sentence]


def source(path, **options):
    return Text(Text.Options(input=path, **options))


def read(given):
    sentences, goes_on = [], False
    for batch in given.batches():
        tokens, ends = batch.tokens.to_pylist(), batch.offsets.tolist()
        for i, (start, end) in enumerate(itertools.pairwise(ends)):
            if i == 0 and goes_on:
                sentences[-1] += tokens[start:end]
            else:
                sentences.append(tokens[start:end])
        goes_on = batch.continues
    return sentences


def refusal(given):
    with pytest.raises(embedkit.EmbedkitError) as caught:
        read(given() if callable(given) else given)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(LINES, encoding="utf-8", newline="")
    return path


def test_importing_the_plugin_imports_nothing_heavy():
    code = "import sys, embedkit_text; print({'numpy', 'pyarrow', 'numba', 'pandas'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_line_is_a_sentence_and_reading_can_be_repeated(corpus):
    given = source(str(corpus))
    assert read(given) == SENTENCES
    assert read(given) == SENTENCES


def test_a_document_is_a_whole_file(tmp_path, corpus):
    (tmp_path / "second.txt").write_text("one\ntwo\n")
    assert read(source(str(tmp_path), sentence="document")) == [ALL_TOKENS, ["one", "two"]]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_lines_end_as_on_any_system(tmp_path, end):
    path = tmp_path / "a.txt"
    path.write_bytes(LINES.replace("\n", end).encode())
    assert read(source(path)) == SENTENCES


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_files_are_read_as_streams(tmp_path, suffix):
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress}[suffix]
    path = tmp_path / f"corpus.txt{suffix}"
    half = len(LINES.encode()) // 3
    path.write_bytes(pack(LINES.encode()[:half]) + pack(LINES.encode()[half:]))
    assert read(source(path)) == SENTENCES
    path.write_bytes(path.read_bytes()[:-6])
    told = refusal(source(path))
    assert told.startswith(f"{path} is damaged or cut short (")
    assert told.endswith("); fetch or pack it again.")
    path.write_bytes(b"this is not compressed at all")
    told = refusal(source(path))
    assert told.startswith(f"{path} is damaged or cut short (")
    assert told.endswith("); fetch or pack it again.")


def test_folders_are_read_in_order_of_names_and_what_is_left_out_is_counted(tmp_path):
    for name, text in {"b.txt": "b", "a/z.md": "z", "a/wiki_00": "wiki", ".hidden.txt": "no", "c.txt.gz": None}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(b"gz") if text is None else text.encode())
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    given = source(tmp_path)
    assert read(given) == [["b"], ["gz"], ["wiki"], ["z"]]
    assert given.dropped["files in folders whose ending is not that of text"] == 2
    assert given.dropped["links to folders inside folders"] == 1


def test_globs_and_several_inputs(tmp_path):
    for name in ("1.txt", "2.txt", "deep/3.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"file {name[-5]}")
    assert read(source(str(tmp_path / "*.txt"))) == [["file", "1"], ["file", "2"]]
    assert len(read(source(str(tmp_path / "**")))) == 3
    both = (tmp_path / "2.txt", str(tmp_path / "1.txt"))
    assert read(source(both)) == [["file", "2"], ["file", "1"]]


def test_a_name_with_glob_characters_is_a_name_first(tmp_path):
    path = tmp_path / "a[1].txt"
    path.write_text("brackets")
    assert read(source(path)) == [["brackets"]]


def test_open_files_of_bytes_and_of_text_from_where_they_stand():
    stream = io.BytesIO(("header\n" + LINES).encode())
    stream.readline()
    given = source(stream)
    assert read(given) == SENTENCES
    assert read(given) == SENTENCES
    assert not stream.closed
    assert read(source(io.StringIO("\ufeff" + LINES), tokenizer="whitespace"))[0] == ["the", "cat", "sat."]
    assert read(source(io.StringIO(LINES))) == SENTENCES
    assert read(source([io.StringIO("one"), io.StringIO("two")])) == [["one"], ["two"]]


def test_standard_input():
    code = (
        "from embedkit_text import Text\n"
        "given = Text(Text.Options(input=('-',)))\n"
        "print([b.tokens.to_pylist() for b in given.batches()])\n"
        "try: list(given.batches())\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=LINES.encode(), capture_output=True, check=True)
    first, second = done.stdout.decode().splitlines()
    assert first == str([ALL_TOKENS])
    assert second == "standard input can be read only once: save it as a file to read it again."


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding):
    path = tmp_path / "marked.txt"
    mark = "\ufeff" if encoding[-3:] in ("-le", "-be") else ""
    path.write_bytes((mark + LINES).encode(encoding))
    assert read(source(path)) == SENTENCES
    assert read(source(path, encoding=encoding)) == SENTENCES
    assert read(source(path, tokenizer="whitespace"))[0] == ["the", "cat", "sat."]


@pytest.mark.parametrize("encoding", ["cp949", "euc-kr", "utf-16-le", "iso2022_kr", "utf-7"])
def test_other_encodings_across_the_edges_of_blocks(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr(embedkit_text.source, "_BLOCK_SIZE", 5)
    path = tmp_path / "korean.txt"
    path.write_bytes(LINES.encode(encoding))
    assert read(source(path, encoding=encoding)) == SENTENCES


def test_tokenizers_and_case(corpus):
    assert read(source(corpus, tokenizer="whitespace", lowercase=False))[0] == ["The", "cat", "sat."]
    assert read(source(corpus, lowercase=False))[0] == ["The", "cat", "sat"]
    assert read(source(corpus, tokenizer="regex", pattern="[a-c]+"))[:2] == [["ca", "a"], ["a", "a"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"fine\nnot\0fine\n", "{} is no text: byte 0x00 in line 2. If it is UTF-16, say so with --encoding utf-16."),
        (
            "a\r\nb\r\n안녕".encode("cp949"),
            "{} line 3 is not UTF-8 (byte 0xBE); say what it is with --encoding, such as cp949.",
        ),
        (b"a\rb\rc\xff", "{} line 3 is not UTF-8 (byte 0xFF); say what it is with --encoding, such as cp949."),
        (b"cut \xea\xb0", "{} line 1 is not UTF-8 (byte 0xEA); say what it is with --encoding, such as cp949."),
        (
            b"\xed\xa0\x80 surrogate",
            "{} line 1 is not UTF-8 (byte 0xED); say what it is with --encoding, such as cp949.",
        ),
        (b"\xc0\x80 overlong", "{} line 1 is not UTF-8 (byte 0xC0); say what it is with --encoding, such as cp949."),
        (
            b"\xf4\x90\x80\x80 high",
            "{} line 1 is not UTF-8 (byte 0xF4); say what it is with --encoding, such as cp949.",
        ),
        (
            b"\n" * 5000 + b"x\xe0\x80\n",
            "{} line 5001 is not UTF-8 (byte 0xE0); say what it is with --encoding, such as cp949.",
        ),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "{} is binary, not text; unpack or convert it, or name its --encoding.",
        ),
        (b"", "{} is empty: give text to read with --input."),
        (b"\xef\xbb\xbf", "{} is empty: give text to read with --input."),
        (b" \n ... \n", "{} holds no words, only white space or punctuation."),
    ],
)
@pytest.mark.parametrize("tokenizer", ["word", "regex"])
def test_what_is_no_text_is_refused_with_its_line(tmp_path, monkeypatch, content, said, tokenizer):
    monkeypatch.setattr(embedkit_text.source, "_BLOCK_SIZE", 1000)
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    pattern = r"\w+" if tokenizer == "regex" else None
    given = source(path, tokenizer=tokenizer, pattern=pattern)
    if "no words" in said and tokenizer == "regex":
        said = "--pattern '\\\\w+' finds nothing in {}."
    assert refusal(given) == said.format(path)


def test_a_wrong_encoding_is_told_with_its_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\nthree \xff\n")
    assert refusal(source(path, encoding="cp949")).startswith(f"{path} line 3 is not cp949 (byte 0xFF)")
    path.write_bytes("a\nb\n".encode("utf-16-le") + b"\x00\xd8\x00\x00")
    assert refusal(source(path, encoding="utf-16-le")).startswith(f"{path} line 3 is not utf-16-le (byte 0x00)")
    path.write_bytes(rb"a \ud800 b")
    assert "lone surrogate" in refusal(source(path, encoding="unicode_escape"))
    with path.open(encoding="ascii") as stream:
        path.write_bytes(b"\xff")
        assert refusal(source(stream)) == f"{path} is not ascii: open it in binary mode."


def test_what_is_not_there(tmp_path, corpus):
    assert (
        refusal(source(tmp_path / "corpus.tx"))
        == f"there is no file '{tmp_path}/corpus.tx'. Did you mean 'corpus.txt'?"
    )
    assert "There is no folder" in refusal(source(tmp_path / "no" / "a.txt"))
    assert refusal(source(str(tmp_path / "*.xml"))) == f"no file matches '{tmp_path}/*.xml'."
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.bin").write_bytes(b"\0")
    assert "has no text files (.txt, " in refusal(source(tmp_path / "folder"))
    assert refusal(source("one line\nand another")) == "input is text, not a path: wrap it in io.StringIO(text)."
    assert refusal(source(())) == "there is nothing to read: say what with --input."
    assert refusal(source((3,))) == "input is 3; give a path or an open file."
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert refusal(source(tmp_path / "dangling")) == f"{tmp_path}/dangling cannot be read: No such file or directory."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(corpus):
    corpus.chmod(0)
    assert refusal(source(corpus)) == f"{corpus} cannot be read: Permission denied."


def test_empty_files_among_others_are_counted(tmp_path, corpus):
    (tmp_path / "empty.txt").touch()
    given = source(tmp_path)
    assert read(given) == SENTENCES
    assert given.dropped == {"empty files": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"encoding": "utf-9"}, "encoding 'utf-9' is none that Python knows"),
        ({"encoding": "hex"}, "encoding 'hex' is none that Python knows"),
        ({"tokenizer": "regex"}, "pattern is missing: --tokenizer regex needs it"),
        ({"pattern": "a"}, "pattern is for --tokenizer regex, not 'word'."),
        ({"tokenizer": "regex", "pattern": "("}, "pattern '(' is no regular expression: "),
        ({"tokenizer": "regex", "pattern": r"\w*"}, "matches where nothing is: use + for *."),
        ({"tokenizer": "regex", "pattern": r"(a)(b)"}, "pattern '(a)(b)' has 2 groups"),
        ({"tokenizer": "regex", "pattern": r"(\w+)+-"}, "takes exponential time on lines such as 'aaaaaa"),
        ({"tokenizer": "regex", "pattern": r"(?:0|00)+!"}, "takes exponential time on lines such as '000000"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(options, said):
    assert said in refusal(lambda: source("no such file", **options))


@pytest.mark.parametrize(
    "pattern", [r"\w+(?:['-]\w+)*", r"[A-Za-z]+|\d+", r"(?:\w+\s)?\w+", r"<(\w+)>", r"(?i)\bthe\b"]
)
def test_sane_patterns_are_taken(pattern):
    source("no such file", tokenizer="regex", pattern=pattern)


def test_the_reading_thread_ends_when_the_caller_stops_early(tmp_path, monkeypatch):
    monkeypatch.setattr(embedkit_text.source, "_BLOCK_SIZE", 1000)
    path = tmp_path / "long.txt"
    path.write_text("some words and more\n" * 5000)
    before = threading.active_count()
    batches = source(path).batches()
    next(batches)
    batches.close()
    until = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_nobody_waits_for_the_reading_thread_when_the_caller_stops_early():
    """The garbage collector may be the one who closes, under a lock that the thread needs to end."""
    go_on, ended = threading.Event(), threading.Event()

    def slow():
        try:
            yield "a batch"
            go_on.wait(20)
            yield "another"
        finally:
            ended.set()

    batches = ahead(slow())
    assert next(batches) == "a batch"
    batches.close()
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(20)


def test_through_the_front_door(tmp_path, corpus):
    read_by_name = embedkit.read("text", input=Path(corpus), min_count=1, work_dir=str(tmp_path))
    assert sorted(read_by_name.tokens) == sorted(ALL_TOKENS)


def keys_and_sentences(given):
    corpus = embedkit.Corpus.from_source(given)
    keys = [corpus.keys[k] for k in corpus.sentence_keys.tolist()]
    ids, offsets = corpus.ids.tolist(), corpus.offsets.tolist()
    sentences = [[corpus.tokens[i] for i in ids[start:end]] for start, end in itertools.pairwise(offsets)]
    return list(zip(keys, sentences, strict=True))


def test_sentences_have_no_keys_unless_asked_for(corpus):
    assert embedkit.read("text", input=corpus, min_count=1).keys is None


@pytest.mark.parametrize("block_size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("tokenizer", [{"tokenizer": "word"}, {"tokenizer": "regex", "pattern": r"\w+"}])
def test_a_line_s_key_is_its_number_whatever_ends_it(tmp_path, monkeypatch, block_size, tokenizer):
    monkeypatch.setattr(embedkit_text.source, "_BLOCK_SIZE", block_size)
    path = tmp_path / "text.txt"
    path.write_bytes("\none é two\r\n\r\n\nthree\rfour five\n ... \nsix".encode())
    expected = [("2", ["one", "é", "two"]), ("5", ["three"]), ("6", ["four", "five"]), ("8", ["six"])]
    assert keys_and_sentences(source(path, key="line", **tokenizer)) == expected


def test_several_files_lines_are_named_after_them(tmp_path):
    paths = tmp_path / "a.txt", tmp_path / "empty.txt", tmp_path / "b.txt"
    for path, text in zip(paths, ("one\n\ntwo\n", "", "three\nfour"), strict=True):
        path.write_text(text, encoding="utf-8")
    found = keys_and_sentences(source(tuple(map(str, paths)), key="line"))
    a, _, b = map(str, paths)
    assert found == [(f"{a}:1", ["one"]), (f"{a}:3", ["two"]), (f"{b}:1", ["three"]), (f"{b}:2", ["four"])]


@pytest.mark.parametrize("sentence", ["line", "document"])
def test_a_file_s_name_can_be_the_key_of_all_its_sentences(tmp_path, sentence):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(f"{name}1 {name}2\n{name}3\n", encoding="utf-8")
    found = keys_and_sentences(source(tmp_path, key="file", sentence=sentence))
    assert {key for key, _ in found} == {str(tmp_path / "a.txt"), str(tmp_path / "b.txt")}
    assert len(found) == (4 if sentence == "line" else 2)
    assert all(tokens[0].startswith(Path(key).stem) for key, tokens in found)


def test_a_document_has_no_line_for_a_key(corpus):
    with pytest.raises(embedkit.OptionError, match=r"key 'line' goes with --sentence line; a document's key is"):
        source(corpus, key="line", sentence="document")
