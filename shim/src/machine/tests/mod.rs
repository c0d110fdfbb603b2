//! The order of things, as tables and as random histories.

mod calls;
mod histories;
mod judge;
mod ordering;
mod regressions;
mod table;
