"""Miniatures of conversational and rated corpora in the exact real layout, made from tables of counts.

A recording is an empty file unless `write` makes a sound: listing a corpus decodes nothing.
"""

import csv
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.corpora.trees import write_bytes

Write = Callable[[Path], Path]


def place_file(path: Path) -> Path:
    """An empty file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


# The dialogues of IEMOCAP: seven scripts a marker wearer, seven or eight improvisations, and what differs from it.
_SCRIPTS = ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")
_IMPROVISED = tuple(f"{number:02d}" for number in range(1, 9))
_SPLIT_IN_TWO = ("01", "02", "03", "04", "05a", "05b", "06", "07", "08a", "08b")  # the man's in session 3


def iemocap_dialogues() -> dict[tuple[str, str, str], list[str]]:
    """The 151 dialogues by session, letter of who wears the markers, and part."""
    found = {}
    for session, wearer in itertools.product("12345", "FM"):
        scripts = [*_SCRIPTS, *(["01_1b"] if (session, wearer) == ("5", "M") else [])]
        improvised = _SPLIT_IN_TWO if (session, wearer) == ("3", "M") else _IMPROVISED[: 7 if session == "1" else 8]
        for part, names in (("script", scripts), ("impro", improvised)):
            found[session, wearer, part] = [f"Ses0{session}{wearer}_{part}{name}" for name in names]
    return found


# Published counts of the four classes (happy with excited) by speaker; of all classes; of both parts.
IEMOCAP_SPEAKERS = {
    "Ses01F": {"angry": 147, "happy": 132, "neutral": 171, "sad": 78},
    "Ses01M": {"angry": 82, "happy": 146, "neutral": 213, "sad": 116},
    "Ses02F": {"angry": 67, "happy": 166, "neutral": 135, "sad": 113},
    "Ses02M": {"angry": 70, "happy": 161, "neutral": 227, "sad": 84},
    "Ses03F": {"angry": 92, "happy": 128, "neutral": 130, "sad": 172},
    "Ses03M": {"angry": 148, "happy": 158, "neutral": 190, "sad": 133},
    "Ses04F": {"angry": 205, "happy": 185, "neutral": 76, "sad": 62},
    "Ses04M": {"angry": 122, "happy": 118, "neutral": 182, "sad": 81},
    "Ses05F": {"angry": 78, "happy": 159, "neutral": 221, "sad": 132},
    "Ses05M": {"angry": 92, "happy": 283, "neutral": 163, "sad": 113},
}
IEMOCAP_IMPROVISED = {"angry": 289, "happy": 947, "neutral": 1099, "sad": 608}
IEMOCAP_OTHERS = {"fru": 1849, "sur": 107, "fea": 40, "dis": 2, "oth": 3, "xxx": 2507}
IEMOCAP_DIFFERING = 2750  # of the four-class turns: the speaker is not the one who wears the markers
_IEMOCAP_EXCITED = {"impro": 663, "script": 378}  # of the happy ones
_CODES = {"angry": "ang", "happy": "hap", "neutral": "neu", "sad": "sad"}
_WORDS = {"ang": "Anger", "hap": "Happiness", "exc": "Excited", "neu": "Neutral", "sad": "Sadness"}


@dataclass(frozen=True)
class Turn:
    """A turn of IEMOCAP: speaker such as Ses01F, part (impro or script), code of its class."""

    speaker: str
    part: str
    code: str


def iemocap_turns() -> list[Turn]:
    """10,039 turns whose counts by speaker, part and class are the published ones."""
    turns = []
    for name, code in _CODES.items():
        free = {"impro": IEMOCAP_IMPROVISED[name]}
        for speaker, counts in IEMOCAP_SPEAKERS.items():
            for _ in range(counts[name]):
                part = "impro" if free["impro"] > 0 else "script"
                free["impro"] -= part == "impro"
                turns.append(Turn(speaker, part, code))
    excited = dict(_IEMOCAP_EXCITED)
    for place, turn in enumerate(turns):
        if turn.code == "hap" and excited[turn.part] > 0:
            excited[turn.part] -= 1
            turns[place] = Turn(turn.speaker, turn.part, "exc")
    people = itertools.cycle(itertools.product(IEMOCAP_SPEAKERS, ("impro", "script")))
    turns += [Turn(*next(people), code) for code, count in IEMOCAP_OTHERS.items() for _ in range(count)]
    return turns


def name_iemocap_turns(turns: Sequence[Turn], *, differing: int) -> list[tuple[str, Turn]]:
    """Ids of turns; in the first `differing` of them the speaker does not wear the markers, in the others so too."""
    places = {key: itertools.cycle(names) for key, names in iemocap_dialogues().items()}
    numbers: Counter[str] = Counter()
    named = []
    for place, turn in enumerate(turns):
        session, gender = turn.speaker[4], turn.speaker[5]
        wearer = {"F": "M", "M": "F"}[gender] if place < differing else gender
        stem = f"{next(places[session, wearer, turn.part])}_{gender}"
        named.append((f"{stem}{numbers[stem]:03d}", turn))
        numbers[stem] += 1
    return named


def make_iemocap(
    root: Path, named: Iterable[tuple[str, Turn]], *, suffix: str = ".wav", write: Write = place_file
) -> Path:
    """IEMOCAP's folders with these turns: label files, transcripts, and a file per turn."""
    by_dialogue: defaultdict[str, list[tuple[str, Turn]]] = defaultdict(list)
    for name, turn in named:
        by_dialogue[name.rpartition("_")[0]].append((name, turn))
    for dialogue, found in by_dialogue.items():
        session = root / f"Session{dialogue[4]}"
        labels, words, wavs = (
            session / part for part in ("dialog/EmoEvaluation", "dialog/transcriptions", "sentences/wav")
        )
        for folder in (labels / "Categorical", words, wavs / dialogue):
            folder.mkdir(parents=True, exist_ok=True)
        blocks = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
        lines = []
        for place, (name, turn) in enumerate(found):
            blocks.append(iemocap_block(name, turn.code, start_s=6.2901 + 3 * place))
            lines.append(f"{name} [{6.2901 + 3 * place:08.4f}-{8.2357 + 3 * place:08.4f}]: Turn {name} says: yes.\n")
            write(wavs / dialogue / f"{name}{suffix}")
        (labels / f"{dialogue}.txt").write_text("\n".join(blocks), encoding="utf-8")
        (labels / "Categorical" / f"{dialogue}_e1_cat.txt").write_text("Ses01F_impro01_F000 :Neutral state; ()\n")
        (words / f"{dialogue}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def iemocap_block(
    name: str, code: str, *, start_s: float = 6.2901, marks: str = "2.5000, 3.0000, 3.5000", raters: Sequence[str] = ()
) -> str:
    """The lines of one turn in a label file."""
    word = _WORDS.get(code, "Frustration")
    raters = raters or (f"C-E2:\t{word};\t()", f"C-E3:\t{word}; Other;\t(tense)", f"C-F1:\t{word};\t()")
    head = f"[{start_s:.4f} - {start_s + 1.9456:.4f}]\t{name}\t{code}\t[{marks}]"
    return "\n".join((head, *raters, "A-E3:\tval 3; act 2; dom  2;\t()", ""))


# Published turns of MSP-IMPROV by scenario: class letter -> count.
MSP_IMPROV = {
    "T": {"A": 115, "S": 106, "H": 136, "N": 283, "O": 1, "X": 11},
    "R": {"A": 169, "S": 80, "H": 88, "N": 241, "O": 3, "X": 39},
    "S": {"A": 470, "S": 633, "H": 1048, "N": 1789, "O": 70, "X": 371},
    "P": {"A": 38, "S": 66, "H": 1372, "N": 1164, "O": 11, "X": 134},
}
_MSP_WORDS = {"A": "Angry", "H": "Happy", "N": "Neutral", "O": "Other", "S": "Sad", "X": "Other"}


def msp_improv_turns() -> list[tuple[str, str]]:
    """Names and class letters of 8,438 turns with the published counts by scenario."""
    people = itertools.cycle([f"{sex}0{session}" for session in range(1, 7) for sex in "FM"])
    situations = itertools.cycle([f"S{sentence:02d}{emotion}" for sentence in range(1, 21) for emotion in "AHNS"])
    letters = [
        (scenario, one) for scenario, counts in MSP_IMPROV.items() for one, n in counts.items() for _ in range(n)
    ]
    numbers: Counter[str] = Counter()
    turns = []
    for scenario, letter in letters:
        stem = f"MSP-IMPROV-{next(situations)}-{next(people)}-{scenario}-"
        numbers[stem] += 1
        turns.append((f"{stem}FM{numbers[stem]:02d}", letter))
    return turns


def msp_improv_block(name: str, letter: str, *, marks: str = "A:3.000000; V:3.500000; D:2.000000 ; N:3.200000;") -> str:
    """The lines of one turn in the label file."""
    word = _MSP_WORDS[letter]
    raters = [f"C_{rater:02d}; {word}; {word},Annoyed; A:3.0; V:4.0; D:3.0; N:3.0;" for rater in (1, 2, 3)]
    raters.append(raters[0])  # some lines of raters stand there twice
    return "\n".join((f"UTD-{name[4:]}.avi; {letter}; {marks}", *raters, ""))


def make_msp_improv(
    root: Path,
    turns: Iterable[tuple[str, str]],
    *,
    label_file: str = "Evalution.txt",
    below: str = "Audio",
    suffix: str = ".wav",
    write: Write = place_file,
) -> Path:
    """MSP-IMPROV's folders with these turns (names and class letters)."""
    blocks = []
    for name, letter in turns:
        _, _, situation, speaker, scenario, _ = name.split("-")
        write(root / below / f"session{speaker[-1]}" / situation / scenario / f"{name}{suffix}")
        blocks.append(msp_improv_block(name, letter))
    (root / label_file).write_text("\n".join(blocks), encoding="utf-8")
    return root


PODCAST_HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
PODCAST_ROWS = (
    "MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1",
    "MSP-PODCAST_0001_0009.wav,H,3.777778,6.555556,3.777778,39,Female,Train",
    "MSP-PODCAST_0002_0033.wav,X,5.0,2.0,4.0,Unknown,Unknown,Development",
    "MSP-PODCAST_0003_0001_0002.wav,C,4.0,3.0,7.0,41,Female,Test2",
)
_PODCAST_DETAILS = (
    'MSP-PODCAST_0001_0008.wav,"WORKER00000163; Neutral; Neutral,Concerned; A:2.0; V:4.0; D:3.0;"',
    'MSP-PODCAST_0001_0008.wav,"WORKER00000164; Neutral; ; A:3.0; V:4.0; D:2.0;"',
    'MSP-PODCAST_0001_0008.wav,"WORKER00000165; Other-Curious; Neutral; A:2.0; V:4.0; D:3.0;"',
    'MSP-PODCAST_0002_0033.wav,"WORKER00000163; Surprise; Neutral; A:5.0; V:2.0; D:4.0;"',
)


def make_msp_podcast(
    root: Path,
    rows: Sequence[str] = PODCAST_ROWS,
    *,
    header: str = PODCAST_HEADER,
    suffix: str = ".wav",
    write: Write = place_file,
) -> Path:
    """MSP-Podcast's folders with these lines of the label table."""
    (root / "Labels").mkdir(parents=True)
    (root / "Labels" / "labels_consensus.csv").write_text("\n".join((header, *rows, "")))
    (root / "Labels" / "labels_detailed.csv").write_text("\n".join(("FileName,EmoDetail", *_PODCAST_DETAILS, "")))
    for row in rows:
        name = row.partition(",")[0]
        write((root / "Audios" / name).with_suffix(suffix))
        place_file(root / "Transcripts" / name).with_suffix(".txt").write_text(f"It is {name[:-4]}.\n")
        (root / "Transcripts" / name).unlink()
    return root


MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
MELD_FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
MELD_ROWS = {
    "train": (
        '1,"Oh my God, he\u0092s lost it. He\u0092s totally lost it.",Phoebe,sadness,negative,0,0,4,7,'
        '"00:20:57,256","00:21:00,049"',
        '2,What?,Monica,surprise,negative,0,1,4,7,"00:21:01,927","00:21:03,261"',
        '3,No!,Ross and Joey,anger,negative,125,3,4,7,"00:21:04,000","00:21:05,000"',
    ),
    "dev": (
        '1,Hi.,Joey and  Ross,joy,positive,0,0,8,21,"00:16:16,059","00:16:21,731"',
        '2,No.,Phoebe Sr.,neutral,neutral,110,7,8,21,"00:16:21,940","00:16:23,442"',
    ),
    "test": (
        '1,Why do all you\u0092re coffee mugs?,Mark,fear,negative,0,0,3,19,"00:14:38,127","00:14:40,378"',
        '2,Yes.,phoebe sr,disgust,negative,0,1,3,19,"00:14:40,629","00:14:42,000"',
    ),
}


def make_meld(
    root: Path,
    rows: Mapping[str, Sequence[str]] = MELD_ROWS,
    *,
    suffix: str = ".mp4",
    folders: Mapping[str, str] = MELD_FOLDERS,
    write: Write = place_file,
) -> Path:
    """MELD's folders with these lines of its tables; two recordings are not to be had, as in the published corpus."""
    for part, lines in rows.items():
        (root / folders[part]).mkdir(parents=True, exist_ok=True)
        (root / f"{part}_sent_emo.csv").write_text("\n".join((MELD_HEADER, *lines, "")), encoding="utf-8")
        for line in lines:
            dialogue, utterance = next(csv.reader([line]))[5:7]
            damaged = (part, dialogue, utterance) == (
                "train",
                "125",
                "3",
            ) and suffix != ".mp4"  # no sound comes out of it
            if (part, dialogue, utterance) != ("dev", "110", "7") and not damaged:
                write(root / folders[part] / f"dia{dialogue}_utt{utterance}{suffix}")
    return root


MOSEI_HEADER = (
    "HITId,AssignmentId,WorkerId,Input.VIDEO_ID,Input.CLIP,Answer.anger,Answer.disgust,Answer.fear,Answer.happiness,"
    "Answer.sadness,Answer.surprise,Answer.sentiment"
)
MOSEI_TRANSCRIPTS = {
    "-3g5yACwYnA": ((0, -0.2, 3.5, "Hello: it is me."), (10, 3.5, 9.25, "I am happy___and sad")),
    "ab_cd_efgh_": ((2, 0.0, 4.0, "Well."), (3, 4.0, 6.5, "(umm) no")),
    "125344": ((0, 1.0, 2.0, "Fine."), (1, 2.0, 2.5, "Nobody rated this.")),
}
# video, clip, strengths of anger, disgust, fear, happiness, sadness, surprise, sentiment
MOSEI_RATINGS = (
    ("-3g5yACwYnA", "0", "0", "0", "0", "2", "0", "0", "2"),
    ("-3g5yACwYnA", "0", "0", "0", "0", "1", "0", "0", "1"),
    ("-3g5yACwYnA", "0", "0", "0", "0", "0", "0", "0", "0"),
    ("-3g5yACwYnA", "10", "0", "0", "0", "3", "1", "0", "1"),
    ("-3g5yACwYnA", "10", "", "", "", "", "2", "", "-1"),
    ("ab_cd_efgh_", "2", "0", "0", "0", "0", "0", "0", "0"),
    ("mosei/ab_cd_efgh_", "3", "1", "1", "1", "0", "0", "1", "-3"),
    ("125344", "0", "0", "0", "0", "1", "0", "0", "3"),
    ("125344", "0", "", "", "", "", "", "", ""),
)


def mosei_lines(ratings: Iterable[Sequence[str]] = MOSEI_RATINGS, *, first: int = 0) -> list[str]:
    """Lines of a table of raters; assignments are numbered from `first`."""
    return [f"H{place},A{place},W{place % 3},{','.join(cells)}" for place, cells in enumerate(ratings, start=first)]


def make_cmu_mosei(
    root: Path,
    transcripts: Mapping[str, Sequence[tuple[int, float, float, str]]] = MOSEI_TRANSCRIPTS,
    *,
    suffix: str = ".wav",
    write: Write = place_file,
) -> Path:
    """CMU-MOSEI's raw data with these videos."""
    for video, segments in transcripts.items():
        write(root / "Audio" / "Full" / "WAV_16000" / f"{video}{suffix}")
        path = place_file(root / "Transcript" / "Segmented" / "Combined" / f"{video}.txt")
        path.write_text(
            "".join(f"{video}___{clip}___{start}___{end}___{text}\n" for clip, start, end, text in segments)
        )
    (root / "Labels").mkdir()
    lines = mosei_lines()
    (root / "Labels" / "5000_batch_raw.csv").write_text("\n".join((MOSEI_HEADER, *lines[:5])))
    (root / "Labels" / "Batch_2980374_batch_results.csv").write_text("\n".join((MOSEI_HEADER, *lines[3:])))
    return root


# One of every part that the loader asks for, so that nothing is left out.


def one_iemocap(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """IEMOCAP: an improvised turn of every session, and a scripted one without majority."""
    named = [(f"Ses0{session}F_impro01_M000", Turn(f"Ses0{session}M", "impro", "ang")) for session in "12345"]
    named.append(("Ses01F_script01_1_F000", Turn("Ses01F", "script", "xxx")))
    return make_iemocap(root, named, suffix=suffix, write=write)


def one_msp_improv(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """MSP-IMPROV: a turn of every session."""
    turns = [
        (f"MSP-IMPROV-S01A-F0{session}-S-FM01", letter) for session, letter in zip("123456", "AHNOSX", strict=True)
    ]
    return make_msp_improv(root, turns, suffix=suffix, write=write)


def one_msp_podcast(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """MSP-Podcast: four segments with their raters and transcripts."""
    return make_msp_podcast(root, suffix=suffix, write=write)


def one_meld(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """MELD: two utterances of train and test, one of dev; none that cannot be had."""
    rows = {
        part: [line for line in lines if ",125,3," not in line and ",110,7," not in line]
        for part, lines in MELD_ROWS.items()
    }
    return make_meld(root, rows, suffix=suffix, write=write)


def one_cmu_mosei(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    """CMU-MOSEI: the rated segments of three short videos, one of them in a folder below."""
    spans = {"-3g5yACwYnA": (0, 10), "ab_cd_efgh_": (2, 3), "125344": (0,)}
    short = {
        video: [(clip, place / 100, (place + 1) / 100, f"Segment {clip} of it.") for place, clip in enumerate(clips)]
        for video, clips in spans.items()
    }
    make_cmu_mosei(root, short, suffix=suffix, write=write)
    folder = root / "Audio" / "Full" / "WAV_16000"
    (folder / "more").mkdir()
    (folder / f"125344{suffix}").rename(folder / "more" / f"125344{suffix}")
    return root
