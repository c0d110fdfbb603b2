//! The task service, as containerd 1.6 to 2.2 calls it (v2) and as 2.3 does (v3): messages ↔ calls of the machine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest,
    PidsRequest, PidsResponse, ProcessInfo, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest,
    StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse, Status as TaskStatus,
    UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim_protos::shim::oci::ProcessDetails;
use protobuf::well_known_types::any::Any;
use protobuf::{EnumOrUnknown, Message, MessageField};
use ttrpc::asynchronous::{MethodHandler, Service, TtrpcContext};
use ttrpc::proto::{Request, Response};

use crate::events::timestamp;
use crate::machine::call::{Addition, Call, Checkpoint, Creation, Exit, ProcessKey, RootfsMount, Streams};
use crate::machine::operation::{ProcessState, Reply, Status};
use crate::refusal::{Code, Refusal};
use crate::shim::Shim;

/// The names that containerd knows the service by.
const NAMES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// Services that containerd asks for to learn that they aren't there: an unknown service gets a code that it doesn't
/// expect, an unknown method gets Unimplemented.
const ABSENT: [&str; 2] =
    ["containerd.runtime.sandbox.v1.Sandbox", "containerd.services.streaming.v1.TTRPCStreaming"];

const METHODS: [&str; 17] = [
    "State",
    "Create",
    "Start",
    "Delete",
    "Pids",
    "Pause",
    "Resume",
    "Checkpoint",
    "Kill",
    "Exec",
    "ResizePty",
    "CloseIO",
    "Update",
    "Wait",
    "Stats",
    "Connect",
    "Shutdown",
];

/// What the server of the shim has to offer.
pub fn services(shim: &Arc<Shim>) -> HashMap<String, Service> {
    let task = || {
        let method = |name: &&'static str| {
            let handler: Box<dyn MethodHandler + Send + Sync> =
                Box::new(Method { name, shim: Arc::clone(shim) });
            ((*name).to_owned(), handler)
        };
        Service { methods: METHODS.iter().map(method).collect(), streams: HashMap::new() }
    };
    let absent = || Service { methods: HashMap::new(), streams: HashMap::new() };
    let tasks = NAMES.iter().map(|name| ((*name).to_owned(), task()));
    tasks.chain(ABSENT.iter().map(|name| ((*name).to_owned(), absent()))).collect()
}

struct Method {
    name: &'static str,
    shim: Arc<Shim>,
}

#[async_trait]
impl MethodHandler for Method {
    async fn handler(&self, _context: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        let answered = match call(self.name, &request.payload) {
            Ok(call) => self.shim.call(call).await.map(|reply| payload(self.name, reply)),
            Err(err) => Err(Refusal::new(
                Code::InvalidArgument,
                format!("{}: not a message of this call: {err}", self.name),
            )),
        };
        let mut response = Response::default();
        match answered {
            Ok(payload) => {
                response.payload = payload.unwrap_or_default();
                response.status = MessageField::some(ttrpc::get_status(ttrpc::Code::OK, ""));
            }
            Err(refusal) => {
                response.status = MessageField::some(ttrpc::get_status(code(refusal.code), refusal.text));
            }
        }
        Ok(response)
    }
}

fn code(code: Code) -> ttrpc::Code {
    match code {
        Code::NotFound => ttrpc::Code::NOT_FOUND,
        Code::AlreadyExists => ttrpc::Code::ALREADY_EXISTS,
        Code::FailedPrecondition => ttrpc::Code::FAILED_PRECONDITION,
        Code::InvalidArgument => ttrpc::Code::INVALID_ARGUMENT,
        Code::Unimplemented => ttrpc::Code::UNIMPLEMENTED,
        Code::Unknown => ttrpc::Code::UNKNOWN,
    }
}

// ---- messages → calls

fn key(id: String, exec_id: String) -> ProcessKey {
    ProcessKey { container: id, exec: (!exec_id.is_empty()).then_some(exec_id) }
}

fn options(any: MessageField<Any>) -> Option<(String, Vec<u8>)> {
    any.into_option().map(|any| (any.type_url, any.value))
}

fn call(method: &str, payload: &[u8]) -> protobuf::Result<Call> {
    macro_rules! read {
        ($message:ty) => {
            <$message>::parse_from_bytes(payload)?
        };
    }
    Ok(match method {
        "Create" => Call::Create(Box::new(creation(read!(CreateTaskRequest)))),
        "Exec" => Call::Exec(Box::new(addition(read!(ExecProcessRequest)))),
        "Checkpoint" => {
            let message = read!(CheckpointTaskRequest);
            let checkpoint = Checkpoint { path: message.path.into(), options: options(message.options) };
            Call::Checkpoint(message.id, Box::new(checkpoint))
        }
        "Kill" => {
            let message = read!(KillRequest);
            Call::Kill { process: key(message.id, message.exec_id), signal: message.signal, all: message.all }
        }
        "ResizePty" => {
            let message = read!(ResizePtyRequest);
            let size = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
            Call::ResizePty(key(message.id, message.exec_id), size(message.width), size(message.height))
        }
        "Update" => {
            let message = read!(UpdateTaskRequest);
            Call::Update(message.id, message.resources.into_option().unwrap_or_default().value)
        }
        "CloseIO" => {
            let message = read!(CloseIORequest);
            Call::CloseStdin(key(message.id, message.exec_id))
        }
        "Pause" => Call::Pause(read!(PauseRequest).id),
        "Resume" => Call::Resume(read!(ResumeRequest).id),
        "Pids" => Call::Pids(read!(PidsRequest).id),
        "Stats" => Call::Stats(read!(StatsRequest).id),
        "Connect" => Call::Connect(read!(ConnectRequest).id),
        "Shutdown" => {
            let _message = read!(ShutdownRequest);
            Call::Shutdown
        }
        "State" => {
            let message = read!(StateRequest);
            Call::State(key(message.id, message.exec_id))
        }
        "Start" => {
            let message = read!(StartRequest);
            Call::Start(key(message.id, message.exec_id))
        }
        "Delete" => {
            let message = read!(DeleteRequest);
            Call::Delete(key(message.id, message.exec_id))
        }
        _ => {
            let message = read!(WaitRequest);
            Call::Wait(key(message.id, message.exec_id))
        }
    })
}

fn creation(message: CreateTaskRequest) -> Creation {
    let mount = |mount: containerd_shim_protos::types::mount::Mount| RootfsMount {
        kind: mount.type_,
        source: mount.source,
        target: mount.target,
        options: mount.options,
    };
    Creation {
        id: message.id,
        bundle: message.bundle.into(),
        rootfs: message.rootfs.into_iter().map(mount).collect(),
        streams: Streams {
            stdin: message.stdin,
            stdout: message.stdout,
            stderr: message.stderr,
            terminal: message.terminal,
        },
        options: options(message.options),
        checkpoint: (!message.checkpoint.is_empty()).then(|| PathBuf::from(message.checkpoint)),
    }
}

fn addition(message: ExecProcessRequest) -> Addition {
    Addition {
        process: ProcessKey { container: message.id, exec: Some(message.exec_id) },
        streams: Streams {
            stdin: message.stdin,
            stdout: message.stdout,
            stderr: message.stderr,
            terminal: message.terminal,
        },
        spec: message.spec.into_option().unwrap_or_default().value,
    }
}

// ---- replies → messages

fn payload(method: &str, reply: Reply) -> Option<Vec<u8>> {
    let number = |pid: i32| pid.unsigned_abs();
    let written = match reply {
        Reply::Empty => Empty::default().write_to_bytes(),
        Reply::Pid(pid) if method == "Create" => {
            CreateTaskResponse { pid: number(pid), ..CreateTaskResponse::default() }.write_to_bytes()
        }
        Reply::Pid(pid) => StartResponse { pid: number(pid), ..StartResponse::default() }.write_to_bytes(),
        Reply::State(state) => state_response(*state).write_to_bytes(),
        Reply::Exit(pid, exit) if method == "Delete" => DeleteResponse {
            pid: number(pid),
            exit_status: exit.status,
            exited_at: MessageField::some(timestamp(exit.at)),
            ..DeleteResponse::default()
        }
        .write_to_bytes(),
        Reply::Exit(_, exit) => WaitResponse {
            exit_status: exit.status,
            exited_at: MessageField::some(timestamp(exit.at)),
            ..WaitResponse::default()
        }
        .write_to_bytes(),
        Reply::Pids(pids) => {
            let processes = pids.into_iter().map(process_info).collect();
            PidsResponse { processes, ..PidsResponse::default() }.write_to_bytes()
        }
        Reply::Metrics(type_url, value) => {
            let stats = MessageField::some(Any { type_url, value, ..Any::default() });
            StatsResponse { stats, ..StatsResponse::default() }.write_to_bytes()
        }
        Reply::Connected(pid) => ConnectResponse {
            shim_pid: std::process::id(),
            task_pid: number(pid),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..ConnectResponse::default()
        }
        .write_to_bytes(),
    };
    written.ok()
}

fn state_response(state: ProcessState) -> StateResponse {
    let status = match state.status {
        Status::Created => TaskStatus::CREATED,
        Status::Running => TaskStatus::RUNNING,
        Status::Stopped => TaskStatus::STOPPED,
        Status::Paused => TaskStatus::PAUSED,
        Status::Pausing => TaskStatus::PAUSING,
    };
    let Exit { status: exit_status, at } =
        state.exit.unwrap_or(Exit { status: 0, at: std::time::SystemTime::UNIX_EPOCH });
    StateResponse {
        id: state.process.container,
        exec_id: state.process.exec.unwrap_or_default(),
        bundle: state.bundle.to_string_lossy().into_owned(),
        pid: state.pid.unsigned_abs(),
        status: EnumOrUnknown::new(status),
        stdin: state.streams.stdin,
        stdout: state.streams.stdout,
        stderr: state.streams.stderr,
        terminal: state.streams.terminal,
        exit_status,
        exited_at: state.exit.map(|_| timestamp(at)).into(),
        ..StateResponse::default()
    }
}

fn process_info((pid, exec): (i32, Option<String>)) -> ProcessInfo {
    let details = exec.map(|exec_id| Any {
        type_url: "containerd.runc.v1.ProcessDetails".to_owned(),
        value: ProcessDetails { exec_id, ..ProcessDetails::default() }.write_to_bytes().unwrap_or_default(),
        ..Any::default()
    });
    ProcessInfo { pid: pid.unsigned_abs(), info: details.into(), ..ProcessInfo::default() }
}
