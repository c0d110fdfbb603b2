//! Resources whose files have the same names and the same syntax in both versions.

use oci_spec::runtime::{LinuxRdma, LinuxResources};

use super::limits::{Collector, OnFailure, Write};
use crate::error::{Error, Result};

/// The limit on processes.
pub(super) fn pids(resources: &LinuxResources, limits: &mut Collector<'_>) -> Result<()> {
    let Some(pids) = resources.pids() else { return Ok(()) };
    let (max, field) = (pids_max(pids.limit()), "linux.resources.pids.limit");
    limits.add(Write::new("pids.max", max, "limit the number of processes", field))
}

fn pids_max(limit: i64) -> String {
    match limit {
        // A limit of 0 would let no process run at all, and podman writes 0 for no limit.
        1.. => limit.to_string(),
        _ => "max".to_owned(),
    }
}

/// Limits on huge pages: on use and, where the kernel knows it (5.7), on reservation.
pub(super) fn huge_pages(resources: &LinuxResources, file: &str, limits: &mut Collector<'_>) -> Result<()> {
    for (index, huge) in resources.hugepage_limits().iter().flatten().enumerate() {
        let (size, limit) = (huge.page_size(), huge.limit());
        let field = format!("linux.resources.hugepageLimits[{index}]");
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Error::invalid(format!("{field}: {size:?} is not a page size")));
        }
        let both = [
            (format!("hugetlb.{size}.{file}"), "limit huge pages", OnFailure::Fail),
            (format!("hugetlb.{size}.rsvd.{file}"), "limit reserved huge pages", OnFailure::IgnoreMissing),
        ];
        for (file, aim, on_failure) in both {
            limits.add(Write::new(file, limit, aim, field.clone()).or(on_failure))?;
        }
    }
    Ok(())
}

/// Limits on RDMA devices, by the device's name.
pub(super) fn rdma(resources: &LinuxResources, limits: &mut Collector<'_>) -> Result<()> {
    let mut devices: Vec<_> = resources.rdma().iter().flatten().collect();
    devices.sort_by_key(|(name, _)| name.as_str());
    for (name, limit) in devices {
        if let Some(value) = rdma_max(name, limit) {
            let field = format!("linux.resources.rdma[{name:?}]");
            limits.add(Write::new("rdma.max", value, "limit an rdma device", field))?;
        }
    }
    Ok(())
}

fn rdma_max(name: &str, limit: &LinuxRdma) -> Option<String> {
    let parts = [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())];
    let asked: String =
        parts.iter().filter_map(|(key, value)| value.map(|value| format!(" {key}={value}"))).collect();
    (!asked.is_empty()).then(|| format!("{name}{asked}"))
}
