//! What each call may do in which state.

use super::table::{check, running, running_exec, stopped};

#[test]
fn a_creation_takes_its_id_at_once() {
    check(
        "create a      => begin create a
         create a      => create a: AlreadyExists container a already exists
         wait a        => wait a: NotFound container not created
         kill a 9      => kill a 9: NotFound container not created
         connect a     => connect a: pid 0
         shutdown      => shutdown: ok
         fail create a => create a: Unknown fault
         state a       => state a: NotFound container not created
         create a      => begin create a
         exit a 1      =>
         fail create a => create a: Unknown fault
         create a      => begin create a
         ok create a   => Created a pid 1, create a: pid 1
         state a       => state a: created pid 1
         create a      => create a: AlreadyExists container a already exists",
    );
}

#[test]
fn init_starts_once() {
    check(
        "create a      => begin create a
         ok create a   => Created a pid 1, create a: pid 1
         start a       => begin start a
         start a       => start a: FailedPrecondition cannot start a starting process
         fail start a  => start a: Unknown fault
         start a       => begin start a
         ok start a    => Started a pid 1, start a: pid 1
         start a       => start a: FailedPrecondition cannot start a running process",
    );
}

#[test]
fn the_kill_of_a_created_init_ends_it_without_a_start() {
    check(
        "create a        => begin create a
         ok create a     => Created a pid 1, create a: pid 1
         wait a          =>
         kill a 9        => begin signal a 9
         exit a 137      => store a 137, begin look a
         start a         => start a: FailedPrecondition container a init process is not running
         ok look a       => Exited a pid 1 exit 137, wait a: pid 1 exit 137
         ok signal a 9   => kill a 9: ok
         start a         => start a: FailedPrecondition cannot start a stopped process",
    );
}

#[test]
fn exec_is_refused_twice_and_in_a_container_that_is_paused_or_stopped() {
    check(
        "exec a/x        => exec a/x: NotFound container not created
         create a        => begin create a
         ok create a     => Created a pid 1, create a: pid 1
         exec a/x        => ExecAdded a/x, exec a/x: ok
         exec a/x        => exec a/x: AlreadyExists id x
         start a/x       => start a/x: Unknown cannot exec in a created state
         start a         => begin start a
         ok start a      => Started a pid 1, start a: pid 1
         exec a/y        => ExecAdded a/y, exec a/y: ok
         pause a         => begin pause a
         exec a/z        => exec a/z: Unknown cannot exec in a pausing state
         ok pause a      => Paused a, pause a: ok
         exec a/z        => exec a/z: Unknown cannot exec in a paused state
         start a/x       => start a/x: Unknown cannot exec in a paused state
         resume a        => begin resume a
         ok resume a     => Resumed a, resume a: ok
         start a/z       => start a/z: NotFound process does not exist z
         start a/x       => begin start a/x",
    );
    stopped().check("exec a/x => exec a/x: Unknown cannot exec in a stopped state");
}

#[test]
fn kill_says_what_has_ended_and_what_has_not_begun() {
    let mut table = running_exec();
    table.check(
        "kill a 15          => begin signal a 15
         ok signal a 15     => kill a 15: ok
         kill a 15          => begin signal a 15
         fail signal a 15   => kill a 15: Unknown fault
         kill a 9 all       => begin signal a 9 all
         kill a/x 10        => begin signal a/x 10
         kill a/q 10        => kill a/q 10: NotFound process does not exist q
         exec a/y           => ExecAdded a/y, exec a/y: ok
         kill a/y 10        => kill a/y 10: FailedPrecondition process not created
         kill a/y 10 all    => begin signal a 10 all
         exit a 7           => store a 7
         kill a 9           => kill a 9: NotFound process already finished
         kill a 12 all      => begin signal a 12 all
         exit a/x 3         => Exited a/x pid 2 exit 3, begin look a
         kill a/x 10        => kill a/x 10: NotFound process already finished
         ok look a          => Exited a pid 1 exit 7
         kill a 9           => kill a 9: NotFound process already finished
         kill a 9 all       => kill a 9 all: NotFound process already finished
         kill q 9           => kill q 9: NotFound container not created",
    );
}

#[test]
fn a_kill_of_an_init_that_has_ended_during_its_start_finds_nothing() {
    check(
        "create a     => begin create a
         ok create a  => Created a pid 1, create a: pid 1
         start a      => begin start a
         exit a 7     => store a 7
         kill a 9     => kill a 9: NotFound process already finished",
    );
}

#[test]
fn pause_and_resume_are_states_and_events() {
    let mut table = running_exec();
    table.check(
        "resume a        => resume a: FailedPrecondition cannot resume a running container
         pause a         => begin pause a
         state a         => state a: pausing pid 1
         pause a         => pause a: FailedPrecondition cannot pause a pausing container
         fail pause a    => pause a: Unknown fault
         state a         => state a: running pid 1
         pause a         => begin pause a
         ok pause a      => Paused a, pause a: ok
         state a         => state a: paused pid 1
         state a/x       => state a/x: paused pid 2
         exec a/y        => exec a/y: Unknown cannot exec in a paused state
         delete a        => delete a: FailedPrecondition cannot delete a running process
         kill a 9        => begin signal a 9
         resume a        => begin resume a
         state a         => state a: paused pid 1
         fail resume a   => resume a: Unknown fault
         state a         => state a: paused pid 1
         resume a        => begin resume a
         ok resume a     => Resumed a, resume a: ok
         state a/x       => state a/x: running pid 2",
    );
    stopped().check("pause a => pause a: FailedPrecondition cannot pause a stopped container");
}

#[test]
fn a_stopped_exec_of_a_paused_container_is_stopped() {
    let mut table = running_exec();
    table.check(
        "exit a/x 3   => Exited a/x pid 2 exit 3
         pause a      => begin pause a
         ok pause a   => Paused a, pause a: ok
         state a/x    => state a/x: stopped pid 2 exit 3",
    );
}

#[test]
fn only_what_is_stopped_or_created_is_deleted() {
    let mut table = running_exec();
    table.check(
        "delete a     => delete a: FailedPrecondition cannot delete a running process
         delete a/x   => delete a/x: FailedPrecondition cannot delete a running process
         delete a/q   => delete a/q: NotFound process does not exist q
         exec a/y     => ExecAdded a/y, exec a/y: ok
         wait a/y     =>
         delete a/y   => begin drain a/y
         start a/y    => start a/y: FailedPrecondition cannot start a deleted process
         ok drain a/y => delete a/y: pid 0 exit 0 never, wait a/y: NotFound was never started
         exit a 7     => store a 7
         delete a     => delete a: FailedPrecondition cannot delete a running process",
    );
}

#[test]
fn a_created_container_is_killed_before_it_is_deleted() {
    check(
        "create a            => begin create a
         ok create a         => Created a pid 1, create a: pid 1
         wait a              =>
         delete a            => begin signal a 9 all
         start a             => start a: FailedPrecondition cannot start a deleted process
         exec a/x            => exec a/x: Unknown cannot exec in a created state
         ok signal a 9 all   =>
         exit a 137          => store a 137, begin look a
         ok look a           => Exited a pid 1 exit 137, wait a: pid 1 exit 137, begin drain a
         ok drain a          => begin delete a
         ok delete a         => Deleted a pid 1 exit 137, delete a: pid 1 exit 137",
    );
}

#[test]
fn a_created_container_that_cannot_be_killed_stays() {
    check(
        "create a            => begin create a
         ok create a         => Created a pid 1, create a: pid 1
         delete a            => begin signal a 9 all
         fail signal a 9 all => delete a: Unknown fault
         start a             => begin start a",
    );
    check(
        "create a                 => begin create a
         ok create a              => Created a pid 1, create a: pid 1
         delete a                 => begin signal a 9 all
         fail signal a 9 all gone =>
         exit a 1                 => store a 1, begin look a
         ok look a                => Exited a pid 1 exit 1, begin drain a",
    );
    check(
        "create a            => begin create a
         ok create a         => Created a pid 1, create a: pid 1
         delete a            => begin signal a 9 all
         exit a 1            => store a 1, begin look a
         fail signal a 9 all =>
         ok look a           => Exited a pid 1 exit 1, begin drain a
         ok drain a          => begin delete a
         ok delete a         => Deleted a pid 1 exit 1, delete a: pid 1 exit 1",
    );
}

#[test]
fn a_deletion_that_fails_leaves_the_container_stopped() {
    let mut table = stopped();
    table.check(
        "delete a      => begin drain a
         fail drain a  => begin delete a
         fail delete a => delete a: Unknown fault
         state a       => state a: stopped pid 1 exit 7
         delete a      => begin drain a
         ok drain a    => begin delete a
         ok delete a   => Deleted a pid 1 exit 7, delete a: pid 1 exit 7",
    );
}

#[test]
fn deletions_of_the_same_process_share_their_result() {
    let mut table = stopped();
    table.check(
        "delete a      => begin drain a
         delete a      =>
         ok drain a    => begin delete a
         ok delete a   => Deleted a pid 1 exit 7, delete a: pid 1 exit 7, delete a: pid 1 exit 7",
    );
}

#[test]
fn added_processes_go_with_their_container() {
    let mut table = running_exec();
    table.check(
        "exec a/y      => ExecAdded a/y, exec a/y: ok
         wait a/y      =>
         exit a/x 3    => Exited a/x pid 2 exit 3
         exit a 7      => store a 7, begin look a
         ok look a     => Exited a pid 1 exit 7
         delete a      => begin drain a
         delete a/x    => begin drain a/x
         ok drain a    =>
         ok drain a/x  => delete a/x: pid 2 exit 3, begin delete a
         delete a/y    => delete a/y: NotFound container not created
         ok delete a   => Deleted a pid 1 exit 7, delete a: pid 1 exit 7, wait a/y: NotFound was never started
         state a/y     => state a/y: NotFound container not created",
    );
}

#[test]
fn who_has_gone_away_is_not_replied_to() {
    let mut table = running_exec();
    table.check(
        "wait a/x 1         =>
         wait a/x 2         =>
         forget wait a/x 1  =>
         exit a/x 3         => Exited a/x pid 2 exit 3, wait a/x 2: pid 2 exit 3",
    );
}

#[test]
fn pids_name_the_added_processes() {
    let mut table = running_exec();
    table.check(
        "pids a      => begin pids a
         ok pids a   => pids a: 1 2=x 3
         pids a      => begin pids a
         fail pids a => pids a: Unknown fault
         pids q      => pids q: NotFound container not created",
    );
}

#[test]
fn the_shim_ends_without_containers_only() {
    check(
        "create a    => begin create a
         shutdown    => shutdown: ok
         fail create a => create a: Unknown fault
         shutdown    => quit, shutdown: ok
         shutdown    => shutdown: ok
         create a    => create a: FailedPrecondition the shim is ending
         connect a   => connect a: pid 0",
    );
    stopped().check("shutdown => shutdown: ok");
}

#[test]
fn resize_and_close_of_what_has_no_terminal_or_has_ended() {
    let mut table = running();
    table.check(
        "resize a     => resize a: ok
         resize a/q   => resize a/q: NotFound process does not exist q
         close a      => begin close a
         ok close a   => close a: ok
         close a/q    => close a/q: NotFound process does not exist q",
    );
    stopped().check(
        "resize a     => resize a: FailedPrecondition cannot resize a stopped process
         close a      => close a: ok",
    );
    check(
        "create a terminal => begin create a
         ok create a       => Created a pid 1, create a terminal: pid 1
         resize a          => begin resize a
         fail resize a     => resize a: Unknown fault",
    );
}

#[test]
fn input_that_ends_before_the_start_of_an_added_process_ends_after_it() {
    running().check(
        "exec a/x      => ExecAdded a/x, exec a/x: ok
         close a/x     => close a/x: ok
         start a/x     => begin start a/x
         close a/x     => close a/x: ok
         ok start a/x  => ExecStarted a/x pid 2, start a/x: pid 2, begin close a/x
         close a/x     => begin close a/x
         ok close a/x  =>
         ok close a/x  => close a/x: ok",
    );
}

#[test]
fn ids_are_names_of_files() {
    let mut table = running();
    table.check(
        "create ../b   => create ../b: InvalidArgument \"../b\" is not an id
         create /b     => create /b: InvalidArgument \"/b\" is not an id
         exec a/../x   => exec a/../x: InvalidArgument \"../x\" is not an id
         exec a/       => exec a/: InvalidArgument \"\" is not an id
         exec a/..     => exec a/..: InvalidArgument \"..\" is not an id
         exec a/init   => ExecAdded a/init, exec a/init: ok",
    );
}

#[test]
fn update_stats_and_checkpoint() {
    running().check(
        "update a        => begin update a
         fail update a   => update a: Unknown fault
         stats a         => begin stats a
         ok stats a      => stats a: metrics
         checkpoint a    => begin checkpoint a
         ok checkpoint a => Checkpointed a /there, checkpoint a: ok",
    );
    stopped().check(
        "update a     => update a: FailedPrecondition cannot update a stopped container
         checkpoint a => checkpoint a: FailedPrecondition cannot checkpoint a stopped container
         stats a      => begin stats a",
    );
}

#[test]
fn a_restored_container_has_its_pid_from_its_start_on() {
    check(
        "create a              => begin create a
         ok create a restored  => Created a pid 0, create a: pid 0
         exec a/x              => exec a/x: Unknown cannot exec in a created state
         kill a 9              => kill a 9: FailedPrecondition process not created
         start a               => begin start a
         ok start a restored   => Started a pid 1, start a: pid 1
         exec a/x              => ExecAdded a/x, exec a/x: ok",
    );
    check(
        "create a              => begin create a
         ok create a restored  => Created a pid 0, create a: pid 0
         wait a                =>
         delete a              => begin drain a
         ok drain a            => begin delete a
         update a              => update a: NotFound container not created
         ok delete a           => Deleted a pid 0 exit 0 never, delete a: pid 0 exit 0 never, wait a: NotFound was never started",
    );
}
