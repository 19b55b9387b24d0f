"""The site of counterexamples: its files by themselves, and in a real browser."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pytest

from harness import decide, drive
from harness.claims.table import CLAIMS
from harness.cli import main
from harness.harvest import Finding
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import Network, diagonal
from harness.records.folders import store
from harness.records.record import RECORD, Record, load, stored
from harness.report.build import build_site, write_figure
from harness.report.charts import Axis, Level, Line, chart, strips
from harness.report.film import FRAMES, film, inputs
from harness.report.index import mechanism_section
from harness.report.markdown import html, typeset
from harness.report.mechanism import live_kinks
from harness.report.site import build
from harness.report.surveys import Survey, read_surveys
from harness.tables.measured import read
from harness.tables.text import markdown
from tests.support.counterexamples import depth2_local, fc_relu_local

REPORTS = Path(__file__).parents[2] / "reports"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# No screen, no sandbox (tests may run as root), and nothing that looks for a network.
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


# As harness.tables.fill writes it.
COUNTS = {"drawn": 10000, "outside": 1000, "undecided": 1000, "holds": 8000, "violated": 0}
MEASURED = {"groups": {"linear-2": {"claims": {"depth2-linear-nonzero-global": COUNTS}}}}


def found(claim: str, network: Network, x: Any, y: Any, theta0: Any) -> Record:
    """A counterexample from a start by hand, with what the flow and the oracles say of it."""
    (limit,) = drive([Instance.of(network, "exponential", x, y, theta0)])
    verdicts = decide(limit)
    assert verdicts.mechanism is not None
    assert verdicts.local.certificate is not None
    return Finding(claim, verdicts.mechanism, limit, verdicts.local.certificate, 0, 1, {"robust": False}).record()


def saddles() -> list[Record]:
    """Of depth 3, and with shared weights: networks that cannot be taken apart into neurons."""
    patches = Network("relu", (((0, 1, -1, -1), (-1, -1, 0, 1)), ((0, 1),)))
    return [
        found("deep-local", diagonal("relu", 3, 3), [[1, 1, 1]], [1], [[1, 1, 1]] * 3),
        found("shared-local", patches, [[27, -6, -14, 17]], [1], [[1, 2], [3, 4]]),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of two of those stored, and of two networks without neurons."""
    out = tmp_path_factory.mktemp("site")
    kinds = {record.claim: record for record in stored(REPORTS)}
    records = [kinds["fc-relu-local"], kinds["depth2-local"], *saddles()]
    assert build_site(records, markdown(MEASURED, records, "."), out, REPORTS / "surveys") == out / "index.html"
    return out


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.named: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        self.fetched += [value for name, value in attrs if name == ("src" if tag != "link" else "href") and value]
        self.named |= {value for name, value in attrs if name == "id" and value}


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def counterexamples(site: Path) -> list[Path]:
    """Their pages."""
    return [page for page in pages(site) if (page.parent / RECORD).is_file()]


def test_links_resolve_and_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    assert len(counterexamples(site)) == 4
    assert len(pages(site)) == 4 + 1 + len(read_surveys(REPORTS / "surveys"))
    found = {page.resolve(): _Links(page.read_text(encoding="utf-8")) for page in pages(site)}
    for page, its in found.items():
        assert its.links
        for link in its.links:
            parsed = urlparse(link)
            if parsed.scheme:
                assert parsed.scheme == "data" or link.startswith("https://arxiv.org/abs/"), link
                assert parsed.scheme == "data" or link not in its.fetched
                continue
            target = (page.parent / unquote(parsed.path)).resolve() if parsed.path else page
            assert target.is_file(), link
            assert not parsed.fragment or parsed.fragment in found[target].named, link
    for asset in (site / "style.css", site / "flow.js"):
        assert "http" not in asset.read_text()
        assert "@import" not in asset.read_text()


def test_every_counterexample_can_be_reached_from_the_index_by_card_and_by_mechanism(site: Path) -> None:
    links = _Links((site / "index.html").read_text(encoding="utf-8")).links
    for page in counterexamples(site):
        assert links.count(f"{page.parent.name}/index.html") == 2
        # and from the tables
        assert links.count(f"./{page.parent.name}/index.html") == 1


def test_a_card_says_what_is_refuted_and_by_what(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    cards = re.findall(r"<article.*?</article>", text, flags=re.DOTALL)
    assert len(cards) == len(counterexamples(site))
    for page in counterexamples(site):
        record = load(page.parent / RECORD)
        (card,) = [card for card in cards if f'href="{record.folder}/index.html"' in card]
        assert f"<h3>{record.claim}: {', '.join((*record.networks, record.mechanism))}" in card
        assert typeset(CLAIMS[record.claim].setting) in card
        assert f"<li>{'robust' if record.robust else 'fragile'}</li>" in card
        assert f"<li>flow {'proven' if record.proven else 'computed'}</li>" in card
        assert re.search(r"<strong>.+ (&gt;|&lt;) .+</strong>", card)
        assert ElementTree.fromstring((page.parent / "networks.svg").read_bytes()).tag.endswith("svg")


def test_the_index_shows_what_was_measured(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "10,000 drawn, 9,000 assumed, 8,000 decided, 0 violated: at most 1 in 2,666" in text
    assert "&lt;br" not in text


def test_a_page_has_the_statement_the_proof_and_the_commands(site: Path) -> None:
    for page in counterexamples(site):
        text, record = page.read_text(encoding="utf-8"), load(page.parent / RECORD)
        assert typeset(CLAIMS[record.claim].setting) in text
        assert ("What is proven, and what is evidence" in text) != record.proven
        assert ("every solution of the gradient flow" in text) == record.proven
        assert f"marginalia verify reports/{record.folder}/{RECORD}" in text
        for panel in (
            "Margins",
            "What leaving the limit gains",
            *(["Gates"] if record.instance.network.activation == "relu" else []),
            "The neurons" if record.apart else "The network",
        ):
            assert f"<h3>{panel}</h3>" in text
        assert ("<h3>Inputs that tend to zero</h3>" in text) == bool(live_kinks(record))
        assert ("data-weight" in text) != record.apart
        for picture in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
            ElementTree.fromstring(picture)
            assert "nan" not in picture


# --- the flow ---


def test_a_film_starts_at_the_start_and_ends_at_the_limit() -> None:
    record = fc_relu_local()
    moving = film(record)
    start = np.concatenate(record.instance.theta0_float)
    limit = np.array([float(a) for u in record.limit for a in u])
    assert moving.direction[0] == pytest.approx(start / np.linalg.norm(start))
    assert moving.log_norm[0] == pytest.approx(np.log(np.linalg.norm(start)))
    assert np.linalg.norm(moving.direction[-1] - limit / np.linalg.norm(limit)) < 1e-2
    assert len(moving.log_norm) == FRAMES
    assert np.linalg.norm(moving.direction, axis=1) == pytest.approx(1.0)
    assert moving.margins[-1] == pytest.approx(1 / np.linalg.norm(limit) ** 2, rel=1e-2)
    # Neuron 2 is dead: off on both points, from the start on.
    assert (moving.gates[:, 1] == -1).all()
    assert (moving.gates[:, 0] == 1).all()


def test_the_inputs_of_a_kink_tend_to_zero() -> None:
    record = next(record for record in stored(REPORTS) if record.folder == "fc-relu-local--kink--fragile")
    places = [kink.place for kink in live_kinks(record)]
    assert len(places) == 2
    found = inputs(record, film(record).direction, places)
    assert found.shape == (FRAMES, 2)
    start = [record.instance.theta0_float[0].reshape(2, 2)[j] @ record.instance.x_float[i] for i, _, j in places]
    norm = np.linalg.norm(np.concatenate(record.instance.theta0_float))
    assert found[0] == pytest.approx(np.array(start) / norm)
    assert (np.abs(found[-1]) < 1e-2 * np.abs(found[0])).all()


def test_a_flow_that_no_longer_converges_is_no_film(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.problem.limits import Limit

    record = fc_relu_local()
    monkeypatch.setattr("harness.drive", lambda *_, **__: [Limit(record.instance, "undecided", "out of order")])
    with pytest.raises(FieldError, match="undecided"):
        film(record)


# --- charts and text ---


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 250), (0.111, 0.112), (5, 5), (-1e-5, 1e-5)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    axis = Axis(low, high, 0.0, 100.0)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 7
    assert len({text for _, text in ticks}) == len(ticks)
    for number, text in ticks:
        assert -1e-6 <= axis.place(number) <= 100.0 + 1e-6
        assert float(text.replace("−", "-")) == pytest.approx(number, abs=1e-12)


def test_a_line_is_broken_where_there_is_nothing() -> None:
    line, level = Line("a", [0, 1, 2, 3], [0, float("nan"), 2, 3], 0), Level("l", 9, "limit")
    svg = chart([line], across="x", up="y", levels=[level])
    svg = svg[: svg.index("</svg>")]
    assert svg.count('class="line c0" d="M') == 2
    assert 'class="level limit"' in svg


def test_strips_have_a_piece_for_every_stretch() -> None:
    svg = strips([("one", [-1, -1, 0, 1, 1, -1])], [0, 1, 2, 3, 4, 5], across="x", up="y")
    picture = svg[: svg.index("</svg>")]
    assert (picture.count('class="edge"'), picture.count('class="on"'), picture.count('class="off"')) == (1, 1, 1)


def test_mathematics_is_set_in_type_and_markup_is_not_let_through() -> None:
    assert typeset("1/2 ||theta~||^2 >= w_j") == "½ ‖<i>θ̃</i>‖<sup>2</sup> ≥ <i>w</i><sub><i>j</i></sub>"
    assert typeset("w . x_12") == "w · <i>x</i><sub>12</sub>"
    assert typeset("<b>") == "&lt;b&gt;"
    assert "<script>" not in html("<script>alert(1)</script>")
    assert "depth2-local" in html("depth2-local")


# --- surveys ---


def test_a_survey_is_text_and_its_figure(tmp_path: Path) -> None:
    folder = tmp_path / "of-two"
    folder.mkdir()
    text = (
        "# How often?\n\nRarely, [here](https://e.example) ![x](https://p.example/x.png) <https://a.example> <b>.\n\n"
        "<!-- tables -->\n\n![rates](figure.svg)\n\n| n | rate |\n| --- | --- |\n| 2 | 1 % |\n\n"
        "[a]: javascript:b\n\n[a]\n"
    )
    (folder / "README.md").write_text(text)
    assert read_surveys(tmp_path) == []
    (folder / "figure.svg").write_bytes(b"<svg/>")
    (survey,) = read_surveys(tmp_path)
    assert (survey.name, survey.title, survey.figure) == ("of-two", "How often?", b"<svg/>")
    shown = html(survey.text, plain=True)
    assert "<td>1 %</td>" in shown
    assert "Rarely, here !" in shown
    assert not re.search(r"<(a|img|b|h1)\b|rates|tables", shown)
    assert read_surveys(tmp_path / "none") == []


def test_nothing_but_text_comes_of_the_title_of_a_survey(tmp_path: Path) -> None:
    title = "a](https://e.example) ![x](https://p.example/x.png) <img src=x> [b"
    first = build([], "", tmp_path, [Survey("of-two", title, "", b"<svg/>")])
    shown = _Links(first.read_text(encoding="utf-8"))
    assert "surveys/of-two/index.html" in shown.links
    assert not [link for link in shown.links if "example" in link or link == "x"]
    page = _Links((tmp_path / "surveys" / "of-two" / "index.html").read_text(encoding="utf-8"))
    assert page.fetched == ["data:,", "../../style.css", "figure.svg"]


# --- the command ---


def test_report_shows_what_is_trusted_and_tells_of_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports, out = tmp_path / "reports", tmp_path / "site"
    reports.mkdir()
    store(depth2_local(), reports)
    broken = store(fc_relu_local(), reports).path / RECORD
    broken.write_text("{")
    assert main(["report", "--reports", str(reports), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}/index.html\n"
    assert f"{broken} is not trusted and not shown" in captured.err
    assert broken.read_text() == "{"
    assert [path.name for path in out.iterdir() if path.is_dir()] == [depth2_local().folder]


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_a_figure_by_its_claim(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(depth2_local(), tmp_path)
    path = tmp_path / f"fig.{kind}"
    assert main(["report", "--reports", str(tmp_path), "--figure", "depth2-local", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    magic = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}
    assert path.read_bytes().startswith(magic[kind])


@pytest.mark.parametrize(
    ("name", "out", "field", "message"),
    [
        ("no-such", "a.pdf", "figure", "no counterexamples have the name 'no-such': depth2-local--linear--zero-weight"),
        ("depth2-local", "a.doc", "out", "should end in one of .svg, .pdf, .png"),
        ("depth2-local", "nowhere/a.svg", "out", "cannot be written: No such file"),
    ],
)
def test_figures_that_cannot_be_made(name: str, out: str, field: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FieldError, match=re.escape(message)) as caught:
        write_figure([depth2_local()], name, tmp_path / out)
    assert caught.value.field == field


def test_report_of_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--reports", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("marginalia: reports: ")


# --- in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium): the site is not tried in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open a page at a width; whatever goes wrong in it fails the test."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def open_page(path: Path, width: int = 1200, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("requestfailed", lambda request: wrong.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def test_every_page_loads_without_errors_and_fits_wide_and_narrow(site: Path, visit: Any) -> None:
    for path in pages(site):
        page = visit(path, 1400)
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"), path
        for width in (1400, 390, 360):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_tables_of_the_index_are_not_cut_off(tmp_path: Path, visit: Any) -> None:
    """Those of the whole gallery, with all that was measured."""
    records = stored(REPORTS)
    measured = markdown(read(REPORTS / "tables"), records, ".").replace("/README.md)", "/index.html)")
    text = "\n\n".join(["## By mechanism", mechanism_section(records), "## Measured", measured])
    style = files("harness.report").joinpath("assets", "style.css").read_text(encoding="utf-8")
    (tmp_path / "style.css").write_text(style, encoding="utf-8")
    path = tmp_path / "index.html"
    path.write_text(f'<meta charset="utf-8"><link rel="stylesheet" href="style.css">{html(text)}', encoding="utf-8")
    for width in (1400, 1120):
        page = visit(path, width)
        wide = "es => es.filter(e => e.scrollWidth > e.clientWidth).length"
        assert page.locator(".scroll").count() == 4
        assert page.eval_on_selector_all(".scroll", wide) == 0


def test_wide_tables_are_whole_on_paper(tmp_path: Path, visit: Any) -> None:
    """A4 between its margins; a scroll bar is none there."""
    text = (REPORTS / "surveys" / "robustness" / "README.md").read_text(encoding="utf-8")
    style = files("harness.report").joinpath("assets", "style.css").read_text(encoding="utf-8")
    (tmp_path / "style.css").write_text(style, encoding="utf-8")
    path = tmp_path / "index.html"
    path.write_text(
        f'<meta charset="utf-8"><link rel="stylesheet" href="style.css">{html(text, plain=True)}', encoding="utf-8"
    )
    page = visit(path, 718)
    assert page.locator("table").count() >= 3
    cut = "es => es.filter(e => e.getBoundingClientRect().right > 719).length"
    assert page.eval_on_selector_all("table", cut) > 0
    page.emulate_media(media="print")
    assert page.eval_on_selector_all("table", cut) == 0


def test_the_slider_moves_the_picture_and_the_charts(site: Path, visit: Any) -> None:
    for path in counterexamples(site):
        page = visit(path)
        shape = "[data-arrow], [data-bar], [data-weight]"
        attributes = "es => es.map(e => ['x2', 'y2', 'y', 'height', 'stroke-width'].map(a => e.getAttribute(a)))"
        last, cursor = page.eval_on_selector_all(shape, attributes), page.get_attribute(".cursor >> nth=0", "x1")
        told = page.inner_text("#told")
        page.focus("#moment")
        page.keyboard.press("Home")
        moved = page.eval_on_selector_all(shape, attributes)
        assert page.get_attribute(".cursor >> nth=0", "x1") != cursor
        assert page.inner_text("#told") != told
        # A flow that keeps a symmetry grows without turning.
        assert (moved == last) == path.parent.name.startswith("deep-local")
        page.keyboard.press("End")
        assert page.eval_on_selector_all(shape, attributes) == last
        assert page.inner_text("#told") == told


def test_text_in_pictures_is_large_enough_on_a_phone(site: Path, visit: Any) -> None:
    for path in pages(site):
        page = visit(path, 360)
        # Subscripts are smaller; the figure for a paper scrolls at its own size.
        heights = page.eval_on_selector_all("figure svg > text", "es => es.map(e => e.getBoundingClientRect().height)")
        widths = page.eval_on_selector_all(
            "figure > svg", "es => es.map(e => e.getBoundingClientRect().width / e.viewBox.baseVal.width)"
        )
        assert all(scale * 12 >= 9 for scale in widths), path
        assert len(heights) == 0 or min(heights) >= 8, path


def luminance(colour: str) -> float:
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_in_the_dark_and_on_paper(site: Path, visit: Any) -> None:
    path = next(path for path in pages(site) if path.parent.name.startswith("fc-relu-local"))
    style = "e => [getComputedStyle(document.body).backgroundColor, getComputedStyle(e).fill]"
    page = visit(path, color_scheme="dark")
    background, ink = page.eval_on_selector("figure svg text", style)
    assert luminance(background) < 0.1
    assert luminance(ink) > 0.7
    page.emulate_media(media="print")
    background, ink = page.eval_on_selector("figure svg text", style)
    assert luminance(background) > 0.9
    assert luminance(ink) < 0.1
    assert not page.is_visible("#moment")


def test_links_lead_somewhere(site: Path, visit: Any) -> None:
    page = visit(site / "index.html")
    targets = page.eval_on_selector_all(".card > a", "es => es.map(e => e.href)")
    page.click(".card > a >> nth=0")
    page.wait_for_load_state()
    assert page.url == targets[0]
    page.click("nav a")
    page.wait_for_load_state()
    assert page.url.endswith("/index.html")
    assert page.inner_text("h1") == "Counterexamples"
