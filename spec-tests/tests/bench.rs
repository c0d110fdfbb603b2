//! The bench itself works: it measures, writes what it found, and leaves nothing behind. Says nothing about speed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use spec_tests::leftovers;
use spec_tests::subject::subject;

#[test]
fn quick_bench_measures_everything_and_leaves_only_its_json() {
    let json = Json::fresh();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["--quick", "--rounds", "2", "--json"]).arg(&json.path).env("CORTEN_BIN", &subject().path);
    let child = bench.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let marker = format!("bench{}x", child.id());
    let output = child.wait_with_output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}");

    let report = json.read();
    for name in ["run", "lifecycle", "exec", "parallel-4", "parallel-100-slowest", "peak-memory"] {
        for view in spec_tests::view::View::all() {
            let view = format!("{view:?}").to_lowercase();
            let measured = measured(&report, &view, name).unwrap_or_else(|| panic!("no {name} in {view}"));
            let corten = figure(measured, "corten").unwrap_or_else(|| panic!("{measured}"));
            assert_ordered(corten);
        }
    }
    let run = measured(&report, "v1", "run").or(measured(&report, "v2", "run")).unwrap();
    assert_eq!(figure(run, "corten").unwrap()["count"], 2);
    assert!(figure(run, "floor").is_some() && run["unit"] == "ms" && run["better"] == "less", "{run}");
    let ratio = run["ratios"].as_array().unwrap().iter().find(|ratio| ratio["runtime"] == "corten").unwrap();
    assert!(ratio["ratio"].as_f64().unwrap() > 0.0, "{ratio}");
    assert!(report["runtimes"][0]["bytes"].as_u64().unwrap() > 0);
    assert!(table.contains("run of /bin/true"), "{table}");

    assert!(!std::env::temp_dir().join(&marker).exists());
    assert_eq!(leftovers::processes(&marker), [0_u32; 0]);
}

#[test]
fn unknown_measure_is_refused_by_name() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--only", "nonsense"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no measure nonsense"));
}

fn measured<'a>(report: &'a Value, view: &str, name: &str) -> Option<&'a Value> {
    report["measures"]
        .as_array()?
        .iter()
        .find(|measured| measured["view"] == view && measured["name"] == name)
}

fn figure<'a>(measured: &'a Value, runtime: &str) -> Option<&'a Value> {
    measured["runtimes"].as_array()?.iter().find(|figure| figure["runtime"] == runtime)
}

fn assert_ordered(figure: &Value) {
    let value = |name: &str| figure[name].as_f64().unwrap_or_else(|| panic!("no {name}: {figure}"));
    let sorted = [value("min"), value("p10"), value("median"), value("p90"), value("max")];
    assert!(sorted[0] > 0.0 && sorted.is_sorted(), "{figure}");
}

/// The file that the bench writes, gone with the test.
struct Json {
    path: PathBuf,
}

impl Json {
    fn fresh() -> Json {
        Json { path: std::env::temp_dir().join(format!("bench-test-{}.json", std::process::id())) }
    }

    fn read(&self) -> Value {
        serde_json::from_slice(&fs::read(&self.path).unwrap()).unwrap()
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
