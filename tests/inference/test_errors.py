"""Errors: one tree, and messages with the field, the actual and the expected value."""

from inference.errors import BatonError


def test_every_error_is_one_of_ours() -> None:
    from inference import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, BatonError) for kind in kinds)
    drawn = errors.__doc__ or ""
    assert all(kind.__name__ in drawn for kind in kinds)
