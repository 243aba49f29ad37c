//! Is it done.
