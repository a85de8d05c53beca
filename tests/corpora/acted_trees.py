"""Miniatures of acted corpora in their real layout: one recording of every part that the loader asks for.

A recording is a few bytes unless `write` makes a sound: listing a corpus decodes nothing.
"""

import json
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


def make_savee(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """SAVEE: two sentences of every speaker, in the official layout."""
    for speaker in ("DC", "JE", "JK", "KL"):
        for sentence in ("a01", "su15"):
            write(root / "AudioData" / speaker / f"{sentence}{suffix}")
    return root


def make_tess(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """TESS: a word in every folder, with the folders' own spellings, and the odd name."""
    folders = ("OAF_angry angry", "OAF_disgust disgust", "OAF_Fear fear", "OAF_happy happy", "OAF_Sad sad")
    folders += ("OAF_Pleasant_surprise ps", "YAF_angry angry", "YAF_disgust disgust", "YAF_fear fear", "YAF_sad sad")
    folders += ("YAF_happy happy", "YAF_neutral neutral", "YAF_pleasant_surprised ps")
    for folder, emotion in (pair.split() for pair in folders):
        write(root / folder / f"{folder[:3]}_back_{emotion}{suffix}")
    write(root / "OAF_neutral" / f"OA_bite_neutral{suffix}")
    return root


def make_emovo(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """EMOVO: a sentence of every speaker, and the documents beside them."""
    for speaker in ("f1", "f2", "f3", "m1", "m2", "m3"):
        write(root / speaker / f"dis-{speaker}-b1{suffix}")
    (root / "documents").mkdir()
    (root / "documents" / "emovo.pdf").write_bytes(b"%PDF")
    return root


def make_urdu(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """URDU: an utterance of every class."""
    for name in ("Angry/SM1_F10_A010", "Happy/SF1_F10_H010", "Neutral/SM5_F72_N0100", "Sad/SM6_F1_S097"):
        write(root / f"{name}{suffix}")
    return root


def make_shemo(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """ShEMO: an utterance of every class by a woman, one of a man, and the words under the text files' names."""
    for letter in "AFHNSW":
        write(root / "female" / f"F01{letter}01{suffix}")
    write(root / "male" / f"M05N21{suffix}")
    words = {"id": "F01A01", "gender": "female", "emotion": "angry", "transcript": "\ufeffاصلاً تو کی هستی؟", "ipa": ""}
    (root / "shemo.json").write_text(json.dumps([words]), encoding="utf-8")
    return root


def make_aesdd(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """AESDD: a sentence of every class, one of them in two takes."""
    for folder in ("anger", "disgust", "fear", "happiness", "sadness"):
        write(root / folder / f"{folder[0]}03 (4){suffix}")
    write(root / "fear" / f"f18 (5){suffix}")
    write(root / "fear" / f"f18 (5)b{suffix}")
    return root


def make_cafe(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """CaFE: a sentence of every class, mildly and strongly."""
    folders = {"Colère": "C", "Dégoût": "D", "Joie": "J", "Peur": "P", "Surprise": "S", "Tristesse": "T"}
    for folder, letter in folders.items():
        write(root / folder / "Faible" / f"01-{letter}-1-3{suffix}")
        write(root / folder / "Fort" / f"01-{letter}-2-3{suffix}")
    write(root / "Neutre" / f"01-N-1-3{suffix}")
    return root
