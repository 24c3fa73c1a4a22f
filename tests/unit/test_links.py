"""Links in README, CHANGELOG and docs lead somewhere: to a file of this checkout, and to a heading that is in it."""

from urllib.parse import urlsplit

import pytest

from tests.deploy.markdown import anchors, links, read, sections
from tests.deploy.overlays import CHECKOUT

PAGES = sorted(
    str(path.relative_to(CHECKOUT)) for path in [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("tests/**/*.md")]
)

TEXT = """# The Page

## One: a `thing`, two

```sh
# no heading
[no](link)
```
### Under it
[to](#under-it) and [there](other.md#x)

## Two
"""


def test_headings_and_links_are_found() -> None:
    assert anchors(TEXT) == ["the-page", "one-a-thing-two", "under-it", "two"]
    assert sections(TEXT) == {"one-a-thing-two": ["one-a-thing-two", "under-it"], "two": ["two"]}
    assert links(TEXT) == ["#under-it", "other.md#x"]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in links(read(page)):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (CHECKOUT / page).parent / parts.path if parts.path else CHECKOUT / page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors(target.read_text()), link
