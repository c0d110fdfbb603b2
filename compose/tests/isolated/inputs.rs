//! What is typed and can't be meant: it is told in one line, with docker's exit code, and nothing is made.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::docker::{nothing_is_left, with_each_runtime};
use crate::host::{program, sh};
use crate::project::Project;

/// An architecture that nothing here is of.
const OTHER: &str = if cfg!(target_arch = "aarch64") { "linux/amd64" } else { "linux/arm64" };

#[test]
fn what_no_container_can_be_made_with_is_one_line() {
    with_each_runtime(|docker| {
        for (words, why) in [
            (
                &["--add-host", "x:1.1.1.1\n2.2.2.2 evil"][..],
                "invalid IP address in add-host: \"1.1.1.1\\n2.2",
            ),
            (&["--add-host", "nan"], "bad format for add-host: \"nan\""),
            (&["--add-host", ""], "bad format for add-host: \"\""),
            (&["--hostname", "h\n6.6.6.6 evil"], "invalid hostname format: h\\n6.6.6.6 evil"),
            (&["--dns-search", "a\nnameserver 6.6.6.6"], "a\\nnameserver 6.6.6.6 is not a valid domain"),
            (&["--dns", "1.1.1.1\nx"], "1.1.1.1\\nx is not an ip address"),
            (&["--dns-option", "a\nb"], "invalid dns option format"),
            (&["--network-alias", "a\nb"], "invalid network alias format: a\\nb"),
            (&["--stop-signal", "FOO"], "invalid signal: FOO"),
            (&["--expose", "99999"], "invalid range format for --expose: 99999"),
            (&["--log-opt", "foo=bar"], "unknown log opt 'foo' for json-file log driver"),
            (&["--log-opt", "max-size=garbage"], "invalid size: 'garbage'"),
            (&["--env", ""], "invalid environment variable: "),
            (&["--cpuset-cpus", "garbage"], "Invalid value garbage for cpuset cpus"),
            (&["--env-file", "/dev/zero"], "/dev/zero: more than 64 MiB"),
            (&["-p", "1-65535:1-65535"], "65535 published ports are more than can be held"),
            (&["--platform", "nan"], "\"nan\": unknown operating system or architecture: invalid argument"),
            (&["--pull", "never", "--platform", OTHER], "does not match the specified platform"),
        ] {
            for verb in ["run", "create"] {
                let (_, told, code) = docker.says(&[&[verb], words, &["box", "true"]].concat());
                assert!(told.contains(why) && told.lines().count() == 1, "{words:?}: {told}");
                // What docker's daemon would refuse ends `create` with 1.
                let is_daemons =
                    ["cpuset", "operating system", "the specified platform"].map(|w| why.contains(w));
                let expected = if verb == "create" && is_daemons.contains(&true) { 1 } else { 125 };
                assert_eq!(code, expected, "{verb} {words:?}");
            }
        }
        for (words, why, code) in [
            (&["tag", "box", "../x"][..], "../x: invalid reference format\n", 1),
            (&["run", "../x"], "../x: invalid reference format\n", 125),
            (&["stop", "no\nbody"], "No such container: no\\nbody\n", 1),
            (&["network", "create", "--subnet", "127.0.0.0/8", "n"], "overlaps with loopback addresses\n", 1),
        ] {
            let (_, told, ended) = docker.says(words);
            assert!(told.contains(why) && ended == code, "{words:?}: {ended}: {told}");
        }
        nothing_is_left();
    });
}

#[test]
fn files_take_pipes_that_end_and_records_are_roots_alone() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, "{services: {web: {COMMON, command: sleep 1000}}}");
        project.ok(&["up", "-d"]);
        let id = project.ok(&["ps", "-q"]).stdout;
        let dir = Path::new("/var/lib/corten-compose/default/containers").join(id.trim());
        let mode = |name: &str| dir.join(name).metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(["keep.json", "network.json", "hosts"].map(mode), [0o600, 0o600, 0o644]);
        project.is_gone();
        let loads = |how: &str| sh(&format!("cd /run/shop; bash -c '{}'", how.replace("IT", &program())));
        assert_eq!(loads("IT -f <(cat compose.yaml) config --services"), "web\n");
        assert_eq!(loads("cat compose.yaml | IT -f /dev/stdin config --services"), "web\n");
        assert_eq!(loads("cat compose.yaml | IT -f - config --services"), "web\n");
        for (services, why) in [
            ("{COMMON, extra_hosts: [a=nan]}", "extra_hosts[0]: invalid IP address in add-host: \"nan\""),
            ("{COMMON, hostname: \"a\\nb\"}", "services.web.hostname: invalid hostname format: a\\nb"),
            ("{COMMON, stop_signal: FOO}", "services.web.stop_signal: invalid signal: FOO"),
            ("{COMMON, env_file: /dev/zero}", "/dev/zero: more than 64 MiB"),
            ("{extends: {file: /dev/zero, service: web}}", "/dev/zero: more than 64 MiB"),
            (&format!("{{COMMON, platform: {OTHER}, pull_policy: never}}"), "does not match the specified"),
        ] {
            project.write(&format!("{{services: {{web: {services}}}}}"));
            let told = project.says(&["up", "-d"]);
            assert!(told.stderr.contains(why) && told.code == 1, "{services}: {}", told.stderr);
            assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
        }
        let told = project.says(&["-f", "/dev/zero", "config"]);
        assert_eq!((told.stderr.as_str(), told.code), ("/dev/zero: more than 64 MiB\n", 1));
        nothing_is_left();
    });
}
