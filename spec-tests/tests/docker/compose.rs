//! docker-compose: two services that need each other, a network with names, a volume.

use std::fs;
use std::path::PathBuf;

use spec_tests::engine::process::{Said, run, until};
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::{On, Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop};

pub fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("a_project_with_the_default_runtime", |session| whole_life(&Project::new(session, "")?))
            .on(On::DefaultRuntime),
        scenario("a_project_that_names_the_runtime", |session| {
            let line = format!("runtime: {}", session.runtime());
            whole_life(&Project::new(session, &line)?)
        }),
        scenario("run_and_scale", run_and_scale).on(On::DefaultRuntime),
        scenario("a_service_is_built", a_service_is_built).on(On::DefaultRuntime),
    ]
}

/// `web` serves what is in the volume; `client` reads it by the service's name and shows it.
const TWO_SERVICES: &str = r#"
services:
  web:
    image: busybox
    command: sh -c 'echo served > /data/index.html; echo web is up; exec httpd -f -p 80 -h /data'
    volumes: ["data:/data"]
    networks: {inner: {aliases: [store]}}
    mem_limit: 64m
    stop_grace_period: 0s
    RUNTIME
  client:
    image: busybox
    depends_on: [web]
    command: sh -c 'until wget -qO- http://store/ 2>/dev/null; do sleep 0.05; done; exec sleep 100'
    environment: {GREETING: hello}
    user: alice
    networks: [inner]
    stop_grace_period: 0s
    RUNTIME
networks: {inner: {}}
volumes: {data: {}}
"#;

struct Project<'a> {
    session: &'a Session<'a>,
    dir: PathBuf,
    name: String,
}

impl<'a> Project<'a> {
    fn new(session: &'a Session, runtime_line: &str) -> Outcome<Self> {
        Self::of(session, &TWO_SERVICES.replace("RUNTIME", runtime_line))
    }

    fn of(session: &'a Session, file: &str) -> Outcome<Self> {
        let dir = session.dir("project")?;
        fs::write(dir.join("docker-compose.yml"), file).map_err(Stop::failed)?;
        Ok(Project { session, dir, name: session.name("p") })
    }

    /// `docker-compose ARGS…`. It reports progress in an order that differs from run to run, so none of it is
    /// recorded; what the scenarios expect of it is what counts.
    fn compose(&self, args: &[&str]) -> Outcome<Said> {
        let mut command = self.session.engine().client("docker-compose");
        command.current_dir(&self.dir).args(["--ansi", "never", "--project-name", &self.name]).args(args);
        run(&mut command, None)
    }

    fn waits_for(&self, args: &[&str], part: &str) -> Outcome {
        until(&format!("{part:?} in docker-compose {}", args.join(" ")), 30, || {
            self.compose(args).is_ok_and(|said| said.stdout.contains(part))
        })
    }
}

fn whole_life(project: &Project) -> Outcome {
    let session = project.session;
    project.compose(&["up", "--detach"])?.ok()?;
    project.waits_for(&["logs", "client"], "served")?;
    project.compose(&["logs"])?.ok()?.shows("web is up")?;
    project
        .compose(&["ps", "--services", "--filter", "status=running"])?
        .ok()?
        .shows("web")?
        .shows("client")?;
    project
        .compose(&["exec", "-T", "client", "sh", "-c", "echo $GREETING $(id -un)"])?
        .ok()?
        .says("hello alice\n")?;
    project.compose(&["exec", "-T", "client", "wget", "-qO-", "http://web/"])?.ok()?.says("served\n")?;
    project.compose(&["exec", "-T", "web", "sh", "-c", "echo kept > /data/index.html; exit 3"])?.exits(3)?;
    project.compose(&["restart", "web"])?.ok()?;
    project.waits_for(&["exec", "-T", "client", "sh", "-c", "wget -qO- http://store/"], "served")?;
    project.compose(&["pause", "web"])?.ok()?;
    project.compose(&["unpause", "web"])?.ok()?;
    project.compose(&["kill", "-s", "KILL", "web"])?.ok()?;
    let web = project.compose(&["ps", "--all", "-q", "web"])?.ok()?;
    session
        .wait_until(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", web.word()], "exited 137")?;
    project.compose(&["up", "--detach"])?.ok()?;
    project.compose(&["ps", "--services", "--filter", "status=running"])?.ok()?.shows("web")?;
    runtime_is_the_seat_s(project)?;
    project.compose(&["down", "--volumes"])?.ok()?;
    for (what, list) in
        [("container", ["ps", "-aq"]), ("network", ["network", "ls"]), ("volume", ["volume", "ls"])]
    {
        let filter = format!("label=com.docker.compose.project={}", project.name);
        let quiet = if what == "container" { "--no-trunc" } else { "-q" };
        session.docker(&[&list[..], &[quiet, "--filter", &filter]].concat())?.ok()?.says("")?;
    }
    Ok(())
}

fn runtime_is_the_seat_s(project: &Project) -> Outcome {
    let web = project.compose(&["ps", "-q", "web"])?.ok()?;
    let said = project.session.ask(&["inspect", "-f", "{{.HostConfig.Runtime}}", web.word()])?;
    let expected = match project.session.role() {
        Role::Reference => "runc\n",
        Role::Tested => "corten\n",
    };
    said.ok()?.says(expected).map(drop)
}

fn run_and_scale(session: &Session) -> Outcome {
    let project = Project::new(session, "")?;
    project
        .compose(&["run", "--rm", "-T", "client", "sh", "-c", "wget -qO- http://web/ && exit 4"])?
        .exits(4)?
        .says("served\n")?;
    project.compose(&["up", "--detach", "--scale", "client=3"])?.ok()?;
    until("three clients", 30, || {
        project.compose(&["ps", "-q", "client"]).is_ok_and(|said| said.stdout.lines().count() == 3)
    })?;
    project.compose(&["top"])?.ok()?.shows("httpd -f -p 80")?;
    project.compose(&["down", "--volumes"])?.ok().map(drop)
}

fn a_service_is_built(session: &Session) -> Outcome {
    let file =
        "services:\n  job:\n    build: .\n    read_only: true\n    cap_drop: [ALL]\n    tmpfs: [/tmp]\n";
    let project = Project::of(session, file)?;
    let dockerfile = "FROM busybox\nRUN echo built > /made\nCMD cat /made; grep CapEff /proc/self/status; touch /x; exit 6\n";
    fs::write(project.dir.join("Dockerfile"), dockerfile).map_err(Stop::failed)?;
    let said = project.compose(&["up", "--build", "--exit-code-from", "job"])?;
    // docker-compose 2 keeps stdout and stderr of services apart.
    let said = Said { stdout: format!("{}{}", said.stdout, said.stderr), ..said };
    let expected =
        said.exits(6)?.shows("built")?.shows("0000000000000000")?.shows("Read-only file system").map(drop);
    project.compose(&["down", "--rmi", "local"])?.ok()?;
    expected
}
