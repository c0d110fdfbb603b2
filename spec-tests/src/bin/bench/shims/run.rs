//! `ctr run --rm` of `/bin/true`, from the start of ctr to its end.

use super::client::Client;
use crate::Result;
use crate::figures::{Better, Taken, Unit};
use crate::measures::ms;
use crate::measures::sampling::{Quantity, Sampler, interleave};

pub fn take(client: &Client) -> Result<Taken> {
    let samplers = client.shims.iter().map(|shim| Sampler {
        name: shim.name.to_owned(),
        sample: Box::new(move || {
            let took = client.run(shim, &["--rm"], &client.fresh_name(), &["/bin/true"])?;
            Ok([ms(took)])
        }),
    });
    let quantity = Quantity {
        name: "ctr-run",
        title: "ctr run --rm of /bin/true",
        unit: Unit::Milliseconds,
        better: Better::Less,
    };
    let turns = client.effort.turns(client.effort.rounds);
    Ok(Taken::Figures(interleave(samplers.collect(), turns, [quantity])?))
}
