//! `build`.

use super::{Ended, Session, say};
use crate::build::buildctl::Buildctl;
use crate::build::staged::{self, Piped, Stage};
use crate::build::{Dockerfile, Source};
use crate::cli::build::{Build, Stdin};
use crate::disk;
use crate::error::{Context, Result};
use crate::input;

/// Builds an image, and prints its id if nothing else is shown.
pub async fn build(session: &Session, asked: Build) -> Ended {
    let Build { mut request, progress, stdin, iidfile } = asked;
    let buildctl = Buildctl::find(&session.engine).await?;
    // A context that comes by standard input lies there until the end.
    let stage = Stage::new(&session.disk)?;
    match stdin {
        Stdin::Nothing => {}
        Stdin::Dockerfile => request.dockerfile = Dockerfile::Text(read_all()?),
        Stdin::Context => match staged::context(&stage, std::io::stdin().lock())? {
            Piped::Dockerfile(text) => {
                request.dockerfile = Dockerfile::Text(text);
                request.context = Source::Directory(stage.empty("context")?);
            }
            Piped::Context(dir) => {
                if let Dockerfile::File(file) = &request.dockerfile {
                    request.dockerfile = Dockerfile::File(dir.join(file));
                }
                request.context = Source::Directory(dir);
            }
        },
    }
    let built = buildctl.build(&session.engine, &session.disk, &request, &progress).await?;
    if let Some(id) = built.id {
        if let Some(file) = &iidfile {
            disk::write(std::path::Path::new(file), id.as_bytes())?;
        }
        if progress.is_quiet() {
            say(id);
        }
    }
    Ok(0)
}

fn read_all() -> Result<String> {
    input::text_of_stdin().at("standard input")
}
