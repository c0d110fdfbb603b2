//! The bench itself works: it measures, writes what it found, and leaves nothing behind. Says nothing about speed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use spec_tests::subject::subject;
use spec_tests::{leftovers, skip_if};

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

/// The shim is the one that `CORTEN_SHIM` names, or that stands beside the runtime.
#[test]
fn quick_bench_measures_shims() {
    let shim = std::env::var_os("CORTEN_SHIM").map_or_else(beside_the_runtime, PathBuf::from);
    skip_if!(!rustix::process::geteuid().is_root(), "an engine needs root");
    skip_if!(!shim.exists(), "no shim at {}", shim.display());
    skip_if!(!Path::new("/usr/bin/containerd").exists(), "no containerd");
    let json = Json::fresh();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["--shims", "--quick", "--rounds", "1", "--json"]).arg(&json.path);
    let output = bench.env("CORTEN_BIN", &subject().path).env("CORTEN_SHIM", &shim).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table} {}", String::from_utf8_lossy(&output.stderr));
    let report = json.read();
    for (name, shims) in [
        ("shim-start", &["corten", "go-runc", "floor"][..]),
        ("ctr-run", &["corten", "go-runc", "go-corten", "floor"]),
        ("ctr-exec", &["corten", "go-runc", "go-corten", "floor"]),
        ("starts-24", &["corten", "go-runc", "floor"]),
        ("short-10", &["corten", "go-runc", "floor"]),
        ("shim-private-dirty-10", &["corten", "go-runc", "go-corten"]),
    ] {
        let measured =
            report["measures"].as_array().unwrap().iter().find(|measured| measured["name"] == name);
        let measured = measured.unwrap_or_else(|| panic!("no {name}: {table}"));
        for shim in shims {
            assert_ordered(figure(measured, shim).unwrap_or_else(|| panic!("no {shim}: {measured}")));
        }
    }
    assert!(table.contains("× go-runc"), "{table}");
}

fn beside_the_runtime() -> PathBuf {
    subject().path.with_file_name("containerd-shim-corten-v2")
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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-test-{}-{number}.json", std::process::id());
        Json { path: std::env::temp_dir().join(name) }
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
