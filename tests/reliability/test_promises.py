"""Which test keeps which promise; those that need no process of their own lie beside what they test."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PROMISES = {
    "bit-exact resume": [
        "reliability/test_killed_runs.py::test_a_run_killed_at_random_equals_an_undisturbed_one",
        "reliability/test_killed_runs.py::test_a_run_killed_at_every_call_equals_an_undisturbed_one",
    ],
    "atomic artefacts": [
        "store/test_kill.py::test_killed_at_every_call_a_run_goes_on",
        "store/test_checkpoint.py::test_a_damaged_newest_checkpoint_gives_way_to_the_one_before",
        "store/test_store.py::test_a_damaged_file_is_told_and_the_others_are_read",
        "reliability/test_damage.py::test_a_damaged_file_of_a_finished_run_is_noticed_and_what_is_reported_is_mended",
        "reliability/test_damage.py::test_a_half_finished_run_goes_on_in_spite_of_a_damaged_file",
        "reliability/test_damage.py::test_a_picture_that_would_fill_the_memory_costs_the_film_alone",
    ],
    "two processes, one folder": [
        "reliability/test_shared_folder.py::test_processes_on_one_folder_commit_each_run_once",
        "reliability/test_shared_folder.py::test_two_commands_share_a_matrix_and_both_end_with_all_of_it",
        "reliability/test_shared_folder.py::test_a_stopped_owner_is_taken_over_and_fenced_off_when_it_wakes_up",
        "reliability/test_stopped_owners.py::test_who_was_stopped_at_any_call_and_overtaken_changes_nothing",
        "store/test_lease.py::test_what_was_finished_between_the_two_looks_of_a_claim_is_left_alone",
        "store/test_lease.py::test_without_hard_links_one_of_many_has_the_lease",
        "store/test_lease.py::test_no_file_lock_is_relied_on",
    ],
    "changed specs and code": [
        "reliability/test_changed_code.py::test_other_values_are_other_runs_beside_the_old",
        "reliability/test_changed_code.py::test_the_record_says_what_changed_on_the_way",
    ],
    "failures contained": [
        "reliability/test_failures.py::test_a_process_that_is_lost_is_one_record_and_the_rest_goes_on",
        "reliability/test_failures.py::test_a_lane_that_diverges_leaves_its_neighbours_bit_for_bit",
        "reliability/test_failures.py::test_out_of_memory_is_tried_once_more_with_half_the_lanes",
        "execution/test_executors.py::test_a_dying_worker_names_its_group_and_the_others_go_on",
    ],
    "signals": [
        "reliability/test_signals.py::test_a_signal_leaves_a_checkpoint_and_nobody",
        "reliability/test_signals.py::test_at_any_moment_nothing_is_lost_and_the_same_command_goes_on",
        "reliability/test_signals.py::test_workers_stop_with_a_checkpoint_and_none_is_orphaned",
        "reliability/test_signals.py::test_a_step_that_does_not_end_is_cut_off",
        "reliability/test_signals.py::test_a_second_interrupt_ends_at_once",
        "reliability/test_signals.py::test_no_worker_outlives_a_command_that_is_killed",
        "reliability/test_signals.py::test_a_signal_that_reaches_a_worker_first_is_no_failure",
        "reliability/test_gone_readers.py::test_an_interrupt_that_nobody_can_be_told_of_leaves_a_checkpoint",
    ],
    "refused writes": [
        "reliability/test_failures.py::test_a_disk_that_refuses_is_one_clear_line_and_harms_nothing",
        "reliability/test_full_disk.py::test_a_full_and_a_read_only_disk_cost_one_run_and_a_clear_line",
        "reliability/test_refused_calls.py::test_a_refused_call_is_one_clear_line_and_the_same_again_ends_well",
        "store/test_lease.py::test_the_clock_decides_nothing",
    ],
    "no code from data": [
        "reliability/test_no_code_from_data.py::test_nothing_that_is_read_can_be_run",
        "reliability/test_no_code_from_data.py::test_no_bomb_in_a_results_folder_goes_off",
        "reliability/test_no_code_from_data.py::test_no_bomb_in_weights_goes_off",
        "store/test_store.py::test_a_pickle_in_any_file_does_nothing",
    ],
    "names stay inside": [
        "reliability/test_names_stay_inside.py::test_a_spec_or_a_protocol_with_another_name_is_refused",
        "reliability/test_names_stay_inside.py::test_no_link_in_a_results_folder_is_followed_out_of_it",
        "reliability/test_names_stay_inside.py::test_no_report_is_written_through_a_link",
        "test_registry.py::test_other_names_are_refused",
        "test_spec.py::test_even_a_hostile_spec_has_a_safe_run_id",
        "store/test_store.py::test_links_that_lead_out_are_refused",
    ],
    "reports are inert": [
        "reliability/test_inert_reports.py::test_the_page_has_no_script_no_handler_and_no_request",
        "reliability/test_inert_reports.py::test_no_cell_is_a_formula",
        "report/test_report_files.py::test_page_is_self_contained",
        "report/test_report_files.py::test_text_of_a_run_is_only_ever_text",
        "report/test_report_files.py::test_csv_never_starts_a_text_cell_with_a_formula_sign",
    ],
    "doctor": [
        "store/test_inspection.py::test_repair_removes_what_killed_writers_left_and_only_that",
        "store/test_inspection.py::test_a_hostile_folder_is_told_of_and_repair_stays_inside",
    ],
}


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_its_tests(promise: str) -> None:
    for node in PROMISES[promise]:
        file, _, name = node.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text(), node
