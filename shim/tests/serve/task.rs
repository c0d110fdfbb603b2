//! The task service, as containerd calls it.

use std::path::Path;
use std::time::Duration;

use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest,
    PidsRequest, PidsResponse, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest, StartResponse,
    StateRequest, StateResponse, StatsRequest, StatsResponse, Status, UpdateTaskRequest, WaitRequest,
    WaitResponse,
};
use protobuf::well_known_types::any::Any;
use protobuf::{Message, MessageField};
use ttrpc::Code;
use ttrpc::proto::Request;

use super::containerd::is_of_containerd;

/// How long anything may take on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The names of the service, of containerd 1.6 to 2.2 and of 2.3.
pub const V2: &str = "containerd.task.v2.Task";
pub const V3: &str = "containerd.task.v3.Task";

/// What a call was refused with.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: Code,
    pub text: String,
}

pub type Answer<T> = Result<T, Refused>;

/// A connection to a server, which threads may share.
#[derive(Clone)]
pub struct Task {
    client: ttrpc::Client,
    service: &'static str,
}

/// The streams of a process: paths or URIs.
#[derive(Clone, Default)]
pub struct Streams {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

impl Task {
    pub fn connect(address: &str) -> Task {
        let client = ttrpc::Client::connect(address).expect("it listens");
        Task { client, service: V2 }
    }

    /// The same connection, by another name of the service.
    pub fn named(&self, service: &'static str) -> Task {
        Task { client: self.client.clone(), service }
    }

    pub fn call<R: Message>(&self, method: &str, message: &impl Message) -> Answer<R> {
        let request = Request {
            service: self.service.to_owned(),
            method: method.to_owned(),
            timeout_nano: PATIENCE.as_nanos().try_into().expect("a minute"),
            payload: message.write_to_bytes().expect("bytes"),
            ..Request::default()
        };
        match self.client.request(request) {
            Ok(response) => Ok(R::parse_from_bytes(&response.payload).expect("a message")),
            Err(ttrpc::Error::RpcStatus(status)) => {
                Err(Refused { code: status.code.enum_value_or_default(), text: status.message })
            }
            // The connection has ended.
            Err(err) => Err(Refused { code: Code::UNAVAILABLE, text: format!("{method}: {err}") }),
        }
    }

    pub fn create(&self, request: &CreateTaskRequest) -> Answer<u32> {
        self.call("Create", request).map(|response: CreateTaskResponse| response.pid)
    }

    pub fn start(&self, id: &str, exec: &str) -> Answer<u32> {
        let request = StartRequest { id: id.into(), exec_id: exec.into(), ..StartRequest::default() };
        self.call("Start", &request).map(|response: StartResponse| response.pid)
    }

    pub fn exec(&self, id: &str, exec: &str, args: &[&str]) -> Answer<Empty> {
        self.exec_with(id, exec, args, Streams::default())
    }

    pub fn exec_with(&self, id: &str, exec: &str, args: &[&str], streams: Streams) -> Answer<Empty> {
        let spec = serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "args": args,
        });
        let spec = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/Process".into(),
            value: spec.to_string().into_bytes(),
            ..Any::default()
        };
        let Streams { stdin, stdout, stderr, terminal } = streams;
        let request = ExecProcessRequest {
            id: id.into(),
            exec_id: exec.into(),
            spec: MessageField::some(spec),
            stdin,
            stdout,
            stderr,
            terminal,
            ..ExecProcessRequest::default()
        };
        self.call("Exec", &request)
    }

    pub fn state(&self, id: &str, exec: &str) -> Answer<StateResponse> {
        let request = StateRequest { id: id.into(), exec_id: exec.into(), ..StateRequest::default() };
        self.call("State", &request)
    }

    pub fn status(&self, id: &str, exec: &str) -> Status {
        self.state(id, exec).expect("a state").status.enum_value_or_default()
    }

    pub fn wait(&self, id: &str, exec: &str) -> Answer<WaitResponse> {
        let request = WaitRequest { id: id.into(), exec_id: exec.into(), ..WaitRequest::default() };
        self.call("Wait", &request)
    }

    pub fn kill(&self, id: &str, exec: &str, signal: u32) -> Answer<Empty> {
        let request = KillRequest { id: id.into(), exec_id: exec.into(), signal, ..KillRequest::default() };
        self.call("Kill", &request)
    }

    pub fn delete(&self, id: &str, exec: &str) -> Answer<DeleteResponse> {
        let request = DeleteRequest { id: id.into(), exec_id: exec.into(), ..DeleteRequest::default() };
        self.call("Delete", &request)
    }

    pub fn pids(&self, id: &str) -> Answer<PidsResponse> {
        self.call("Pids", &PidsRequest { id: id.into(), ..PidsRequest::default() })
    }

    pub fn pause(&self, id: &str) -> Answer<Empty> {
        self.call("Pause", &PauseRequest { id: id.into(), ..PauseRequest::default() })
    }

    pub fn resume(&self, id: &str) -> Answer<Empty> {
        self.call("Resume", &ResumeRequest { id: id.into(), ..ResumeRequest::default() })
    }

    pub fn stats(&self, id: &str) -> Answer<StatsResponse> {
        self.call("Stats", &StatsRequest { id: id.into(), ..StatsRequest::default() })
    }

    /// Changes the limits to those of this JSON.
    pub fn update(&self, id: &str, resources: &serde_json::Value) -> Answer<Empty> {
        let resources = Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources".into(),
            value: resources.to_string().into_bytes(),
            ..Any::default()
        };
        let resources = MessageField::some(resources);
        self.call("Update", &UpdateTaskRequest { id: id.into(), resources, ..UpdateTaskRequest::default() })
    }

    pub fn checkpoint(&self, id: &str, path: &Path) -> Answer<Empty> {
        let path = path.to_str().expect("a plain path").to_owned();
        self.call(
            "Checkpoint",
            &CheckpointTaskRequest { id: id.into(), path, ..CheckpointTaskRequest::default() },
        )
    }

    pub fn close_stdin(&self, id: &str, exec: &str) -> Answer<Empty> {
        let request =
            CloseIORequest { id: id.into(), exec_id: exec.into(), stdin: true, ..CloseIORequest::default() };
        self.call("CloseIO", &request)
    }

    pub fn resize(&self, id: &str, width: u32, height: u32) -> Answer<Empty> {
        let request = ResizePtyRequest { id: id.into(), width, height, ..ResizePtyRequest::default() };
        self.call("ResizePty", &request)
    }

    pub fn connect_call(&self, id: &str) -> ConnectResponse {
        let request = ConnectRequest { id: id.into(), ..ConnectRequest::default() };
        self.call("Connect", &request).expect("it connects")
    }

    /// containerd's last call. Its own shim may end before the answer is on its way.
    pub fn shutdown(&self, id: &str) {
        let request = ShutdownRequest { id: id.into(), ..ShutdownRequest::default() };
        match self.call::<Empty>("Shutdown", &request) {
            Err(refused) if refused.code == Code::UNAVAILABLE && is_of_containerd() => {}
            answer => drop(answer.expect("it shuts down")),
        }
    }

    /// Creates and starts.
    pub fn run(&self, request: &CreateTaskRequest) -> u32 {
        let pid = self.create(request).expect("it is created");
        assert_eq!(self.start(&request.id, ""), Ok(pid));
        pid
    }

    /// Adds a process and starts it.
    pub fn run_exec(&self, id: &str, exec: &str, args: &[&str]) -> u32 {
        self.exec(id, exec, args).expect("it is added");
        self.start(id, exec).expect("it starts")
    }
}

/// What Create gets.
pub fn creation(id: &str, bundle: &Path, streams: Streams) -> CreateTaskRequest {
    let Streams { stdin, stdout, stderr, terminal } = streams;
    CreateTaskRequest {
        id: id.into(),
        bundle: bundle.to_str().expect("a plain path").into(),
        stdin,
        stdout,
        stderr,
        terminal,
        ..CreateTaskRequest::default()
    }
}
