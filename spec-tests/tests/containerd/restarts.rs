//! What becomes of containers when containerd ends and comes back, and when a shim is killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::signal::Signal;
use spec_tests::engine::containerd::{Containerd, scenario};
use spec_tests::engine::process::until;
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Scenario;
use spec_tests::engine::session::Session;
use spec_tests::engine::{Engine, Outcome, Stop, ensure};

pub fn scenarios() -> Vec<Scenario<Containerd>> {
    let stopped = Signal::SIGTERM;
    let killed = Signal::SIGKILL;
    vec![
        alone("output_while_containerd_is_stopped", move |session| output(session, stopped)),
        alone("output_while_containerd_is_killed", move |session| output(session, killed)),
        alone("ends_while_containerd_is_stopped", move |session| ends(session, stopped)),
        alone("ends_while_containerd_is_killed", move |session| ends(session, killed)),
        alone("a_paused_container_when_containerd_is_killed", paused),
        alone("a_shim_that_is_killed", |session| {
            let exits = killed_shim(session, "sleep 1000", |_| Ok(()))?;
            ensure(exits == [137], || format!("exits: {exits:?}"))
        }),
        alone("a_shim_that_is_killed_while_its_container_is_paused", |session| {
            let pause = |id: &str| session.ctr(&["tasks", "pause", id])?.ok().map(drop);
            let exits = killed_shim(session, "sleep 1000", pause)?;
            ensure(exits == [137], || format!("exits: {exits:?}"))
        }),
        alone("a_shim_that_is_killed_after_its_container", |session| {
            let exits = killed_shim(session, "exit 3", |id| await_state(session, id, "STOPPED"))?;
            // containerd's own shim doesn't know any more, and says 137 the second time.
            let right = session.role() == Role::Reference || exits.iter().all(|exit| *exit == 3);
            ensure(right && !exits.is_empty(), || format!("exits: {exits:?}"))
        }),
    ]
}

/// A scenario on a containerd of its own.
fn alone(
    name: &'static str,
    steps: impl Fn(&Session<Containerd>) -> Outcome + Send + Sync + 'static,
) -> Scenario<Containerd> {
    scenario(name, move |session| {
        let own = session.engine().another(&format!("{name}-{}", session.role().word()))?;
        session.on_engine(&own, &steps)
    })
}

/// A container that counts, to its standard output and in a file, until it is told to end.
struct Counter {
    id: String,
    /// What its processes and the test tell each other by.
    shared: PathBuf,
    /// What has been read of its output.
    output: PathBuf,
    reader: Child,
}

const COUNT: &str = "until [ -e /shared/begin ]; do sleep 0.01; done; i=0; \
                     until [ -e /shared/end ]; do i=$((i+1)); echo $i; \
                     [ $((i % 20)) -ne 0 ] || { echo $i > /shared/count; sleep 0.01; }; done; \
                     echo end; exit 7";

impl Counter {
    /// Starts a container that has begun to count. Its output is read by a client that needs no containerd.
    fn start(session: &Session<Containerd>) -> Outcome<Self> {
        let shared = session.dir("shared")?;
        let fifos = session.dir("fifos")?;
        let mount = format!("type=bind,src={},dst=/shared,options=rbind:rw", shared.display());
        let id = session.start_rootfs(
            &["--fifo-dir", &fifos.to_string_lossy(), "--mount", &mount],
            &["sh", "-c", COUNT],
        )?;
        let output = shared.join("output");
        let file = File::create(&output).map_err(Stop::failed)?;
        let reader = session
            .machine()
            .command("cat")
            .arg(stdout_of(&fifos, &id)?)
            .stdin(Stdio::null())
            .stdout(file)
            .spawn()
            .map_err(Stop::failed)?;
        let counter = Counter { id, shared, output, reader };
        counter.tell("begin")?;
        counter.goes_on()?;
        Ok(counter)
    }

    /// Tells the container something.
    fn tell(&self, word: &str) -> Outcome {
        File::create(self.shared.join(word)).map(drop).map_err(Stop::failed)
    }

    /// Waits until the container has counted further, and what it said has come.
    fn goes_on(&self) -> Outcome {
        let count =
            || fs::read_to_string(self.shared.join("count")).unwrap_or_default().trim().parse().unwrap_or(0);
        // The file is empty for a moment each time that it is written.
        let before: u64 = count();
        let mut reached = 0;
        until("the container to go on", 20, || {
            reached = count();
            reached > before
        })?;
        let reached = reached.to_string();
        until("its output", 20, || self.lines().contains(&reached))
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.output).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Tells the container to end, and waits for its end.
    fn ends(&self, session: &Session<Containerd>) -> Outcome {
        self.tell("end")?;
        self.has_ended()?;
        await_state(session, &self.id, "STOPPED")
    }

    /// Waits for the end of the output, and fails unless each number has come, in its order.
    fn has_ended(&self) -> Outcome {
        until("the last line", 20, || self.lines().last().is_some_and(|line| line == "end"))?;
        let lines = self.lines();
        let wrong = (1..lines.len()).find(|number| lines[number - 1] != number.to_string());
        ensure(wrong.is_none(), || format!("of {} lines, line {wrong:?} is not the number", lines.len()))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        drop(self.reader.kill());
        drop(self.reader.wait());
    }
}

/// The fifo of a container's output, in the directory where `ctr` makes it one of its own.
fn stdout_of(fifos: &Path, id: &str) -> Outcome<PathBuf> {
    let entries = fs::read_dir(fifos).map_err(Stop::failed)?.flatten();
    let found = entries.map(|entry| entry.path().join(format!("{id}-stdout"))).find(|path| path.exists());
    found.ok_or_else(|| Stop::failed(format!("no fifo in {}", fifos.display())))
}

fn await_state(session: &Session<Containerd>, id: &str, state: &str) -> Outcome {
    until(&format!("{id} to be {state}"), 30, || {
        session
            .ask(&["tasks", "list"])
            .is_ok_and(|said| said.stdout.lines().any(|line| line.contains(id) && line.contains(state)))
    })
}

fn exec(session: &Session<Containerd>, id: &str, exec: &str) -> Outcome {
    session
        .ctr(&["tasks", "exec", "--exec-id", exec, id, "echo", exec])?
        .ok()?
        .says(&format!("{exec}\n"))
        .map(drop)
}

fn restart(session: &Session<Containerd>, signal: Signal, meanwhile: impl Fn() -> Outcome) -> Outcome {
    session.engine().stop_daemon(signal)?;
    meanwhile()?;
    session.engine().start_daemon()
}

fn output(session: &Session<Containerd>, signal: Signal) -> Outcome {
    let counter = Counter::start(session)?;
    for round in ["one", "two", "three"] {
        restart(session, signal, || counter.goes_on())?;
        counter.goes_on()?;
        exec(session, &counter.id, round)?;
    }
    counter.ends(session)?;
    session.ctr(&["tasks", "delete", &counter.id])?.ok()?.complains("7")?;
    await_topics(session, &counted_with_execs(3))?;
    nothing_is_left(session, &counter.id)
}

/// The events of a container in which so many processes ran, the one after the other.
fn counted_with_execs(execs: usize) -> Vec<&'static str> {
    let exec = ["/tasks/exec-added", "/tasks/exec-started", "/tasks/exit"];
    [&["/tasks/create", "/tasks/start"], exec.repeat(execs).as_slice(), &["/tasks/exit", "/tasks/delete"]]
        .concat()
}

fn await_topics(session: &Session<Containerd>, topics: &[&str]) -> Outcome {
    until(&format!("the events {topics:?}"), 20, || session.engine().forwarded() == topics)
        .map_err(|_| Stop::failed(format!("events: {:?}, not {topics:?}", session.engine().forwarded())))
}

fn ends(session: &Session<Containerd>, signal: Signal) -> Outcome {
    let counter = Counter::start(session)?;
    let script = "until [ -e /shared/end ]; do sleep 0.01; done; exit 5";
    session.ctr(&["tasks", "exec", "--detach", "--exec-id", "e", &counter.id, "sh", "-c", script])?.ok()?;
    let init = pid(session, &counter.id)?;
    restart(session, signal, || {
        counter.tell("end")?;
        await_end(&init)
    })?;
    counter.has_ended()?;
    // Newer containerds delete by themselves what has ended meanwhile.
    if session.ask(&["tasks", "list"])?.ok()?.stdout.contains(&counter.id) {
        await_state(session, &counter.id, "STOPPED")?;
        session.ctr(&["tasks", "exec", "--exec-id", "late", &counter.id, "true"])?.exits(1)?;
        session.ctr(&["tasks", "delete", &counter.id])?.ok()?.complains("7")?;
    }
    // containerd's own shim gives up, and the exits are lost.
    if session.role() == Role::Tested {
        await_topics(session, &counted_with_execs(1))?;
    }
    nothing_is_left(session, &counter.id)
}

fn paused(session: &Session<Containerd>) -> Outcome {
    let counter = Counter::start(session)?;
    session.ctr(&["tasks", "pause", &counter.id])?.ok()?;
    restart(session, Signal::SIGKILL, || Ok(()))?;
    await_state(session, &counter.id, "PAUSED")?;
    session.ctr(&["tasks", "resume", &counter.id])?.ok()?;
    counter.goes_on()?;
    exec(session, &counter.id, "awake")?;
    counter.ends(session)?;
    session.ctr(&["tasks", "delete", &counter.id])?.ok()?;
    nothing_is_left(session, &counter.id)
}

/// The host's number of a container's first process.
fn pid(session: &Session<Containerd>, id: &str) -> Outcome<String> {
    let said = session.ask(&["tasks", "list"])?.ok()?;
    let line = said.stdout.lines().find(|line| line.starts_with(id));
    let pid = line.and_then(|line| line.split_whitespace().nth(1));
    pid.map(str::to_owned).ok_or_else(|| Stop::failed(said.report()))
}

fn await_end(pid: &str) -> Outcome {
    until(&format!("the end of process {pid}"), 20, || !Path::new("/proc").join(pid).exists())
}

/// A container that runs `script` and has come to where `prepare` has brought it. Then its shim is killed. Gives the
/// exit codes of all events that told of its end.
fn killed_shim(
    session: &Session<Containerd>,
    script: &str,
    prepare: impl Fn(&str) -> Outcome,
) -> Outcome<Vec<u32>> {
    let events = Events::follow(session)?;
    let id = session.start_rootfs(&[], &["sh", "-c", script])?;
    let init = pid(session, &id)?;
    prepare(&id)?;
    session.host(&format!("kill -9 $(pgrep -f -- '[-]id {id} ')"))?.ok()?;
    until("the task to go", 30, || {
        session.ask(&["tasks", "list"]).is_ok_and(|said| said.code == 0 && !said.stdout.contains(&id))
    })?;
    await_end(&init)?;
    session.ctr(&["containers", "delete", &id])?.ok()?;
    nothing_is_left(session, &id)?;
    events.exits(&id)
}

/// What `ctr events` shows.
struct Events {
    shown: PathBuf,
    client: Child,
}

impl Events {
    /// Starts the client, and waits until it shows events.
    fn follow(session: &Session<Containerd>) -> Outcome<Self> {
        let shown = session.dir("events")?.join("shown");
        let file = File::create(&shown).map_err(Stop::failed)?;
        let mut command = session.engine().call(session.role());
        let client = command.arg("events").stdin(Stdio::null()).stdout(file).spawn().map_err(Stop::failed)?;
        let events = Events { shown, client };
        until("events", 20, || {
            let label = ["namespaces", "label", session.engine().namespace(), "of=nothing"];
            session.ask(&label).is_ok() && !events.text().is_empty()
        })?;
        Ok(events)
    }

    /// The exit codes of a container's first process, once containerd has told that the task is gone.
    fn exits(&self, id: &str) -> Outcome<Vec<u32>> {
        let of = |topic: &str| {
            let text = self.text();
            let lines = text.lines().filter(|line| line.contains(topic) && line.contains(id));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        until("the event of the deletion", 20, || !of("/tasks/delete").is_empty())?;
        let code = |line: &String| {
            let digits = line.split_once("\"exit_status\":")?.1;
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        Ok(of("/tasks/exit").iter().filter_map(code).collect())
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.shown).unwrap_or_default()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        drop(self.client.kill());
        drop(self.client.wait());
    }
}

/// Fails if something of the container is left. containerd's own shim often leaves its socket.
fn nothing_is_left(session: &Session<Containerd>, id: &str) -> Outcome {
    let look = format!(
        "find /run/containerd /sys/fs/cgroup -name '*{id}*' -not -path '*/fifo/*'; grep {id} /proc/self/mountinfo; \
         pgrep -f -- '[-]id {id} '; {}",
        if session.role() == Role::Tested { "ls /run/containerd/s" } else { "true" },
    );
    let look = || session.machine().shell(&look);
    until("nothing to be left", 20, || look().is_ok_and(|said| said.stdout.is_empty()))
        .map_err(|_| Stop::failed(look().map(|said| said.report()).unwrap_or_default()))
}
