"""A pattern of emoji, of one code point or several, by Unicode Technical Standard #51.

Such as "😀", "❤️" (a variation selector), "👍🏽" (a skin tone), "🇫🇷" (two regional indicators), "👩‍👩‍👧" (zero width
joiners), "1️⃣" (a keycap) and "🏴󠁧󠁢󠁥󠁮󠁧󠁿" (tags).
"""

import re

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
is_emoji = re.compile(f"(?:{EMOJI})+").fullmatch
has_emoji = re.compile(EMOJI).search
