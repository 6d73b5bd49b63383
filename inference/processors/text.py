"""Text: from a string to token ids, the same in training, in proof and in serving.

    text → tokenizer.json: normalise, split, look up → the first `max_length` ids → int64 [1, length]

Lower-casing and splitting are part of `tokenizer.json`, so that a client makes the same ids with that file alone. Rows
are as long as their text; only a batch is padded, and only at the end.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from inference.configs import TextConfig
from inference.errors import (
    InferenceFailed,
    InputTooLarge,
    InvalidInput,
    ManifestInvalid,
    UnsupportedMediaType,
    shorten,
)
from inference.processors.base import StackingProcessor, check_ids, check_length
from inference.processors.classification import ANSWERED, Classification, summarise_answers
from inference.processors.graphemes import cluster_starts
from inference.processors.occlusion import AttributionTarget, Explanation, Variants, check_names, rounded
from inference.store.documents import MOST_BYTES
from inference.values import Array, Features, JsonValue, Payload, Prediction, Tensors

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from inference.store.bundle import Bundle

INPUT = "ids"
TOKENIZER_FILE = "tokenizer.json"
LENGTH, UNKNOWN_SHARE = "length", "unknown_share"


class Reading(NamedTuple):
    """How much of a text was read: `tokens` reached the model, and for `unknown` of them it has no word."""

    tokens: int
    unknown: int
    truncated: bool


class Word(NamedTuple):
    """A word that was read: characters `start` to `end` of the text, tokens `first` to `last` of its row."""

    text: str
    start: int
    end: int
    first: int
    last: int


class TextProcessor(StackingProcessor):
    """Look a text's tokens up, cut it to the model's length, pad a batch to its longest row."""

    media_types: tuple[str, ...] = ("text/plain",)
    summary_features: tuple[str, ...] = (LENGTH, UNKNOWN_SHARE, *ANSWERED)

    def __init__(
        self, config: TextConfig, tokenizer: "Tokenizer", classification: Classification | None = None
    ) -> None:
        self.config = config
        self.classification = classification
        self._tokenizer = tokenizer

    @classmethod
    def from_bundle(cls, bundle: "Bundle") -> Self:
        """Read the parameters from the manifest, the tokenizer and the labels from their files."""
        config = bundle.manifest.processor
        if not isinstance(config, TextConfig):
            raise TypeError(f"got a {config.kind} processor, expected a text processor")
        try:
            tokenizer = read_tokenizer(bundle.read(TOKENIZER_FILE, MOST_BYTES).decode())
        except ValueError as error:
            raise ManifestInvalid(bundle.path, f"{TOKENIZER_FILE}: {error}") from error
        return cls(config, tokenizer, Classification.from_bundle(bundle))

    def decode(self, payload: Payload) -> str:
        """The text: a JSON string, or a body in UTF-8."""
        text, field = _text_of(payload), payload.field
        if len(text) > self.config.max_characters:
            actual = f"a text of {len(text)} characters"
            raise InputTooLarge(field, actual, f"at most {self.config.max_characters}")
        if not text.strip():
            raise InvalidInput(field, "an empty text", "a text with at least one word")
        return text

    def preprocess(self, decoded: str) -> Features:
        """int64 ids [1, length], 1 ≤ length ≤ `max_length`; the context is a `Reading`."""
        found = self.encode([decoded])[0]
        if not found:
            raise InvalidInput("text", decoded, "a text with at least one word")
        ids = np.array([found[: self.config.max_length]], np.int64)
        length = ids.shape[1]
        unknown = int((ids == self.config.unknown_id).sum())
        return Features({INPUT: ids}, Reading(length, unknown, len(found) > length), length)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, not cut; may be empty for a text that holds no token."""
        # It keeps no offsets, which only explanations need, and so is faster than `encode_batch` (tokenizers 0.20).
        try:
            encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        except BaseException as error:
            raise _failure(error) from error
        return [row.ids for row in encoded]

    def check(self, tensors: Tensors) -> None:
        """At most `max_length` ids a row, each of them one of the tokenizer's."""
        check_length(tensors[INPUT], INPUT, self.config.max_length)
        check_ids(tensors[INPUT], INPUT, self._id_limit)

    @cached_property
    def _id_limit(self) -> int:
        """Above every id: looked up when tensors first come, since it takes a big vocabulary 10 ms."""
        return 1 + max(self._tokenizer.get_vocab().values(), default=0)

    def bucket(self, tensors: Tensors) -> Hashable:
        """The first of `length_buckets` that holds the row: texts of much the same length share a batch."""
        length = tensors[INPUT].shape[1]
        place = bisect_left(self.config.length_buckets, length)
        return self.config.length_buckets[place] if place < len(self.config.length_buckets) else length

    def collate(self, parts: Sequence[Tensors]) -> Tensors:
        """One batch, every row padded at its end to the longest of them."""
        if len(parts) == 1:
            return parts[0]
        return {INPUT: pad([part[INPUT] for part in parts], self.config.pad_id)}

    def postprocess(self, outputs: Tensors, context: Any) -> Prediction:
        """The class, as `Classification.answer` words it, and the `Reading` of the text."""
        if self.classification is None:
            raise TypeError("this processor was built to prepare inputs and has no labels")
        return {**self.classification.answer(outputs), **context._asdict()}

    def summarise(self, features: Features, outputs: Tensors) -> dict[str, Array]:
        """Tokens that the model reads, the share of unknown ones, and the answer's label and confidence."""
        ids = features.tensors[INPUT]
        length = (ids != self.config.pad_id).sum(axis=1)
        unknown = (ids == self.config.unknown_id).sum(axis=1)
        return {
            LENGTH: length,
            UNKNOWN_SHARE: unknown / np.maximum(length, 1),
            **summarise_answers(outputs),
        }

    def variants(self, decoded: str, parameters: Mapping[str, JsonValue]) -> Variants:
        """The text with one word at a time left out; a text of one word is then an unknown one."""
        check_names(parameters)
        features = self.preprocess(decoded)
        ids = features.tensors[INPUT]
        try:
            encoding = self._tokenizer.encode(decoded, add_special_tokens=False)
        except BaseException as error:
            raise _failure(error) from error
        words = _words(decoded, encoding, ids.shape[1])

        def without(part: int) -> Tensors:
            word = words[part]
            rest = np.delete(ids, slice(word.first, word.last), axis=1)
            return {INPUT: rest if rest.size else np.full((1, 1), self.config.unknown_id, np.int64)}

        return Variants(features, len(words), without, words)

    def target(self, outputs: Tensors, variants: Variants) -> AttributionTarget:
        """The probability of the label that is answered."""
        return AttributionTarget("probabilities", int(outputs["probabilities"][0].argmax()))

    def attribute(
        self, outputs: Tensors, variants: Variants, target: AttributionTarget, drops: Array
    ) -> Explanation:
        """The label, and how far its probability drops with each word that was read, in the text's order.

        `start` and `end` count characters (Unicode code points) of the text as it was sent.
        """
        answer = self.postprocess(outputs, variants.whole.context)
        return {
            "label": answer["label"],
            "probability": answer["probability"],
            "words": [
                {"word": word.text, "start": word.start, "end": word.end, "drop": drop}
                for word, drop in zip(variants.parts, rounded(drops), strict=True)
            ],
            "truncated": answer["truncated"],
        }


def read_tokenizer(content: str) -> "Tokenizer":
    """A Hugging Face tokenizer from the content of `tokenizer.json`; ValueError where it is none."""
    from tokenizers import Tokenizer  # here, so that a server without text models pays nothing for it
    from tokenizers.models import BPE

    try:
        tokenizer = Tokenizer.from_str(content)
    except BaseException as error:  # the library raises bare Exception
        if not isinstance(error, Exception) and not _is_panic(error):
            raise
        raise ValueError(f"not a tokenizer: {_both_ends(str(error))}") from error
    # Cutting and padding are the processor's: one place decides them.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.model, BPE):
        # It is for training, is kept in the file, and would give one text other tokens at each call (tokenizers 0.23,
        # findings/tokenizers-bpe-dropout-stays-on.sh).
        tokenizer.model.dropout = None
        if (
            tokenizer.model.unk_token is None
            and not tokenizer.model.byte_fallback
            and not _covers_bytes(tokenizer)
        ):
            # Letters that it has no token for would vanish, and count as understood (…-loses-letters-it-does-not-know).
            raise ValueError(
                "a BPE tokenizer without unk_token drops what it does not know, expected one that says so"
            )
    return tokenizer


def _failure(error: BaseException) -> BaseException:
    """Of a text that is cut into tokens: a fault of the library's is the server's, and costs one request."""
    if isinstance(error, Exception) or _is_panic(error):
        return InferenceFailed(f"the tokenizer fails on this text: {shorten(str(error))}")
    return error


def _both_ends(text: str) -> str:
    """A long message without its middle: the value stands first in it, the line and column last."""
    return text if len(text) <= 200 else f"{text[:100]}…{text[-100:]}"


def _is_panic(error: BaseException) -> bool:
    """Whether it is a panic of the library's Rust, which is no `Exception` and is exported from nowhere."""
    return type(error).__name__ == "PanicException"


def _covers_bytes(tokenizer: "Tokenizer") -> bool:
    """Whether its alphabet is every byte, so that it knows any text."""
    from tokenizers.pre_tokenizers import ByteLevel

    return all(tokenizer.token_to_id(letter) is not None for letter in ByteLevel.alphabet())


def pad(rows: Sequence[Array], pad_id: int) -> Array:
    """Arrays int64 [rows, length] of several lengths as one [all rows, longest], filled up at the end."""
    longest = max(row.shape[1] for row in rows)
    batch: Array = np.full((sum(row.shape[0] for row in rows), longest), pad_id, np.int64)
    start = 0
    for row in rows:
        batch[start : start + row.shape[0], : row.shape[1]] = row
        start += row.shape[0]
    return batch


def _words(text: str, encoding: "Encoding", length: int) -> list[Word]:
    """The words of the first `length` tokens; a token that belongs to no word is one.

    A tokenizer may see other code points than the text has: it composes `한`, and reports the place of a part alone; it
    takes a joined emoji for several words. So a word ends where a reader's character does, and words that share one
    are one.
    """
    words: list[Word] = []
    widen = _widener(text)
    owners = [(place, -1) if owner is None else (-1, owner) for place, owner in enumerate(encoding.word_ids)]
    for _, tokens in groupby(range(length), key=owners.__getitem__):
        places = list(tokens)
        start, end = widen(encoding.offsets[places[0]][0], encoding.offsets[places[-1]][1])
        first = places[0]
        if words and start < words[-1].end:
            before = words.pop()
            start, end, first = before.start, max(end, before.end), before.first
        words.append(Word(text[start:end], start, end, first, places[-1] + 1))
    return words


def _widener(text: str) -> Callable[[int, int], tuple[int, int]]:
    """A function that widens a stretch of the text to whole characters of a reader."""
    if text.isascii():
        return lambda start, end: (start, end)
    starts = [*cluster_starts(text), len(text)]
    return lambda start, end: (starts[bisect_right(starts, start) - 1], starts[bisect_left(starts, end)])


def _text_of(payload: Payload) -> str:
    if payload.media_type is None:
        if not isinstance(payload.data, str):
            raise InvalidInput(payload.field, payload.data, "a string")
        return payload.data
    if payload.media_type != "text/plain":
        raise UnsupportedMediaType(payload.field, payload.media_type, "text/plain in UTF-8")
    try:
        return bytes(payload.data).decode("utf-8")
    except UnicodeDecodeError as error:
        actual = f"byte 0x{error.object[error.start]:02x} at {error.start}"
        raise InvalidInput(payload.field, actual, "a text in UTF-8") from error
