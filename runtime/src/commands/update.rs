//! `update`: changes the limits of a container.

use std::fs::File;
use std::io::Read;

use super::Invocation;
use crate::cli::{UpdateArgs, UpdateSource};
use crate::container::{LinuxResources, Schemata, resources_from_json};
use crate::error::{Context, Error, Result};

/// A description of limits is a few hundred bytes.
const RESOURCES_SIZE_MAX: u64 = 1 << 20;

/// Changes the limits of a container.
pub(super) fn run(invocation: &Invocation, args: UpdateArgs) -> Result<u8> {
    let resources = match args.source {
        UpdateSource::Flags(resources) => *resources,
        UpdateSource::Stdin => read(std::io::stdin().lock()).doing("standard input (--resources -)")?,
        UpdateSource::File(path) => File::open(&path)
            .map_err(|err| Error::io("open", &err))
            .and_then(read)
            .doing_with(|| format!("{} (--resources)", path.display()))?,
    };
    let schemata = Schemata { l3_cache: args.l3_cache_schema, mem_bw: args.mem_bw_schema };
    let container = invocation.runtime()?.lock(&args.id)?;
    // A container without a resctrl group keeps all its limits.
    container.update_schemata(&schemata)?;
    container.update(&resources)?;
    Ok(0)
}

fn read(from: impl Read) -> Result<LinuxResources> {
    let mut json = Vec::new();
    from.take(RESOURCES_SIZE_MAX + 1).read_to_end(&mut json).map_err(|err| Error::io("read", &err))?;
    if json.len() as u64 > RESOURCES_SIZE_MAX {
        return Err(Error::invalid(format!("longer than {RESOURCES_SIZE_MAX} bytes")));
    }
    resources_from_json(&json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_input_is_refused() {
        assert!(read(std::io::repeat(b' ')).expect_err("endless").to_string().starts_with("longer than"));
    }
}
