"""Patterns of emoji, signs of currencies, and characters of scripts without spaces between words.

An emoji has one code point or several, by Unicode Technical Standard #51: "😀", "❤️" (a variation selector), "👍🏽" (a
skin tone), "🇫🇷" (two regional indicators), "👩‍👩‍👧" (zero width joiners), "1️⃣" (a keycap) and "🏴󠁧󠁢󠁥󠁮󠁧󠁿" (tags).

A classifier, or a tagger's learned tokenizer, makes more of characters than of whole clauses. The vowels, tones and
subscripts of Thai, Lao, Khmer, Myanmar, Tibetan and their kin belong to the consonant before them (Unicode Standard
Annex #29).
"""

import re
import unicodedata
from itertools import chain

_BASE = "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_MODIFIER = "(?:[\ufe0e\ufe0f]|[\U0001f3fb-\U0001f3ff]\ufe0f?|[\U000e0020-\U000e007e]+\U000e007f)"
_JOINED = f"(?:\u200d{_BASE}{_MODIFIER}?)"
# Pictures without a selector; arrows, mathematical signs, brackets and digits of these blocks are none.
_ALONE = (
    "[\u231a\u231b\u2328\u23cf\u23e9-\u23ff\u2600-\u266e\u2670-\u2767\u2794-\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\U0001f000-\U0001faff]"
)
_SEVERAL = f"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*][\ufe0e\ufe0f]?\u20e3|{_BASE}{_MODIFIER}{_JOINED}*|{_BASE}{_JOINED}+"

EMOJI = f"{_SEVERAL}|{_ALONE}"
_CURRENCY = "[\u00a2-\u00a5\u20a0-\u20cf]"  # but for "$", which treebanks have
is_symbol = re.compile(f"(?:{EMOJI})+|{_CURRENCY}").fullmatch
has_symbol = re.compile(f"{EMOJI}|{_CURRENCY}").search


UNSPACED_SCRIPTS = "Han, Kana, Thai, Lao, Khmer, Myanmar, Tibetan, Tai Le, New Tai Lue, Tai Tham, Balinese and Javanese"
_HAN_AND_KANA = (
    "\u3005-\u3007\u3021-\u3029\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9d\U0001b000-\U0001b16f\U00020000-\U000323af"
)
_BLOCKS = (
    *((0x0E01, 0x0F00), (0x0F40, 0x0FBD), (0x1000, 0x10A0), (0x1780, 0x17E0), (0x1950, 0x1975), (0x1980, 0x19CA)),
    *((0x1A20, 0x1A7D), (0x1B05, 0x1B45), (0xA984, 0xA9C1), (0xA9E0, 0xAA00), (0xAA60, 0xAA80)),
)
_characters = [chr(code) for code in chain.from_iterable(range(*block) for block in _BLOCKS)]
_MARKS = "".join(c for c in _characters if unicodedata.category(c)[0] == "M")
_LETTERS = "".join(c for c in _characters if unicodedata.category(c) in ("Lo", "Lm"))
_STACKERS = "\u1039\u17d2\u1a60\u1b44\ua9c0"  # put the next consonant below
_VOWEL_SIGNS = "\u0e33\u0eb3"  # are letters to Unicode, yet follow their consonant

UNSPACED = (
    f"[{_HAN_AND_KANA}][\u3099\u309a\uff9e\uff9f\ufe00-\ufe0f\U000e0100-\U000e01ef]?"
    f"|[{_LETTERS}](?:[{_STACKERS}][{_LETTERS}]|[{_MARKS}{_VOWEL_SIGNS}])*"
)
