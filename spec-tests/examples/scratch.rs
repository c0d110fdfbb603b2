use corten::plan::cgroup::{decide, host::CgroupHost};
use corten::apply::cgroup::{create, Cgroup};
use std::time::Instant;
fn main(){
  let json = std::fs::read_to_string("/work/shared/data/engine-configs/docker-28.5-run-default.json").unwrap();
  let v: serde_json::Value = serde_json::from_str(&json).unwrap();
  let r: oci_spec::runtime::LinuxResources = serde_json::from_value(v["linux"]["resources"].clone()).unwrap();
  let n: usize = std::env::args().nth(1).map_or(1, |x| x.parse().unwrap());
  std::fs::create_dir_all("/tmp/x").unwrap();
  let (mut tp,mut td,mut tc,mut te,mut tl,mut tr)=(0,0,0,0,0,0);
  for i in 0..n {
    let mut sl = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    if n==1 { let _ = std::fs::metadata("/MARK-probe"); }
    let t=Instant::now();
    let host = CgroupHost::read().unwrap(); tp+=t.elapsed().as_micros();
    let t=Instant::now();
    let plan = decide("scratch", Some(std::path::Path::new(&format!("/cortenscratch/s{i}"))), Some(&r), &host).unwrap(); td+=t.elapsed().as_micros();
    if n==1 { let _ = std::fs::metadata("/MARK-create"); for l in plan.describe() { println!("{l}"); } }
    let t=Instant::now();
    let c = create(&plan).unwrap(); tc+=t.elapsed().as_micros();
    if n==1 { let _ = std::fs::metadata("/MARK-enter"); }
    let t=Instant::now();
    c.enter(sl.id() as i32).unwrap(); te+=t.elapsed().as_micros();
    if n==1 { let _ = std::fs::metadata("/MARK-limit"); }
    let t=Instant::now();
    c.limit(&plan).unwrap(); tl+=t.elapsed().as_micros();
    if n==1 { let _ = std::fs::metadata("/MARK-kill"); }
    let g = Cgroup::open(plan.paths());
    g.kill_all().unwrap();
    if n==1 { let _ = std::fs::metadata("/MARK-remove"); }
    sl.wait().unwrap();
    let t=Instant::now();
    g.remove().unwrap(); tr+=t.elapsed().as_micros();
    if n==1 { let _ = std::fs::metadata("/MARK-end"); }
    if i == n-1 { for d in &plan.dirs { let _ = std::fs::remove_dir(d.path.parent().unwrap()); } }
  }
  let n=n as u128;
  println!("us: probe {} decide {} create {} enter {} limit {} remove {}", tp/n, td/n, tc/n, te/n, tl/n, tr/n);
}
