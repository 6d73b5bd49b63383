"""What a caller may send to a recommender, and what comes back."""

from typing import Any

import numpy as np
import pytest

from inference.configs import RecommendationConfig
from inference.errors import InputTooLarge, InvalidInput
from inference.processors.catalogue import Items
from inference.processors.recommendation import RecommendationProcessor
from inference.values import Array, Features, Payload, Prediction

ITEMS = Items(
    ids=("a", "b", 3, "d", "e"),
    titles=("Ant", "Bee", "Cat", "Dog", "Elk"),
    popularity=(1, 5, 4, 2, 3),
    users=("u1", 7),
)


def processor(**changes: Any) -> RecommendationProcessor:
    settings = {
        "kind": "recommendation",
        "subject": "history",
        "max_history": 4,
        "default_k": 2,
        "max_k": 5,
        "filter_history": True,
    }
    return RecommendationProcessor(RecommendationConfig(**{**settings, **changes}), ITEMS)


def answer(instance: Any, scores: Array, **changes: Any) -> Prediction:
    used = processor(**changes)
    features = used.preprocess(used.decode(Payload(instance, field="instances[0]")))
    return used.postprocess({"scores": scores[None]}, features.context)


def history(instance: Any, **changes: Any) -> list[list[int]]:
    used = processor(**changes)
    tensors = used.preprocess(used.decode(Payload(instance))).tensors
    rows: list[list[int]] = tensors["history"].tolist()
    return rows


SCORES = np.array([0.5, 0.1, 0.9, 0.7, 0.3], np.float32)


def test_the_best_items_come_first_without_those_of_the_history() -> None:
    seen = answer({"history": [3, "zzz", "a"], "k": 3}, SCORES)
    assert [item["id"] for item in seen["items"]] == ["d", "e", "b"]
    assert seen["items"][0] == {"id": "d", "title": "Dog", "score": 0.7}
    assert (seen["source"], seen["known"], seen["unknown"]) == ("model", 2, ["zzz"])


def test_a_shop_offers_what_was_bought_before() -> None:
    seen = answer({"history": [3]}, SCORES, filter_history=False)
    assert [item["id"] for item in seen["items"]] == [3, "d"]


def test_excluded_items_never_come_back_even_if_nothing_is_left() -> None:
    seen = answer({"history": ["a"], "exclude": ["b", 3, "d", "e", "what"], "k": 5}, SCORES)
    assert seen["items"] == []


@pytest.mark.parametrize("known", [[], ["never", "seen"]])
def test_an_empty_history_is_answered_by_popularity_and_says_so(known: list[str]) -> None:
    seen = answer({"history": known}, SCORES)
    assert seen["source"] == "popularity"
    assert [item["id"] for item in seen["items"]] == ["b", 3]
    assert seen["unknown"] == known


def test_numbers_and_strings_name_the_same_item() -> None:
    assert history({"history": ["3", 3, "b"]}) == [[3, 3, 2]]


def test_the_newest_items_of_a_long_history_are_used() -> None:
    assert history({"history": ["a", "b", "a", "what", "d", "e", 3]}) == [[1, 4, 5, 3]]


def test_ties_go_to_the_item_that_stands_first() -> None:
    seen = answer({"history": [], "k": 3, "exclude": []}, SCORES)
    flat = answer({"history": ["e"], "k": 3}, np.zeros(5, np.float32))
    assert [item["id"] for item in flat["items"]] == ["a", "b", 3]
    assert len(seen["items"]) == 3


def test_the_best_are_those_of_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    used = processor(filter_history=False)
    wish = used.decode(Payload({"history": ["a"], "k": 4}))
    for _ in range(50):
        scores = rng.integers(0, 4, 5).astype(np.float32)
        assert used.best(scores, wish) == np.argsort(-scores, kind="stable")[:4].tolist()


def test_histories_share_a_batch_padded_on_the_left() -> None:
    used = processor()
    parts = [{"history": np.array([row])} for row in ([1, 2, 3], [4], [5, 1])]
    assert used.collate(parts)["history"].tolist() == [[1, 2, 3], [0, 0, 4], [0, 5, 1]]


def test_histories_of_like_length_share_a_bucket() -> None:
    used = processor()
    buckets = [used.bucket({"history": np.ones((1, length), np.int64)}) for length in range(1, 10)]
    assert buckets == [0, 1, 2, 2, 3, 3, 3, 3, 4]


def test_a_model_that_knows_users_is_asked_by_user() -> None:
    used = processor(subject="user")
    assert used.preprocess(used.decode(Payload({"user": "7"}))).tensors["user"].tolist() == [1]
    seen = answer({"user": "u1", "exclude": [3]}, SCORES, subject="user")
    assert [item["id"] for item in seen["items"]] == ["d", "a"]
    assert "known" not in seen


BAD: list[tuple[Any, str, str]] = [
    ("a", "instances[0]: got a", '{"history": [ids]'),
    ({"items": ["a"]}, "instances[0]: got", '{"history": [ids]'),
    ({"history": "a"}, "instances[0].history: got a", "a list of item ids"),
    ({"history": ["a", 1.5]}, "instances[0].history[1]: got 1.5", "a string or a whole number"),
    ({"history": [True]}, "instances[0].history[0]: got True", "a string or a whole number"),
    ({"history": [], "exclude": [None]}, "instances[0].exclude[0]: got None", "a string or a whole number"),
    ({"history": [], "k": 0}, "instances[0].k: got 0", "from 1 to 5"),
    ({"history": [], "k": "3"}, "instances[0].k: got 3", "from 1 to 5"),
    ({"history": [], "n": 3}, "instances[0].n: got 3", "nothing; an instance is"),
]


@pytest.mark.parametrize(("instance", "seen", "expected"), BAD, ids=[seen for _, seen, _ in BAD])
def test_a_bad_instance_is_named_by_field_value_and_what_was_wanted(
    instance: Any, seen: str, expected: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        answer(instance, SCORES)
    assert str(refused.value).startswith(seen)
    assert expected in str(refused.value)


def test_too_many_items_are_too_large() -> None:
    with pytest.raises(InputTooLarge, match="k: got 6, expected a whole number from 1 to 5"):
        answer({"history": [], "k": 6}, SCORES)


def test_an_unknown_user_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"user: got nobody, expected one of the 2 users"):
        answer({"user": "nobody"}, SCORES, subject="user")


def test_a_history_is_summarised_by_its_items_and_the_rank_of_the_best() -> None:
    used = processor()
    features = used.preprocess(used.decode(Payload({"history": [3, "zzz", "a", "b"]})))
    found = used.summarise(features, {"scores": SCORES[None]})
    # Item 3 has the best score, and is the second most popular.
    assert {name: values.tolist() for name, values in found.items()} == {
        "top_rank": [2], "length": [3], "unknown_share": [0.25],
    }  # fmt: skip
    assert set(found) == set(used.summary_features)


def test_tensors_without_ids_are_summarised_without_what_ids_tell() -> None:
    batch = Features({"history": np.array([[0, 0, 3], [1, 2, 5]])})
    found = processor().summarise(batch, {"scores": np.stack([SCORES, -SCORES])})
    assert {name: values.tolist() for name, values in found.items()} == {"top_rank": [2, 1], "length": [1, 3]}


@pytest.mark.parametrize(
    ("rows", "kind", "words"),
    [
        ([[1, 2, 3, 4, 5]], InputTooLarge, "history: got rows of 5 ids, expected at most 4"),
        ([[1, 6]], InvalidInput, r"history\[0, 1\]: got 6, expected an id from 0 to 5"),
        ([[1, 2], [-1, 2]], InvalidInput, r"history\[1, 0\]: got -1"),
        (np.empty((1, 0)), InvalidInput, "at least one id"),
    ],
)
def test_tensors_are_held_to_what_the_processor_makes(
    rows: Any, kind: type[InvalidInput], words: str
) -> None:
    with pytest.raises(kind, match=words):
        processor().check({"history": np.array(rows, np.int64)})
    processor().check({"history": np.array([[0, 0, 5, 1]], np.int64)})


def test_users_as_tensors_are_those_that_the_model_knows() -> None:
    knows = processor(subject="user")
    knows.check({"user": np.array([0, 1], np.int64)})
    for user in (2, -1, -(2**63)):
        with pytest.raises(InvalidInput, match=rf"user\[1\]: got {user}, expected an id from 0 to 1"):
            knows.check({"user": np.array([0, user], np.int64)})


@pytest.mark.parametrize("field", ["history", "exclude"])
def test_an_id_is_of_64_bits_since_an_answer_repeats_it(field: str) -> None:
    for number in (2**63, -(2**63) - 1, 10**400):
        with pytest.raises(InvalidInput, match=rf"{field}\[0\]: got .*64 bits"):
            history({"history": [], field: [number]})
    assert answer({"history": [2**63 - 1]}, SCORES)["unknown"] == [2**63 - 1]
