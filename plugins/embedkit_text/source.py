"""The source itself: its options, and from them to batches of sentences."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import embedkit

if TYPE_CHECKING:
    from embedkit_text.dividing import Stretch
    from embedkit_text.files import TextFile

_BLOCK_SIZE = 1 << 20


class Text(embedkit.Source):
    r"""Text in any script, from files, folders or a pipe.

    With tokenizer `word`, tokens are what `re.findall(word_pattern(), unicodedata.normalize("NFC", text).lower())`
    finds: a letter, digit or underscore (`\w`), then any number of those, of combining marks (vowel signs of
    Devanagari or Thai, which `\w` alone would cut words at) and of zero-width joiners and non-joiners. With
    `whitespace`, tokens are what lies between white space (`\S+`); with `regex`, what `pattern` finds in each line;
    with `morpheme`, what kiwipiepy takes Korean words apart into. All of them see the text in normal
    form C, lower-cased unless `lowercase` is off.
    """

    name = "text"
    defaults: ClassVar[dict[str, Any]] = {
        "trainer": "skipgram",
        "min_count": 5,
        "spectral.matrix": "token-token",
        "spectral.vector_size": 100,
    }

    @dataclass(frozen=True)
    class Options:
        """What to read and how to cut it."""

        input: object = embedkit.option(
            (),
            "Files (.gz, .bz2, .xz and .zst too), folders, globs, or - for standard input; "
            "from Python also an open file.",
            metavar="PATH",
        )
        sentence: Literal["line", "document"] = embedkit.option(
            "line", "What is one sentence: a line, or a document, that is a whole file."
        )
        key: Literal["none", "line", "file"] = embedkit.option(
            "none", "Whose sentence it is: nobody's, that of its line by number, or of its file; doc2vec wants one."
        )
        tokenizer: Literal["word", "whitespace", "regex", "morpheme"] = embedkit.option(
            "word",
            "What is a token: a word of any script, what white space parts, what --pattern finds, or a Korean "
            "morpheme (needs the extra korean).",
        )
        pattern: str | None = embedkit.option(
            None,
            "Regular expression (Python's) for --tokenizer regex; sees a line at a time, lower-cased if it is to be.",
            metavar="REGEX",
        )
        lowercase: bool = embedkit.option(True, "Lower-case the text.")
        encoding: str = embedkit.option(
            "utf-8", "How the files are encoded, such as cp949; a byte-order mark needs no telling.", metavar="NAME"
        )

    def __init__(self, options: Any) -> None:
        """Check what needs no file, so that a mistake shows before anything is read."""
        from embedkit_text.decoding import check_encoding
        from embedkit_text.patterns import check_pattern

        super().__init__(options)
        self._starts: dict[int, int | None] = {}
        self._part: list[Stretch] | None = None
        if options.key == "line" and options.sentence == "document":
            raise embedkit.OptionError("key", "'line' goes with --sentence line; a document's key is its 'file'.")
        check_encoding(options.encoding)
        check_pattern(options.tokenizer, options.pattern)
        if options.tokenizer == "morpheme":
            from embedkit_text.korean import check_installed

            check_installed()

    def batches(self) -> Iterator[embedkit.SentenceBatch]:
        """Yield the sentences in columns, in blocks of some megabytes; a long line goes on from batch to batch.

        Raises
        ------
        embedkit.SourceError
            For input that is missing, unreadable, damaged, binary, wrongly encoded, or holds no token at all.
        """
        from embedkit_text.batching import ahead, make_batches
        from embedkit_text.files import find_files
        from embedkit_text.naming import Keys
        from embedkit_text.tokenizers import make_tokenizer

        self.dropped.clear()
        options = self.options
        files = [stretch.file() for stretch in self._part or ()]
        files = files or find_files(options.input, self.dropped, self._starts)
        tokenizer = make_tokenizer(options.tokenizer, options.pattern, options.lowercase, options.sentence)
        keys = None if options.key == "none" else Keys(options.key, files)
        batches = make_batches(files, tokenizer, options.encoding, _BLOCK_SIZE, self.dropped, keys)
        found = False
        for batch in ahead(batches) if all(file.on_disk for file in files) else batches:
            found = True
            yield batch
        if not found:
            raise embedkit.EmptyInputError(self._nothing_in(files))

    def divided(self, n: int) -> list[embedkit.Source] | None:
        """Return sources of whole files, and of stretches of those in UTF-8, cut at line ends.

        A line that is longer than a part is cut between words, unless --pattern sees whole lines; a document is not.
        """
        from embedkit_text.dividing import divide
        from embedkit_text.files import find_files

        options = self.options
        if options.key == "line":
            raise embedkit.OptionError("key", "'line' numbers all lines in order, which parts cannot; use 'file'.")
        files = find_files(options.input, self.dropped, self._starts)
        whole = options.sentence == "document" or codecs.lookup(options.encoding).name not in ("utf-8", "utf-8-sig")
        parts = []
        lines = options.tokenizer in ("regex", "morpheme")
        for stretches in divide(files, n, whole=whole, lines=lines):
            part = type(self)(replace(options, input=()))
            part._part = stretches
            parts.append(part)
        return list(parts)

    def _nothing_in(self, files: list[TextFile]) -> str:
        where = files[0].name if len(files) == 1 else f"the {len(files)} files"
        if self.dropped["empty files"] == len(files):
            return f"{where} {'is' if len(files) == 1 else 'are'} empty: give text to read with --input."
        if self.options.tokenizer == "regex":
            return f"--pattern {self.options.pattern!r} finds nothing in {where}."
        return f"{where} {'holds' if len(files) == 1 else 'hold'} no words, only white space or punctuation."

    @classmethod
    def sample(cls) -> Any:
        """Return English and Korean sentences with a known structure, as an open file."""
        from embedkit_text.sample import make_sample

        return make_sample()
