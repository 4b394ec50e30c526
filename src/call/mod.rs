//! Pure: what a call is. No I/O, no async, no clock.
