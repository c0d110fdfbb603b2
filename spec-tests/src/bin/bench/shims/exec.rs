//! `ctr task exec` of `/bin/true` in a container that sleeps.

use super::client::Client;
use super::crowd::Crowd;
use crate::Result;
use crate::figures::{Better, Taken, Unit};
use crate::measures::ms;
use crate::measures::sampling::{Quantity, Sampler, interleave};

pub fn take(client: &Client) -> Result<Taken> {
    let samplers = client.shims.iter().map(|shim| {
        let mut crowd = Crowd::new(client, shim);
        let sample = move || {
            if crowd.ids.is_empty() {
                crowd.add(&[])?;
            }
            let exec = client.fresh_name();
            let took = client.time("exec", ["tasks", "exec", "--exec-id", &exec, &crowd.ids[0], "/bin/true"]);
            Ok([ms(took?)])
        };
        Sampler { name: shim.name.to_owned(), sample: Box::new(sample) }
    });
    let quantity = Quantity {
        name: "ctr-exec",
        title: "ctr task exec of /bin/true",
        unit: Unit::Milliseconds,
        better: Better::Less,
    };
    let turns = client.effort.turns(client.effort.rounds);
    Ok(Taken::Figures(interleave(samplers.collect(), turns, [quantity])?))
}
