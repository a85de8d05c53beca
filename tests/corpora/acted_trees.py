"""Miniatures of acted corpora in their real layout: one recording of every part that the loader asks for.

A recording is a few bytes unless `write` makes a sound: listing a corpus decodes nothing.
"""

from collections.abc import Callable
from pathlib import Path

from tests.corpora.trees import write_bytes

Write = Callable[[Path], Path]


def make_nemo(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """nEMO: a sentence of every speaker, two of the last, and the table with its stray blanks."""
    lines = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    words = "Lubię czytać przed snem.\tlubię czytać przed snem"
    for speaker in ("EB0", "IC0", "KD0", "KS0", "MK0", "MP0", "SM0", "TP0", "WR0"):
        write(root / "samples" / f"{speaker}_anger_1{suffix}")
        lines.append(f"{speaker}_anger_1.wav\tanger\t{words}\t        {speaker}\tfemale\t27")
    write(root / "samples" / f"WR0_fear_1{suffix}")
    lines.append(f"WR0_fear_1.wav\tfear\t{words}\t        WR0\tmale\t23")
    (root / "data.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def make_turevdb(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """TurEV-DB: a word of every speaker, and of every class."""
    folder = root / "Sound Source"
    for speaker in ("1157", "1234", "1358", "1984", "6783", "7895"):
        write(folder / "Angry" / f"{speaker}_kz_acik{suffix}")
    for name, code in (("Calm", "sk"), ("Happy", "mt"), ("Sad", "hl")):
        write(folder / name / f"1234_{code}_acik{suffix}")
    return root


def make_emotiontts_ko(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """emotiontts: a sentence of every speaker, with script and transcript behind a byte order mark."""
    parts = {
        "plain-to-emotional": ("ema", "emb", "emf", "emg", "emh"),
        "emotional-to-emotional": ("nea", "neb", "nec", "ned", "nee", "nek", "nel", "nem", "nen", "neo"),
    }
    for part, speakers in parts.items():
        for speaker in speakers:
            folder = root / "Emotional" / part / speaker
            write(folder / "wav" / f"{speaker}00001{suffix}")
            for kind, words in (("script", "20명이 왔습니다.\n"), ("transcript", "스무명이 왔습니다.\n")):
                (folder / kind).mkdir()
                (folder / kind / f"{speaker}00001.txt").write_text(words, encoding="utf-8-sig")
    return root


def make_cremad(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """CREMA-D: a clip of every actor, the odd name of actor 1040, votes of the three conditions, demographics."""
    for actor in range(1001, 1092):
        write(root / "AudioWAV" / (f"{actor}_ITH_SAD_X{suffix}" if actor == 1040 else f"{actor}_DFA_ANG_XX{suffix}"))
    votes = [
        '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"',
        '"100001",6,2,0,0,1,0,"1001_DFA_ANG_XX",9,0.666666666666667,"A"',
        '"100002",0,0,0,0,4,5,"1040_ITH_SAD_XX",9,0.555555555555556,"S"',
        '"200001",0,0,9,0,0,0,"1001_DFA_ANG_XX",9,1,"F"',
        '"300001",9,0,0,0,0,0,"1001_DFA_ANG_XX",9,1,"A"',
    ]
    (root / "processedResults").mkdir()
    (root / "processedResults" / "tabulatedVotes.csv").write_text("\n".join(votes) + "\n", encoding="utf-8")
    actors = ['"ActorID","Age","Sex","Race","Ethnicity"', '1001,51,"Male","Caucasian","Not Hispanic"']
    (root / "VideoDemographics.csv").write_text("\n".join(actors) + "\n", encoding="utf-8")
    return root
