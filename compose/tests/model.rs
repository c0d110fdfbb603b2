//! `config` on the files of `tests/model`: what is printed, what is refused and where, and what docker compose prints.
//!
//! `NAME.json` is what is printed for `NAME.yaml`, with `NAME.override.yaml` over it where there is one. A first line
//! `# arguments: …` holds further arguments. In `wrong/`, the first line `# wrong: …` is how the error begins, or what
//! follows the file's name in it.
//!
//! `CORTEN_UPDATE=1` writes the `.json` files anew. `CORTEN_DOCKER_COMPOSE=PROGRAM` asks that program, too.

// A test that can't go on stops.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model")
}

/// The names of the cases of a directory.
fn cases(directory: &Path) -> Vec<String> {
    let files =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| file.strip_suffix(".yaml").map(str::to_owned));
    let mut names: Vec<String> = names.filter(|name| !name.ends_with(".override")).collect();
    names.sort();
    assert!(names.len() > 10, "{} has too few cases", directory.display());
    names
}

/// A program that reads projects, in the cases' surroundings.
fn program(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    let surroundings =
        [("HOME", "/home/user"), ("NAME", "name"), ("EMPTY", ""), ("OURS", "ours"), ("PATH", "/usr/bin")];
    command.current_dir(directory).env_clear().envs(surroundings);
    command
}

fn ours() -> PathBuf {
    env!("CARGO_BIN_EXE_corten-compose").into()
}

/// Runs `config` on a case.
fn config(judge: &Path, directory: &Path, name: &str, format: &str) -> Output {
    let text = fs::read_to_string(directory.join(format!("{name}.yaml"))).unwrap();
    let arguments =
        text.lines().next().and_then(|line| line.strip_prefix("# arguments: ")).unwrap_or_default();
    let mut command = program(judge, directory);
    command.args(arguments.split_whitespace()).args(["-f", &format!("{name}.yaml")]);
    if directory.join(format!("{name}.override.yaml")).exists() {
        command.args(["-f", &format!("{name}.override.yaml")]);
    }
    command.args(["config", "--format", format]).output().unwrap()
}

/// Runs `config` of ours on a text of another's.
fn reread(directory: &Path, text: &[u8], format: &str) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!(
        "corten-compose-model-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::write(&file, text).unwrap();
    let mut command = program(&ours(), directory);
    let output = command
        .arg("-f")
        .arg(&file)
        .args(["--project-directory", ".", "--profile", "*", "config", "--format", format])
        .output();
    fs::remove_file(file).unwrap();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(text)
    );
    output.stdout
}

fn printed(directory: &Path, name: &str, format: &str) -> Vec<u8> {
    let output = config(&ours(), directory, name, format);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The text with the cases' directory as `/project`.
fn moved(directory: &Path, text: &[u8]) -> String {
    let up = directory.parent().unwrap().to_str().unwrap();
    String::from_utf8_lossy(text).replace(directory.to_str().unwrap(), "/project").replace(up, "/")
}

#[test]
fn each_field_is_printed_in_its_long_form() {
    let directory = directory();
    let mut differ = Vec::new();
    for name in cases(&directory) {
        let printed = moved(&directory, &printed(&directory, &name, "json"));
        let expected = directory.join(format!("{name}.json"));
        if std::env::var_os("CORTEN_UPDATE").is_some() {
            fs::write(&expected, &printed).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != printed {
            differ.push(format!("{name}.json differs from what is printed:\n{printed}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn what_is_printed_loads_to_the_same() {
    let directory = directory();
    for name in cases(&directory) {
        let yaml = printed(&directory, &name, "yaml");
        let json = printed(&directory, &name, "json");
        let same =
            |text: &[u8], other: &[u8]| String::from_utf8_lossy(text) == String::from_utf8_lossy(other);
        assert!(
            same(&reread(&directory, &yaml, "yaml"), &yaml),
            "{name}: {}",
            String::from_utf8_lossy(&yaml)
        );
        assert!(
            same(&reread(&directory, &json, "yaml"), &yaml),
            "{name}: {}",
            String::from_utf8_lossy(&json)
        );
        assert!(same(&reread(&directory, &yaml, "json"), &json), "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let directory = directory().join("wrong");
    let mut differ = Vec::new();
    for name in cases(&directory) {
        let text = fs::read_to_string(directory.join(format!("{name}.yaml"))).unwrap();
        let expected = text.lines().next().and_then(|line| line.strip_prefix("# wrong: ")).unwrap();
        let output = config(&ours(), &directory, &name, "json");
        let error = String::from_utf8_lossy(&output.stderr);
        let error = error.lines().find(|line| !line.starts_with("warning: ")).unwrap_or_default();
        let begins = error.starts_with(expected) || error.starts_with(&format!("{name}.yaml:{expected}"));
        if output.status.code() != Some(1) || !begins {
            differ.push(format!("{name}: {expected}\n    not: {error}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// What is printed of `parts/compose.yaml` with flags that leave out a part of the work, one file for each.
#[test]
fn parts_of_the_work_are_left_out() {
    let directory = directory().join("parts");
    let mut differ = Vec::new();
    for flags in [
        "--no-interpolate",
        "--no-interpolate --no-normalize --no-path-resolution",
        "--no-normalize",
        "--no-path-resolution",
        "--no-env-resolution",
        "--no-interpolate --images",
        "--variables",
        "--variables --format json",
    ] {
        let mut command = program(&ours(), &directory);
        let output = command.env("DB", "d").arg("config").args(flags.split(' ')).output().unwrap();
        let printed = moved(&directory, &output.stdout);
        let name = flags.replace("--", "").replace(' ', "_");
        let expected = directory.join(format!("{name}.out"));
        if std::env::var_os("CORTEN_UPDATE").is_some() {
            fs::write(&expected, &printed).unwrap();
        }
        if !output.status.success() || fs::read_to_string(&expected).unwrap_or_default() != printed {
            differ.push(format!("{flags}: {}{printed}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// A project that doesn't fit together is printed by whom doesn't look.
#[test]
fn what_does_not_fit_together_is_printed_if_nobody_looks() {
    let directory = directory().join("wrong");
    let file = std::env::temp_dir().join(format!("corten-compose-unfit-{}.yaml", std::process::id()));
    fs::write(&file, "{name: a, services: {a: {image: i, depends_on: [nobody], volumes: ['v:/v']}}}")
        .unwrap();
    let config = |flags: &[&str]| {
        let mut command = program(&ours(), &directory);
        command.arg("-f").arg(&file).arg("config").args(flags).output().unwrap()
    };
    let (refused, printed) = (config(&[]), config(&["--no-consistency", "--dry-run"]));
    fs::remove_file(&file).unwrap();
    assert_eq!((refused.status.code(), printed.status.code()), (Some(1), Some(0)));
    assert!(String::from_utf8_lossy(&printed.stdout).contains("nobody:"));
}

/// Each field that the Model has is in one of the expected files.
#[test]
fn each_field_has_a_case() {
    let directory = directory();
    let mut seen = std::collections::BTreeSet::new();
    for name in cases(&directory) {
        let text = fs::read(directory.join(format!("{name}.json"))).unwrap();
        keys(&serde_json::from_slice(&text).unwrap(), &mut seen);
    }
    let types = include_str!("../src/model/types.rs");
    let fields = types.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    // What is printed under another name, or not at all.
    let others = ["kind", "extensions", "directory", "files", "disabled", "cpuset_mems"];
    let missing: Vec<&str> = fields
        .map(|(field, _)| field)
        .filter(|field| !others.contains(field) && !seen.contains(*field))
        .collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

fn keys(value: &Value, seen: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            seen.insert(key.clone());
            keys(value, seen);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, seen)),
        _ => {}
    }
}

/// What docker compose prints for a case means the same to us as the case. Cases `ours-…` say why we differ.
#[test]
fn docker_compose_understands_the_same() {
    let Some(docker) = std::env::var_os("CORTEN_DOCKER_COMPOSE").map(PathBuf::from) else {
        println!("skipped: CORTEN_DOCKER_COMPOSE names no docker compose");
        return;
    };
    let directory = directory();
    let mut differ = Vec::new();
    for name in cases(&directory).iter().filter(|name| !name.starts_with("ours-")) {
        let output = config(&docker, &directory, name, "yaml");
        let error = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let is_too_old =
                ["not allowed", "unsupported env_file format"].iter().any(|why| error.contains(why));
            println!("skipped: {name}: {error}");
            differ.extend((!is_too_old).then(|| format!("{name}: {error}")));
            continue;
        }
        let theirs = moved(&directory, &reread(&directory, &output.stdout, "json"));
        let ours = moved(&directory, &printed(&directory, name, "json"));
        if theirs != ours {
            differ.push(format!("{name}: docker compose:\n{theirs}\nours:\n{ours}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// The examples load without a word, and docker compose takes them, too.
#[test]
fn the_examples_are_projects_for_both() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/compose");
    let judges = [Some(ours()), std::env::var_os("CORTEN_DOCKER_COMPOSE").map(PathBuf::from)];
    for example in fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path()) {
        for judge in judges.iter().flatten() {
            let output = program(judge, &example).args(["config", "--quiet"]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{}: {said}", example.display());
        }
    }
}
