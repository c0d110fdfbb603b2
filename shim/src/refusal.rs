//! Why a call is refused: a gRPC code, which containerd acts on, and a text, which engines match.

/// The codes that the shim uses; containerd acts on each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No such container, process or signal target.
    NotFound,
    /// The id is taken.
    AlreadyExists,
    /// The state forbids it.
    FailedPrecondition,
    /// The call itself is wrong.
    InvalidArgument,
    /// Not carried out by this shim.
    Unimplemented,
    /// Anything else: what a runtime says.
    Unknown,
}

/// A call's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What containerd acts on.
    pub code: Code,
    /// What people and engines read.
    pub text: String,
}

impl Refusal {
    /// A refusal with this code.
    pub fn new(code: Code, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into() }
    }

    /// NotFound.
    pub fn not_found(text: impl Into<String>) -> Refusal {
        Refusal::new(Code::NotFound, text)
    }

    /// AlreadyExists.
    pub fn already_exists(text: impl Into<String>) -> Refusal {
        Refusal::new(Code::AlreadyExists, text)
    }

    /// FailedPrecondition.
    pub fn precondition(text: impl Into<String>) -> Refusal {
        Refusal::new(Code::FailedPrecondition, text)
    }

    /// Unknown: what the kernel or a runtime says.
    pub fn unknown(text: impl Into<String>) -> Refusal {
        Refusal::new(Code::Unknown, text)
    }

    /// Says first what the error was met at.
    pub fn at(self, what: &str) -> Refusal {
        Refusal { text: format!("{what}: {}", self.text), ..self }
    }
}
