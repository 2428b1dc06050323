"""The rows of the benchmark: no two alike, and the same environment for every target of a mode."""

from __future__ import annotations

import pytest

from bench.measure import targets


class TestTargets:
    def test_no_two_rows_have_one_key_and_no_two_servers_either(self) -> None:
        rows = targets.all_rows()
        assert len({row.key for row in rows}) == len(rows)
        assert len({row.target.key for row in rows}) == len({repr(row.target) for row in rows})

    def test_a_mode_is_the_same_environment_for_everyone(self) -> None:
        plain = [row.target.settings(1, "mongodb://") for row in targets.all_rows() if row.target.mode == "plain"]
        assert len(plain) > 3
        assert all(settings == plain[0] for settings in plain)

    def test_each_target_that_writes_has_its_own_database(self) -> None:
        names = {row.target.key: row.target.settings(1, "")["MONGODB_DATABASE"] for row in targets.all_rows()}
        writers = [name for key, name in names.items() if "writing" in key]
        assert len(set(writers)) == len(writers) == 3
        assert targets.DATABASE not in writers

    def test_every_read_is_measured_over_few_and_many_connections(self) -> None:
        near = [row for row in targets.all_rows() if row.target.distance_ms is None and row.requests != "upsert"]
        counts = {row.name: sorted(each.connections for each in near if each.name == row.name) for row in near}
        assert set(map(tuple, counts.values())) == {targets.CONNECTIONS}

    @pytest.mark.parametrize(
        ("mode", "remembered"),
        [("plain", ("0", "0", "0")), ("remembering", ("10000", "5", "0")), ("hot", ("10000", "5", "10000"))],
    )
    def test_a_mode_says_of_all_three_what_is_remembered(self, mode: str, remembered: tuple[str, ...]) -> None:
        names = ("TOKEN_CACHE_ENTRIES", "MEMBERSHIP_CACHE_SECONDS", "CUSTOMER_CACHE_ENTRIES")
        assert tuple(targets.MODES[mode][name] for name in names) == remembered

    def test_the_port_is_put_in_its_place(self) -> None:
        for row in targets.all_rows():
            assert "{port}" not in "".join(row.target.arguments(8080))
