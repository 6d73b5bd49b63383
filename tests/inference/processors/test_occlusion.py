"""Explanations: each part's drop is what a run without that part gives, and the parts are those of the input."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from inference.errors import InvalidInput, Unsupported
from inference.predictor import Predictor
from inference.processors.classification import Classification
from inference.processors.image import ImageProcessor
from inference.processors.occlusion import Explanation, Occludes
from inference.processors.recommendation import RecommendationProcessor
from inference.processors.tensor import TensorProcessor
from inference.processors.text import TextProcessor, read_tokenizer
from inference.values import Payload, Tensors
from tests.bundles import CONFIG, LABELS, SIDE, write_brightness
from tests.inference.processors.test_recommendation import processor as recommender
from tests.inference.processors.test_text import CONFIG as TEXT
from tests.inference.processors.test_text import small_tokenizer

Run = Callable[[Tensors], Tensors]


def explain(processor: Occludes, run: Run, decoded: Any, **parameters: Any) -> Explanation:
    """One row explained, row by row and in no batch."""
    variants = processor.variants(decoded, parameters)
    outputs = run(variants.whole.tensors)
    target = processor.target(outputs, variants)

    def value(row: Tensors) -> float:
        return float(row[target.output][0, target.column])

    left = [value(run(variants.without(part))) for part in range(variants.size)]
    return processor.attribute(outputs, variants, target, value(outputs) - np.array(left))


# Images


def image(*bright: tuple[int, int]) -> Image.Image:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    for row, column in bright:
        pixels[row, column] = 255
    return Image.fromarray(pixels)


def test_the_cell_that_holds_the_light_is_what_makes_an_image_bright(tmp_path: Path) -> None:
    predictor = Predictor.open(write_brightness(tmp_path))
    assert isinstance(predictor.processor, ImageProcessor)
    seen = explain(predictor.processor, predictor.session.run, image((2, 0), (2, 1), (3, 0), (3, 1)), grid=2)
    assert (seen["label"], seen["shape"], seen["region"]) == ("dark", [2, 2], [0, 0, 1, 1])
    # Dark on the whole: the light speaks against it, and the dark cells are the ground that they are covered with.
    dark = predictor.session.run({"image": np.zeros((1, SIDE, SIDE, 1), np.uint8)})["probabilities"][0, 0]
    gained = seen["probability"] - float(dark)
    assert np.array(seen["drops"]) == pytest.approx(np.array([[0, 0], [gained, 0]]), abs=1e-3)
    assert seen["strongest"] == seen["drops"][1][0] < 0, "with its sign, in probability"


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_every_pixel_is_in_one_cell(side: int) -> None:
    processor = ImageProcessor(CONFIG)
    pixels = Image.fromarray(np.arange(0, 2 * SIDE * SIDE, 2, dtype=np.uint8).reshape(SIDE, SIDE))
    variants = processor.variants(
        pixels, {"grid": side}
    )  # the median lies between two pixels, so that each changes
    whole = variants.whole.tensors["image"]
    changed = [variants.without(part)["image"] != whole for part in range(variants.size)]
    assert len(changed) == side * side
    assert np.all(np.sum(changed, axis=0) == 1)


def test_the_region_is_what_the_model_sees_of_the_image() -> None:
    classification = Classification(LABELS, None, None)
    outputs = {name: np.array([[0.9, 0.1]], np.float32) for name in ("probabilities", "logits")}

    def region(fit: str, size: tuple[int, int]) -> list[float]:
        processor = ImageProcessor(CONFIG.model_copy(update={"fit": fit}), classification)
        seen = explain(processor, lambda _: outputs, Image.new("L", size), grid=1)
        found: list[float] = seen["region"]
        return found

    assert region("crop", (8, 4)) == [0.25, 0, 0.75, 1]
    assert region("crop", (4, 16)) == [0, 0.375, 1, 0.625]
    assert region("stretch", (8, 4)) == [0, 0, 1, 1]


@pytest.mark.parametrize("grid", [0, SIDE + 1, 2.0, "2", True, None])
def test_a_grid_is_a_number_of_cells_that_the_image_has(grid: Any) -> None:
    with pytest.raises(InvalidInput, match=f"parameters.grid.*from 1 to {SIDE}"):
        ImageProcessor(CONFIG).variants(image(), {"grid": grid})


# Texts


def count_good(tensors: Tensors) -> Tensors:
    """P(good) is the share of the word "good" in the text."""
    good = (tensors["ids"] == 3).mean(axis=1, dtype=np.float32)
    return {"probabilities": np.stack([1 - good, good], axis=1), "logits": np.stack([-good, good], axis=1)}


@pytest.fixture
def reader() -> TextProcessor:
    return TextProcessor(
        TEXT, read_tokenizer(small_tokenizer().to_str()), Classification(("bad", "good"), None, None)
    )


def test_a_word_weighs_what_the_text_loses_without_it(reader: TextProcessor) -> None:
    text = "Good  😀 GOOD film!"
    seen = explain(reader, count_good, text)
    assert (seen["label"], seen["truncated"]) == ("bad", False)
    assert [text[word["start"] : word["end"]] for word in seen["words"]] == [
        "Good",
        "😀",
        "GOOD",
        "film",
        "!",
    ]
    assert [word["word"] for word in seen["words"]] == ["Good", "😀", "GOOD", "film", "!"]
    # 3 of 5 are not good; without a good word 3 of 4, without another 2 of 4.
    assert [word["drop"] for word in seen["words"]] == pytest.approx([-0.15, 0.1, -0.15, 0.1, 0.1], abs=1e-6)


def test_a_text_of_one_word_becomes_an_unknown_one(reader: TextProcessor) -> None:
    assert reader.variants("good", {}).without(0)["ids"].tolist() == [[TEXT.unknown_id]]
    assert explain(reader, count_good, "good")["words"] == [
        {"word": "good", "start": 0, "end": 4, "drop": 1.0}
    ]


def test_what_is_not_read_is_not_explained(reader: TextProcessor) -> None:
    seen = explain(reader, count_good, "a film " * 10)
    assert seen["truncated"] is True
    assert len(seen["words"]) == TEXT.max_length


def test_tokens_of_one_word_are_left_out_together() -> None:
    vocabulary = {"<pad>": 0, "<unk>": 1, "un": 2, "##kind": 3, "words": 4}
    pieces = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))  # noqa: S106
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    variants = TextProcessor(TEXT, read_tokenizer(pieces.to_str())).variants("unkind words", {})
    assert variants.whole.tensors["ids"].tolist() == [[2, 3, 4]]
    assert [variants.without(part)["ids"].tolist() for part in range(variants.size)] == [[[4]], [[2, 3]]]
    assert [(word.start, word.end) for word in variants.parts] == [(0, 6), (7, 12)]


# Histories


def last_and_sum(tensors: Tensors) -> Tensors:
    """Scores of 5 items: 1 for each time that an item is in the history, and 10 more for the one after the last."""
    history = tensors["history"][0]
    scores = np.array([[(history == item).sum() for item in range(1, 6)]], np.float32)
    if history[-1]:
        scores[0, history[-1] % 5] += 10
    return {"scores": scores}


def told(instance: dict[str, Any], run: Run = last_and_sum, **changes: Any) -> Explanation:
    processor: RecommendationProcessor = recommender(**changes)
    return explain(processor, run, processor.decode(Payload(instance)))


def test_an_item_of_the_history_weighs_what_the_best_one_loses_without_it() -> None:
    seen = told({"history": ["b", "zzz", "a", "b"]}, filter_history=False)
    assert seen["item"] == {"id": 3, "title": "Cat", "score": 10.0}
    assert (seen["source"], seen["unknown"]) == ("model", ["zzz"])
    # Without the last "b", "a" is the last, and what follows it is no Cat.
    assert [(item["id"], item["drop"]) for item in seen["history"]] == [("b", 0), ("a", 0), ("b", 10)]


def test_only_items_that_the_model_sees_are_explained() -> None:
    seen = told({"history": ["d", "d", "a", "b", "a", "d"]}, filter_history=False)
    assert [item["id"] for item in seen["history"]] == ["a", "b", "a", "d"]


def test_a_history_of_one_is_explained_by_an_empty_one() -> None:
    assert [item["drop"] for item in told({"history": ["d"]})["history"]] == [10]


def test_what_is_popular_needs_no_history() -> None:
    seen = told({"history": ["zzz"]})
    assert (seen["item"]["id"], seen["item"]["score"], seen["source"]) == ("b", 5.0, "popularity")
    assert (seen["history"], seen["unknown"]) == ([], ["zzz"])


def test_where_nothing_is_left_to_recommend_nothing_is_explained() -> None:
    with pytest.raises(InvalidInput, match="exclude: got 5 items"):
        told({"history": ["a"], "exclude": ["a", "b", 3, "d", "e"]})


def test_a_model_that_knows_users_has_nothing_to_leave_out() -> None:
    with pytest.raises(Unsupported, match="users"):
        told({"user": 7}, subject="user")


# All of them


def test_a_parameter_that_nobody_reads_is_refused(reader: TextProcessor) -> None:
    with pytest.raises(InvalidInput, match=r"parameters\.grid: got 3, expected no parameters"):
        reader.variants("good", {"grid": 3})
    with pytest.raises(InvalidInput, match=r"parameters\.gird: got 3, expected only grid"):
        ImageProcessor(CONFIG).variants(image(), {"gird": 3})
    history = recommender().decode(Payload({"history": ["a"]}))
    with pytest.raises(InvalidInput, match=r"parameters\.grid: got 3, expected no parameters"):
        recommender().variants(history, {"grid": 3})


def test_tensors_without_a_task_are_not_explained() -> None:
    assert not isinstance(TensorProcessor(), Occludes)
    assert isinstance(ImageProcessor(CONFIG), Occludes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (unicodedata.normalize("NFD", "한국 café"), ["한국", "café"]),
        ("x\u0323\u0307y ok", ["x\u0323\u0307y", "ok"]),
        ("👩‍👩‍👧 🇩🇪 ok", ["👩‍👩‍👧", "🇩🇪", "ok"]),
    ],
    ids=ascii,
)
def test_a_word_ends_where_a_readers_character_does(text: str, words: list[str]) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "ok": 2}, "<unk>"))
    tokenizer.normalizer = normalizers.NFKC()  # so its places are those of the composed text
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+|[^\w\s]"), "removed", invert=True)
    processor = TextProcessor(TEXT, tokenizer)
    variants = processor.variants(text, {})
    assert [word.text for word in variants.parts] == [unicodedata.normalize("NFD", word) for word in words]
    assert [text[word.start : word.end] for word in variants.parts] == [word.text for word in variants.parts]
    tokens = variants.whole.tensors["ids"].shape[1]
    left = [variants.without(part)["ids"].shape[1] for part in range(variants.size)]
    assert sum(tokens - rest for rest in left) == tokens, "each token is of one word"
