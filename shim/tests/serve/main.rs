//! The server as containerd uses it: the real file, real containers, and a containerd that the tests play.
//!
//! `CORTEN_SHIM` names another shim to judge the tests by. containerd's own passes, but for the faults that are named
//! where a test leaves it out, and but for the event of a deletion, which it loses at times when it ends.
//!
//! `CORTEN_LOAD=10` asks ten times as much of a server as CI does: more containers, more races.

mod containerd;
mod events;
mod task;

mod clients;
mod kills;
mod life;
mod load;
mod options;
mod races;
mod streams;
mod systemd;
mod upgrade;
