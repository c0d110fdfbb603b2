//! Content: blobs by their digest.

use std::collections::HashMap;
use std::io::Read;

use prost::Message;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::types::FieldMask;
use super::{Engine, calls};
use crate::error::{Context, Error, Kind, Result};
use crate::id;

calls! { "content.v1.Content":
    "Info": GetInfo => InfoResponse,
    "Update": UpdateInfo => InfoResponse,
    "Write": Write => WriteResponse,
    "Read": ReadBlob => ReadResponse,
}

#[derive(Clone, PartialEq, Message)]
pub struct Info {
    #[prost(string, tag = "1")]
    pub digest: String,
    #[prost(int64, tag = "2")]
    pub size: i64,
    #[prost(map = "string, string", tag = "5")]
    pub labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    pub info: Option<Info>,
}

#[derive(Clone, PartialEq, Message)]
pub struct UpdateInfo {
    #[prost(message, optional, tag = "1")]
    pub info: Option<Info>,
    #[prost(message, optional, tag = "2")]
    pub update_mask: Option<FieldMask>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReadBlob {
    #[prost(string, tag = "1")]
    pub digest: String,
    #[prost(int64, tag = "2")]
    pub offset: i64,
    #[prost(int64, tag = "3")]
    pub size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReadResponse {
    #[prost(int64, tag = "1")]
    pub offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetInfo {
    #[prost(string, tag = "1")]
    pub digest: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Write {
    #[prost(int32, tag = "1")]
    pub action: i32,
    #[prost(string, tag = "2")]
    pub reference: String,
    #[prost(int64, tag = "3")]
    pub total: i64,
    #[prost(string, tag = "4")]
    pub expected: String,
    #[prost(int64, tag = "5")]
    pub offset: i64,
    #[prost(bytes = "vec", tag = "6")]
    pub data: Vec<u8>,
    #[prost(map = "string, string", tag = "7")]
    pub labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct WriteResponse {
    #[prost(string, tag = "6")]
    pub digest: String,
}

/// Writes the data.
const WRITE: i32 = 1;
/// Writes the data, and makes it a blob.
const COMMIT: i32 = 2;

/// How much of a blob is sent at once.
const PART_BYTES: usize = 1 << 20;
/// How many parts are read before they are sent.
const PARTS_AHEAD: usize = 4;

/// What a manifest or a config may have. What people make has some KiB.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;

impl Engine {
    /// Reads a whole blob that is a document: an index, a manifest, a config.
    pub async fn read_document(&self, digest: &str) -> Result<Vec<u8>> {
        let request = ReadBlob { digest: digest.to_owned(), offset: 0, size: 0 };
        let mut answers = self.follow(request).await.at(digest)?;
        let mut document = Vec::new();
        while let Some(part) = answers.next().await.at(digest)? {
            document.extend(part.data);
            if document.len() > DOCUMENT_BYTES_MAX {
                return Err(Error::new(format!("{digest}: longer than a document may be")));
            }
        }
        Ok(document)
    }

    /// Writes a document with these labels, and gives its digest. To be called under a lease.
    pub async fn write_document(&self, document: &[u8], labels: HashMap<String, String>) -> Result<String> {
        let hex: String = Sha256::digest(document).iter().map(|byte| format!("{byte:02x}")).collect();
        let digest = format!("sha256:{hex}");
        let request = Write {
            action: COMMIT,
            reference: format!("corten-{digest}"),
            total: i64::try_from(document.len()).unwrap_or_default(),
            expected: digest.clone(),
            offset: 0,
            data: document.to_vec(),
            labels,
        };
        let written = async {
            let mut answers = self.send(request).await?;
            while answers.next().await?.is_some() {}
            Ok::<(), Error>(())
        };
        match written.await {
            Err(err) if err.kind() != Kind::AlreadyExists => Err(err).at(&digest),
            _ => Ok(digest),
        }
    }

    /// Writes all that can be read as a blob, and gives its digest and its size in bytes. Its label `label` tells the
    /// digest, too. To be called under a lease.
    ///
    /// Errors: what can't be read leaves no blob.
    pub async fn write_blob(
        &self,
        from: impl Read + Send + 'static,
        label: &'static str,
    ) -> Result<(String, i64)> {
        let reference = format!("corten-{}", id::random()?);
        let (sends, parts) = mpsc::channel(PARTS_AHEAD);
        let (tells, read) = oneshot::channel();
        // Not one of tokio's threads: nobody waits for an input that has no end.
        std::thread::spawn(move || tells.send(parts_of(from, &reference, label, &sends)));
        let parts = futures_util::stream::unfold(parts, async |mut parts: mpsc::Receiver<Write>| {
            parts.recv().await.map(|part| (part, parts))
        });
        let written = async {
            let mut answers = self.send_all(parts).await?;
            while answers.next().await?.is_some() {}
            Ok::<(), Error>(())
        };
        let written = written.await;
        let blob = read.await.map_err(|_| Error::new("what is read has no end"))??;
        match written {
            Err(err) if err.kind() != Kind::AlreadyExists => Err(err).at(&blob.0),
            _ => Ok(blob),
        }
    }
}

/// Reads all, hands it on as requests, and gives its digest and its size in bytes. Who takes no more has failed.
fn parts_of(
    mut from: impl Read,
    reference: &str,
    label: &str,
    sends: &mpsc::Sender<Write>,
) -> Result<(String, i64)> {
    let (mut hash, mut offset) = (Sha256::new(), 0);
    loop {
        let mut data = Vec::with_capacity(PART_BYTES);
        from.by_ref().take(PART_BYTES as u64).read_to_end(&mut data)?;
        if data.is_empty() {
            break;
        }
        hash.update(&data);
        let length = i64::try_from(data.len()).unwrap_or_default();
        let part = Write { action: WRITE, reference: reference.to_owned(), offset, data, ..Write::default() };
        offset += length;
        if sends.blocking_send(part).is_err() {
            break;
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = format!("sha256:{hex}");
    let last = Write {
        action: COMMIT,
        reference: reference.to_owned(),
        total: offset,
        expected: digest.clone(),
        offset,
        labels: HashMap::from([(label.to_owned(), digest.clone())]),
        ..Write::default()
    };
    drop(sends.blocking_send(last));
    Ok((digest, offset))
}
