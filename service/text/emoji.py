"""A pattern of emoji that consist of several code points, by Unicode Technical Standard #51.

Such as "❤️" (a variation selector), "👍🏽" (a skin tone), "🇫🇷" (two regional indicators), "👩‍👩‍👧" (zero width joiners),
"1️⃣" (a keycap) and "🏴󠁧󠁢󠁥󠁮󠁧󠁿" (tags). Emoji of one code point are left to the tokenizer's rules.
"""

_BASE = "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
_MODIFIER = "(?:[\ufe0e\ufe0f]|[\U0001f3fb-\U0001f3ff]\ufe0f?|[\U000e0020-\U000e007e]+\U000e007f)"
_JOINED = f"(?:\u200d{_BASE}{_MODIFIER}?)"

# A selector follows its base or a keycap's character, so each alternative needs a second code point.
EMOJI = f"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*][\ufe0e\ufe0f]?\u20e3|{_BASE}{_MODIFIER}{_JOINED}*|{_BASE}{_JOINED}+"
