//! What has gone wrong in other shims.
