"""ONNX Runtime's messages become a sentence with the way out, or stay as they are without its own source's place."""

import pytest

from inference.runtime.messages import brief, in_words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Opset 99 is under development. Current official support for domain ai.onnx is till opset 23.",
            ("its opset of ai.onnx is 99", "up to 23", "export it for an older one"),
        ),
        (
            "Unsupported model IR version: 42, max supported IR version: 11",
            ("its IR version is 42", "up to 11", "older onnx package"),
        ),
        (
            "Failed to construct locale with name:xx_XX.UTF-8:locale::facet",
            ("the locale xx_XX.UTF-8", "localedef"),
        ),
        (
            "Fatal error: some.domain:Magic(-1) is not a registered function/op",
            ("it uses the operator Magic of some.domain", "no library of operators is loaded"),
        ),
    ],
    ids=["opset", "IR version", "locale", "operator"],
)
def test_a_known_reason_is_told_with_its_numbers_and_the_way_out(said: str, words: tuple[str, ...]) -> None:
    told = in_words(said)
    assert all(word in told for word in words), told


def test_an_unknown_reason_stays_as_it_is() -> None:
    assert in_words("something else") == "something else"


def test_a_brief_message_has_no_place_in_a_source() -> None:
    error = RuntimeError(
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code returned. Status Message: "
        "/build/core/cpu/gather.h:154 onnxruntime::Gather(const Tensor&) indices element out of data bounds"
    )
    assert brief(error) == "indices element out of data bounds"
    assert len(brief(RuntimeError("x" * 1000))) < 200
