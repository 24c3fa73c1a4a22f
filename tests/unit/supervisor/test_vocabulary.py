"""Everything that is said between the processes is plain values: it survives the channel as it is, and nobody can change it."""

import dataclasses
import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfsw.actors import config, files, messages
from nfsw.actors.channel import pack, unpack
from nfsw.actors.envelope import Envelope

WORDS = [
    word
    for module in (files, messages, config)
    for _, word in inspect.getmembers(module, inspect.isclass)
    if word.__module__ == module.__name__ and dataclasses.is_dataclass(word)
]
#: Names are what a directory may hold: any bytes but two, decoded as Python decodes them.
_NAMES = st.binary(min_size=1, max_size=255).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)
#: Not a number does not equal itself, so that no comparison could tell.
st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(files.FileRef, st.builds(files.FileRef, st.just("20260131"), _NAMES, _NAMES))
st.register_type_strategy(files.Arrival, st.builds(files.Arrival, _NAMES, _NAMES))


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.__name__)
@settings(max_examples=10)
@given(st.data())
def test_every_word_passes_the_channel_as_it_is(word: type, data: st.DataObject) -> None:
    said = Envelope(data.draw(st.from_type(word)), number=1, traceparent="00-0-0-00")
    assert unpack(pack([said, said])) == (said, said)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.__name__)
def test_no_word_can_be_changed_or_added_to(word: type) -> None:
    assert word.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(word)
