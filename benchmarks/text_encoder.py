"""A small text encoder with drawn weights for the words of a corpus, in the layout of the hub.

    python benchmarks/text_encoder.py --corpus emotiontts-ko=/data/emotiontts-ko --out characters

BERT with two blocks of 64 over single characters (all that occur in the transcripts): what experiments 10 and 11 can
have where no pretrained encoder is at hand. It knows nothing of the language but what the first stage teaches it.
"""

import argparse
from pathlib import Path

import torch

from serenade.corpora import read_corpus

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_encoder(out: Path, texts: list[str]) -> int:
    """The checkpoint; returns the size of its vocabulary."""
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = sorted({letter for text in texts for letter in text.lower() if not letter.isspace()})
    words = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizer(str(out / "vocab.txt"), strip_accents=False, tokenize_chinese_chars=False).save_pretrained(out)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=len(words), **sizes), add_pooling_layer=False).save_pretrained(out)
    return len(words)


def main() -> None:
    """Write the encoder and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="NAME=PATH")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    name, _, root = asked.corpus.partition("=")
    listing = read_corpus(name, Path(root), examine=None)
    texts = [utterance.text for utterance in listing.utterances if utterance.text is not None]
    print(f"{write_encoder(asked.out, texts)} tokens of {len(texts)} transcripts, written to {asked.out}")


if __name__ == "__main__":
    main()
