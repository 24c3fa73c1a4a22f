"""Everything that is said between the processes is plain values: it survives the channel as it is, and nobody can change it."""

import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nfsw.actors import config, envelope, files, messages
from nfsw.actors.channel import pack, unpack
from nfsw.actors.envelope import Envelope, Job, Message, Reply

_WORDS = [
    word
    for module in (envelope, messages, config)
    for _, word in inspect.getmembers(module, inspect.isclass)
    if word.__module__ == module.__name__ and issubclass(word, Message) and word not in (Message, Job, Reply)
]
#: Names as messages have them: one that is not UTF-8 is made printable before.
_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=100)
_DATES = st.just("20260131")
#: Not a number does not equal itself, so that no comparison could tell. Numbers are those that MessagePack has.
st.register_type_strategy(float, st.floats(allow_nan=False))
st.register_type_strategy(int, st.integers(-(2**63), 2**64 - 1))
st.register_type_strategy(str, _NAMES)
st.register_type_strategy(files.FileRef, st.builds(files.FileRef, _DATES, _NAMES, _NAMES))
st.register_type_strategy(files.Arrival, st.builds(files.Arrival, _NAMES, _NAMES))


@pytest.mark.parametrize("word", _WORDS, ids=lambda word: word.__name__)
@settings(max_examples=10)
@given(st.data())
def test_every_word_passes_the_channel_as_it_is(word: type[Message], data: st.DataObject) -> None:
    said = Envelope(data.draw(st.from_type(word)), number=1, traceparent="00-0-0-00")
    assert unpack(pack([said, said])) == (said, said)


@pytest.mark.parametrize("word", _WORDS, ids=lambda word: word.__name__)
def test_no_word_can_be_changed_or_added_to(word: type[Message]) -> None:
    assert word.__struct_config__.frozen
    assert not word.__struct_config__.dict
