//! Content: blobs by their digest.

use std::collections::HashMap;

use prost::Message;

use super::types::FieldMask;
use super::{Engine, calls};
use crate::error::{Context, Error, Result};

calls! { "content.v1.Content":
    "Update": UpdateInfo => InfoResponse,
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
}
