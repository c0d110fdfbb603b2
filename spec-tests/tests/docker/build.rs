//! `docker build`, by the classic builder and by BuildKit. Both use the engine's default runtime, and BuildKit calls
//! it with a command line of its own: `run` in the foreground, no `--root`.

use std::fs;

use spec_tests::engine::dockerd::CLIENT;
use spec_tests::engine::process::{Said, run};
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::{On, Scenario, scenario};
use spec_tests::engine::session::Session;
use spec_tests::engine::{Outcome, Stop, ensure};

pub fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (classic, buildkit, steps) in WITH_EACH_BUILDER {
        scenarios
            .push(scenario(classic, move |session| steps(session, Builder::Classic)).on(On::DefaultRuntime));
        scenarios.push(
            scenario(buildkit, move |session| steps(session, Builder::BuildKit)).on(On::DefaultRuntime),
        );
    }
    let buildkit_alone = [
        scenario("buildkit_mounts_of_a_run_instruction", mounts_of_a_run_instruction),
        scenario("buildkit_a_secret_does_not_stay", a_secret_does_not_stay),
        scenario("buildkit_stages_at_the_same_time", stages_at_the_same_time),
        scenario("buildkit_calls_the_tested_runtime", buildkit_calls_the_tested_runtime),
    ];
    scenarios.extend(buildkit_alone.map(|scenario| scenario.on(On::DefaultRuntime)));
    scenarios
}

type Steps = fn(&Session, Builder) -> Outcome;

/// What is tried with each builder: the scenario's names, and its steps.
const WITH_EACH_BUILDER: &[(&str, &str, Steps)] = &[
    ("classic_every_instruction", "buildkit_every_instruction", every_instruction),
    ("classic_a_failing_instruction", "buildkit_a_failing_instruction", a_failing_instruction),
    ("classic_a_missing_command", "buildkit_a_missing_command", a_missing_command),
    (
        "classic_instructions_as_another_user",
        "buildkit_instructions_as_another_user",
        instructions_as_another_user,
    ),
    ("classic_what_an_instruction_sees", "buildkit_what_an_instruction_sees", what_an_instruction_sees),
    (
        "classic_instructions_without_a_network",
        "buildkit_instructions_without_a_network",
        instructions_without_a_network,
    ),
    ("classic_many_instructions_in_a_row", "buildkit_many_instructions_in_a_row", many_instructions_in_a_row),
    (
        "classic_shell_volume_and_entrypoint",
        "buildkit_shell_volume_and_entrypoint",
        shell_volume_and_entrypoint,
    ),
];

/// Which of Docker's two builders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Builder {
    Classic,
    BuildKit,
}

const EVERYTHING: &str = r#"FROM busybox AS one
RUN echo "stage one" > /made
FROM busybox
ARG COLOUR=red
ENV KEY=value
WORKDIR /work
COPY --from=one /made /made
COPY file copied
ADD tree.tar /added/
RUN id > /seen && echo $COLOUR > /colour && cat copied /added/tree/leaf
EXPOSE 8080
LABEL made-by=test
HEALTHCHECK --interval=1s CMD test -e /made
USER nobody
CMD echo "$(id -un) in $(pwd): $(cat /made), $(cat copied), $(cat /added/tree/leaf), $(cat /colour), $KEY"
"#;

fn every_instruction(session: &Session, builder: Builder) -> Outcome {
    let image = built(session, builder, EVERYTHING, &["--build-arg", "COLOUR=blue"])?;
    let said = session.docker(&["run", "--rm", &image])?;
    said.ok()?.says("nobody in /work: stage one, copied, added, blue, value\n")?;
    session.docker(&["run", "--rm", &image, "cat", "/seen"])?.ok()?.shows("uid=0(root)")?;
    let format = "{{json .Config.Healthcheck}} {{.Config.User}} {{.Config.WorkingDir}} {{json .Config.ExposedPorts}} {{json .Config.Labels}}";
    session
        .docker(&["inspect", "-f", format, &image])?
        .ok()?
        .shows("test -e /made")?
        .shows("nobody /work")
        .map(drop)
}

fn a_failing_instruction(session: &Session, builder: Builder) -> Outcome {
    let said = build(session, builder, "FROM busybox\nRUN echo trying && exit 23\n", &[])?;
    ensure(said.code != 0, || said.report())?;
    said.complains("23").map(drop)
}

fn a_missing_command(session: &Session, builder: Builder) -> Outcome {
    let said = build(session, builder, "FROM busybox\nRUN [\"nosuch\"]\n", &[])?;
    said.exits(1)?.complains("executable file not found in $PATH").map(drop)
}

fn instructions_as_another_user(session: &Session, builder: Builder) -> Outcome {
    let dockerfile = "FROM busybox\nUSER alice\nRUN id > /tmp/id; touch /etc/x 2>> /tmp/id; true\n\
                      CMD cat /tmp/id\n";
    let image = built(session, builder, dockerfile, &[])?;
    let said = session.docker(&["run", "--rm", &image])?.ok()?;
    said.shows("uid=1000(alice) gid=1000(alice)")?.shows("Permission denied").map(drop)
}

fn what_an_instruction_sees(session: &Session, builder: Builder) -> Outcome {
    let dockerfile = "FROM busybox\nRUN { grep -E 'Cap|Seccomp:|NoNew' /proc/self/status; ls /dev; ls /sys/class/net; \
                      sed 's/ .*//' /proc/self/limits | sort -u; umask; pwd; } > /seen\nCMD cat /seen\n";
    let image = built(session, builder, dockerfile, &[])?;
    session
        .docker(&["run", "--rm", &image])?
        .ok()?
        .shows("CapEff:\t00000000a80425fb")?
        .shows("Seccomp:\t2")
        .map(drop)
}

fn instructions_without_a_network(session: &Session, builder: Builder) -> Outcome {
    let dockerfile = "FROM busybox\nRUN ls /sys/class/net > /seen\nCMD cat /seen\n";
    let image = built(session, builder, dockerfile, &["--network", "none"])?;
    session.docker(&["run", "--rm", &image])?.ok()?.says("lo\n").map(drop)
}

fn many_instructions_in_a_row(session: &Session, builder: Builder) -> Outcome {
    let runs: String = (0..8).map(|number| format!("RUN echo {number} >> /log\n")).collect();
    let image = built(session, builder, &format!("FROM busybox\n{runs}CMD cat /log\n"), &[])?;
    session.docker(&["run", "--rm", &image])?.ok()?.says("0\n1\n2\n3\n4\n5\n6\n7\n").map(drop)
}

fn shell_volume_and_entrypoint(session: &Session, builder: Builder) -> Outcome {
    let dockerfile = "FROM busybox\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN false || echo went on > /log\nRUN mkdir /data\nVOLUME /data\n\
                      RUN echo lost > /data/x\nENTRYPOINT [\"cat\"]\nCMD [\"/log\"]\n";
    let image = built(session, builder, dockerfile, &[])?;
    session.docker(&["run", "--rm", &image])?.ok()?.says("went on\n").map(drop)
}

fn mounts_of_a_run_instruction(session: &Session) -> Outcome {
    let dockerfile = "FROM busybox\nRUN --mount=type=tmpfs,target=/t grep -c ' /t tmpfs' /proc/mounts > /seen\n\
                      RUN --mount=type=cache,target=/cache echo kept > /cache/x\n\
                      RUN --mount=type=cache,target=/cache cat /cache/x >> /seen\n\
                      RUN --mount=type=bind,source=file,target=/f cat /f >> /seen; \
                      ls /cache >> /seen 2> /dev/null || true\nCMD cat /seen\n";
    let image = built(session, Builder::BuildKit, dockerfile, &[])?;
    session.docker(&["run", "--rm", &image])?.ok()?.says("1\nkept\ncopied\n").map(drop)
}

fn a_secret_does_not_stay(session: &Session) -> Outcome {
    let secret = session.dir("secret")?.join("word");
    fs::write(&secret, "hush\n").map_err(Stop::failed)?;
    let dockerfile = "FROM busybox\nRUN --mount=type=secret,id=word cat /run/secrets/word | wc -c > /seen\n\
                      CMD cat /seen; ls /run/secrets\n";
    let flag = format!("id=word,src={}", secret.display());
    let image = built(session, Builder::BuildKit, dockerfile, &["--secret", &flag])?;
    session.docker(&["run", "--rm", &image])?.says("5\n").map(drop)
}

fn stages_at_the_same_time(session: &Session) -> Outcome {
    let stage = |name: &str| format!("FROM busybox AS {name}\nRUN sleep 0.2; echo {name} > /{name}\n");
    let dockerfile = format!(
        "{}{}{}FROM busybox\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /\nRUN cat /a /b /c > /all\nCMD cat /all\n",
        stage("a"),
        stage("b"),
        stage("c")
    );
    let image = built(session, Builder::BuildKit, &dockerfile, &[])?;
    session.docker(&["run", "--rm", &image])?.ok()?.says("a\nb\nc\n").map(drop)
}

fn buildkit_calls_the_tested_runtime(session: &Session) -> Outcome {
    built(session, Builder::BuildKit, "FROM busybox\nRUN true\n", &[])?;
    let calls = session.engine().calls_of_runc_on_path();
    let expected = session.role() == Role::Tested;
    ensure(calls.contains(" run --bundle ") == expected, || format!("calls of runc from PATH:\n{calls}"))
}

/// Builds and gives the image's name; the build must succeed.
fn built(session: &Session, builder: Builder, dockerfile: &str, flags: &[&str]) -> Outcome<String> {
    build(session, builder, dockerfile, flags)?.ok()?;
    Ok(session.name("image"))
}

/// Builds from a context with a file and an archive in it. BuildKit's progress has times and an order of its own, so
/// only the classic builder's words are recorded; of BuildKit's, the outcome.
fn build(session: &Session, builder: Builder, dockerfile: &str, flags: &[&str]) -> Outcome<Said> {
    let context = session.dir("context")?;
    fs::create_dir_all(context.join("tree")).map_err(Stop::failed)?;
    for (name, text) in [("Dockerfile", dockerfile), ("file", "copied\n"), ("tree/leaf", "added\n")] {
        fs::write(context.join(name), text).map_err(Stop::failed)?;
    }
    let path = context.display().to_string();
    session.machine().shell(&format!("cd {path} && tar -cf tree.tar tree"))?.ok()?;
    let image = session.name("image");
    let args = [&["build", "--no-cache", "--tag", &image][..], flags, &[&path]].concat();
    match builder {
        Builder::Classic => session.client(CLIENT, &args, &[("DOCKER_BUILDKIT", "0")]),
        Builder::BuildKit => {
            let mut client = session.engine().client(CLIENT);
            run(client.args(args).args(["--progress", "plain"]).env("DOCKER_BUILDKIT", "1"), None)
        }
    }
}
