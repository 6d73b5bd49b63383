"""A tokenizer that is learned from texts."""

from typing import Any

import pytest
from tokenizers import Tokenizer

from training.data.tokenizer import PAD_ID, UNKNOWN_ID, choose_kind, train_tokenizer


@pytest.mark.parametrize("kind", ["words", "pieces"])
def test_tokenizer_learned_twice_is_the_same_and_survives_its_file(kind: Any) -> None:
    texts = ["The film isn't good.<br />Not at ALL!", "A good, good film", "the film", "isn't ﬁne"] * 3
    first, second = (train_tokenizer(texts, kind, 60) for _ in range(2))
    assert first.to_str() == second.to_str()
    again = Tokenizer.from_str(first.to_str())
    for text in (*texts, "unheard-of words, ﬁne"):
        assert again.encode(text).ids == first.encode(text).ids
    assert first.token_to_id("<pad>") == PAD_ID
    assert first.token_to_id("<unk>") == UNKNOWN_ID


def test_words_are_split_from_marks_in_lower_case_without_line_breaks() -> None:
    texts = ["It isn't GOOD.<br /><br />Café-like, <unk>!"] * 2
    tokens = train_tokenizer(texts, "words", 100).encode(texts[0]).tokens
    assert tokens == ["it", "isn't", "good", ".", "café", "-", "like", ",", "<unk>", "!"]


def test_unknown_word_keeps_its_id_where_texts_hold_it_and_padding_cannot_be_written() -> None:
    tokenizer = train_tokenizer(["a <unk> b", "a <unk> b"], "words", 100)
    assert tokenizer.encode("<unk> zebra").ids == [UNKNOWN_ID, UNKNOWN_ID]
    assert PAD_ID not in tokenizer.encode("a <pad> b").ids


def test_ids_go_by_frequency_and_a_word_that_was_seen_once_has_none() -> None:
    tokenizer = train_tokenizer(["tea tea tea mud mud once"], "words", 100)
    assert tokenizer.get_vocab() == {"<pad>": PAD_ID, "<unk>": UNKNOWN_ID, "tea": 2, "mud": 3}
    assert train_tokenizer(["tea tea tea mud mud"], "words", 3).get_vocab_size() == 3


def test_rare_words_are_spelled_from_pieces() -> None:
    tokenizer = train_tokenizer(["low lower lowest slow slower"] * 3, "pieces", 40)
    assert UNKNOWN_ID not in tokenizer.encode("slowest").ids
    assert tokenizer.encode("slowest").tokens[0].startswith("▁")


WRITINGS: dict[str, tuple[list[str], str]] = {
    "English": (["The film isn't good, not at all."], "words"),
    "German": (["Die Donaudampfschifffahrtsgesellschaft fährt heute nicht."], "words"),
    "Korean": (["이 영화는 정말 재미있어요 그리고 좋아요"], "words"),
    "Japanese": (["この映画は本当に面白かったです。また見たいと思います。"], "pieces"),
    "Chinese": (["这部电影真的很好看，我还想再看一遍。"], "pieces"),
    "Thai": (["ภาพยนตร์เรื่องนี้สนุกมากฉันชอบมันจริงๆ"], "pieces"),
    "genes": (["ACGT" * 40, "GATTACA" * 30], "pieces"),
    "a loanword": (["We ate 寿司 and it was a very good evening in town"] * 3, "words"),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_pieces_are_chosen_where_words_do_not_separate(writing: str) -> None:
    texts, expected = WRITINGS[writing]
    assert choose_kind(texts)[0] == expected
    assert choose_kind(texts) == choose_kind(list(texts))


def test_texts_without_blanks_give_a_vocabulary_by_pieces() -> None:
    texts = [
        f"{subject}は{word}です"
        for subject in ("映画", "音楽", "料理")
        for word in ("面白い", "退屈", "最高")
    ]
    assert train_tokenizer(texts, "words", 1000).get_vocab_size() == 2
    assert train_tokenizer(texts, choose_kind(texts)[0], 1000).get_vocab_size() > 20
