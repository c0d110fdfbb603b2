//! What the project's own tests and its shim take of the runtime besides its API: no promise to anybody else.
//!
//! `runtime/tests` take plans and states, `spec-tests` the pure parts (`seccomp_oracle`) and the cgroup layer
//! (`cgroup_real`), and the shim, which has no `unsafe` of its own, calls of the kernel (`sys`). An item that none of
//! them names has no place here, because rustc finds dead code only among what is private.

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod apply {
    pub use crate::apply::idmap::user_namespace;

    pub mod cgroup {
        pub use crate::apply::cgroup::readings;
        pub use crate::apply::cgroup::{Cgroup, CreatedCgroup, OomEvent, OomWatch, create};
    }
}

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod plan {
    pub use crate::plan::{
        Action, Caller, Exec, ForInit, Host, IdMap, IdMapHelpers, IdMapping, Machine, NamespaceFlags, Plan,
        Program, RdtGroup, Request, Stage, create, exec,
    };

    pub mod cgroup {
        pub use crate::plan::cgroup::{
            Asked, CgroupPaths, Driver, Manager, Plan, RecordedUnit, Rootless, UsersUnit, decide,
            decide_update,
        };

        pub mod host {
            pub use crate::plan::cgroup::host::{
                CgroupHost, Drivers, Hierarchy, Mode, Systemd, SystemdManager,
            };
        }
    }

    pub mod seccomp {
        pub use crate::plan::seccomp::{Abi, Disassembly, Filter, Syscall, X32_BIT, compile, describe};
    }
}

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod cli {
    pub use crate::cli::{NAME, all_commands};
}

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod probe {
    pub use crate::probe::cgroups;
}

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod spec {
    pub use crate::spec::{Spec, oci};

    pub mod parse {
        pub use crate::spec::parse::{config, process, resources};
    }
}

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod state {
    pub use crate::state::{ContainerDir, ContainerId, Record, StateRoot};
}

#[expect(missing_docs, reason = "each is the module of its name, and documented there")]
pub mod sys {
    pub mod descriptors {
        pub use crate::sys::descriptors::take_listener;
    }

    pub mod bpf {
        pub use crate::sys::bpf::device_program_ids;
    }

    pub mod memory {
        pub use crate::sys::memory::OrOneLine;
    }

    pub mod mount {
        pub use crate::sys::mount::{attach, clone_tree, set_id_map};
    }

    pub mod mountinfo {
        pub use crate::sys::mountinfo::{MountInfo, read};
    }

    pub mod pidfd {
        pub use crate::sys::pidfd::ProcessStat;
    }

    pub mod process {
        pub use crate::sys::process::SingleThreaded;
    }

    pub mod schedule {
        pub use crate::sys::schedule::create_core_of_process_group;
    }

    pub mod seccomp {
        pub use crate::sys::seccomp::{FilterFlags, Instruction, action_supported, flags_supported, install};
    }

    pub mod socket {
        pub use crate::sys::socket::receive;
    }

    pub mod tty {
        pub use crate::sys::tty::{Reading, has_unread_input, reading, set_size};
    }
}
