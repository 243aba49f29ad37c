//! chart + values → objects
