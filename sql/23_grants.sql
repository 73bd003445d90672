-- All privileges of the schema, last: a runner has functions only, and no privilege on any table.
-- What is not named here is for the schema's owner.

-- A trigger is created by the owner of its table, who must be allowed to name the functions.
GRANT USAGE ON SCHEMA phasegate TO PUBLIC;
GRANT USAGE ON SCHEMA phasegate TO phasegate_operator, phasegate_runner, phasegate_auditor;
GRANT EXECUTE ON FUNCTION
    phasegate.guard, phasegate.begin_statement, phasegate.ensure_no_runner,
    phasegate.count_rows, phasegate.protect, phasegate.unprotect,
    phasegate.ensure_own_table, phasegate.ensure_guardable_relatives, phasegate.ensure_kind,
    phasegate.chosen_kind, phasegate.ensure_counters, phasegate.create_triggers,
    phasegate.create_counting, phasegate.drop_counting, phasegate.with_children,
    phasegate.local_children,
    phasegate.guarded_tables, phasegate.is_whole, phasegate.is_counting,
    phasegate.guard_kind, phasegate.record_protection, phasegate.forget_protection,
    phasegate.is_bound_by_contents, phasegate.create_contents, phasegate.drop_contents,
    phasegate.contents_when, phasegate.make_contents_function, phasegate.drop_contents_functions
    TO PUBLIC;

-- The functions of a phase and a rehearsal.
GRANT EXECUTE ON FUNCTION
    phasegate.open, phasegate.seal, phasegate.finish, phasegate.perform_row,
    phasegate.before_savepoint, phasegate.after_rollback,
    phasegate.open_rehearsal, phasegate.rehearse, phasegate.drain_rehearsal,
    phasegate.measure_rehearsal, phasegate.measure_failed, phasegate.measure_means,
    phasegate.switched_off_since
    TO phasegate_runner;
GRANT EXECUTE ON FUNCTION phasegate.resolve TO phasegate_runner, phasegate_operator;

-- The functions of operators only; phasegate.operator_functions() has the same list.
GRANT EXECUTE ON FUNCTION
    phasegate.switch_on, phasegate.extend, phasegate.switch_off, phasegate.drain,
    phasegate.wait_for_commits, phasegate.end_commits_in_flight, phasegate.admit_plan,
    phasegate.admit_approval, phasegate.admit_rejection, phasegate.housekeep
    TO phasegate_operator;

-- What all three may ask; plans are read by their own runner only.
GRANT EXECUTE ON FUNCTION
    phasegate.switch_status, phasegate.phases_in_progress, phasegate.commits_in_flight,
    phasegate.approvals_of, phasegate.holder_of_run, phasegate.journal_of, phasegate.progress_of,
    phasegate.bypass_privileges, phasegate.plan_bytes, phasegate.same_change,
    phasegate.preflight
    TO phasegate_runner, phasegate_operator, phasegate_auditor;

-- Who waits for a run, and for whom it waits: names of other sessions.
GRANT EXECUTE ON FUNCTION phasegate.neighbours_of_run TO phasegate_auditor;

GRANT SELECT ON
    phasegate.kill_switch, phasegate.switch_history, phasegate.plan, phasegate.planned_phase,
    phasegate.planned_effect, phasegate.approval, phasegate.approval_spent, phasegate.rejection,
    phasegate.run, phasegate.attempt, phasegate.journal, phasegate.retention
    TO phasegate_auditor, phasegate_operator;
