"""Reading places: pre-activations and neurons, as certificates name them, layers and neurons from 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from harness.certificates.numbers import array, integer
from harness.certificates.signs import leaders
from harness.problem.fields import FieldError
from harness.problem.networks import Network
from harness.problem.places import HiddenNeuron, Place
from harness.problem.problems import Problem

Key = TypeVar("Key", HiddenNeuron, Place)


def read_neuron(
    layer: object, neuron: object, layer_field: str, neuron_field: str, network: Network, lowest: int = 0
) -> HiddenNeuron:
    """A hidden neuron of the layer `lowest`, from 0, or above.  Raises FieldError."""
    layer = integer(layer, layer_field, lowest + 1, network.depth - 1)
    return HiddenNeuron.of_numbers(layer, integer(neuron, neuron_field, 1, network.widths[layer]))


def read_place(value: Sequence[object], field: str, given: Problem) -> Place:
    """[margin, layer, neuron] of a gate.  Raises FieldError."""
    row, layer, neuron = value
    row = integer(row, field, 0, len(given.rows) - 1)
    if leaders(given)[row] != row:
        raise FieldError(field, "a gate is named by the first margin of its sample")
    return Place(row, *read_neuron(layer, neuron, field, field, given.network))


def entries(
    value: object, field: str, length: int, key: Callable[[Sequence[Any], str], Key]
) -> Iterator[tuple[Key, Sequence[Any], str]]:
    """The entries of an array, each an array of this length with its own key; its key, itself and its field.

    Raises FieldError on a wrong shape, or where a key occurs twice.
    """
    seen: set[Key] = set()
    for e, entry in enumerate(array(value, field)):
        at = f"{field}[{e}]"
        parts = array(entry, at, length)
        own = key(parts, at)
        if own in seen:
            raise FieldError(at, "occurs twice")
        seen.add(own)
        yield own, parts, at
