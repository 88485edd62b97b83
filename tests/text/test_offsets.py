from hypothesis import given
from hypothesis import strategies as st

from service.text.tokenizer import positions

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(TEXT, st.data())
def test_offsets_cut_what_the_other_languages_have_where_code_points_cut(text, data):
    at = data.draw(st.integers(0, len(text)))
    assert positions(text, "code_points")[at] == at
    assert positions(text, "utf8")[at] == len(text[:at].encode())
    assert positions(text, "utf16")[at] == len(text[:at].encode("utf-16-le")) // 2
