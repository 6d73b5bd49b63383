"""From a text to token ids and back to an answer; every bad input is refused by name."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from inference.configs import TextConfig
from inference.errors import InferenceFailed, InputTooLarge, InvalidInput, UnsupportedMediaType
from inference.processors.classification import Classification
from inference.processors.text import INPUT, Reading, TextProcessor, read_tokenizer
from inference.values import Features, Payload

UNKNOWN = "<unk>"
VOCABULARY = {"<pad>": 0, UNKNOWN: 1, "a": 2, "good": 3, "film": 4, "!": 5}
CONFIG = TextConfig(
    kind="text", max_length=8, length_buckets=(2, 4, 8), pad_id=0, unknown_id=1, max_characters=40
)


def small_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@pytest.fixture
def processor() -> TextProcessor:
    classification = Classification(("bad", "good"), None, None)
    return TextProcessor(CONFIG, read_tokenizer(small_tokenizer().to_str()), classification)


def ids_of(processor: TextProcessor, text: str) -> list[int]:
    row: list[int] = processor.preprocess(processor.decode(Payload(text))).tensors[INPUT][0].tolist()
    return row


def test_text_becomes_ids_in_lower_case_with_unknown_words_marked(processor: TextProcessor) -> None:
    features = processor.preprocess(processor.decode(Payload("A GOOD noir film!")))
    assert features.tensors[INPUT].tolist() == [[2, 3, 1, 4, 5]]
    assert features.tensors[INPUT].dtype == np.int64
    assert features.context == Reading(tokens=5, unknown=1, truncated=False)
    assert features.tokens == 5


def test_raw_body_and_json_string_are_the_same_text(processor: TextProcessor) -> None:
    text = "a café film"
    assert processor.decode(Payload(text.encode(), "text/plain")) == processor.decode(Payload(text))


def test_longer_text_is_cut_and_says_so(processor: TextProcessor) -> None:
    features = processor.preprocess("a film " * 5)
    assert features.tensors[INPUT].shape == (1, 8)
    assert features.context == Reading(tokens=8, unknown=0, truncated=True)


def test_token_that_saved_tokenizer_would_add_or_cut_is_not(processor: TextProcessor) -> None:
    tokenizer = small_tokenizer()
    tokenizer.enable_truncation(1)
    tokenizer.enable_padding(length=20)
    again = TextProcessor(CONFIG, read_tokenizer(tokenizer.to_str()))
    assert ids_of(again, "a good film") == [2, 3, 4]


@pytest.mark.parametrize(("length", "bucket"), [(1, 2), (2, 2), (3, 4), (8, 8), (9, 9)])
def test_rows_of_one_bucket_may_share_a_batch(processor: TextProcessor, length: int, bucket: int) -> None:
    assert processor.bucket({INPUT: np.ones((1, length), np.int64)}) == bucket


def test_batch_is_padded_at_the_end_to_its_longest_row_and_no_further(processor: TextProcessor) -> None:
    parts = [{INPUT: np.array([[2, 3]])}, {INPUT: np.array([[4, 4, 4], [5, 5, 5]])}]
    assert processor.collate(parts)[INPUT].tolist() == [[2, 3, 0], [4, 4, 4], [5, 5, 5]]
    assert processor.collate(parts[:1]) is parts[0]


def test_answer_names_the_class_and_what_was_read(processor: TextProcessor) -> None:
    outputs = {"probabilities": np.array([[0.25, 0.75]], np.float32), "logits": np.zeros((1, 2), np.float32)}
    answer = processor.postprocess(outputs, Reading(5, 1, False))
    assert answer["label"] == "good"
    assert {key: answer[key] for key in Reading._fields} == {"tokens": 5, "unknown": 1, "truncated": False}


@pytest.mark.parametrize(
    ("payload", "error", "message"),
    [
        (Payload(3, field="instances[1]"), InvalidInput, "instances[1]: got 3, expected a string"),
        (
            Payload("", field="instances[0]"),
            InvalidInput,
            "instances[0]: got an empty text, expected a text with",
        ),
        (Payload(" \n\t"), InvalidInput, "expected a text with at least one word"),
        (
            Payload(b"caf\xe9", "text/plain"),
            InvalidInput,
            "body: got byte 0xe9 at 3, expected a text in UTF-8",
        ),
        (Payload("a" * 41), InputTooLarge, "got a text of 41 characters, expected at most 40"),
        (Payload(b"{}", "application/pdf"), UnsupportedMediaType, "expected text/plain in UTF-8"),
    ],
)
def test_bad_input_is_refused_by_name(
    processor: TextProcessor, payload: Payload, error: type[InvalidInput], message: str
) -> None:
    with pytest.raises(error) as caught:
        processor.decode(payload)
    assert message in str(caught.value)


def test_text_without_a_single_token_is_refused(processor: TextProcessor) -> None:
    tokenizer = small_tokenizer()
    tokenizer.normalizer = normalizers.Replace("<br />", " ")
    processor = TextProcessor(CONFIG, tokenizer)
    with pytest.raises(InvalidInput, match="at least one word"):
        processor.preprocess("<br />")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length_buckets": (4, 2, 8)}, "expected them to rise"),
        ({"length_buckets": (2, 4)}, "the last is 4, expected max_length, 8"),
        ({"pad_id": None}, "pad_id"),
        ({"lowercase": True}, "lowercase"),
    ],
)
def test_wrong_configuration_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TextConfig.model_validate({**CONFIG.model_dump(), **change})


def test_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a tokenizer"):
        read_tokenizer(json.dumps({"version": "1.0"}))


def test_a_text_is_summarised_by_its_words_and_padding_is_none(processor: TextProcessor) -> None:
    rows = [processor.preprocess(text) for text in ("a noir noir film", "good")]
    outputs = {"probabilities": np.array([[0.9, 0.1], [0.25, 0.75]], np.float32)}
    batch = Features(processor.collate([row.tensors for row in rows]))
    found = {name: values.tolist() for name, values in processor.summarise(batch, outputs).items()}
    assert found["length"] == [4, 1]
    assert found["unknown_share"] == [0.5, 0]
    assert found["label"] == [0, 1]
    assert found["confidence"] == pytest.approx([0.9, 0.75])
    assert set(found) == set(processor.summary_features)


@pytest.mark.parametrize(
    ("rows", "kind", "words"),
    [
        ([[2] * 9], InputTooLarge, "ids: got rows of 9 ids, expected at most 8"),
        ([[2, 99]], InvalidInput, r"ids\[0, 1\]: got 99, expected an id from 0 to"),
        ([[2], [-1]], InvalidInput, r"ids\[1, 0\]: got -1"),
        (np.empty((2, 0)), InvalidInput, "at least one id"),
    ],
)
def test_tensors_are_held_to_the_vocabulary_and_the_models_length(
    processor: TextProcessor, rows: Any, kind: type[InvalidInput], words: str
) -> None:
    with pytest.raises(kind, match=words):
        processor.check({INPUT: np.array(rows, np.int64)})
    processor.check({INPUT: np.array([[len(VOCABULARY) - 1] * 8], np.int64)})


def bpe(**options: Any) -> str:
    """A tokenizer of letters and one merge, as somebody else may have made it."""
    vocabulary = {"<pad>": 0, "<unk>": 1, "l": 2, "o": 3, "lo": 4}
    model = models.BPE(vocab=vocabulary, merges=[("l", "o")], **options)
    return str(Tokenizer(model).to_str())


def test_what_a_tokenizer_drops_in_training_is_not_dropped_here() -> None:
    """`dropout` is kept in tokenizer.json, and gives one text other tokens at each call (tokenizers 0.23)."""
    tokenizer = read_tokenizer(bpe(unk_token=UNKNOWN, dropout=0.5))
    assert {tuple(tokenizer.encode("lololo").ids) for _ in range(50)} == {(4, 4, 4)}


def test_a_tokenizer_that_loses_what_it_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="without unk_token drops what it does not know"):
        read_tokenizer(bpe())
    letters = {letter: place for place, letter in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    every_byte = Tokenizer(models.BPE(vocab=letters, merges=[]))
    assert read_tokenizer(every_byte.to_str()).get_vocab_size() == 256


class PanicException(BaseException):
    """Stands for a panic of the library's Rust."""


class Panicking:
    """Stands for a tokenizer that fails on every text."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def encode_batch_fast(self, *_: object, **__: object) -> object:
        raise self.error

    encode = encode_batch_fast


@pytest.mark.parametrize("error", [PanicException("index out of bounds"), Exception("index out of bounds")])
def test_a_failure_of_the_tokenizer_costs_one_request_and_not_the_loop(error: BaseException) -> None:
    processor = TextProcessor(CONFIG, cast("Tokenizer", Panicking(error)))
    with pytest.raises(InferenceFailed, match="the tokenizer fails on this text: index out of bounds"):
        processor.preprocess("a film")


def test_an_interrupt_is_no_failure_of_the_tokenizer() -> None:
    processor = TextProcessor(CONFIG, cast("Tokenizer", Panicking(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt):
        processor.preprocess("a film")


def test_a_panic_while_a_tokenizer_is_read_is_a_fault_of_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(_: str) -> None:
        raise PanicException("x" * 1000)

    monkeypatch.setattr("tokenizers.Tokenizer.from_str", panic)
    with pytest.raises(ValueError, match=r"not a tokenizer: x+…x+") as refused:
        read_tokenizer("{}")
    assert len(str(refused.value)) < 250
