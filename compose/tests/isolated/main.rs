//! The keeper and the network, each test in namespaces of its own. They need root, and Debian's `busybox-static`,
//! `containerd`, `runc`, `containernetworking-plugins`, `nftables`, `iptables`, `iproute2`.

#[cfg(test)]
mod again;
#[cfg(test)]
mod asked;
mod build;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod engine;
mod flags;
#[cfg(test)]
mod further;
#[cfg(test)]
mod host;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod inside;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod keep;
#[cfg(test)]
mod life;
#[cfg(test)]
mod manage;
#[cfg(test)]
mod net;
#[cfg(test)]
mod observe;
mod project;
#[cfg(test)]
mod reached;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod services;
mod sharing;
mod unanswered;
#[cfg(test)]
mod verbs;
#[cfg(test)]
mod world;
