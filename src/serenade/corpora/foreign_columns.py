"""Which column of a foreign table means what: proposals from names in several languages and from what is in it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serenade.core.labels import canonical_emotion
from serenade.corpora.cells import COLUMNS
from serenade.corpora.layout import is_sound, is_there, walk_files
from serenade.corpora.name_patterns import GENDER_WORDS

__all__ = ["Proposal", "RecordingFinder", "propose_columns"]

_WORDS = {
    "file": (
        *("datei", "dateiname", "pfad", "aufnahme", "fichier", "chemin", "enregistrement", "archivo", "fichero"),
        *("ruta", "grabación", "percorso", "nome_file", "registrazione", "plik", "ścieżka", "nagranie", "dosya"),
        *("bestand", "clip", "wav_file", "wav_path", "sound", "файл", "文件", "音频", "ファイル", "파일"),
    ),
    "utterance": ("uttid", "utterance", "äußerung", "aeusserung"),
    "speaker": (
        *("sprecher", "sprecherin", "person", "proband", "versuchsperson", "vp", "locuteur", "locutrice", "acteur"),
        *("sujet", "hablante", "locutor", "parlante", "attore", "mówca", "mowca", "aktor", "konuşmacı", "konusmaci"),
        *("spreker", "talker", "talare", "диктор", "говорящий", "说话人", "话者", "話者", "화자"),
    ),
    "gender": (
        *("geschlecht", "sexe", "genre", "sexo", "género", "genero", "sesso", "genere", "płeć", "plec", "cinsiyet"),
        *("geslacht", "kön", "пол", "性别", "性別", "성별"),
    ),
    "emotion": (
        *("gefühl", "gefuehl", "emotionen", "klasse", "kategorie", "émotion", "étiquette", "catégorie", "emoción"),
        *("emocion", "etiqueta", "emozione", "etichetta", "emocja", "etykieta", "duygu", "etiket", "emotie"),
        *("affect", "target", "annotation", "эмоция", "情感", "情绪", "感情", "감정"),
    ),
    "start": (
        *("anfang", "beginn", "von", "début", "debut", "inicio", "inizio", "początek", "başlangıç", "from"),
        *("start_time", "begin_time", "tmin", "xmin"),
    ),
    "end": ("ende", "bis", "fin", "fine", "koniec", "bitiş", "to", "end_time", "stop_time", "tmax", "xmax"),
    "language": ("sprache", "langue", "idioma", "lingua", "język", "jezyk", "dil", "taal", "язык", "语言", "언어"),
    "split": ("teil", "aufteilung", "partie", "partición", "podział"),
    "text": (
        *("wortlaut", "satztext", "text_content", "texte", "texto", "testo", "tekst", "metin", "utterance_text"),
        *("transkript", "transkription", "transcripción", "текст", "文本", "テキスト", "텍스트"),
    ),
    "sentence": ("satz", "phrase", "frase", "zdanie", "cümle", "cumle", "zin", "предложение"),
    "group": ("sitzung", "gespräch", "gespraech", "sesión", "sessione", "sesja", "oturum", "сессия"),
    "valence": ("valenz", "pleasure"),
    "arousal": ("erregung", "aktivierung"),
    "dominance": ("dominanz",),
}
_OURS, _KNOWN, _FOREIGN, _PART = 4.0, 3.0, 2.0, 1.0  # how well a name fits
_CONTENT = 2.0  # what full agreement of the content adds
_ENOUGH = 0.5  # of the values must agree where the name says nothing
_LOOKED_AT = 300  # rows
_SMALLEST_WORD = 3  # letters of a word that may stand within another one: satz in Satznummer


@dataclass(frozen=True, slots=True)
class Proposal:
    """The column that probably holds what one of ours does.

    Args:
        column: its name; None where two fit equally well.
        reason: why, in words.
        certain: whether it is called as `table` reads it, so that nobody need be asked.
        rivals: columns that fit equally well.
    """

    column: str | None
    reason: str
    certain: bool = False
    rivals: tuple[str, ...] = ()


class RecordingFinder:
    """Finds recordings by what a table says of them: a path, or the name of a file somewhere below a folder.

    Args:
        folder: what paths are relative to, and where names are looked for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, cell: str) -> list[Path]:
        """The recordings that a cell may mean: none, one, or several of one name."""
        if not cell or "\0" in cell:
            return []
        for written in (cell, cell.replace("\\", "/")):
            if is_there(self.folder / written) and not (self.folder / written).is_dir():
                return [self.folder / written]
        return self._names().get(cell.replace("\\", "/").rpartition("/")[2].lower(), [])

    def _names(self) -> dict[str, list[Path]]:
        """Recordings by file name, with and without extension; read once, when a path does not lead there."""
        if self._by_name is None:
            self._by_name = {}
            for path in walk_files(self.folder) if self.folder.is_dir() else ():
                if is_sound(path):
                    for name in {path.name.lower(), path.stem.lower()}:
                        self._by_name.setdefault(name, []).append(path)
        return self._by_name


def propose_columns(
    header: Sequence[str], rows: Sequence[Mapping[str, str]], finder: RecordingFinder
) -> dict[str, Proposal]:
    """Our columns that the table seems to have, each with its column there.

    A name is looked for among ours, their other spellings, and words in several languages, also as a part of the name
    (``SprecherID``). What stands in a column counts too: paths that lead to recordings, words that are known emotions,
    words for female and male. A column is proposed once, where it fits best.

    Args:
        header: the names of the columns.
        rows: their cells; empty ones may be left out.
        finder: finds the recordings.
    """
    values = {name: [row[name] for row in rows[:_LOOKED_AT] if row.get(name)] for name in header}
    judges: dict[str, Callable[[Sequence[str]], float]] = {
        "file": lambda cells: sum(bool(finder.find(cell)) for cell in cells) / len(cells),
        "emotion": _share_of_emotions,
        "gender": _share_of_genders,
    }
    scores: dict[tuple[str, str], tuple[float, str]] = {}
    for ours in COLUMNS:
        for name in header:
            judge = judges.get(ours)
            content = judge(values[name]) if judge is not None and values[name] else 0.0
            named = _fit(ours, name)
            if named or content >= _ENOUGH:
                scores[ours, name] = (named + _CONTENT * content, _reason(ours, named, content))
    return _assign(scores)


def _assign(scores: Mapping[tuple[str, str], tuple[float, str]]) -> dict[str, Proposal]:
    """Every column to what it fits best; where two fit one of ours equally well, neither is taken."""
    found: dict[str, Proposal] = {}
    taken: set[str] = set()
    for (ours, name), (score, reason) in sorted(scores.items(), key=lambda item: (-item[1][0], item[0])):
        if ours in found or name in taken:
            continue
        equal = [other for (one, other), (rival, _) in scores.items() if one == ours and rival == score]
        rivals = tuple(other for other in equal if other not in taken)
        if len(rivals) > 1:
            found[ours] = Proposal(None, "fit equally well", rivals=rivals)
            taken.update(rivals)
            continue
        found[ours] = Proposal(name, reason, certain=_fit(ours, name) >= _KNOWN)
        taken.add(name)
    return found


def _fit(ours: str, name: str) -> float:
    """How well a column's name fits one of ours."""
    plain = re.sub(r"[\s\-.]+", "_", name.strip().lower())
    foreign = _WORDS.get(ours, ())
    if plain == ours:
        return _OURS
    if plain in COLUMNS[ours]:
        return _KNOWN
    if plain in foreign:
        return _FOREIGN
    pieces = re.sub(r"([a-zäöüß])([A-Z])", r"\1_\2", name.strip()).lower()
    parts = set(re.split(r"[\W_]+", pieces))
    words = [word for word in (ours, *COLUMNS[ours], *foreign) if "_" not in word]
    inside = any(len(word) > _SMALLEST_WORD and plain.startswith(word) for word in words)
    return _PART if inside or parts & set(words) else 0.0


def _reason(ours: str, named: float, content: float) -> str:
    what = {"file": "its values are recordings", "emotion": "its values are emotions", "gender": "female and male"}
    reasons = ["by its name"] if named else []
    reasons += [what[ours]] if content >= _ENOUGH else []
    return " and ".join(reasons)


def _share_of_emotions(cells: Sequence[str]) -> float:
    """The share of the different words that are known emotions; single letters and single words say too little."""
    words = {cell.strip() for cell in cells}
    known = [len(word) > 1 and canonical_emotion(word) is not None for word in words]
    return sum(known) / len(known) if len(words) > 1 else 0.0


def _share_of_genders(cells: Sequence[str]) -> float:
    words = {cell.strip().lower() for cell in cells}
    return 1.0 if len(words) == 2 and words <= set(GENDER_WORDS) else 0.0
