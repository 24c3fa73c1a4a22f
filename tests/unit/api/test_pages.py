"""The HTML pages: self-contained, and under a policy that lets nothing in."""

import re
from http.client import HTTPConnection
from importlib.resources import files

import pytest

from nfsw.api.pages import policy

PAGES = {"/": "page.html", "/docs": "docs.html"}


@pytest.mark.parametrize("path", PAGES)
def test_a_page_comes_with_the_policy_for_its_own_style_and_script(url: str, path: str) -> None:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    html = response.read().decode()
    connection.close()
    allowed = response.headers["Content-Security-Policy"]
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert allowed == policy(html)
    assert allowed.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in allowed
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", PAGES.values())
def test_a_page_loads_nothing_from_elsewhere_and_never_makes_html_of_data(name: str) -> None:
    html = files("nfsw.api").joinpath(name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|<(script|link|img)[^>]+src=", html)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\son\w+=", html)
    assert len(re.findall(r"<script", html)) == len(re.findall(r"<style", html)) == 1


def test_another_script_has_another_policy() -> None:
    assert policy("<style>a</style><script>b</script>") != policy("<style>a</style><script>c</script>")
