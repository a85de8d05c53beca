"""Words by their spelling."""

import torch

from serenade.signal.hashed_words import HashedTokeniser, hashed_vectors, words_of


def test_words_are_lower_case_without_punctuation_in_any_script() -> None:
    assert list(words_of("I'm FINE, thanks! 좋은 아침.")) == ["i'm", "fine", "thanks", "좋은", "아침"]


def test_equal_words_have_equal_numbers_and_long_texts_are_cut() -> None:
    tokeniser = HashedTokeniser(1000)
    tokens, cut = tokeniser.encode("Good day, good night", 10)
    assert not cut
    assert tokens[0] == tokens[2]
    assert len(set(tokens.tolist())) == 3
    assert int(tokens.min()) >= 1
    assert int(tokens.max()) <= 1000
    many, cut = tokeniser.encode("word " * 10_000, 100)
    assert (len(many), cut) == (100, True)
    assert tokeniser.encode("...", 10)[0].tolist() == [1]


def test_vectors_are_always_the_same_of_unit_length_and_alike_for_a_common_stem() -> None:
    vectors = hashed_vectors(["talking", "talked", "door"], 64)
    torch.testing.assert_close(vectors, hashed_vectors(["talking", "talked", "door"], 64))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert float(vectors[0] @ vectors[1]) > float(vectors[0] @ vectors[2]) + 0.1
