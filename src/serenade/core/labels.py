"""The one table of emotions, their spellings, and ordered label sets.

Indices and display names always derive from one `LabelSet`; nothing else in Serenade maps a class index to a name.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serenade.core.errors import UsageError
from serenade.core.names import did_you_mean
from serenade.core.records import Utterance

__all__ = ["EMOTIONS", "LabelSet", "canonical_emotion", "emotions_of"]

# canonical name -> other spellings in corpora, languages and toolkits (compared in lower case). Codes that mean one
# thing in this corpus and another in that (A: anger in CREMA-D, Angst, fear, in EMO-DB) stand in the corpus's file.
EMOTIONS: dict[str, tuple[str, ...]] = {
    "amused": ("amusement",),
    "angry": (
        *("anger", "ang", "a", "rage", "wut", "wütend", "ärger", "aerger", "ärgerlich", "colère", "colere", "rabbia"),
        *("ira", "enfado", "enojo", "raiva", "boos", "boosheid", "złość", "gniew", "vztek", "hněv", "гнев", "злость"),
        *(
            "kızgın",
            "kızgınlık",
            "öfke",
            "ofke",
            "خشم",
            "عصبانیت",
            "غصہ",
            "غضب",
            "θυμός",
            "화남",
            "분노",
            "生气",
            "生氣",
        ),
        *("愤怒", "憤怒", "怒り", "怒"),
    ),
    "anxious": ("anxiety", "worried", "nervous", "불안", "焦虑"),
    "bored": (
        *("boredom", "boredem", "bor", "langeweile", "gelangweilt", "ennui", "noia", "aburrimiento", "nuda", "скука"),
        *("无聊",),
    ),
    "calm": ("calmness", "cal", "sakin", "ruhig", "calme", "calma", "spokój", "спокойствие", "평온"),
    "contempt": (
        *("contemptuous", "con", "scorn", "verachtung", "mépris", "disprezzo", "desprecio", "pogarda", "презрение"),
        *("경멸", "轻蔑", "蔑视"),
    ),
    "disgusted": (
        *("disgust", "dis", "disqust", "ekel", "dégoût", "degout", "disgusto", "asco", "nojo", "walging", "wstręt"),
        *("obrzydzenie", "отвращение", "tiksinti", "iğrenme", "اشمئزاز", "αηδία", "혐오", "厌恶", "厭惡", "嫌悪"),
    ),
    "excited": ("excitement", "exc", "enthusiastic", "enthusiasm", "aufgeregt", "흥분", "兴奋"),
    "fearful": (
        *(
            "fear",
            "fea",
            "afraid",
            "scared",
            "angst",
            "ängstlich",
            "furcht",
            "peur",
            "paura",
            "miedo",
            "medo",
            "strach",
        ),
        *("страх", "korku", "ترس", "خوف", "φόβος", "두려움", "공포", "恐惧", "恐懼", "害怕", "恐れ", "恐怖"),
    ),
    "frustrated": ("frustration", "fru", "frustriert"),
    "happy": (
        *("happiness", "hap", "joy", "joyful", "freude", "fröhlich", "glücklich", "glück", "joie", "gioia", "felicità"),
        *(
            "alegría",
            "alegria",
            "felicidad",
            "felicidade",
            "feliz",
            "blij",
            "blijdschap",
            "radość",
            "szczęście",
            "radost",
        ),
        *("радость", "счастье", "mutlu", "mutluluk", "شادی", "خوشی", "خوش", "فرح", "سعادة", "χαρά", "기쁨", "행복"),
        *("开心", "開心", "高兴", "高興", "快乐", "快樂", "喜悦", "喜び", "嬉しい"),
    ),
    "neutral": (
        *("neu", "neutrality", "neutre", "neutralité", "neutrale", "neutro", "neutraal", "neutralny", "neutralność"),
        *("neutrální", "нейтрально", "нейтральный", "nötr", "خنثی", "محايد", "중립", "ουδέτερο", "中立", "中性"),
    ),
    "other": ("oth", "others", "其他"),
    "sad": (
        *("sadness", "trauer", "traurig", "traurigkeit", "tristesse", "triste", "tristezza", "tristeza", "verdrietig"),
        *("smutek", "грусть", "печаль", "üzgün", "üzüntü", "hüzün", "hüzünlü", "غم", "اداسی", "اداس", "حزن", "λύπη"),
        *("슬픔", "难过", "難過", "悲伤", "悲傷", "伤心", "傷心", "悲しみ", "悲しい"),
    ),
    "surprised": (
        *("surprise", "sur", "ps", "pleasant_surprise", "pleasant_surprised", "pleasantly_surprised", "überraschung"),
        *("überrascht", "sorpresa", "surpresa", "verrast", "verrassing", "zaskoczenie", "zdziwienie", "překvapení"),
        *(
            "удивление",
            "şaşkın",
            "şaşkınlık",
            "تعجب",
            "دهشة",
            "έκπληξη",
            "놀람",
            "놀라움",
            "吃惊",
            "吃驚",
            "惊讶",
            "驚訝",
        ),
        *("惊喜", "驚き"),
    ),
}
_SPELLINGS = {spelling: name for name, others in EMOTIONS.items() for spelling in (name, *others)}


def canonical_emotion(label: str) -> str | None:
    """The table's name for a spelling, or None where the table does not know it.

    Also for the forms of toolkits that write two languages (``生气/angry``) or marks (``<|HAPPY|>``).
    """
    plain = unicodedata.normalize("NFC", label).strip().lower()  # a file name's umlaut may come in two pieces
    plain = plain.removeprefix("<|").removesuffix("|>").replace(" ", "_").replace("-", "_")
    names = {_SPELLINGS.get(part) for part in plain.split("/")}
    return names.pop() if len(names) == 1 else None


def emotions_of(utterances: Iterable[Utterance]) -> set[str]:
    """The emotions of utterances: their classes; of those without one, of which a corpus names several, all of these.

    Several are named in ``extra["labels"]``, separated by commas; none of them is an answer too.
    """
    found: set[str] = set()
    for utterance in utterances:
        if utterance.emotion is not None:
            found.add(utterance.emotion)
        else:
            named = (name.strip() for name in utterance.extra.get("labels", "").split(","))
            found.update(canonical_emotion(name) or name for name in named if name)
    return found


@dataclass(frozen=True, slots=True)
class LabelSet:
    """An ordered set of class names; a class's index is its place.

    Args:
        names: at least two different names, none empty, in index order.

    Raises:
        UsageError: fewer than two names, a name twice, or an empty one.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names) or not all(self.names):
            found = ", ".join(name or "an empty name" for name in self.names) or "none"
            raise UsageError("a label set needs at least two different names", found=found)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def index(self, name: str) -> int:
        """The index of a class.

        Raises:
            UsageError: the set does not hold the name.
        """
        if name not in self.names:
            raise UsageError(
                f"the label set has no class {name!r}",
                expected=f"one of {', '.join(self.names)}",
                hint=did_you_mean(name, self.names),
            )
        return self.names.index(name)

    @classmethod
    def of(cls, labels: Iterable[str]) -> "LabelSet":
        """The sorted set of the labels seen."""
        return cls(tuple(sorted(set(labels))))

    @classmethod
    def parse(cls, names: Sequence[str]) -> "LabelSet":
        """A set from names as a user writes them: known spellings become the table's names, others stay, sorted."""
        return cls.of(canonical_emotion(name) or name.strip() for name in names)
