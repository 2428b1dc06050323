"""The processor time and the memory of processes."""

from __future__ import annotations

from bench.measure import processes


class TestProcesses:
    def test_this_process_has_used_time_and_memory(self) -> None:
        pid = int(processes.PROC.joinpath("self").resolve().name)
        assert processes.cpu_seconds([pid]) > 0
        assert processes.pss_bytes([pid]) > 1_000_000
        assert processes.machine_seconds() > processes.cpu_seconds([pid])

    def test_a_process_that_is_gone_used_nothing(self) -> None:
        assert processes.cpu_seconds([2**30]) == 0
