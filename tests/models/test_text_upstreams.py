"""Text encoders as upstreams: the library's own numbers, exact under padding, what cannot be read."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra ssl")

from tests.models.checkpoints import TEXT, WORDS, write_checkpoint, write_text_checkpoint

from serenade.core.errors import CheckpointError, UsageError
from serenade.models.upstreams.checkpoint import ARCHITECTURES, open_upstream
from serenade.models.upstreams.upstream import pad_waveforms

SENTENCES = ("I am so happy !", "no", "not angry", "am I sad ?")
every_encoder = pytest.mark.parametrize("name", list(TEXT))


def test_every_architecture_is_tested() -> None:
    assert {kind for kind, architecture in ARCHITECTURES.items() if architecture.modality == "text"} == set(TEXT)


@every_encoder
def test_batch_gives_each_text_the_librarys_layers(name: str, tmp_path: Path) -> None:
    network = write_text_checkpoint(tmp_path, name)
    upstream = open_upstream(tmp_path)
    assert (upstream.modality, upstream.dim, upstream.num_layers, upstream.frame_rate) == ("text", 16, 4, None)
    tokens, lengths = pad_waveforms([upstream.prepare_text(text) for text in SENTENCES])
    tokens[1, int(lengths[1]) :] = 7  # what stands in the padding does not count
    with torch.inference_mode():
        together = upstream(tokens, lengths)
        assert torch.equal(together.lengths, lengths)
        for row, text in enumerate(SENTENCES):
            ids = [WORDS.index(word) for word in ("[CLS]", *_pieces(text), "[SEP]")]
            assert tokens[row, : lengths[row]].tolist() == ids
            found = network(torch.tensor([ids]), output_hidden_states=True)
            for layer, other in zip(together.layers, found.hidden_states, strict=True):
                torch.testing.assert_close(layer[row, : len(ids)], other[0], rtol=1e-5, atol=1e-5)
                assert (layer[row, len(ids) :] == 0).all()
            torch.testing.assert_close(together.last[row, : len(ids)], found.last_hidden_state[0], rtol=1e-5, atol=1e-5)


def _pieces(text: str) -> list[str]:
    known = {"not": ["no", "##t"], "?": ["[UNK]"]}
    return [piece for word in text.lower().split() for piece in known.get(word, [word])]


@pytest.mark.parametrize(("name", "most"), [("bert", 128), ("roberta", 128), ("xlm-roberta", 18)])
def test_long_texts_are_cut(name: str, most: int, tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path, name)
    upstream = open_upstream(tmp_path)
    tokens = upstream.prepare_text("so sad " * 100)
    assert len(tokens) == upstream.most_samples == most
    assert tokens[-1] == WORDS.index("[SEP]")
    with torch.inference_mode():
        assert upstream(*pad_waveforms([tokens])).last.isfinite().all()


@pytest.mark.parametrize(
    ("name", "head"),
    [("bert", "ForPreTraining"), ("bert", "ForMaskedLM"), ("albert", "ForPreTraining"), ("distilbert", "ForMaskedLM"),
     ("roberta", "ForMaskedLM")],
)  # fmt: skip
def test_heads_of_pretraining_are_left_aside(name: str, head: str, tmp_path: Path) -> None:
    network = write_text_checkpoint(tmp_path, name, head)
    upstream = open_upstream(tmp_path)
    tokens = upstream.prepare_text("so happy")
    with torch.inference_mode():
        expected = network(tokens[None], output_hidden_states=True).hidden_states[-1]
        torch.testing.assert_close(upstream(*pad_waveforms([tokens])).last, expected, rtol=1e-5, atol=1e-5)


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path / "tuned", "bert", "ForSequenceClassification")
    with pytest.raises(CheckpointError, match="fine-tuned for the classification of utterances"):
        open_upstream(tmp_path / "tuned")
    write_text_checkpoint(tmp_path / "bare", "bert")
    for file in (tmp_path / "bare").glob("*token*"):
        file.unlink()
    (tmp_path / "bare" / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match="no tokenizer beside it"):
        open_upstream(tmp_path / "bare")
    write_text_checkpoint(tmp_path / "small", "bert")
    write_text_checkpoint(tmp_path / "large", "bert", vocab_size=8)
    for file in (tmp_path / "small").glob("*token*"):
        (tmp_path / "large" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match=r"tokenizer is of another checkpoint.*Found: 14 tokens"):
        open_upstream(tmp_path / "large")
    (tmp_path / "small" / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="the tokenizer cannot be read"):
        open_upstream(tmp_path / "small")


def test_text_is_not_sound(tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path / "text", "bert")
    write_checkpoint(tmp_path / "speech", "hubert-base")
    text, speech = open_upstream(tmp_path / "text"), open_upstream(tmp_path / "speech")
    with pytest.raises(UsageError, match="bert upstream takes text, not sound"):
        text.prepare(torch.zeros(16000), 16000)
    with pytest.raises(UsageError, match="hubert upstream takes speech, not text"):
        speech.prepare_text("so")
    with pytest.raises(UsageError, match="the transcript has no words"):
        text.prepare_text(" \n")


def test_identity_is_of_weights_settings_and_tokens(tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path, "bert")
    first = open_upstream(tmp_path)
    first.prepare_text("so happy")
    same = open_upstream(tmp_path).identity()
    assert first.identity() == same
    with torch.no_grad():
        next(first.parameters())[0, 0] += 1
    assert first.identity() != same
    settings = tmp_path / "tokenizer_config.json"
    values = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps(values | {"do_lower_case": False}), encoding="utf-8")
    assert open_upstream(tmp_path).identity() != same
