"""The embedded messages."""

from training.data.tickets import CLASSES, compose


def test_tickets_are_balanced_and_always_the_same() -> None:
    train, test = compose()
    assert (len(train), len(test)) == (3200, 800)
    assert compose()[1] == test
    assert {label for _, label in train} == set(CLASSES)
    texts = [text for text, _ in train + test]
    assert len(set(texts)) == 4000
    assert not any("{" in text for text in texts)
