//! Content: blobs by their digest.

use std::collections::HashMap;

use prost::Message;
use sha2::{Digest, Sha256};

use super::types::FieldMask;
use super::{Engine, calls};
use crate::error::{Context, Error, Kind, Result};

calls! { "content.v1.Content":
    "Info": GetInfo => InfoResponse,
    "Update": UpdateInfo => InfoResponse,
    "Write": Write => WriteResponse,
    "Read": Read => ReadResponse,
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
pub struct Read {
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

/// Writes the data, and makes it a blob.
const COMMIT: i32 = 2;

/// What a manifest or a config may have. What people make has some KiB.
const DOCUMENT_BYTES_MAX: usize = 8 << 20;

impl Engine {
    /// Reads a whole blob that is a document: an index, a manifest, a config.
    pub async fn read_document(&self, digest: &str) -> Result<Vec<u8>> {
        let request = Read { digest: digest.to_owned(), offset: 0, size: 0 };
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
}
