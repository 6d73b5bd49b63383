"""Sentences are found where they are, and are as long as somebody would count them."""

from pathlib import Path

import pytest

from scripts.prose import given_up, main, names_of, sentences_of

MODULE = '''"""The first sentence of a module. The second one
goes over two lines.

    $ an indented command is no sentence of ours

- an item is one
  on two lines
- and so is the next
"""

LIMIT = 3  # a comment at the end of a line
"""Rows that `some_function(of, many, words)` may take, e.g. four."""

# A comment on two lines
# is one sentence.
x = 1


def refuse(value: int) -> None:
    raise ValueError(f"limit: {value} is too large, " f"expected {LIMIT} or less")  # noqa: TRY003
'''

DOCUMENT = """# A heading is one too

A paragraph with [a link of four words](https://example.com/a.b.c) and `one two three` in code.
It ends (as said.) Then another begins.

```sh
this is code and has no end
```

| a cell of a table | 7 |
|---|---|
| another cell. With two sentences. | 8 |

- an item that is long enough

  and its second paragraph
"""


def lines_and_words(folder: Path, name: str, text: str) -> list[tuple[int, int]]:
    (folder / name).write_text(text)
    return [(sentence.line, sentence.words) for sentence in sentences_of(folder / name)]


def test_docstrings_comments_and_messages_are_sentences_of_a_module(tmp_path: Path) -> None:
    assert lines_and_words(tmp_path, "module.py", MODULE) == [
        (1, 6),
        (1, 7),
        (6, 7),
        (8, 5),
        (11, 8),
        (12, 7),
        (14, 8),
        (20, 9),
    ]


def test_headings_items_and_cells_end_a_sentence_and_code_is_none(tmp_path: Path) -> None:
    assert lines_and_words(tmp_path, "document.md", DOCUMENT) == [
        (1, 5),
        (3, 12),
        (4, 4),
        (4, 3),
        (10, 5),
        (12, 3),
        (14, 6),
        (16, 4),
    ]


def test_what_is_folded_away_is_no_sentence_and_keeps_its_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<details><summary>All of them here</summary>\n\n| one | two and three and four |\n\n</details>\n\n"
        "This is a whole sentence.\n"
    )
    assert [(each.line, each.text) for each in sentences_of(page)] == [(7, "This is a whole sentence.")]


def test_comments_of_yaml_are_sentences(tmp_path: Path) -> None:
    text = "# Two lines that\n# are one.\na: 1\n# And this is another.\n#\n#   a command that is none\n"
    assert lines_and_words(tmp_path, "file.yaml", text) == [(1, 5), (4, 4)]


def test_a_sentence_over_the_limit_fails_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text(f"A short one is here.\n\n{'word ' * 36}.\n")
    assert main([str(tmp_path)]) == 1
    assert f"{tmp_path / 'a.md'}:3: 36 words: word word" in capsys.readouterr().out
    assert main([str(tmp_path), "--over", "36"]) == 0


def test_a_mean_over_25_fails(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"{'word ' * 26}.\n")
    assert main([str(tmp_path)]) == 1
    (tmp_path / "a.md").write_text(f"{'word ' * 25}.\n")
    assert main([str(tmp_path)]) == 0


def test_words_that_were_given_up_are_counted_in_sentences_and_names_but_not_in_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "a.py"
    module.write_text(
        '"""What the hot lane says of a picture in docs/pictures/a.png."""\n\nHotLane = wanted = 1\n'
    )
    found = [(word.word, line) for word, line, _ in given_up(module, sentences_of(module))]
    assert sorted(found) == [("hot lane", 1), ("hot lane", 3), ("picture", 1), ("wanted", 3), ("what", 1)]
    assert (3, "Hot Lane") in names_of(module)
    main([str(tmp_path), "--words"])
    assert "a.py: hot lane 2, " in capsys.readouterr().out
    main([str(tmp_path), "--word", "wanted"])
    assert f"{module}:3: wanted\n" in capsys.readouterr().out
