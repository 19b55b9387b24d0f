"""Every kind of bad input that the instance format lists, with the field its message must name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

_GOOD = {
    "format": 1,
    "network": {"activation": "relu", "patterns": [[[0, 1], [2, 3]], [[0, 1]]]},
    "loss": "exponential",
    "x": [["1", "1/4"], ["7/3", "1/4"]],
    "y": [1, 1],
    "theta0": [["0", "3", "11/3", "-2"], ["3", "0"]],
}


def good_object() -> dict[str, Any]:
    """A good instance as an object; "7/3" is x[1][0] and "11/3" is theta0[0][2], and each occurs once."""
    return copy.deepcopy(_GOOD)


def _changed(change: Callable[[dict[str, Any]], Any]) -> str:
    document = good_object()
    change(document)
    return json.dumps(document)


def _patterns(patterns: Any) -> str:
    document = good_object()
    document["network"]["patterns"] = patterns
    return json.dumps(document)


def _network(**changes: Any) -> str:
    return _changed(lambda a: a["network"].update(changes))


def _classes(y: list[Any]) -> str:
    document = good_object()
    document["network"]["patterns"][1] = [[0, 1], [2, 3]]
    return json.dumps({**document, "theta0": [document["theta0"][0], [1, 2, 3, 4]], "y": y})


def _replaced(old: str, new: str) -> str:
    text = json.dumps(_GOOD)
    assert text.count(old) == 1
    return text.replace(old, new)


# What stands in the place of one number -> a word of the message.
BAD_NUMBERS: dict[str, tuple[str, str]] = {
    "NaN": ("NaN", "NaN"),
    "Infinity": ("Infinity", "Infinity"),
    "-Infinity": ("-Infinity", "-Infinity"),
    '"NaN"': ('"NaN"', "not a number"),
    '"inf"': ('"inf"', "not a number"),
    "division by zero": ('"1/0"', "division by zero"),
    "zero by zero": ('"0/0"', "division by zero"),
    "true": ("true", "boolean"),
    "false": ("false", "boolean"),
    "null": ("null", "null"),
    "array": ("[1]", "array"),
    "object": ("{}", "object"),
    "empty text": ('""', "not a number"),
    "text": ('"one"', "not a number"),
    "sign alone": ('"-"', "not a number"),
    "point alone": ('"."', "not a number"),
    "exponent alone": ('"e5"', "not a number"),
    "space": ('" 1"', "not a number"),
    "line break": ('"1\\n"', "not a number"),
    "underscore": ('"1_0"', "not a number"),
    "other digits": ('"\\u0663"', "not a number"),
    "hexadecimal": ('"0x10"', "not a number"),
    "signed denominator": ('"1/-2"', "not a number"),
    "fraction of decimals": ('"1.5/2"', "not a number"),
    "lone surrogate": ('"\\ud800"', "not a number"),
    "float overflow": ("1e400", "overflow"),
    "float overflow, negative": ("-1e400", "overflow"),
    "text overflow": ('"1e400"', "overflow"),
    "text overflow, giant exponent": ('"1e999999999999"', "overflow"),
    "integer overflow": ("1" + 309 * "0", "overflow"),
    "integer overflow, giant": (100_000 * "7", "overflow"),
    "fraction overflow": (f'"{10**310}/7"', "overflow"),
    "float underflow": ("1e-400", "underflow"),
    "text underflow": ('"1e-400"', "underflow"),
    "text underflow, giant exponent": ('"-1e-999999999999"', "underflow"),
    "fraction underflow": (f'"1/{10**400}"', "underflow"),
    "too many digits": ('"' + 100_000 * "7" + '"', "too many digits"),
    "too many digits after the point": ('"0.' + 100_000 * "7" + '"', "too many digits"),
    "too many digits in a fraction": ('"1/' + 100_000 * "7" + '"', "too many digits"),
}

# A whole document -> the field.
BAD_TEXTS: dict[str, tuple[str, str]] = {
    "empty": ("", "instance"),
    "not JSON": ("network: relu", "instance"),
    "cut off": (json.dumps(_GOOD)[:-1], "instance"),
    "trailing garbage": (json.dumps(_GOOD) + "}", "instance"),
    "two documents": (json.dumps(_GOOD) + json.dumps(_GOOD), "instance"),
    "byte order mark": ("\ufeff" + json.dumps(_GOOD), "instance"),
    "an array": ("[]", "instance"),
    "a number": ("1", "instance"),
    "NaN": ("NaN", "instance"),
    "deep arrays": (100_000 * "[", "instance"),
    "deep objects": (100_000 * '{"a":', "instance"),
    "unknown key": (_changed(lambda a: a.update(seed=1)), "seed"),
    "unknown key of several lines": (_changed(lambda a: a.update({"a\nb": 1})), '"a\\nb"'),
    "unknown key of the network": (_changed(lambda a: a["network"].update(bias=True)), "network.bias"),
    "duplicate key": (_replaced('"y": [1, 1]', '"y": [1, 1], "y": [1, 1]'), "y"),
    "duplicate key of the network": (
        _replaced('"activation": "relu"', '"activation": "relu", "activation": "linear"'),
        "network.activation",
    ),
    "missing key": (_changed(lambda a: a.pop("loss")), "loss"),
    "missing key of the network": (_changed(lambda a: a["network"].pop("activation")), "network.activation"),
    "format 2": (_changed(lambda a: a.update(format=2)), "format"),
    "format as text": (_changed(lambda a: a.update(format="1")), "format"),
    "format true": (_changed(lambda a: a.update(format=True)), "format"),
    "format 1.0": (_changed(lambda a: a.update(format=1.0)), "format"),
    "network is an array": (_changed(lambda a: a.update(network=[])), "network"),
    "unknown activation": (_changed(lambda a: a["network"].update(activation="tanh")), "network.activation"),
    "activation is a number": (_changed(lambda a: a["network"].update(activation=1.5)), "network.activation"),
    "unknown loss": (_changed(lambda a: a.update(loss="hinge")), "loss"),
    "loss is an array": (_changed(lambda a: a.update(loss=["logistic"])), "loss"),
    "no layers": (_patterns([]), "network.patterns"),
    "patterns is an object": (_patterns({}), "network.patterns"),
    "empty layer": (_patterns([[], [[0, 1]]]), "network.patterns[0]"),
    "empty row": (_patterns([[[], []], [[0, 1]]]), "network.patterns[0]"),
    "ragged rows": (_patterns([[[0, 1], [2]], [[0, 1]]]), "network.patterns[0][1]"),
    "layers do not chain": (_patterns([[[0, 1], [2, 3]], [[0, 1, 2]]]), "network.patterns[1]"),
    "class 2 of two": (_classes([1, 2]), "y[1]"),
    "class -1": (_classes([-1, 1]), "y[0]"),
    "class 1/2": (_classes(["1/2", 1]), "y[0]"),
    "class true": (_classes([0, True]), "y[1]"),
    "a start for one output of two": (_patterns([[[0, 1], [2, 3]], [[0, 1], [2, 3]]]), "theta0[1]"),
    "slope without leaky_relu": (_network(negative_slope="1/2"), "network.negative_slope"),
    "slope of linear": (_network(activation="linear", negative_slope=1), "network.negative_slope"),
    "leaky_relu without slope": (_network(activation="leaky_relu"), "network.negative_slope"),
    "slope true": (_network(activation="leaky_relu", negative_slope=True), "network.negative_slope"),
    "slope 1/0": (_network(activation="leaky_relu", negative_slope="1/0"), "network.negative_slope"),
    "slope null": (_network(activation="leaky_relu", negative_slope=None), "network.negative_slope"),
    "fixed layer 0": (_network(fixed=[0]), "network.fixed[0]"),
    "fixed layer that there is not": (_network(fixed=[1, 3]), "network.fixed[1]"),
    "fixed layer twice": (_network(fixed=[2, 2]), "network.fixed[1]"),
    "fixed layer true": (_network(fixed=[True]), "network.fixed[0]"),
    "fixed is a number": (_network(fixed=1), "network.fixed"),
    "every layer fixed": (_network(fixed=[1, 2]), "network.fixed"),
    "fixed layer of another size": (
        _changed(lambda a: (a["network"].update(fixed=[2]), a["theta0"][1].pop())),
        "theta0[1]",
    ),
    "biases": (_network(biases=[[1]]), "network.biases"),
    "skipped index": (_patterns([[[0, 1], [2, 4]], [[0, 1]]]), "network.patterns[0]"),
    "first index skipped": (_patterns([[[1, 2], [3, 4]], [[0, 1]]]), "network.patterns[0]"),
    "giant index": (_patterns([[[0, 10**300], [2, 3]], [[0, 1]]]), "network.patterns[0]"),
    "index -2": (_patterns([[[0, 1], [2, -2]], [[0, 1]]]), "network.patterns[0]"),
    "index true": (_patterns([[[0, True], [2, 3]], [[0, 1]]]), "network.patterns[0][0][1]"),
    "index 1.0": (_patterns([[[0, 1.0], [2, 3]], [[0, 1]]]), "network.patterns[0][0][1]"),
    "index as text": (_patterns([[[0, "1"], [2, 3]], [[0, 1]]]), "network.patterns[0][0][1]"),
    "row is a number": (_patterns([[0, 1], [[0, 1]]]), "network.patterns[0][0]"),
    "no parameters": (_patterns([[[-1, -1], [-1, -1]], [[-1, -1]]]), "network.patterns"),
    "no data": (_changed(lambda a: a.update(x=[], y=[])), "x"),
    "x is text": (_changed(lambda a: a.update(x="1")), "x"),
    "x is flat": (_changed(lambda a: a.update(x=["1", "1/4"])), "x[0]"),
    "point too short": (_changed(lambda a: a["x"][1].pop()), "x[1]"),
    "point too long": (_changed(lambda a: a["x"][0].append(1)), "x[0]"),
    "point zero": (_changed(lambda a: a.update(x=[["1", "1"], ["0", "0/7"]])), "x[1]"),
    "point zero in floats": (_changed(lambda a: a.update(x=[[0.0, -0.0], ["1", "1"]])), "x[0]"),
    "labels missing": (_changed(lambda a: a.update(y=[1])), "y"),
    "labels too many": (_changed(lambda a: a.update(y=[1, 1, 1])), "y"),
    "label 0": (_changed(lambda a: a.update(y=[1, 0])), "y[1]"),
    "label 2": (_changed(lambda a: a.update(y=[2, 1])), "y[0]"),
    "label 1/2": (_changed(lambda a: a.update(y=["1/2", 1])), "y[0]"),
    "label true": (_changed(lambda a: a.update(y=[1, True])), "y[1]"),
    "label text": (_changed(lambda a: a.update(y=[1, "+"])), "y[1]"),
    "label NaN": (_replaced('"y": [1, 1]', '"y": [1, NaN]'), "y[1]"),
    "start without a layer": (_changed(lambda a: a["theta0"].pop()), "theta0"),
    "start with a layer too many": (_changed(lambda a: a["theta0"].append([])), "theta0"),
    "layer of the start too short": (_changed(lambda a: a["theta0"][0].pop()), "theta0[0]"),
    "layer of the start too long": (_changed(lambda a: a["theta0"][1].append("1")), "theta0[1]"),
    "layer of the start is a number": (_changed(lambda a: a.update(theta0=[1, 2])), "theta0[0]"),
} | {f"number: {name}": (_replaced('"7/3"', text), "x[1][0]") for name, (text, _) in BAD_NUMBERS.items()}
