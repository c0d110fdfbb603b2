//! Carries a plan out: each step as soon as all that it waits for are done, independent ones at the same time.

use std::future::Future;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::error::Result;
use crate::plan::graph::{Plan, Step};

/// How many steps are at work at a time. containerd and the disk have no use for more.
const AT_WORK_MAX: usize = 16;

/// What is told of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It is at work now.
    Begun,
    /// It is done.
    Done,
    /// It can't be done, and what waits for it goes on without.
    Skipped,
    /// It is not done, because others use what it would remove, and what waits for it goes on.
    InUse,
    /// It has failed.
    Failed,
}

/// Carries the plan out. `perform` says whether it has done the step or has skipped it. After the first failure nothing
/// more is begun; what is at work comes to its end.
///
/// Errors: the first failure.
pub async fn carry_out<F: Future<Output = Result<Progress>>>(
    plan: &Plan,
    perform: impl Fn(Step) -> F,
    mut tell: impl FnMut(&Step, Progress),
) -> Result<()> {
    let steps = plan.steps();
    let mut waits_for: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
    let mut ready: Vec<usize> = (0..steps.len()).rev().filter(|index| waits_for[*index] == 0).collect();
    let mut at_work = FuturesUnordered::new();
    let mut failure = None;
    loop {
        while let (None, true, Some(index)) = (&failure, at_work.len() < AT_WORK_MAX, ready.last().copied()) {
            ready.pop();
            tell(&steps[index], Progress::Begun);
            let work = perform(steps[index].clone());
            at_work.push(async move { (index, work.await) });
        }
        let Some((index, result)) = at_work.next().await else { break };
        match result {
            Ok(progress) => {
                tell(&steps[index], progress);
                for (other, step) in steps.iter().enumerate().rev() {
                    if step.after.iter().any(|before| before.index() == index) {
                        waits_for[other] -= 1;
                        if waits_for[other] == 0 {
                            ready.push(other);
                        }
                    }
                }
            }
            Err(err) => {
                tell(&steps[index], Progress::Failed);
                failure.get_or_insert(err);
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::error::Error;
    use crate::plan::graph::{Action, Cause, Named};

    fn step(plan: &mut Plan, name: &str, after: &[usize]) {
        let named = Named { key: name.into(), name: name.into() };
        let ids: Vec<_> = plan.ids().collect();
        let after = after.iter().map(|index| ids[*index]);
        plan.add(Action::CreateNetwork(named), Cause::Missing, after.collect::<Vec<_>>());
    }

    fn name(step: &Step) -> String {
        let Action::CreateNetwork(named) = &step.action else { panic!("not one of ours") };
        named.name.clone()
    }

    fn run(plan: &Plan, fails: &str) -> (Result<()>, Vec<String>) {
        let told = RefCell::new(Vec::new());
        let perform = |step: Step| async move {
            if name(&step) == fails {
                return Err(Error::new("fault"));
            }
            tokio::task::yield_now().await;
            Ok(Progress::Done)
        };
        let tell = |step: &Step, progress| told.borrow_mut().push(format!("{} {progress:?}", name(step)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ended = runtime.block_on(carry_out(plan, perform, tell));
        (ended, told.into_inner())
    }

    #[test]
    fn a_step_waits_for_those_before_it_and_for_no_other() {
        let mut plan = Plan::default();
        step(&mut plan, "a", &[]);
        step(&mut plan, "b", &[0]);
        step(&mut plan, "c", &[]);
        step(&mut plan, "d", &[1, 2]);
        let (ended, told) = run(&plan, "");
        ended.unwrap();
        let place = |what: &str| told.iter().position(|line| line == what).unwrap();
        assert!(place("c Begun") < place("a Done") && place("a Done") < place("b Begun"));
        assert!(place("b Done") < place("d Begun") && place("c Done") < place("d Begun"));
    }

    #[test]
    fn nothing_is_begun_after_a_failure_and_what_is_at_work_ends() {
        let mut plan = Plan::default();
        step(&mut plan, "a", &[]);
        step(&mut plan, "b", &[]);
        step(&mut plan, "c", &[1]);
        let (ended, told) = run(&plan, "a");
        assert_eq!(ended.unwrap_err().to_string(), "fault");
        assert_eq!(told, ["a Begun", "b Begun", "a Failed", "b Done"]);
    }
}
