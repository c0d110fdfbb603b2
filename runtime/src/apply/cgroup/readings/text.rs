//! The texts of cgroup files as numbers.

use std::collections::BTreeMap;

use super::{Pressure, RdmaDevice, UNLIMITED};

/// One number. The kernel lets some counters drop below 0 by mistake: such a number counts as 0.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" => Some(UNLIMITED),
        negative if negative.starts_with('-') => Some(0),
        value => value.parse().ok(),
    }
}

/// The lines `KEY NUMBER` of a file.
pub fn keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, number(value)?))
    })
}

/// The lines `NAME KEY=VALUE KEY=VALUE …` of a file.
pub(super) fn nested(text: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, &str)>)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        Some((name, words.filter_map(|word| word.split_once('='))))
    })
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.
pub(super) fn pressure(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for (name, pairs) in nested(text) {
        let line = match name {
            "some" => &mut pressure.some,
            "full" => &mut pressure.full,
            _ => continue,
        };
        for (key, value) in pairs {
            match key {
                "avg10" => line.avg10 = value.parse().unwrap_or_default(),
                "avg60" => line.avg60 = value.parse().unwrap_or_default(),
                "avg300" => line.avg300 = value.parse().unwrap_or_default(),
                "total" => line.total_usec = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
    }
    pressure
}

/// `mlx4_0 hca_handle=2 hca_object=max`
pub(super) fn rdma(text: &str) -> BTreeMap<String, RdmaDevice> {
    let device = |(name, pairs): (&str, _)| {
        let pairs: BTreeMap<&str, &str> = Iterator::collect(pairs);
        let value = |key| pairs.get(key).and_then(|value| number(value)).unwrap_or(0);
        let device = RdmaDevice { hca_handle: value("hca_handle"), hca_object: value("hca_object") };
        (name.to_owned(), device)
    };
    nested(text).map(|(name, pairs)| device((name, pairs))).collect()
}

/// A device's numbers: `8:0`.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((number(major)?, number(minor)?))
}

/// The directories of /sys/kernel/mm/hugepages as sizes, the smallest first.
pub(super) fn huge_page_sizes(directories: impl Iterator<Item = String>) -> Vec<String> {
    let kilobytes = |directory: String| -> Option<u64> {
        directory.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
    };
    let mut sizes: Vec<u64> = directories.filter_map(kilobytes).collect();
    sizes.sort_unstable();
    sizes.into_iter().map(spell).collect()
}

fn spell(kilobytes: u64) -> String {
    match kilobytes {
        0x10_0000.. => format!("{}GB", kilobytes >> 20),
        0x400.. => format!("{}MB", kilobytes >> 10),
        _ => format!("{kilobytes}KB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_zero_and_unlimited_ones() {
        let values: Vec<_> = keyed("a 1\nb -5\nc max\nnonsense\n").collect();
        assert_eq!(values, [("a", 1), ("b", 0), ("c", u64::MAX)]);
    }

    #[test]
    fn pressure_is_read_per_line() {
        let pressure = pressure(
            "some avg10=0.50 avg60=0.25 avg300=0.00 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
        );
        let (some, full) = (pressure.some, pressure.full);
        assert_eq!((some.avg10, some.avg60, some.total_usec, full.total_usec), (0.5, 0.25, 42, 7));
    }

    #[test]
    fn rdma_devices_by_name() {
        let devices = rdma("mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n");
        assert_eq!(devices["mlx4_0"], RdmaDevice { hca_handle: 2, hca_object: 2000 });
        assert_eq!(devices["ocrdma1"], RdmaDevice { hca_handle: 3, hca_object: UNLIMITED });
    }

    #[test]
    fn huge_page_sizes_are_spelled_as_in_file_names() {
        let directories = ["hugepages-1048576kB", "hugepages-64kB", "hugepages-2048kB", "other"];
        assert_eq!(huge_page_sizes(directories.map(str::to_owned).into_iter()), ["64KB", "2MB", "1GB"]);
    }
}
