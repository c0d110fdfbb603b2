//! What no container of this machine can show, where Linux runs cgroup v2 alone with every controller, systemd and
//! AppArmor: on the machine that `scripts/vm` makes and boots. What is skipped there is listed as skipped in part.
//! `make vm-all` runs whole suites there, and all scenarios of the engines.
//!
//! Each suite can be run by hand: `scripts/vm 'target/debug/deps/conformance-… cgroups::memory'`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use spec_tests::skip;
use spec_tests::subject::subject;

/// What is run of which suite. The processor is emulated, so themes without a cgroup in them would only cost time.
const SUITES: [(&str, &str); 3] = [
    ("cgroup_real", "v2:: readings::v2_"),
    ("conformance", "apparmor:: cgroup update:: devices:: stats:: engines:: kill:: pause pids_limit"),
    ("errors", "cgroups::"),
];

/// The exit code of `scripts/vm` where there can be no such machine.
const UNAVAILABLE: i32 = 69;

#[test]
fn cgroups_of_a_machine_that_has_v2_alone() {
    let built = suites();
    let commands = SUITES.map(|(suite, themes)| format!("{} {themes}", built[suite].display()));
    let mut machine = Command::new(workspace().join("scripts/vm"));
    machine.args(commands).env("CORTEN_BIN", &subject().path);
    let mut machine = machine.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut output = String::new();
    for line in BufReader::new(machine.stdout.take().unwrap()).lines() {
        output += &format!("{}\n", line.unwrap());
    }
    let ended = machine.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr);
    if ended.status.code() == Some(UNAVAILABLE) {
        return skip::record(complaint.lines().last().unwrap_or_default());
    }

    let skips: Vec<&str> = output.lines().filter_map(|line| Some(line.split_once("skipped: ")?.1)).collect();
    skips.iter().for_each(|skipped| skip::record_part(skipped));
    let results = output.lines().filter(|line| line.starts_with("test result: "));
    let passed: Vec<&str> =
        results.filter(|line| line.contains("ok. ") && !line.contains(" 0 passed")).collect();
    let all = ended.status.success() && passed.len() == SUITES.len();
    assert!(all, "{:?}\n{output}\n{complaint}", ended.status);
    passed.iter().for_each(|line| println!("{line}"));
    // This machine has all controllers of v2, so no test may be skipped for lack of one.
    let lack = |skipped: &&str| {
        skipped.contains(" no ") && skipped.contains(" controller") && !skipped.contains(" no v1 ")
            || skipped.contains("controllers are missing")
    };
    assert_eq!(skips.into_iter().filter(lack).collect::<Vec<_>>(), [""; 0], "{output}");
}

/// The test programs by name, built as this one is.
fn suites() -> HashMap<String, PathBuf> {
    let own = std::env::current_exe().unwrap();
    // TARGET/PROFILE/deps/TEST
    let [profile, target] = [2, 3].map(|above| own.ancestors().nth(above).unwrap());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(workspace()).args(["test", "--no-run", "--message-format=json", "-p", "spec-tests"]);
    cargo.arg("--target-dir").arg(target).args(profile.ends_with("release").then_some("--release"));
    cargo.args(SUITES.iter().flat_map(|(suite, _)| ["--test", suite]));
    let built = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success());
    let messages = built.stdout.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let executable = |message: Value| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, message["executable"].as_str()?.into()))
    };
    messages.filter_map(executable).collect()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
