"""Contents of the page."""

import pytest

from mrcert_pl.views.page.parts import Section, anchored


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("Cases", "cases"),
        ("What the numbers mean", "what-the-numbers-mean"),
        ("digits, vit_srf, 10 images", "digits--vit-srf--10-images"),
        ('"><script>x</script>', "---script-x--script-"),
    ],
)
def test_an_anchor_needs_no_escaping(title: str, anchor: str) -> None:
    assert Section(title).anchor == anchor


def test_sections_share_no_words() -> None:
    assert Section("a").words == {}
    assert Section("a").words is not Section("b").words


def test_titles_that_differ_in_punctuation_have_anchors_of_their_own() -> None:
    sections = [Section(title) for title in ("a, b", "a. b", "a- b", "a--b-2", "c")]
    assert [*anchored(sections)] == ["a--b", "a--b-2", "a--b-3", "a--b-2-2", "c"]
    assert [*anchored(sections).values()] == sections
