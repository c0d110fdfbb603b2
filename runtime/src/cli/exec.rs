//! `exec`: one more process in a container.

use std::path::PathBuf;

use super::container::id;
use super::low::{LowArgs, number};
use super::table::{self, flag, list, value, words};
use super::{Args, NAME};
use crate::error::{Context, Error, Result};
use crate::state::ContainerId;

/// `exec`
#[derive(Debug)]
pub struct ExecArgs {
    /// The container.
    pub id: ContainerId,
    /// What runs.
    pub process: ExecProcess,
    /// `--detach`
    pub detach: bool,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--preserve-fds`: how many, from number 3 on.
    pub preserve_fds: u32,
    /// `--cgroup`, in the order given.
    pub cgroups: Vec<ExecCgroup>,
    /// `--ignore-paused`
    pub ignore_paused: bool,
}

/// What `exec` runs.
#[derive(Debug)]
pub enum ExecProcess {
    /// `--process FILE`; the flags that describe a process are ignored then.
    File(PathBuf),
    /// The container's own process with these changes.
    Changed(Box<ProcessArgs>),
}

/// How the process of `exec` differs from that of the container's config.json.
#[derive(Debug)]
pub struct ProcessArgs {
    /// The program and its arguments; never empty.
    pub args: Vec<String>,
    /// `--cwd`
    pub cwd: Option<PathBuf>,
    /// `--env`, added to the container's.
    pub env: Vec<String>,
    /// `--tty`
    pub tty: bool,
    /// `--user`
    pub user: Option<ExecUser>,
    /// `--additional-gids`, added to the container's.
    pub additional_gids: Vec<u32>,
    /// `--cap`, added to the bounding, effective and permitted sets; never to the inheritable set (CVE-2022-29162).
    pub capabilities: Vec<String>,
    /// `--no-new-privs`
    pub no_new_privileges: bool,
    /// `--apparmor`
    pub apparmor_profile: Option<String>,
    /// `--process-label`
    pub selinux_label: Option<String>,
}

/// `--user UID[:GID]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecUser {
    /// The user.
    pub uid: u32,
    /// The group. Without it, the process has the group of the container's own process.
    pub gid: Option<u32>,
}

/// `--cgroup [CONTROLLER[,CONTROLLER…]:]PATH`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCgroup {
    /// On cgroup v1, the controllers that the path is meant for; empty for all.
    pub controllers: Vec<String>,
    /// A cgroup, relative to the container's.
    pub path: PathBuf,
}

pub(super) fn table(table: clap::Command) -> clap::Command {
    table
        .about("Run one more process in a container; take its exit code, unless detached")
        .override_usage(format!(
            "{NAME} exec [flags] ID COMMAND [ARGUMENTS]\n   {NAME} exec [flags] --process FILE ID"
        ))
        .arg(
            value("process", "FILE")
                .short('p')
                .help("Read the process from FILE: the 'process' object of a config.json"),
        )
        .arg(flag("detach").short('d').help("Come back as soon as the process runs"))
        .arg(table::console_socket())
        .arg(table::pid_file())
        .arg(table::pidfd_socket())
        .arg(flag("tty").short('t').help("Give the process a terminal"))
        .arg(value("cwd", "DIR").help("Run in DIR of the container"))
        .arg(list("env", "NAME=VALUE").short('e').help("Set an environment variable; may be repeated"))
        .arg(value("user", "UID[:GID]").short('u').help("Run as this user and group, by number"))
        .arg(list("additional-gids", "GID").short('g').help("Add a group, by number; may be repeated"))
        .arg(list("cap", "CAPABILITY").short('c').help("Add a capability; may be repeated"))
        .arg(flag("no-new-privs").help("Never gain privileges by running a program"))
        .arg(value("apparmor", "PROFILE").help("Run under this AppArmor profile"))
        .arg(value("process-label", "LABEL").help("Run under this SELinux label"))
        .arg(table::preserve_fds())
        .arg(
            list("cgroup", "[CONTROLLER[,...]:]PATH")
                .help("Join a cgroup below the container's; may be repeated on cgroup v1"),
        )
        .arg(flag("ignore-paused").help("Join a paused container too; the process runs when it is resumed"))
        .arg(flag("no-subreaper").hide(true).help("Ignored"))
        .arg(table::id("The name of the container"))
        .arg(words("args", "COMMAND").help("The program and its arguments"))
}

impl Args for ExecArgs {
    fn read(low: &mut LowArgs) -> Result<ExecArgs> {
        let process = match low.path("process") {
            Some(file) => ExecProcess::File(file),
            None => ExecProcess::Changed(Box::new(ProcessArgs::read(low)?)),
        };
        Ok(ExecArgs {
            id: id(low)?,
            process,
            detach: low.flag("detach"),
            console_socket: low.path("console-socket"),
            pid_file: low.path("pid-file"),
            pidfd_socket: low.path("pidfd-socket"),
            preserve_fds: low.parsed("preserve-fds", number)?.unwrap_or(0),
            cgroups: low
                .texts("cgroup")?
                .iter()
                .map(|text| ExecCgroup::parse(text))
                .collect::<Result<_>>()?,
            ignore_paused: low.flag("ignore-paused"),
        })
    }

    fn container(&self) -> Option<&ContainerId> {
        Some(&self.id)
    }
}

impl ProcessArgs {
    fn read(low: &mut LowArgs) -> Result<ProcessArgs> {
        let args = low.texts("args")?;
        if args.is_empty() {
            return Err(Error::invalid("COMMAND is missing, and so is --process FILE"));
        }
        let gid = |text: &String| parse_id(text).doing("--additional-gids");
        Ok(ProcessArgs {
            args,
            cwd: low.path("cwd"),
            env: low.texts("env")?,
            tty: low.flag("tty"),
            user: low.value("user", ExecUser::parse)?,
            additional_gids: low.texts("additional-gids")?.iter().map(gid).collect::<Result<_>>()?,
            capabilities: low.texts("cap")?,
            no_new_privileges: low.flag("no-new-privs"),
            apparmor_profile: low.text("apparmor")?.filter(|text| !text.is_empty()),
            selinux_label: low.text("process-label")?.filter(|text| !text.is_empty()),
        })
    }
}

impl ExecUser {
    fn parse(text: &str) -> Result<ExecUser> {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text, None),
        };
        Ok(ExecUser { uid: parse_id(uid)?, gid: gid.map(parse_id).transpose()? })
    }
}

/// A uid or gid. A name is refused, because only the container's /etc/passwd could translate it, and that file isn't to
/// be trusted (CVE-2016-3697). The number that the kernel takes for "unchanged" is refused too (CVE-2024-40635).
fn parse_id(text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(id) if digits && id != u32::MAX => Ok(id),
        _ => Err(Error::invalid(format!("{text:?} is not a number from 0 to {}", u32::MAX - 1))),
    }
}

impl ExecCgroup {
    fn parse(text: &str) -> Result<ExecCgroup> {
        let (controllers, path) = text.split_once(':').unwrap_or(("", text));
        if path.is_empty() {
            return Err(Error::invalid(format!("--cgroup: {text:?} has no path")));
        }
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(ExecCgroup { controllers, path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Command;
    use super::super::testing::{command, error};
    use super::*;

    fn exec(words: &str) -> ExecArgs {
        match command(words) {
            Command::Exec(exec) => *exec,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn process_of_a_file() {
        let exec = exec("exec --process /p.json --detach --pid-file /x.pid c1");
        assert!(matches!(&exec.process, ExecProcess::File(file) if file == Path::new("/p.json")));
        assert!(exec.detach);
    }

    #[test]
    fn words_after_the_container_are_the_process_s() {
        let exec = exec("exec -t --env A=1 -e B=2 -u 1:2 c1 ls -t --env --help");
        let ExecProcess::Changed(process) = exec.process else { panic!("not a process") };
        assert_eq!(process.args, ["ls", "-t", "--env", "--help"]);
        assert_eq!(process.env, ["A=1", "B=2"]);
        assert_eq!(process.user, Some(ExecUser { uid: 1, gid: Some(2) }));
        assert!(process.tty);
        assert_eq!(error("exec c1"), "exec: COMMAND is missing, and so is --process FILE");
    }

    #[test]
    fn values_of_exec() {
        let exec = exec("exec -u 1 --cgroup a/b --cgroup cpu,memory:c --preserve-fds 2 c1 x");
        let whole = ExecCgroup { controllers: vec![], path: "a/b".into() };
        let some = ExecCgroup { controllers: vec!["cpu".into(), "memory".into()], path: "c".into() };
        assert_eq!(exec.cgroups, [whole, some]);
        assert_eq!(exec.preserve_fds, 2);
        let ExecProcess::Changed(process) = exec.process else { panic!("not a process") };
        assert_eq!(process.user, Some(ExecUser { uid: 1, gid: None }));
        for user in ["root", "-1", "4294967295", "1:x", "1:", "+1", "0x1"] {
            let text = error(&format!("exec -u {user} c1 x"));
            assert!(text.starts_with("exec: --user: "), "{text}");
        }
    }
}
