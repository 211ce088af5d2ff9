"""The files that go with a report: text shown within bounds and made legible, the rest pointed to, no link followed."""

from __future__ import annotations

from pathlib import Path

from proxyspec.cli.attachments import MOST, SHOWN, attachments_of


def test_texts_are_shown_and_captures_pointed_to(tmp_path: Path) -> None:
    evidence = tmp_path / "a run" / "evidence"
    evidence.mkdir(parents=True)
    (evidence / "haproxy.cfg").write_bytes(b"global\n  stats \x1b[31m\xff\n")
    (evidence / "case.pcap").write_bytes(bytes(100))
    capture, config = attachments_of(tmp_path / "a run", tmp_path / "report.html")
    assert (capture.name, capture.href, capture.size, capture.text) == (
        "evidence/case.pcap",
        "a%20run/evidence/case.pcap",
        100,
        None,
    )
    assert config.text == "global\n  stats \\x1b[31m\\xff\n"


def test_a_long_text_is_cut_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "haproxy.log").write_bytes(b"x" * 1000 + b"\n" + b"y\n" * SHOWN)
    (log,) = attachments_of(tmp_path, tmp_path / "report.html")
    assert log.text is not None
    assert log.text.endswith("… the file has more")
    assert len(log.text) < SHOWN + 100


def test_a_link_out_of_the_directory_is_no_attachment(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "passwd.log").symlink_to("/etc/passwd")
    assert attachments_of(tmp_path, tmp_path / "report.html") == ()


def test_no_more_than_so_many_are_named(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    for number in range(MOST + 5):
        (tmp_path / "evidence" / f"{number}.log").touch()
    assert len(attachments_of(tmp_path, tmp_path / "report.html")) == MOST
