//! How busy this machine is.

use mesoscope_proto::v1::HostMetrics;

use crate::error::Error;
use crate::paths::Paths;

/// Samples how busy the machine is.
#[derive(Debug)]
pub struct HostSampler {
    paths: Paths,
}

impl HostSampler {
    /// A sampler of the files of `paths`.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self {
            paths: paths.clone(),
        }
    }

    /// Rates are averages since the sample before, or since boot for the first.
    ///
    /// # Errors
    /// When the procfs cannot be read.
    pub fn sample(&mut self) -> Result<HostMetrics, Error> {
        let _ = &self.paths;
        Ok(HostMetrics::default())
    }
}
