"""ONNX Runtime's messages, as an operator can use them: short, and with the way out where one is known."""

import re

import onnxruntime as ort

from inference.errors import shorten

_LOCALE_HELP = (
    "generate it (Debian: package locales, then `localedef -i en_US -f UTF-8 en_US.UTF-8`), "
    "or name another in the attribute `locale` of its StringNormalizer"
)

# ONNX Runtime's words for graphs that it cannot load, and ours: the numbers, and the way out.
_REASONS = (
    (
        r"Opset (?P<seen>\d+) is under development.*domain (?P<domain>\S+) is till opset (?P<known>\d+)",
        "its opset of {domain} is {seen}, and {runtime} knows those up to {known}: export it for an older one",
    ),
    (
        r"Unsupported model IR version: (?P<seen>\d+), max supported IR version: (?P<known>\d+)",
        "its IR version is {seen}, and {runtime} knows those up to {known}: save it with an older onnx package",
    ),
    (
        r"Fatal error: (?P<domain>[^:\s]+):(?P<op>\w+)\(-?\d+\) is not a registered function/op",
        "it uses the operator {op} of {domain}, which {runtime} does not have, and no library of operators is loaded",
    ),
    (
        r"Failed to construct locale with name:(?P<seen>[\w.@-]+?):?locale",
        "it changes the case of strings in the locale {seen}, which is not installed: " + _LOCALE_HELP,
    ),
)

_LOCATION = re.compile(r"/\S+:\d+ .*?\)(?: const)? (?=\S)")


def brief(error: Exception) -> str:
    """ONNX Runtime's words, without the place in its own source."""
    said = str(error).split("Status Message: ")[-1]
    return shorten(_LOCATION.sub("", re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", said)))


def in_words(said: str) -> str:
    runtime = f"ONNX Runtime {ort.__version__}"
    for pattern, words in _REASONS:
        found = re.search(pattern, said, re.DOTALL)
        if found is not None:
            return words.format(runtime=runtime, **found.groupdict())
    return said
