"""The order of the rows in a round."""

from __future__ import annotations

from bench.measure import rounds


class TestRounds:
    def test_every_row_has_its_turn_in_every_round_and_none_is_always_first(self) -> None:
        orders = [rounds.ordered("abcdefghi", number) for number in range(1, 4)]
        assert all(sorted(order) == list("abcdefghi") for order in orders)
        assert len({order[0] for order in orders}) == 3

    def test_of_two_neighbours_each_is_the_first_in_turn(self) -> None:
        orders = ["".join(rounds.ordered("abcdefgh", number)) for number in (1, 2)]
        assert ["ab" in order for order in orders] == [True, False]
