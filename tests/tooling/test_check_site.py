"""The check of the built site finds what is loaded from elsewhere and markup that was not understood."""

import check_site
import pytest

GOOD = """<html><head><link rel="stylesheet" href="assets/site.css"><link rel="canonical" href="https://example.org"></head>
<body><p>See <a href="https://example.org">there</a>: <code>:class:`Client`</code></p><img src="a.svg">
<script src="../a.js"></script></body></html>"""


def site_of(folder, **files):
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return [str(folder)]


def test_a_site_that_keeps_to_itself_passes(tmp_path, capsys):
    assert check_site.main(site_of(tmp_path, index_html=GOOD, site_css="a { background: url(x.png) }")) == 0
    assert "2 files, 0 fault(s)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('<script src="https://cdn.example.org/a.js"></script>', "https://cdn.example.org/a.js"),
        ('<link rel="preconnect" href="https://fonts.example.org">', "https://fonts.example.org"),
        ('<img src="//example.org/a.png">', "//example.org/a.png"),
        ("<p>A :class:`Client` of ours</p>", "markup"),
        ("<p>::: aerospike_py.client</p>", "markup"),
        ("<p>```python</p>", "markup"),
    ],
)
def test_what_is_wrong_is_found(tmp_path, capsys, content, fault):
    assert check_site.main(site_of(tmp_path, index_html=GOOD + content)) == 1
    assert fault in capsys.readouterr().err


def test_styles_that_load_fonts_are_found(tmp_path, capsys):
    css = '@import "https://fonts.example.org/a.css";\nb { src: url(//example.org/f.woff2) }'
    assert check_site.main(site_of(tmp_path, site_css=css)) == 1
    errors = capsys.readouterr().err
    assert "fonts.example.org/a.css" in errors
    assert "example.org/f.woff2" in errors


def test_no_site_is_a_fault(tmp_path, capsys):
    assert check_site.main([str(tmp_path)]) == 1
    assert "build the site first" in capsys.readouterr().err
