"""Records as the body of an answer."""

import pytest

from millrace.domain.address import AnswerFormat
from millrace.http.answer_bodies import body_of, text_of


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", '[{"value": "\\ud800\\u00e9"}, {"value": ["\\ud800"]}, {"\\ud800": "\\u00e9"}]'),
        ("txt", '\ufffdé\n["\\ud800"]\n{"\\ud800": "\\u00e9"}\n'),
        ("csv", 'value,\ufffd\r\n\ufffdé,\r\n"[""\\ud800""]",\r\n,é\r\n'),
    ],
)
def test_half_a_surrogate_pair_stops_no_answer(form: AnswerFormat, expected: str) -> None:
    """UTF-8 cannot hold it: JSON escapes it, and elsewhere a replacement stands for it."""
    body = body_of([{"value": "\ud800é"}, {"value": ["\ud800"]}, {"\ud800": "é"}], form)
    assert body == expected
    assert body.encode().decode() == body


def test_json_is_written_as_it_is_read() -> None:
    """A letter of another script takes two or three bytes, its escape six."""
    assert body_of([{"n": "é", "v": [1, None]}], "json") == '[{"n": "é", "v": [1, null]}]'
    assert text_of({"n": "東"}) == '{"n": "東"}'
