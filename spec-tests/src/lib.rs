//! Shared by the suites that judge a runtime from outside.
