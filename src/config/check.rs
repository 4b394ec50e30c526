//! What can only be seen with the whole configuration in view.

use super::Config;
use super::error::Problems;

/// Checks everything that concerns more than one section.
pub(super) fn all(_config: &Config, _problems: &mut Problems) {}
