//! What holds for any project, and which files a project is made of.

use super::load::{Files, Loaded, load, load_as_written};
use super::print;
use super::request::Request;
use super::types::{Map, Service};
use crate::error::Result;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files that are nowhere but here.
struct InMemory(Map<String>);

impl Files for InMemory {
    fn read(&self, file: &Path) -> io::Result<String> {
        let text = file.to_str().and_then(|file| self.0.get(file)).cloned();
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn in_memory(files: &[(&str, &str)]) -> InMemory {
    InMemory(files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect())
}

fn request() -> Request {
    let environment = [("HOME", "/home/user"), ("NAME", "name")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Request { here: "/srv/app".into(), environment, ..Request::default() }
}

/// Loads a text as the only file of a project whose profiles are all on.
fn loaded(text: &str) -> Result<Loaded> {
    let request = Request { profiles: vec!["*".to_owned()], ..request() };
    load(&in_memory(&[("/srv/app/compose.yaml", text)]), &request)
}

/// Loads a text, and if it is a project, what is printed of it, which has to be the same project.
fn same_again(text: &str) {
    let Ok(Loaded { mut project, .. }) = loaded(text) else { return };
    for service in project.services.values() {
        let record = serde_json::to_string(service).unwrap();
        assert_eq!(&serde_json::from_str::<Service>(&record).unwrap(), service, "of {record}");
    }
    project.drop_unused();
    let yaml = print::yaml(&project).unwrap();
    let json = print::json(&project).unwrap();
    for printed in [&yaml, &json] {
        match loaded(printed) {
            Ok(again) => {
                assert_eq!(print::yaml(&again.project).unwrap(), yaml, "of {printed}");
                assert_eq!(again.project.services, project.services, "of {printed}");
            }
            Err(error) => panic!("{error}\n{printed}"),
        }
    }
}

/// The texts of the cases of `tests/model`.
fn cases(extension: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model");
    let directories = [directory.clone(), directory.join("wrong"), directory.join("files")];
    let files = directories
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|found| found == extension)).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// Every field that a case has for a service.
fn service_fields() -> Vec<(String, Value)> {
    let projects = cases("json").into_iter().map(|text| serde_json::from_str::<Value>(&text).unwrap());
    let services = projects.flat_map(|project| project["services"].as_object().cloned().unwrap_or_default());
    services.flat_map(|(_, service)| service.as_object().cloned().unwrap_or_default()).collect()
}

/// A service of some fields of the cases, of which one may have another's value or any text.
fn service(fields: Vec<(String, Value)>) -> impl Strategy<Value = Value> {
    let any_text = "(?s).{0,20}".prop_map(Value::from);
    let value = fields.clone().into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    let one =
        (prop::sample::select(fields.clone()), prop_oneof![any_text, prop::sample::select(value)], 0..10u8);
    let one = one.prop_map(|((key, own), other, dice)| (key, if dice == 0 { other } else { own }));
    let texts = prop::collection::btree_map("[A-Za-z_]{1,8}", "(?s).{0,30}", 0..4);
    (prop::collection::vec(one, 0..8), texts).prop_map(|(fields, texts)| {
        let mut service: serde_json::Map<String, Value> = fields.into_iter().collect();
        service.entry("image").or_insert_with(|| json!("busybox"));
        service.insert("environment".to_owned(), json!(texts));
        service.insert("x-any".to_owned(), json!(texts));
        // The services that these name are in another case.
        for key in ["depends_on", "links", "volumes_from", "network_mode", "ipc", "pid", "models", "networks"]
        {
            service.remove(key);
        }
        Value::Object(service)
    })
}

/// A project of a few services, which has what the cases refer to.
fn project() -> impl Strategy<Value = Value> {
    let fields = service_fields();
    prop::collection::btree_map("[a-z]{1,4}", service(fields), 1..4).prop_map(|services| {
        let all = |names: &str, what: Value| -> Value {
            names
                .split(' ')
                .map(|name| (name.to_owned(), what.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let volumes = all("named data other theirs v c", Value::Null);
        let secrets = all("file variable theirs theirs-too token s", json!({"file": "a"}));
        let configs = all("plain inline c", json!({"file": "a"}));
        json!({"services": services, "volumes": volumes, "secrets": secrets, "configs": configs})
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_of_a_project_is_the_same_project(project in project()) {
        same_again(&project.to_string());
    }

    #[test]
    fn any_text_comes_back(text in "(?s).{0,60}") {
        let escaped = text.replace('$', "$$");
        let document = json!({"services": {"a": {"image": "a", "labels": {"text": escaped}, "command": [escaped]}}});
        let project = loaded(&document.to_string()).unwrap().project;
        prop_assert_eq!(project.services["a"].labels["text"].as_str(), text.as_str());
        let again = loaded(&print::yaml(&project).unwrap()).unwrap().project;
        prop_assert_eq!(&again.services, &project.services);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        same_again(&text);
        same_again(&format!("services:\n  a:\n    image: {text}"));
    }
}

/// Changes files here and there for `CORTEN_FUZZ` seconds: what is no project any more is an error, never a panic.
#[test]
#[ignore = "runs as long as CORTEN_FUZZ says"]
fn changed_files_never_make_it_panic() {
    let seconds = std::env::var("CORTEN_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let seed = std::env::var("CORTEN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let more = std::env::var("CORTEN_CORPUS").ok().map(|directory| fs::read_dir(directory).unwrap());
    let more = more.into_iter().flatten().filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    let files: Vec<String> = cases("yaml").into_iter().chain(cases("json")).chain(more).collect();
    let mut dice = Dice(seed);
    let (mut runs, mut projects) = (0u64, 0u64);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let text = dice.changed(&files);
        let last = std::env::temp_dir().join(format!("corten-compose-fuzz-{}", std::process::id()));
        fs::write(&last, &text).unwrap();
        same_again(&text);
        runs += 1;
        projects += u64::from(loaded(&text).is_ok());
        fs::remove_file(last).unwrap();
    }
    println!("{runs} texts of {} files, {projects} of them projects", files.len());
}

/// What turns a file into another one.
const WORDS: &str = "!reset §!override §&a §*a§<<: §- §: §\n§  §{§}§[§]§${A:-§$§\"§'§|\n§>\n§null§~§-1§\
                     99999999999999999999§1e999§0x§\t§#§---\n§\u{feff}§é§services:\n§extends: a§x-a: §? ";

/// Numbers by xorshift, so that a seed says all.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % (end.max(1) as u64)) as usize
    }

    /// A place in the text where a character begins.
    fn place(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }

    /// One of the files, changed in one to six places.
    fn changed(&mut self, files: &[String]) -> String {
        let mut text = files[self.below(files.len())].clone();
        for _ in 0..=self.below(6) {
            let (from, to) = (self.place(&text), self.place(&text));
            let (from, to) = (from.min(to), from.max(to));
            match self.below(6) {
                0 => text.insert_str(from, WORDS.split('§').nth(self.below(34)).unwrap_or_default()),
                1 if to - from < 200 => text.replace_range(from..to, ""),
                2 if to - from < 400 => {
                    let part = text[from..to].to_owned();
                    let at = self.place(&text);
                    text.insert_str(at, &part);
                }
                3 => {
                    let other = &files[self.below(files.len())];
                    let (one, two) = (self.place(other), self.place(other));
                    let part = &other[one.min(two)..one.max(two)];
                    text.insert_str(from, part.get(..200).unwrap_or(part));
                }
                4 => text.replace_range(from..from, &char::from(self.below(127) as u8).to_string()),
                _ => {
                    let lines: Vec<&str> = text.split_inclusive('\n').collect();
                    let line =
                        lines.get(self.below(lines.len())).map(|line| (*line).to_owned()).unwrap_or_default();
                    text.insert_str(from, &line);
                }
            }
        }
        text
    }
}

#[test]
fn the_nearest_directory_with_a_file_is_the_projects() {
    let files = in_memory(&[
        ("/srv/docker-compose.yml", "services: {a: {image: a}}"),
        ("/srv/docker-compose.override.yml", "services: {a: {tty: true}}"),
        ("/srv/.env", "A=1"),
    ]);
    let project = load(&files, &request()).unwrap().project;
    assert_eq!((project.name.as_str(), project.directory.as_path()), ("srv", Path::new("/srv")));
    assert!(project.services["a"].tty);
    assert_eq!(project.environment["A"], "1");
    let nowhere = load(&in_memory(&[]), &request()).unwrap_err().to_string();
    assert_eq!(nowhere, "/srv/app: neither this directory nor one above it has a compose.yaml");
}

#[test]
fn files_and_names_come_from_arguments_then_variables_then_files() {
    let files = in_memory(&[
        ("/srv/app/compose.yaml", "name: From-File\nservices: {a: {image: a}}"),
        ("/srv/app/b.yaml", "services: {b: {image: 'b:${COMPOSE_PROJECT_NAME}'}}"),
        ("/srv/app/.env", "COMPOSE_FILE=compose.yaml:b.yaml"),
    ]);
    let project = load(&files, &request()).unwrap().project;
    assert_eq!(project.name, "from-file");
    assert_eq!(project.services["b"].image.as_deref(), Some("b:from-file"));
    let mut named = request();
    named.environment.insert("COMPOSE_PROJECT_NAME".to_owned(), "variable".to_owned());
    assert_eq!(load(&files, &named).unwrap().project.name, "variable");
    named.name = Some("argument".to_owned());
    named.files = vec!["b.yaml".to_owned()];
    let project = load(&files, &named).unwrap().project;
    assert_eq!((project.name.as_str(), project.services.len()), ("argument", 1));
    named.name = Some("Bad".to_owned());
    assert!(load(&files, &named).is_err());
}

#[test]
fn a_named_service_is_on_and_its_profiles_with_it() {
    let text = "services:
  a: {image: a, profiles: [p], depends_on: [b]}
  b: {image: b}
  c: {image: c, profiles: [p]}
  d: {image: d, profiles: [p], depends_on: [c]}
  e: {image: e, profiles: [q], depends_on: [c, b]}";
    let load = |services: &[String], no_deps| {
        let request = Request { services: services.to_vec(), no_deps, ..request() };
        load(&in_memory(&[("/srv/app/compose.yaml", text)]), &request)
    };
    let on = |name: &str| {
        load(&[name.to_owned()], false).unwrap().project.services.into_keys().collect::<String>()
    };
    assert_eq!([on("b"), on("a"), on("x")], ["b", "abcd", "b"]);
    let names = |names: &[&str], with_dependencies: bool| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut project = load(&names, !with_dependencies)?.project;
        project
            .select(&names, with_dependencies)
            .map(|()| project.services.into_keys().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(&[], true).unwrap(), "b");
    assert_eq!(names(&["a"], true).unwrap(), "a b");
    assert_eq!(names(&["a"], false).unwrap(), "a");
    assert_eq!(names(&["c", "d"], true).unwrap(), "c d");
    assert_eq!(names(&["d"], true).unwrap(), "c d");
    assert_eq!(names(&["e"], false).unwrap(), "e");
    let off = "services.e.depends_on.c: is a service that no active profile switches on";
    assert!(names(&["e"], true).unwrap_err().to_string().ends_with(off));
    assert_eq!(names(&["x"], true).unwrap_err().to_string(), "x: no such service");
}

#[test]
fn the_hash_is_of_what_a_container_is_made_of() {
    let hash = |text: &str| super::hash::service(&loaded(text).unwrap().project.services["a"]).unwrap();
    let plain = hash("services: {a: {image: a}, b: {image: b}}");
    let same = "services:
  a: {image: a, scale: 3, depends_on: [b], profiles: [p], pull_policy: always, build: .}
  b: {image: b}";
    assert_eq!(hash(same), plain);
    assert_ne!(hash("services: {a: {image: a, tty: true}}"), plain);
}

#[test]
fn what_cannot_be_run_is_told_apart_from_what_is_wrong() {
    let loaded = loaded(
        "services:
  a: {image: a, scale: 2, ports: [\"80\", \"8000-8001:80\", \"81:81\"]}
  b: {image: b, use_api_socket: true, cpu_count: 3, hostname: $GONE}",
    );
    let loaded = loaded.unwrap();
    let refusals = [
        "compose.yaml:3:17: services.b.use_api_socket: needs the socket of an engine, which isn't there",
        "compose.yaml:2:57: services.a.ports[2]: port 81 of the host can't be that of 2 containers",
    ];
    let told = loaded.refusals.iter().map(|refusal| refusal.line.as_str());
    assert_eq!(told.collect::<Vec<_>>(), refusals);
    let services = loaded.refusals.iter().map(|refusal| refusal.service.as_deref());
    assert_eq!(services.collect::<Vec<_>>(), [Some("b"), Some("a")]);
    assert_eq!(loaded.warnings, ["the variable GONE isn't set, and is taken as empty"]);
    // Who only looks at a project isn't told.
    let left_alone = ["compose.yaml:3:39: services.b.cpu_count: is for Windows, and is left alone"];
    assert_eq!(loaded.left_alone, left_alone);
}

#[test]
fn what_stands_as_it_is_written_has_keys_and_types_too() {
    let told = |services: &str| {
        let text = format!("services:\n  aa: {services}\n");
        let files = in_memory(&[("/srv/app/compose.yaml", &text)]);
        load_as_written(&files, &request()).map(drop).map_err(|err| err.to_string())
    };
    for open in [
        "{image: '${X}', ports: ['${P}:80', {target: '${T}', published: '${Q}'}], deploy: {replicas: '${R:-2}'}}",
        "{image: x, environment: ['A=${A}', B], labels: {l: '${L}'}, env_file: '${E}', privileged: '$P'}",
        "{image: x, volumes: ['${V}:/v', {type: '${K}', source: '${S}', target: /t}], ulimits: {nofile: '${U}'}}",
        "{build: '${C}', command: '${D}', depends_on: {bb: {condition: '${E}'}}, networks: {n: {priority: '$P'}}}",
        "{image: x, healthcheck: {interval: '${H}', test: [CMD, '$T']}, gpus: '${G}', mem_limit: '$M', init: '$I'}",
        "{image: x, environment: {A: '${A}', B: 3, C: }, expose: ['$E', 80], extra_hosts: ['a:$B'], stdin_open: $S}",
    ] {
        assert_eq!(told(open), Ok(()), "{open}");
    }
    for (wrong, place) in [
        ("3", "compose.yaml:2:7: services.aa"),
        ("{imag: x}", "compose.yaml:2:8: services.aa.imag"),
        ("{image: x, imag: '${X}'}", "compose.yaml:2:18: services.aa.imag"),
        ("{image: x, deploy: {replicsa: '${X}'}}", "compose.yaml:2:27: services.aa.deploy.replicsa"),
        ("{image: x, ports: ['${P}', {targte: 80}]}", "services.aa.ports"),
        ("{image: x, privileged: [a]}", "services.aa.privileged"),
    ] {
        let line = told(wrong).expect_err(wrong);
        assert!(line.contains(place), "{line}");
    }
}
