"""Every example of the documentation runs, page by page, or says on the page why it does not."""

import sys

import aerospike_py
import pytest
from pages import ROOT, Block, PageError, blocks, page_paths, unused_files
from running import Page

PAGES = {str(path.relative_to(ROOT)): path for path in page_paths()}
# What is left out is the exception: a site that runs little of what it shows proves little.
LARGEST_SHARE_LEFT_OUT = 0.15


@pytest.fixture
def recording_as_before():
    """Pages switch recording on and read what was recorded; tests that come later must not see it."""
    metrics, stages = aerospike_py.is_metrics_enabled(), aerospike_py.is_internal_stage_metrics_enabled()
    aerospike_py.stage_snapshot(reset=True)
    yield
    aerospike_py.set_metrics_enabled(metrics)
    aerospike_py.set_internal_stage_metrics_enabled(stages)
    aerospike_py.stage_snapshot(reset=True)


@pytest.fixture
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Let the files that a page writes be imported, and forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if name not in before and str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("name", [name for name, path in PAGES.items() if blocks(path.read_text())])
@pytest.mark.embedded
async def test_the_page_runs(name, one_node, in_a_folder_of_its_own, recording_as_before):
    parts = blocks(PAGES[name].read_text())
    assert unused_files(parts) == []
    aerospike_py.stage_snapshot(reset=True)
    with aerospike_py.client(one_node.config()).connect() as client:
        async with await aerospike_py.async_client(one_node.config()).connect() as async_client:
            names = {
                "__name__": "example",
                "aerospike_py": aerospike_py,
                "async_client": async_client,
                "client": client,
                "hosts": one_node.hosts,
            }
            page = Page(name, in_a_folder_of_its_own, names)
            for block in parts:
                if block.reason is None:
                    await page.run(block)


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
