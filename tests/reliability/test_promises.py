"""The tests of each promise about reliability; those without processes of their own are beside their module."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PROMISES = {
    "bit-identical resume": [
        "reliability/test_killed_runs.py::test_a_run_killed_at_random_times_equals_an_undisturbed_one",
        "reliability/test_killed_runs.py::test_a_run_killed_at_every_call_equals_an_undisturbed_one",
        "runner/test_run_group.py::test_a_resumed_run_equals_an_uninterrupted_one",
    ],
    "atomic files": [
        "store/test_kill.py::test_a_run_killed_at_any_call_is_resumed_to_equal_results",
        "store/test_checkpoints.py::test_the_previous_checkpoint_is_loaded_where_the_newest_is_damaged",
        "store/test_reader.py::test_a_run_with_a_damaged_file_is_skipped_with_one_notice",
        "reliability/test_damage.py::"
        "test_a_damaged_file_of_a_finished_run_is_noticed_and_repaired_by_the_same_command",
        "reliability/test_damage.py::test_an_unfinished_run_resumes_in_spite_of_a_damaged_file",
        "reliability/test_damage.py::test_an_image_that_would_fill_memory_costs_only_the_animation",
    ],
    "training apart from evaluation": [
        "runner/test_evaluate.py::test_another_evaluation_of_trained_runs_trains_nothing",
        "runner/test_evaluate.py::test_nothing_is_evaluated_twice",
        "runner/test_evaluate.py::test_a_failing_metric_is_recorded_and_evaluated_by_the_next_command",
        "reliability/test_killed_evaluations.py::test_a_kill_at_every_call_of_an_evaluation_leaves_a_readable_run",
        "reliability/test_failures.py::test_a_worker_killed_while_evaluating_keeps_the_training",
    ],
    "two processes, one folder": [
        "reliability/test_shared_folder.py::test_processes_on_one_folder_train_each_run_once",
        "reliability/test_shared_folder.py::test_two_commands_share_a_matrix_and_both_end_with_all_results",
        "reliability/test_shared_folder.py::"
        "test_a_suspended_process_is_taken_over_and_cannot_write_when_it_resumes",
        "reliability/test_suspended_processes.py::test_a_process_suspended_at_any_call_and_taken_over_changes_nothing",
        "store/test_leases.py::test_a_run_that_is_finished_just_before_a_claim_is_trained_after_it",
        "store/test_leases.py::test_one_of_several_processes_gets_the_lease_without_hard_links",
        "store/test_leases.py::test_no_file_locks_are_used",
    ],
    "changed specs and code": [
        "reliability/test_changed_code.py::test_other_training_values_are_other_runs_beside_the_old",
        "reliability/test_changed_code.py::test_the_record_has_a_caveat_for_what_changed_between_attempts",
    ],
    "failures contained": [
        "reliability/test_failures.py::test_a_lost_process_is_one_record_and_the_other_runs_continue",
        "reliability/test_failures.py::test_a_diverging_lane_leaves_its_neighbours_bit_identical",
        "reliability/test_failures.py::test_out_of_memory_is_retried_once_with_half_the_lanes",
        "runner/test_executors.py::test_worker_death_is_reported_with_its_group_and_the_others_continue",
    ],
    "signals": [
        "reliability/test_signals.py::test_a_signal_leaves_a_checkpoint_and_no_process",
        "reliability/test_signals.py::test_a_signal_at_any_moment_loses_nothing_and_the_same_command_continues",
        "reliability/test_signals.py::test_workers_stop_at_a_checkpoint_and_none_is_orphaned",
        "reliability/test_signals.py::test_a_step_that_does_not_end_is_cut_off",
        "reliability/test_signals.py::test_a_second_interrupt_quits_at_once",
        "reliability/test_signals.py::test_no_worker_outlives_a_killed_command",
        "reliability/test_signals.py::test_a_signal_that_reaches_a_worker_first_is_no_failure",
        "reliability/test_closed_output.py::test_an_interrupt_with_a_closed_output_leaves_a_checkpoint",
    ],
    "refused writes": [
        "reliability/test_failures.py::test_a_refusing_system_is_one_clear_line_and_harms_no_finished_run",
        "reliability/test_full_disk.py::test_a_full_and_a_read_only_disk_cost_one_run_and_a_clear_line",
        "reliability/test_refused_calls.py::"
        "test_a_refused_call_is_one_clear_line_and_the_same_command_succeeds_afterwards",
        "reliability/test_killed_evaluations.py::test_a_refused_call_of_an_evaluation_leaves_a_readable_run",
        "store/test_leases.py::test_wall_clock_jumps_do_not_affect_leases",
    ],
    "no code from data": [
        "reliability/test_no_code_from_data.py::test_no_module_executes_what_it_reads",
        "reliability/test_no_code_from_data.py::test_no_file_of_a_results_folder_is_unpickled",
        "reliability/test_no_code_from_data.py::test_no_weights_file_is_unpickled",
        "store/test_reader.py::test_a_pickle_in_any_file_is_never_loaded",
    ],
    "names stay inside": [
        "reliability/test_names_stay_inside.py::test_specs_and_protocols_with_other_names_are_refused",
        "reliability/test_names_stay_inside.py::test_no_link_in_a_results_folder_is_followed_out_of_it",
        "reliability/test_names_stay_inside.py::test_no_report_is_written_through_a_link",
        "core/test_registry.py::test_other_names_are_input_errors",
        "core/test_training_spec.py::test_the_run_id_of_invalid_names_is_a_safe_file_name",
        "store/test_reader.py::test_links_out_of_the_results_folder_are_refused",
    ],
    "inert reports": [
        "reliability/test_inert_reports.py::test_the_page_has_no_foreign_script_no_handler_and_no_request",
        "reliability/test_inert_reports.py::test_no_cell_is_a_formula",
        "report/test_write_report.py::test_page_is_self_contained",
        "report/test_write_report.py::test_text_of_a_run_is_escaped",
        "report/test_write_report.py::test_csv_never_starts_a_text_cell_with_a_formula_sign",
    ],
    "doctor": [
        "store/test_verify.py::test_repair_removes_only_leftovers_of_killed_processes",
        "store/test_verify.py::test_a_hostile_folder_is_reported_and_repair_stays_inside",
    ],
}


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_its_tests(promise: str) -> None:
    for node in PROMISES[promise]:
        file, _, name = node.partition("::")
        assert f"def {name}(" in (TESTS / file).read_text(), node
