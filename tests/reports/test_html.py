import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from proxyspec.model import Verdict
from proxyspec_reports import render_html, view
from proxyspec_reports.charts import svg
from proxyspec_reports.html import _SHAPES
from proxyspec_reports.load import LoadView

from .samples import NASTY, annotate, case, clean_run, conformance_run, load_run, mixed_run

VOID = {"meta", "link", "br", "img", "input", "hr", "base"}


@dataclass(slots=True)
class Node:
    tag: str
    attributes: dict[str, str]
    content: list["Node | str"] = field(default_factory=list)

    @property
    def children(self) -> list["Node"]:
        return [item for item in self.content if isinstance(item, Node)]

    def walk(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, tag: str) -> list["Node"]:
        return [node for node in self.walk() if node.tag == tag]

    @property
    def text(self) -> str:
        return "".join(item if isinstance(item, str) else item.text for item in self.content)


class Tree(HTMLParser):
    """Builds a tree and insists that every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(page)
        self.close()
        assert self._open == [self.root], f"left open: {[node.tag for node in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].content.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].content.append(data)


def render_all() -> str:
    return render_html(view([mixed_run(), load_run(), clean_run()], annotate=annotate))


@pytest.fixture(scope="module")
def page() -> str:
    return render_all()


@pytest.fixture(scope="module")
def tree(page: str) -> Node:
    return Tree(page).root


def test_the_answer_comes_first_in_words(tree: Node) -> None:
    main = tree.all("main")[0]
    assert main.all("h1")[0].text == "May I put this server behind HAProxy?"
    first = main.all("section")[0]
    words = " ".join(first.text.split())
    assert words.startswith("No smtp://127.0.0.1:2525 broke the rules in 3 cases and missed 1 load threshold.")
    assert [node.text for node in first.all("dd")] == ["62", "3", "5"]


def test_text_of_a_server_makes_no_element(tree: Node, page: str) -> None:
    assert len(tree.all("script")) == 1, "the page's own"
    assert tree.all("img") == tree.all("b") == []
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(&#39;mx&#39;)&lt;/script&gt;" in page, "the nasty greeting is shown at all"
    assert not [name for node in tree.walk() for name in node.attributes if name.startswith("on")]


def test_every_text_field_of_a_record_is_escaped() -> None:
    evil = "<script>x</script>\"'\x1b\u202e"
    made = case("v1/a").model_copy(
        update=dict.fromkeys(("title", "section", "reason", "reproduce", "client", "peer"), evil) | {"id": "g/" + evil}
    )
    made = made.model_copy(update={"accepts": [evil], "control": evil, "verdict": Verdict.FAIL})
    run = conformance_run([made], run_id=evil, url="smtp://" + evil, unjudgeable=evil, oracle=evil)
    page = render_html(view([run.model_copy(update={"command": [evil]}), load_run(run_id=evil, url=evil)]))
    assert page.count("<script") == 1
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert len(Tree(page).root.all("script")) == 1, "the page's own"


def test_the_policy_forbids_everything_but_the_own_sheet(tree: Node) -> None:
    (policy,) = [
        node.attributes["content"]
        for node in tree.all("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (sheet,) = tree.all("style")
    digest = base64.b64encode(hashlib.sha256(sheet.text.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "unsafe" not in policy
    assert not [node for node in tree.walk() if "style" in node.attributes], "inline styles would be blocked"


def test_the_page_loads_nothing(tree: Node) -> None:
    for node in tree.walk():
        for name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href"):
            assert node.attributes.get(name, "#").startswith("#"), f"<{node.tag} {name}={node.attributes[name]!r}>"
    sheet = tree.all("style")[0].text
    assert not re.search(r"url\(|@import|expression", sheet)


def test_ids_are_unique_and_every_link_has_its_end(tree: Node) -> None:
    ids = [node.attributes["id"] for node in tree.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    references = [node.attributes["href"][1:] for node in tree.walk() if "href" in node.attributes]
    references += [node.attributes["aria-labelledby"] for node in tree.walk() if "aria-labelledby" in node.attributes]
    assert len(references) > 100
    assert set(references) <= set(ids)


def test_every_table_has_a_caption_and_every_head_a_scope(tree: Node) -> None:
    tables = tree.all("table")
    assert len(tables) > 60
    for table in tables:
        assert table.children[0].tag == "caption"
        assert table.children[0].text.strip()
        heads = table.all("th")
        assert heads
        assert all(head.attributes.get("scope") in {"col", "row", "rowgroup"} for head in heads)
        columns = sum(int(head.attributes.get("colspan", "1")) for head in table.all("thead")[0].all("th"))
        for row in table.all("tr"):
            assert sum(int(cell.attributes.get("colspan", "1")) for cell in row.children) == columns


def test_every_plot_has_a_name_and_a_table(tree: Node) -> None:
    run = next(node for node in tree.walk() if node.attributes.get("id") == "run-2")
    drawings = [node for figure in run.all("figure") for node in figure.all("svg")]
    assert len(drawings) == 3
    assert all(drawing.attributes["role"] == "img" for drawing in drawings)
    captions = [caption.text for caption in run.all("caption")]
    assert "Samples of the time line; session times in milliseconds" in captions


def test_verdicts_are_words_with_a_shape_of_their_own(tree: Node) -> None:
    badges = [node for node in tree.all("span") if "badge" in node.attributes.get("class", "").split()]
    words = {badge.text for badge in badges}
    assert {str(verdict) for verdict in Verdict} <= words
    shape_of = {badge.text: badge.all("use")[0].attributes["href"] for badge in badges}
    assert len({shape_of[str(verdict)] for verdict in Verdict}) == len(Verdict)
    symbols = {node.attributes["id"] for node in tree.all("symbol")}
    assert {f"shape-{name}" for name in _SHAPES.values()} == symbols


def test_every_case_has_its_evidence_and_a_way_to_reproduce_it(tree: Node) -> None:
    run = next(node for node in tree.walk() if node.attributes.get("id") == "run-1")
    shells = [node.text for node in run.all("pre") if node.attributes["class"] == "shell"]
    assert len(shells) == len(mixed_run().cases)
    assert all(shell.startswith("proxyspec run smtp://127.0.0.1:2525 --case ") for shell in shells)
    assert sum("printf" in shell and "| nc " in shell for shell in shells) >= 30


def test_failures_stand_open_and_before_the_table_of_all_cases(page: str, tree: Node) -> None:
    failed = [node for node in tree.all("article") if node.attributes["class"] == "case case-fail"]
    assert len(failed) == 2, "two causes for three failures"
    assert all("open" in node.all("details")[0].attributes for node in failed)
    assert page.index("leading zeros") < page.index('<table class="cases">')


def test_long_bytes_are_cut(page: str) -> None:
    assert "… 3,499 bytes more" in page
    assert "41" * 600 not in page.replace(" ", "")


def test_interrupted_and_unjudgeable_runs_say_so() -> None:
    run = conformance_run([case("v1/a")], status="interrupted", unjudgeable="it resets every connection")
    words = " ".join(Tree(render_html(view([run]))).root.all("main")[0].text.split())
    assert words.startswith(
        "May I put this server behind HAProxy? Cannot tell The target could not be judged: it resets every connection."
    )
    assert "Interrupted. This run was stopped before it was done" in words
    assert "Could not be judged. it resets every connection" in words


@pytest.mark.parametrize("runs", [[], [conformance_run([])], [load_run(thresholds=[], seconds=0, failures=0)]])
def test_thin_reports_are_whole_pages(runs: list[object]) -> None:
    tree = Tree(render_html(view(runs))).root  # type: ignore[arg-type]
    assert tree.all("h1")
    assert "Cannot tell" in tree.all("main")[0].text


def test_a_load_run_that_measured_nothing_is_a_whole_page() -> None:
    run = load_run().model_copy(update={"timeline": [], "steps": [], "errors": [], "thresholds": [], "sessions": 0})
    tree = Tree(render_html(view([run]))).root
    assert "No step was measured." in tree.text
    assert tree.all("figure") == []


def test_the_same_records_give_the_same_bytes() -> None:
    assert render_all() == render_all()


def test_drawings_are_part_of_the_page(page: str) -> None:
    result = view([mixed_run(), load_run()]).sections[1]
    assert isinstance(result, LoadView)
    drawing = svg(result.plots[0], "run-2-plot-1")
    assert drawing is not None
    assert drawing in page


def test_control_characters_never_reach_the_page(page: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ufffd]", page)
    assert NASTY.decode("utf-8", "replace")[:20].startswith("220 <script>"), "the samples hold such characters"
