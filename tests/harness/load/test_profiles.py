from __future__ import annotations

from pathlib import Path

import pytest

from proxyspec.errors import UsageError
from proxyspec.load.profiles import find_profile, profiles_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "throughput.py").write_text('"""All at once.\n\nMore."""\nraise SystemExit("imported")\n')
    (tmp_path / "hold.py").write_text("pass\n")
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "notes.txt").write_text("no profile")
    return tmp_path


def test_every_file_is_a_profile_and_none_is_imported(folder: Path) -> None:
    assert [(profile.name, profile.summary) for profile in profiles_in(folder)] == [
        ("hold", "(no description)"),
        ("throughput", "All at once."),
    ]


def test_a_profile_is_found_by_name_or_path(folder: Path) -> None:
    assert find_profile("hold", folder).path == folder / "hold.py"
    assert find_profile(str(folder / "throughput.py"), Path("/nowhere")).name == "throughput"


@pytest.mark.parametrize("name", ["trouput", "nonsuch", "", "./nonsuch.py", "/etc/passwd"])
def test_an_unknown_profile_is_named(folder: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_profile(name, folder)
    assert repr(name) in str(caught.value)
    if "/" not in name:
        assert "hold, throughput" in str(caught.value)


def test_a_broken_profile_is_named(folder: Path) -> None:
    (folder / "broken.py").write_text("def :\n")
    with pytest.raises(UsageError, match=r"broken\.py cannot be read"):
        profiles_in(folder)
