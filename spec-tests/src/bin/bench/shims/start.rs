//! `start`, by which containerd gets a server: from the start of its process to its end.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use spec_tests::leftovers;

use super::Shim;
use super::client::Client;
use crate::container::DOCKER_DEFAULT;
use crate::figures::{Better, Taken, Unit};
use crate::measures::sampling::{Quantity, Sampler, interleave};
use crate::measures::{ms, with_cpu};
use crate::{Result, process};

pub fn take(client: &Client) -> Result<Taken> {
    // Which runtime the Go shim will use makes no difference here.
    let different = client.shims.iter().filter(|shim| !["go-corten", "go-crun"].contains(&shim.name));
    let samplers = different
        .map(|shim| Sampler { name: shim.name.to_owned(), sample: Box::new(move || sample(client, shim)) });
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [
        quantity("shim-start", "start of a shim"),
        quantity("shim-start-cpu", "CPU time of start, without the server's"),
    ];
    let turns = client.effort.turns(client.effort.rounds);
    Ok(Taken::Figures(interleave(samplers.collect(), turns, quantities)?))
}

fn sample(client: &Client, shim: &Shim) -> Result<[f64; 2]> {
    // Found in its command line, too.
    let id = format!("{}-{}", client.namespace, client.fresh_name());
    let bundle = client.dir.join(&id);
    fs::create_dir(&bundle)?;
    fs::write(bundle.join("config.json"), DOCKER_DEFAULT)?;
    let mut command = Command::new(&shim.file);
    if shim.name == "floor" {
        std::os::unix::process::CommandExt::arg0(&mut command, super::floor::NAME);
    }
    let address = client.dir.join("nobody.sock");
    command.args(["-namespace", client.namespace, "-publish-binary", "/bin/true", "-id", &id, "-address"]);
    command.arg(&address).arg("start").current_dir(&bundle).env("TTRPC_ADDRESS", &address);
    // The server, which has not ended yet, is not counted.
    let took = with_cpu(|| Ok(ms(process::time(command, &client.dir.join("start.errors"))?)));
    for server in leftovers::processes(&id).into_iter().filter_map(|pid| Pid::from_raw(pid as i32)) {
        kill_process(server, Signal::KILL)?;
        process::reap(server.as_raw_nonzero().get())?;
    }
    fs::remove_dir_all(bundle)?;
    took
}
