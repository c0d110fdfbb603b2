//! Random histories: calls, ends of operations, exits and OOM kills in any order, judged effect by effect.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::Machine;
use super::super::call::{Call, CallId, Input, OperationId, ProcessKey};
use super::super::operation::{Effect, Operation, Outcome};
use super::judge::Judge;
use super::table::{addition, creation, exit};
use crate::refusal::{Code, Refusal};

/// What happens next. The numbers choose among what can happen.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Call { what: usize, container: usize, exec: usize },
    Done { which: usize, is_ok: bool },
    Exit { which: usize },
    OutOfMemory { container: usize },
    Forget { which: usize },
    Desert,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (0..24_usize, 0..2_usize, 0..3_usize)
            .prop_map(|(what, container, exec)| Turn::Call { what, container, exec }),
        8 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, is_ok)| Turn::Done { which, is_ok }),
        2 => any::<usize>().prop_map(|which| Turn::Exit { which }),
        1 => (0..2_usize).prop_map(|container| Turn::OutOfMemory { container }),
        1 => any::<usize>().prop_map(|which| Turn::Forget { which }),
        1 => Just(Turn::Desert),
    ]
}

/// The machine, and the world that it lives in.
#[derive(Default)]
struct World {
    machine: Machine,
    judge: Judge,
    at_work: Vec<(OperationId, Operation)>,
    calls: u64,
    /// The last pid, and the last status: each exit has its own.
    last: u32,
}

impl World {
    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Call { what, container, exec } => self.call(call(what, ["a", "b"][container], exec)),
            Turn::Done { which, is_ok } if !self.at_work.is_empty() => {
                self.done(which % self.at_work.len(), is_ok);
            }
            Turn::Exit { which } => {
                let live = self.judge.live();
                if !live.is_empty() {
                    self.exit(live[which % live.len()].clone());
                }
            }
            Turn::OutOfMemory { container } => {
                self.tell(Input::OutOfMemory(["a", "b"][container].into()));
            }
            Turn::Forget { which } if self.calls > 0 => {
                let call = CallId(which as u64 % self.calls + 1);
                self.judge.forgotten(call);
                self.tell(Input::Forgotten(call));
            }
            Turn::Desert => drop(self.tell(Input::Deserted)),
            Turn::Done { .. } | Turn::Forget { .. } => {}
        }
    }

    fn call(&mut self, call: Call) {
        self.calls += 1;
        let id = CallId(self.calls);
        self.judge.called(id, &call);
        let must_act = matches!(call, Call::State(_) | Call::Connect(_) | Call::Shutdown | Call::Kill { .. });
        let acts = self.tell(Input::Call(id, call));
        assert!(acts || !must_act, "it waits for something");
    }

    fn exit(&mut self, process: ProcessKey) {
        let exit = exit(self.next());
        self.judge.reaped(&process, exit);
        self.tell(Input::Exited(process, exit));
    }

    fn done(&mut self, index: usize, is_ok: bool) {
        let (id, operation) = self.at_work.remove(index);
        let number = self.next();
        let result = if is_ok {
            Ok(outcome(&operation, number))
        } else {
            Err(Refusal::new(if number.is_multiple_of(2) { Code::NotFound } else { Code::Unknown }, "fault"))
        };
        self.judge.done(&operation, &result);
        self.tell(Input::Done(id, result));
    }

    /// Returns whether the machine acts on it.
    fn tell(&mut self, input: Input) -> bool {
        let told = format!("{input:?}");
        let effects = self.machine.handle(input);
        let acts = !effects.is_empty();
        self.judge.history.push(format!("{told}\n  {effects:?}"));
        for effect in effects {
            self.judge.effect(&effect);
            match effect {
                Effect::Begin(id, operation) => self.at_work.push((id, operation)),
                // The next shim begins.
                Effect::Quit => self.machine = Machine::new(),
                _ => {}
            }
        }
        acts
    }

    fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    /// Brings a container to a stage of its life: created, started, with an added process, with that one started, with
    /// another one.
    fn bring(&mut self, id: &str, stage: usize) {
        let added = |exec: &str| ProcessKey { container: id.into(), exec: Some(exec.into()) };
        let calls = [
            Call::Create(creation(id)),
            Call::Start(ProcessKey::init(id)),
            Call::Exec(addition(added("x"))),
            Call::Start(added("x")),
            Call::Exec(addition(added("y"))),
        ];
        for call in calls.into_iter().take(stage) {
            self.call(call);
            while !self.at_work.is_empty() {
                self.done(0, true);
            }
        }
    }

    /// Lets all operations and all processes end.
    fn end(&mut self) {
        for _ in 0..10_000 {
            if !self.at_work.is_empty() {
                self.done(0, true);
            } else if let Some(process) = self.judge.live().first() {
                self.exit(process.clone());
            } else {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    /// Nobody hangs, nothing is withheld, and everything can be deleted.
    fn finish(mut self) {
        self.end();
        self.judge.all_is_told();
        for container in ["a", "b"] {
            self.call(Call::Delete(ProcessKey::init(container)));
        }
        self.end();
        self.judge.all_is_gone();
    }
}

fn call(what: usize, id: &str, exec: usize) -> Call {
    let added = ProcessKey { container: id.into(), exec: Some(["x", "y", "x"][exec].into()) };
    let process = if exec == 2 { ProcessKey::init(id) } else { added.clone() };
    let id = id.to_string();
    match what {
        0..=2 => Call::Create(creation(&id)),
        3 | 4 => Call::Start(ProcessKey::init(id)),
        5 | 6 => Call::Exec(addition(added)),
        7..=9 => Call::Start(added),
        10 | 11 => Call::Delete(process),
        12 => Call::State(process),
        13 => Call::Wait(process),
        14 => Call::Kill { process, signal: 9, all: false },
        15 => Call::Kill { process, signal: 9, all: true },
        16 => Call::Pause(id),
        17 => Call::Resume(id),
        18 => Call::Pids(id),
        19 => Call::Stats(id),
        20 => Call::Update(id, Vec::new()),
        21 => Call::Checkpoint(id, Box::default()),
        22 => Call::CloseStdin(process),
        _ => Call::Shutdown,
    }
}

fn outcome(operation: &Operation, number: u32) -> Outcome {
    let pid = i32::try_from(number).unwrap();
    match operation {
        Operation::Create(_) => Outcome::Created { pid, shares_pid_namespace: number.is_multiple_of(2) },
        Operation::StartExec(_) => Outcome::Began { pid },
        Operation::Pids(_) => Outcome::Pids(vec![pid]),
        Operation::Stats(_) => Outcome::Metrics(String::new(), Vec::new()),
        Operation::LookForOutOfMemory(_) => Outcome::OutOfMemory(number.is_multiple_of(3)),
        _ => Outcome::Done,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_order(a in 0..6_usize, b in 0..6_usize, turns in vec(turn(), 1..100)) {
        let mut world = World::default();
        world.bring("a", a);
        world.bring("b", b);
        for turn in turns {
            world.turn(turn);
        }
        world.finish();
    }
}
