import pytest

from models.voices.numbers import NUMBER, in_words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0", "zero"),
        ("7", "seven"),
        ("42", "forty two"),
        ("100", "one hundred"),
        ("345", "three hundred forty five"),
        ("5,000", "five thousand"),
        ("1,234,567", "one million two hundred thirty four thousand five hundred sixty seven"),
        ("8848", "eight thousand eight hundred forty eight"),
        ("1989", "nineteen eighty nine"),
        ("1905", "nineteen oh five"),
        ("1900", "nineteen hundred"),
        ("2007", "two thousand seven"),
        ("2026", "twenty twenty six"),
        ("1990s", "nineteen nineties"),
        ("3.14", "three point one four"),
        ("50%", "fifty percent"),
        ("2.5 %", "two point five percent"),
        ("1st", "first"),
        ("22nd", "twenty second"),
        ("30th", "thirtieth"),
        ("$1", "one dollar"),
        ("$12.50", "twelve dollars and fifty cents"),
        ("£3.01", "three pounds and one penny"),
        ("$1.5", "one point five dollars"),
        ("10:30", "ten thirty"),
        ("9:05", "nine oh five"),
        ("12:00", "twelve o'clock"),
        ("007", "zero zero seven"),
        ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
    ],
)
def test_a_number_is_read_as_people_read_it(written, said):
    match = NUMBER.fullmatch(written)
    assert match is not None
    assert " ".join(in_words(match)) == said
