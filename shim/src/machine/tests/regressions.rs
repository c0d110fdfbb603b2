//! What has gone wrong in other shims. The numbers are containerd's issues and pull requests.

use super::table::{check, running, running_exec, shared, stopped};

/// #3177, #8557: a program that ends at once was heard of as ended before it was heard of as started.
#[test]
fn a_program_that_ends_at_once_is_started_first() {
    check(
        "create a     => begin create a
         ok create a  => Created a pid 1, create a: pid 1
         start a      => begin start a
         wait a       =>
         exit a 0     => store a 0
         ok start a   => Started a pid 1, start a: pid 1, begin look a
         ok look a    => Exited a pid 1 exit 0, wait a: pid 1 exit 0",
    );
}

/// #7111: the exit of an exec that ends at once came before its start, while another exec was being started.
#[test]
fn execs_that_end_at_once_are_started_first_each_for_itself() {
    running().check(
        "exec a/x     => ExecAdded a/x, exec a/x: ok
         exec a/y     => ExecAdded a/y, exec a/y: ok
         start a/x    => begin start a/x
         start a/y    => begin start a/y
         exit a/y 1   =>
         exit a/x 2   =>
         ok start a/y => ExecStarted a/y pid 2, start a/y: pid 2, Exited a/y pid 2 exit 1
         ok start a/x => ExecStarted a/x pid 3, start a/x: pid 3, Exited a/x pid 3 exit 2",
    );
}

/// #4769, #6429, #6465: after the end of a shim, containerd heard of a second exit with another status. What runs then
/// says what the bundle holds: it holds the exit before anybody hears of it, and the first one for good.
#[test]
fn the_exit_is_stored_once_and_before_anybody_hears_of_it() {
    running().check(
        "wait a       =>
         exit a 3     => store a 3, begin look a
         exit a 137   =>
         ok look a    => Exited a pid 1 exit 3, wait a: pid 1 exit 3
         exit a 137   =>
         kill a 9 all => kill a 9 all: NotFound process already finished",
    );
}

/// #6860, #6866: after a restart, containerd asks by Connect, State and Pids what a shim has, and takes a shim without
/// an answer for a leak. They are answered while the container hangs in a start.
#[test]
fn a_container_that_hangs_answers_what_containerd_asks_after_a_restart() {
    check(
        "create a     => begin create a
         ok create a  => Created a pid 1, create a: pid 1
         start a      => begin start a
         connect a    => connect a: pid 1
         state a      => state a: created pid 1
         pids a       => begin pids a
         ok pids a    => pids a: 1 2
         kill a 9     => begin signal a 9",
    );
}

/// #7496, #8981, #11392: a Delete whose caller went away left a shim that nobody could delete. The deletion goes on, a
/// second Delete has its result, and after a deletion that failed there is another one.
#[test]
fn a_delete_can_be_said_again() {
    let mut table = stopped();
    table.check(
        "delete a         => begin drain a
         forget delete a  =>
         ok drain a       => begin delete a
         fail delete a    => delete a: Unknown fault
         delete a         => begin drain a
         delete a         =>
         ok drain a       => begin delete a
         ok delete a      => Deleted a pid 1 exit 7, delete a: pid 1 exit 7, delete a: pid 1 exit 7
         shutdown         => quit, shutdown: ok",
    );
}

/// #8180, #8893, #12405, #12714: OOM kills were lost when the container ended with them, or were told after its exit.
#[test]
fn an_oom_kill_that_ends_the_container_is_told_before_its_exit() {
    running().check(
        "exit a 137       => store a 137, begin look a
         state a          => state a: running pid 1
         ok look a oom    => OutOfMemory a, Exited a pid 1 exit 137",
    );
    check(
        "create a         => begin create a
         exit a 137       =>
         oom a            =>
         ok create a      => Created a pid 1, OutOfMemory a, store a 137, begin look a
         ok look a        => Exited a pid 1 exit 137, create a: pid 1",
    );
}

/// #9103: an init that was killed before the end of its creation hung the shim for good. Its state is stopped as soon
/// as Create is replied to.
#[test]
fn an_init_that_ends_during_its_creation_is_stopped_after_it() {
    check(
        "create a     => begin create a
         create b     => begin create b
         exit a 137   =>
         ok create a  => Created a pid 1, store a 137, begin look a
         ok create b  => Created b pid 2, create b: pid 2
         ok look a    => Exited a pid 1 exit 137, create a: pid 1
         state a      => state a: stopped pid 1 exit 137
         start a      => start a: FailedPrecondition cannot start a stopped process
         delete a     => begin drain a",
    );
}

/// #9719, #9828: the exit of an exec was told after the exit of its container, and its client hung.
#[test]
fn an_exec_that_ends_with_its_container_is_told_first() {
    let mut table = running_exec();
    table.check(
        "wait a/x     =>
         exit a 0     => store a 0
         exit a/x 137 => Exited a/x pid 2 exit 137, wait a/x: pid 2 exit 137, begin look a
         ok look a    => Exited a pid 1 exit 0",
    );
}

/// #10589, #10603, #10649: an exec that was being started while init ended withheld the exit of init for good, whether
/// its start failed, or it had ended too, or it lived on in a shared pid namespace.
#[test]
fn an_exec_that_starts_during_the_end_of_init_does_not_withhold_it() {
    running().check(
        "exec a/x         => ExecAdded a/x, exec a/x: ok
         start a/x        => begin start a/x
         exit a 0         => store a 0
         fail start a/x   => start a/x: Unknown fault, begin look a",
    );
    running().check(
        "exec a/x         => ExecAdded a/x, exec a/x: ok
         start a/x        => begin start a/x
         exit a 0         => store a 0
         exit a/x 137     =>
         ok start a/x     => ExecStarted a/x pid 2, start a/x: pid 2, Exited a/x pid 2 exit 137, begin look a",
    );
    let mut table = shared();
    table.check(
        "exec a/x         => ExecAdded a/x, exec a/x: ok
         start a/x        => begin start a/x
         exit a 0         => store a 0, begin kill-all a
         ok kill-all a    =>
         exit a/x 137     =>
         ok start a/x     => ExecStarted a/x pid 2, start a/x: pid 2, Exited a/x pid 2 exit 137, begin kill-all a
         ok kill-all a    => begin look a",
    );
}

/// #13784: an empty list of pids makes containerd delete the shim. Whatever the list says is passed on.
#[test]
fn pids_are_those_of_the_operation() {
    let mut table = running_exec();
    table.check(
        "pids a       => begin pids a
         ok pids a    => pids a: 1 2=x 3",
    );
}

/// #13483: while a container was inside a hook of its creation, the others of its group had no state and no pids.
#[test]
fn a_hook_of_one_container_delays_no_other() {
    let mut table = running_exec();
    table.check(
        "create b     => begin create b
         state a      => state a: running pid 1
         pids a       => begin pids a
         exec a/y     => ExecAdded a/y, exec a/y: ok
         start a/y    => begin start a/y
         ok start a/y => ExecStarted a/y pid 3, start a/y: pid 3
         exit a/x 0   => Exited a/x pid 2 exit 0
         exit a/y 0   => Exited a/y pid 3 exit 0
         exit a 0     => store a 0, begin look a
         ok look a    => Exited a pid 1 exit 0",
    );
}

/// A creation that hung in a hook went on for ever once its caller had gone, with its shim.
#[test]
fn a_creation_whose_caller_went_away_is_undone() {
    check(
        "create a        => begin create a
         shutdown        => shutdown: ok
         forget create a => abandon a
         fail create a   => quit",
    );
    check(
        "create a        => begin create a
         create b        => begin create b
         ok create b     => Created b pid 1, create b: pid 1
         forget create a => abandon a
         ok create a     => begin delete a
         exit a 137      =>
         ok delete a     =>
         create a        => begin create a
         forget create a => abandon a
         ok create a     => begin delete a
         ok delete a     =>
         exit a 137      =>
         create a        => begin create a",
    );
}

/// A container that was made again right after its creator had been killed was refused: it exists already.
#[test]
fn a_creation_waits_for_the_end_of_an_earlier_one() {
    check(
        "create a        => begin create a
         shutdown        => shutdown: ok
         forget create a => abandon a
         create a        =>
         ok create a     => begin delete a
         ok delete a     =>
         shutdown        => shutdown: ok
         exit a 137      => begin create a
         ok create a     => Created a pid 2, create a: pid 2",
    );
    // The first one that waits is begun, and its id is taken for the others.
    check(
        "create a          => begin create a
         forget create a   => abandon a
         create a 2        =>
         create a 3        =>
         create a 4        =>
         forget create a 2 =>
         fail create a     => begin create a, create a 4: AlreadyExists container a already exists
         forget create a 3 => abandon a
         create a 5        =>
         fail create a     => begin create a
         ok create a       => Created a pid 1, create a 5: pid 1",
    );
    // Nobody is left.
    check(
        "create a          => begin create a
         forget create a   => abandon a
         create a 2        =>
         forget create a 2 =>
         fail create a     => quit",
    );
}

/// A deletion that came during a creation was refused, containerd ended the shim, and the creation broke off with
/// "ttrpc: closed", whose reason nobody heard.
#[test]
fn a_deletion_waits_for_the_end_of_a_creation() {
    check(
        "create a       => begin create a
         delete a       =>
         state a        => state a: NotFound container not created
         fail create a  => create a: Unknown fault, delete a: NotFound container not created
         shutdown       => quit, shutdown: ok",
    );
    check(
        "create a       => begin create a
         delete a       =>
         ok create a    => Created a pid 1, create a: pid 1, begin signal a 9 all
         ok signal a 9 all =>
         exit a 137     => store a 137, begin look a
         ok look a      => Exited a pid 1 exit 137, begin drain a
         ok drain a     => begin delete a
         ok delete a    => Deleted a pid 1 exit 137, delete a: pid 1 exit 137",
    );
    // The creation is for nobody by now.
    check(
        "create a        => begin create a
         delete a        =>
         forget create a => abandon a
         fail create a   => delete a: NotFound container not created, quit",
    );
    // Nobody waits for the deletion by now.
    check(
        "create a        => begin create a
         delete a        =>
         forget delete a =>
         ok create a     => Created a pid 1, create a: pid 1",
    );
}

/// A client was killed between the start of its shim and the first call, and the shim stayed for ever.
#[test]
fn a_shim_without_a_container_ends_once_it_is_deserted() {
    check("deserted     => quit");
    check(
        "create a       => begin create a
         deserted       =>
         fail create a  => create a: Unknown fault
         deserted       => quit
         deserted       =>
         create b       => create b: FailedPrecondition the shim is ending",
    );
    running().check("deserted     =>");
}

/// A restart of containerd cut a start in two: the repeated start hung, and the state of the running container said
/// created. The start goes on, and the repeated one has its result.
#[test]
fn a_start_whose_caller_went_away_goes_on_and_can_be_said_again() {
    check(
        "create a       => begin create a
         ok create a    => Created a pid 1, create a: pid 1
         start a        => begin start a
         forget start a =>
         start a        =>
         start a        => start a: FailedPrecondition cannot start a starting process",
    );
    check(
        "create a       => begin create a
         ok create a    => Created a pid 1, create a: pid 1
         start a        => begin start a
         forget start a =>
         ok start a     => Started a pid 1
         state a        => state a: running pid 1",
    );
}
