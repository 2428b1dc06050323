"""The comparison of this checkout with another commit."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from bench import compare_commits
from bench.measure import rounds
from tests.support.measurements import measurement


class TestCompareCommits:
    def test_what_is_not_installed_in_this_version_is_named(self) -> None:
        here = metadata.version("pymongo")
        lock = (
            f"pymongo=={here} \\\n    --hash=sha256:0\nflask==0.1\nno-such-package[extra]==1.0 ; python_version > '3'\n"
        )
        assert list(compare_commits.not_installed(lock)) == ["flask==0.1", "no-such-package==1.0"]

    def test_another_commit_is_imported_from_its_own_files(self, tmp_path: Path) -> None:
        tree = compare_commits.checkout("HEAD", tmp_path / "tree", lambda _: None)
        tree.check_import()
        with pytest.raises(RuntimeError, match="imports"):
            compare_commits.Tree("wrong", tmp_path, tree.python).check_import()

    def test_both_are_compared_within_a_round(self) -> None:
        this, other = (compare_commits.Tree(name, Path(name), Path("python")) for name in ("this", "abc"))
        seen = rounds.Seen()
        for kind in compare_commits.KINDS:
            slow = 10.0 * (1 + (kind.distance_ms or 0))
            seen.measurements[kind.row(other).key] = [measurement(slow), measurement(2 * slow)]
            seen.measurements[kind.row(this).key] = [measurement(2 * slow), measurement(3 * slow)]
        heads, *rows = compare_commits.table(seen, this, other)
        assert len(rows) == len(compare_commits.KINDS)
        assert rows[0][heads.index("× reads/s")] == "1.75 (1.50–2.00)"
        assert [row[1:] for row in compare_commits.distances(seen, this, other)[1:]] == [
            ["2.00 (2.00–2.00)"] * 2,
            ["6.00 (6.00–6.00)"] * 2,
        ]
