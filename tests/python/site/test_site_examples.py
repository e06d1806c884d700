"""Every example of the documentation runs, page by page, or says on the page why it does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, Block, PageError, blocks, page_paths, unused_files
from running import Page

PAGES = {str(path.relative_to(ROOT)): path for path in page_paths()}
# What is left out is the exception: a site that runs little of what it shows proves little.
LARGEST_SHARE_LEFT_OUT = 0.15
RUNNING = Path(__file__).with_name("running.py")
PAGE_SECONDS = 120


@pytest.mark.parametrize("name", [name for name, path in PAGES.items() if blocks(path.read_text())])
@pytest.mark.embedded
def test_the_page_runs(name, one_node, tmp_path):
    assert unused_files(blocks(PAGES[name].read_text())) == []
    # A process of its own: pages switch recording on and read all that was recorded, as their readers do in theirs.
    done = subprocess.run(
        [sys.executable, "-W", "error", RUNNING, PAGES[name], name, json.dumps(one_node.hosts)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PAGE_SECONDS,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "Exception ignored" not in done.stdout


def test_nearly_everything_runs():
    parts = [block for path in PAGES.values() for block in blocks(path.read_text()) if block.is_python]
    left_out = [block for block in parts if block.reason is not None]
    assert parts
    assert len(left_out) <= LARGEST_SHARE_LEFT_OUT * len(parts)


PAGE = """\
Text.

```python
first = 1
```

<!-- not run: it would delete a production cluster -->
```console
$ rm cluster
```

!!! note

    ```python title="service.py"
    app = "service"
    ```

```text
no code
```
"""


def test_a_page_is_taken_apart():
    assert blocks(PAGE) == [
        Block("python", "first = 1\n", 4, None, None),
        Block("console", "$ rm cluster\n", 9, None, "it would delete a production cluster"),
        Block("python", 'app = "service"\n', 15, "service.py", None),
    ]
    assert unused_files(blocks(PAGE)) == ["service.py"]
    assert unused_files(blocks(PAGE + "```python\nimport service\n```\n")) == []


@pytest.mark.parametrize("page", ["```python\n1\n", "<!-- not run: no -->\n```python\n1\n```\n"])
def test_pages_that_hide_something_are_refused(page):
    with pytest.raises(PageError):
        blocks(page)


def test_commands_are_the_lines_after_a_prompt():
    assert Block("console", "$ echo a \\\n  b\na b\n$ true\n", 1, None, None).commands() == ["echo a    b", "true"]
    assert Block("sh", "# why\necho a\n", 1, None, None).commands() == ["echo a"]


@pytest.mark.parametrize(
    "code",
    [
        "```python\ntry:\n    fine = 1\nexcept ValueError:\n    pass\n```\n",
        "```python\nawait client.missing()\n```\n",
        "```python\nassert 1 == 2\n```\n",
        "```console\n$ false | true\n```\n",
    ],
)
async def test_a_block_that_fails_fails_the_page(code, tmp_path):
    page = Page("page.md", tmp_path, {"hosts": [("h", 1)], "client": None})
    with pytest.raises((AssertionError, AttributeError)):
        await page.run(blocks(code)[0])


async def test_blocks_share_names_and_connect_to_the_server_of_the_tests(tmp_path):
    page = Page("page.md", tmp_path, {"hosts": [("h", 1)]})
    for block in blocks(
        '```python\nhosts = [("127.0.0.1", 3000)]\n```\n\n```python\nassert hosts == [("h", 1)]\n```\n'
    ):
        await page.run(block)
    assert page.names["hosts"] == [("h", 1)]
