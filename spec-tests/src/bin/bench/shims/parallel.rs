//! Many containers at once, each with a shim of its own: how long it takes until all run, and how many that end at once
//! can be had in a second.

use super::client::Client;
use super::crowd::Crowd;
use crate::Result;
use crate::figures::{Better, Taken, Unit};
use crate::measures::sampling::{Quantity, Sampler, interleave};
use crate::measures::{ms, parallel};

/// How many short containers there are at a time.
const SHORT_AT_ONCE: usize = 10;

pub fn take_starts(client: &Client) -> Result<Taken> {
    let effort = &client.effort.shims.starts;
    let samplers = client.shims.iter().map(|shim| {
        let sample = move || Ok([ms(Crowd::new(client, shim).add_at_once(effort.runs)?)]);
        Sampler { name: shim.name.to_owned(), sample: Box::new(sample) }
    });
    let quantity = Quantity {
        name: "starts-24",
        title: "until 24 that start at once all run",
        unit: Unit::Milliseconds,
        better: Better::Less,
    };
    Ok(Taken::Figures(interleave(samplers.collect(), client.effort.turns(effort.rounds), [quantity])?))
}

pub fn take_short(client: &Client) -> Result<Taken> {
    let effort = &client.effort.shims.short;
    let samplers = client.shims.iter().map(|shim| {
        let run = move |_: &()| client.run(shim, &["--rm"], &client.fresh_name(), &["/bin/true"]);
        let sample = move || parallel::sample(&[(); SHORT_AT_ONCE], run, effort);
        Sampler { name: shim.name.to_owned(), sample: Box::new(sample) }
    });
    let quantities = [
        Quantity {
            name: "short-10",
            title: "ctr run --rm, 10 at a time",
            unit: Unit::PerSecond,
            better: Better::More,
        },
        Quantity {
            name: "short-10-slowest",
            title: "slowest ctr run --rm, 10 at a time",
            unit: Unit::Milliseconds,
            better: Better::Less,
        },
    ];
    Ok(Taken::Figures(interleave(samplers.collect(), client.effort.turns(effort.rounds), quantities)?))
}
