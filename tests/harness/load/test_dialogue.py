from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load.dialogue import MAX_HEARD, Dialogue, Step, StepFailed, message, script
from proxyspec.load.options import MIN_MESSAGE_SIZE, SessionOptions

OPTIONS = SessionOptions(message_size=300, sender="a@b.example", recipient="c@d.example")
REPLIES = [
    b"220 hi\r\n",
    b"250-one\r\n250 two\r\n",
    b"250 ok\r\n",
    b"251 will forward\r\n",
    b"354 go\r\n",
    b"250 queued\r\n",
    b"221 bye\r\n",
]
STEPS = [Step.HEADER_TO_BANNER, Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA, Step.END_OF_DATA, Step.QUIT]


def _dialogue(header: bytes = b"PROXY!") -> Dialogue:
    return Dialogue(script(header, OPTIONS))


def _at(step: Step) -> Dialogue:
    dialogue = _dialogue()
    for reply in REPLIES[: STEPS.index(step)]:
        dialogue.say()
        dialogue.feed(reply)
        assert dialogue.answered()
    assert dialogue.step is step
    return dialogue


def test_a_session_from_header_to_quit() -> None:
    dialogue = _dialogue()
    said = []
    for step, reply in zip(STEPS, REPLIES, strict=True):
        assert dialogue.step is step
        said.append(dialogue.say())
        assert not dialogue.answered()
        dialogue.feed(reply)
        assert dialogue.answered()
    assert dialogue.done
    assert said == [
        b"PROXY!",
        b"EHLO client.example\r\n",
        b"MAIL FROM:<a@b.example>\r\n",
        b"RCPT TO:<c@d.example>\r\n",
        b"DATA\r\n",
        message(300),
        b"QUIT\r\n",
    ]


@given(st.data())
def test_replies_may_come_in_any_pieces(data: st.DataObject) -> None:
    dialogue = _dialogue()
    for reply in REPLIES:
        rest = reply
        while rest:
            assert not dialogue.answered()
            size = data.draw(st.integers(1, len(rest)))
            dialogue.feed(rest[:size])
            rest = rest[size:]
        assert dialogue.answered()
    assert dialogue.done


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("reply", "what"), [(b"421 busy\r\n", "421"), (b"hello\r\n", "no reply line"), (b"x" * 5000, "no reply line")]
)
def test_another_reply_fails_the_step(step: Step, reply: bytes, what: str) -> None:
    dialogue = _at(step)
    dialogue.feed(reply)
    with pytest.raises(StepFailed) as caught:
        dialogue.answered()
    assert caught.value.step is step
    assert str(caught.value) == f"{what} at {'banner' if step is Step.HEADER_TO_BANNER else step}"


def test_a_positive_reply_out_of_place_fails_too() -> None:
    dialogue = _at(Step.DATA)
    dialogue.feed(b"250 ok\r\n")
    with pytest.raises(StepFailed, match=r"^250 at data$"):
        dialogue.answered()


def test_a_reply_that_comes_early_answers_the_next_step() -> None:
    dialogue = _dialogue()
    dialogue.feed(b"220 hi\r\n421 gone\r\n")
    assert dialogue.answered()
    with pytest.raises(StepFailed, match=r"^421 at ehlo$"):
        dialogue.answered()


@pytest.mark.parametrize("step", STEPS)
def test_the_end_of_the_stream_fails_the_step(step: Step) -> None:
    with pytest.raises(StepFailed, match=r"^closed at "):
        _at(step).feed(b"")


def test_an_endless_reply_is_cut_off() -> None:
    dialogue = _dialogue()
    line = b"220-" + b"x" * 994 + b"\r\n"
    for _ in range(MAX_HEARD // len(line)):
        dialogue.feed(line)
    with pytest.raises(StepFailed, match=r"^endless reply at banner$"):
        dialogue.feed(line)
    assert not dialogue.done


@given(st.integers(MIN_MESSAGE_SIZE, 5000))
def test_a_message_has_its_size_and_needs_no_stuffing(size: int) -> None:
    whole = message(size)
    assert whole.endswith(b"\r\n.\r\n")
    content = whole[:-3]
    assert len(content) == size
    lines = content.split(b"\r\n")
    assert lines.pop() == b""
    assert not any(b"\n" in line or b"\r" in line or line.startswith(b".") for line in lines)
    assert max(map(len, lines)) <= 76
    header, _, _ = content.partition(b"\r\n\r\n")
    assert {line.partition(b":")[0] for line in header.split(b"\r\n")} == {b"Date", b"From", b"To", b"Subject"}
