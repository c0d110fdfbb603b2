//! The rules of order, one after the other.

use super::table::{check, running, running_exec, shared, stopped};

#[test]
fn init_is_created_started_exited_deleted() {
    check(
        "create a     => begin create a
         ok create a  => Created a pid 1, create a: pid 1
         start a      => begin start a
         ok start a   => Started a pid 1, start a: pid 1
         exit a 7     => store a 7, begin look a
         ok look a    => Exited a pid 1 exit 7
         delete a     => begin drain a
         ok drain a   => begin delete a
         ok delete a  => Deleted a pid 1 exit 7, delete a: pid 1 exit 7
         state a      => state a: NotFound container not created",
    );
}

#[test]
fn an_added_process_is_added_started_exited_and_its_deletion_is_no_event() {
    running().check(
        "exec a/x        => ExecAdded a/x, exec a/x: ok
         start a/x       => begin start a/x
         ok start a/x    => ExecStarted a/x pid 2, start a/x: pid 2
         exit a/x 3      => Exited a/x pid 2 exit 3
         delete a/x      => begin drain a/x
         ok drain a/x    => delete a/x: pid 2 exit 3
         state a/x       => state a/x: NotFound process does not exist x
         exec a/x        => ExecAdded a/x, exec a/x: ok",
    );
}

#[test]
fn an_exit_of_init_during_its_start_comes_after_the_start() {
    check(
        "create a     => begin create a
         ok create a  => Created a pid 1, create a: pid 1
         start a      => begin start a
         exit a 7     => store a 7
         state a      => state a: created pid 1
         ok start a   => Started a pid 1, start a: pid 1, begin look a
         ok look a    => Exited a pid 1 exit 7",
    );
}

#[test]
fn a_start_that_fails_releases_the_parked_exit_of_init() {
    check(
        "create a     => begin create a
         ok create a  => Created a pid 1, create a: pid 1
         wait a       =>
         start a      => begin start a
         exit a 7     => store a 7
         fail start a => start a: Unknown fault, begin look a
         ok look a    => Exited a pid 1 exit 7, wait a: pid 1 exit 7
         start a      => start a: FailedPrecondition cannot start a stopped process",
    );
}

#[test]
fn an_exit_of_an_added_process_during_its_start_comes_after_the_start() {
    running().check(
        "exec a/x     => ExecAdded a/x, exec a/x: ok
         start a/x    => begin start a/x
         wait a/x     =>
         exit a/x 3   =>
         ok start a/x => ExecStarted a/x pid 2, start a/x: pid 2, Exited a/x pid 2 exit 3, wait a/x: pid 2 exit 3",
    );
}

#[test]
fn an_exit_during_the_creation_comes_after_the_creation() {
    check(
        "create a     => begin create a
         exit a 7     =>
         ok create a  => Created a pid 1, store a 7, begin look a
         wait a       =>
         ok look a    => Exited a pid 1 exit 7, wait a: pid 1 exit 7, create a: pid 1",
    );
}

#[test]
fn the_exit_of_init_waits_for_every_added_process() {
    let mut table = running_exec();
    table.check(
        "exec a/y        => ExecAdded a/y, exec a/y: ok
         start a/y       => begin start a/y
         ok start a/y    => ExecStarted a/y pid 3, start a/y: pid 3
         wait a          =>
         exit a 7        => store a 7
         state a         => state a: running pid 1
         exit a/y 9      => Exited a/y pid 3 exit 9
         exit a/x 9      => Exited a/x pid 2 exit 9, begin look a
         state a         => state a: running pid 1
         ok look a       => Exited a pid 1 exit 7, wait a: pid 1 exit 7
         state a         => state a: stopped pid 1 exit 7",
    );
}

#[test]
fn processes_in_a_shared_pid_namespace_are_killed_before_the_exit_of_init() {
    let mut table = shared();
    table.check(
        "exit a 7         => store a 7, begin kill-all a
         ok kill-all a    => begin look a
         fail look a      => Exited a pid 1 exit 7",
    );
}

#[test]
fn in_a_shared_pid_namespace_the_exit_of_init_waits_for_the_kill_and_the_killed() {
    let mut table = shared();
    table.check(
        "exec a/x         => ExecAdded a/x, exec a/x: ok
         start a/x        => begin start a/x
         ok start a/x     => ExecStarted a/x pid 2, start a/x: pid 2
         exit a 7         => store a 7, begin kill-all a
         exit a/x 137     => Exited a/x pid 2 exit 137
         ok kill-all a    => begin look a
         ok look a        => Exited a pid 1 exit 7",
    );
    let mut table = shared();
    table.check(
        "exec a/x         => ExecAdded a/x, exec a/x: ok
         start a/x        => begin start a/x
         ok start a/x     => ExecStarted a/x pid 2, start a/x: pid 2
         exit a 7         => store a 7, begin kill-all a
         fail kill-all a  =>
         exit a/x 0       => Exited a/x pid 2 exit 0, begin look a",
    );
}

#[test]
fn what_comes_into_a_shared_pid_namespace_after_the_kill_is_killed_too() {
    let mut table = shared();
    table.check(
        "exec a/x         => ExecAdded a/x, exec a/x: ok
         start a/x        => begin start a/x
         exit a 7         => store a 7, begin kill-all a
         ok kill-all a    =>
         ok start a/x     => ExecStarted a/x pid 2, start a/x: pid 2, begin kill-all a
         ok kill-all a    =>
         exit a/x 137     => Exited a/x pid 2 exit 137, begin look a",
    );
}

#[test]
fn nothing_is_started_once_init_is_reaped() {
    let mut table = running_exec();
    table.check(
        "exec a/y    => ExecAdded a/y, exec a/y: ok
         exit a 7    => store a 7
         start a/y   => start a/y: FailedPrecondition container a init process is not running
         pause a     => pause a: FailedPrecondition container a init process is not running
         exit a/x 9  => Exited a/x pid 2 exit 9, begin look a
         start a/y   => start a/y: FailedPrecondition container a init process is not running
         ok look a   => Exited a pid 1 exit 7
         start a/y   => start a/y: FailedPrecondition container a init process is not running
         exec a/z    => exec a/z: Unknown cannot exec in a stopped state",
    );
}

#[test]
fn out_of_memory_comes_before_the_exit_and_never_after() {
    running().check(
        "oom a            => OutOfMemory a
         exit a 137       => store a 137, begin look a
         oom a            => OutOfMemory a
         ok look a oom    => OutOfMemory a, Exited a pid 1 exit 137
         oom a            =>",
    );
    check(
        "create a         => begin create a
         oom a            =>
         ok create a      => Created a pid 1, OutOfMemory a, create a: pid 1",
    );
}

#[test]
fn status_and_time_of_an_exit_are_the_same_everywhere() {
    let mut table = running_exec();
    table.check(
        "wait a 1     =>
         wait a/x     =>
         exit a/x 3   => Exited a/x pid 2 exit 3, wait a/x: pid 2 exit 3
         wait a/x     => wait a/x: pid 2 exit 3
         state a/x    => state a/x: stopped pid 2 exit 3
         exit a 7     => store a 7, begin look a
         exit a 8     =>
         ok look a    => Exited a pid 1 exit 7, wait a 1: pid 1 exit 7
         exit a 9     =>
         wait a 2     => wait a 2: pid 1 exit 7
         state a      => state a: stopped pid 1 exit 7
         delete a     => begin drain a
         ok drain a   => begin delete a
         ok delete a  => Deleted a pid 1 exit 7, delete a: pid 1 exit 7",
    );
}

#[test]
fn an_exec_that_fails_to_start_frees_the_exit_of_init_and_has_none_itself() {
    running().check(
        "exec a/x       => ExecAdded a/x, exec a/x: ok
         wait a/x       =>
         start a/x      => begin start a/x
         exit a 7       => store a 7
         exit a/x 1     =>
         fail start a/x => wait a/x: Unknown fault, start a/x: Unknown fault, begin look a
         state a/x      => state a/x: created pid 0
         ok look a      => Exited a pid 1 exit 7
         delete a/x     => begin drain a/x
         ok drain a/x   => delete a/x: pid 0 exit 0 never",
    );
}

#[test]
fn an_exec_that_failed_to_start_may_be_started_again() {
    running().check(
        "exec a/x       => ExecAdded a/x, exec a/x: ok
         start a/x      => begin start a/x
         fail start a/x => start a/x: Unknown fault
         start a/x      => begin start a/x
         ok start a/x   => ExecStarted a/x pid 2, start a/x: pid 2
         exit a/x 0     => Exited a/x pid 2 exit 0",
    );
}

#[test]
fn what_is_frozen_is_killed_when_its_init_is_gone() {
    let mut table = running_exec();
    table.check(
        "pause a         => begin pause a
         ok pause a      => Paused a, pause a: ok
         exit a 137      => store a 137, begin kill-all a
         ok kill-all a   =>
         exit a/x 137    => Exited a/x pid 2 exit 137, begin look a
         ok look a       => Exited a pid 1 exit 137
         state a         => state a: stopped pid 1 exit 137",
    );
}

#[test]
fn a_pause_that_init_does_not_outlive_is_no_event() {
    let mut table = running_exec();
    table.check(
        "pause a         => begin pause a
         exit a 137      => store a 137, begin kill-all a
         ok kill-all a   =>
         ok pause a      => begin kill-all a, pause a: ok
         exit a/x 137    => Exited a/x pid 2 exit 137
         ok kill-all a   => begin look a",
    );
}

#[test]
fn nothing_is_killed_once_nothing_holds_the_exit_of_init() {
    running().check(
        "pause a         => begin pause a
         exit a 137      => store a 137, begin kill-all a
         ok kill-all a   => begin look a
         ok pause a      => pause a: ok
         ok look a       => Exited a pid 1 exit 137",
    );
}

#[test]
fn a_resume_that_init_does_not_outlive_is_no_event() {
    running().check(
        "pause a         => begin pause a
         ok pause a      => Paused a, pause a: ok
         resume a        => begin resume a
         exit a 137      => store a 137, begin kill-all a
         ok kill-all a   => begin look a
         ok look a       => Exited a pid 1 exit 137
         ok resume a     => resume a: ok",
    );
}

#[test]
fn one_container_never_waits_for_another() {
    running().check(
        "create b     => begin create b
         state a      => state a: running pid 1
         state b      => state b: NotFound container not created
         exec a/x     => ExecAdded a/x, exec a/x: ok
         start a/x    => begin start a/x
         pids a       => begin pids a
         ok pids a    => pids a: 1 2
         connect a    => connect a: pid 1
         exit a 0     => store a 0
         fail start a/x => start a/x: Unknown fault, begin look a
         ok look a    => Exited a pid 1 exit 0
         delete a     => begin drain a
         ok drain a   => begin delete a
         ok delete a  => Deleted a pid 1 exit 0, delete a: pid 1 exit 0
         shutdown     => shutdown: ok
         ok create b  => Created b pid 2, create b: pid 2",
    );
}

#[test]
fn a_container_is_taken_away_after_all_of_its_operations() {
    let mut table = stopped();
    table.check(
        "stats a      => begin stats a
         delete a     => begin drain a
         pids a       => begin pids a
         ok drain a   =>
         stats a      => stats a: NotFound container not created
         ok stats a   => stats a: metrics
         ok pids a    => pids a: 1 2, begin delete a
         state a      => state a: stopped pid 1 exit 7
         ok delete a  => Deleted a pid 1 exit 7, delete a: pid 1 exit 7",
    );
}
