//! How one more process joins a running container (`exec`).

use std::path::PathBuf;
use std::rc::Rc;

use super::birth::Birth;
use super::cgroup::{RecordedUnit, UsersUnit};
use super::process::{self, change_user, keyring_name, oom_score, shared};
use super::{
    Caller, Descriptors, ForInit, ForPreparer, ForSupervisor, Machine, NamespaceFlags, Plan, RdtGroup,
    Request, Step, affinity, order, procfs, resctrl, seccomp,
};
use crate::error::{Error, Result};
use crate::spec::{Namespace, Spec, oci};

/// What `exec` is decided from: a process that joins a running container.
#[derive(Clone, Debug)]
pub struct Exec<'a> {
    /// The process to run.
    pub process: &'a oci::Process,
    /// The config of the container, for what a process.json doesn't say.
    pub spec: &'a Spec,
    /// The filter that the container was created with.
    pub filter: Option<Rc<seccomp::Filter>>,
    /// The namespaces of the container that aren't the runtime's own.
    pub namespaces: NamespaceFlags,
    /// The resctrl group of the container, if it has one.
    pub rdt_group: Option<RdtGroup>,
    /// The unit that a user's systemd has made for the container.
    pub users_unit: Option<UsersUnit>,
    /// What the caller wants beside the process.
    pub request: &'a Request,
}

/// How the process of an `exec` comes into the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloningInto {
    /// Which of the caller's descriptors it keeps.
    pub descriptors: Descriptors,
    /// The cgroups below the container's that it joins (`--cgroup`), each for a controller of v1, or for all
    /// hierarchies under an empty name. Without any, the process joins the container's own cgroup.
    pub cgroups: Vec<(String, PathBuf)>,
    /// Where the process is born.
    pub birth: Birthplace,
}

/// The cgroup that the process of an `exec` is born in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Birthplace {
    /// The container's.
    Container,
    /// The container's, or the caller's where the kernel forbids the way from there: nobody but root may bring a
    /// process into a cgroup from outside of what was delegated to the user.
    ContainerIfAllowed,
    /// The caller's, from where systemd moves the process into the container's.
    Caller,
}

/// The unit of systemd whose cgroup a process is moved into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The unit, and the manager that has it.
    pub unit: RecordedUnit,
    /// The cgroup below the unit's (`--cgroup`); empty for the unit's own.
    pub below: PathBuf,
}

/// The namespaces of a running container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoiningContainer {
    /// Which of them aren't the runtime's own.
    pub namespaces: NamespaceFlags,
    /// The right to join them comes from the user namespace. Otherwise that is joined last: inside, the process has no
    /// right to join namespaces that the runtime owns.
    pub user_first: bool,
}

/// Decides how a process joins a running container.
///
/// Errors: InvalidSpec or Unsupported, naming the field; Internal if the container was created with a filter, and there
/// is none.
pub fn exec(exec: &Exec, machine: &Machine, caller: Caller) -> Result<Plan> {
    let filtered = exec.spec.linux().is_some_and(|linux| linux.seccomp().is_some());
    if filtered != exec.filter.is_some() {
        return Err(Error::internal("linux.seccomp: the container's filter is not on record"));
    }
    let mut steps = super::handing_out(exec.request);
    steps.extend(
        [ForSupervisor::AwaitCreated, ForSupervisor::LetInitGo, ForSupervisor::AwaitExecution]
            .map(Step::always),
    );
    let filter = exec.filter.as_deref();
    let (birth, note) = Birth::of_exec(exec.process, filter, machine);
    steps.extend(joining(exec, machine, caller, birth)?);
    steps.extend(process::rlimits(exec.process, filter, birth, machine, caller));
    steps.extend(exec.rdt_group.iter().flat_map(resctrl::entering));
    Ok(Plan { steps: order::sorted(steps), notes: note.into_iter().collect(), warnings: Vec::new() })
}

/// The steps of a process that joins a container. An intermediate process brings it into the container's namespaces and
/// cgroup.
fn joining(exec: &Exec, machine: &Machine, caller: Caller, birth: Birth) -> Result<Vec<Step>> {
    let Exec { process, spec, request, .. } = *exec;
    let mut steps = shared(process, spec, request, machine, exec.filter.as_ref(), birth)?;
    steps.extend(birth.steps(NamespaceFlags(0)));
    steps.extend(oom_score(process, caller));
    // Whether a container's own user namespace denies it is seen there.
    steps.push(change_user(process, caller.groups_denied)?);
    let cloning = CloningInto {
        descriptors: Descriptors::of(request),
        cgroups: request.cgroups.clone(),
        birth: birthplace(exec, caller),
    };
    steps.push(Step::always(ForSupervisor::CloneIntoContainer(cloning)));
    steps.extend(attaching(exec));
    let joining = JoiningContainer { namespaces: exec.namespaces, user_first: !caller.administers() };
    steps.push(Step::always(ForPreparer::JoinContainer(joining)));
    if exec.namespaces.0 & Namespace::Mount.flag() == 0 {
        steps.push(Step::always(ForPreparer::EnterRoot));
    }
    steps.push(affinity::enter_cgroup(process)?);
    steps.push(Step::always(ForPreparer::NewSession));
    if spec.namespaces().is_private(Namespace::User) {
        steps.push(Step::always(ForPreparer::BecomeRoot));
    }
    steps.push(Step::always(ForPreparer::JoinKeyring(keyring_name(&request.id))));
    steps.push(Step::always(ForInit::ReportCreated));
    procfs::choose(&mut steps, birth, false);
    Ok(steps)
}

/// A process never stays outside of a unit: whoever has systemd knows a way into it.
fn birthplace(exec: &Exec, caller: Caller) -> Birthplace {
    match &exec.users_unit {
        Some(UsersUnit { moves: true, .. }) => Birthplace::Caller,
        None if caller.is_rootless() && exec.request.cgroups.is_empty() => Birthplace::ContainerIfAllowed,
        _ => Birthplace::Container,
    }
}

/// systemd moves the process, and the process waits.
fn attaching(exec: &Exec) -> Vec<Step> {
    let Some(UsersUnit { unit, moves: true }) = &exec.users_unit else { return Vec::new() };
    let below = exec.request.cgroups.iter().map(|(_, path)| path.clone()).next().unwrap_or_default();
    let attached = Attached { unit: unit.clone(), below };
    vec![
        Step::always(ForSupervisor::AttachToUnit(attached)),
        Step::always(ForSupervisor::ReleaseIntoCgroup),
        Step::always(ForPreparer::AwaitCgroup),
    ]
}
