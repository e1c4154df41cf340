//! A plugin in Rust: how full the kernel's own tables are, and how full they have been. Out of the
//! box, few look at them before one is full.
//!
//! Facts, figures with a limit, a table and a control, all of the host.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mesoscope_plugin::{
    ControlAnswer, ControlRequest, Description, Failure, NodeFacts, Plugin, Report, ReportRequest,
};

/// Tables by their key in the manifest: the file whose first number is the use, and that of the limit.
const TABLES: [(&str, &str, Option<&str>); 3] = [
    ("files", "fs/file-nr", Some("fs/file-max")),
    ("inodes", "fs/inode-nr", None),
    (
        "conntrack",
        "net/netfilter/nf_conntrack_count",
        Some("net/netfilter/nf_conntrack_max"),
    ),
];

struct KernelTables {
    proc_sys: PathBuf,
    /// Most that was seen of each table.
    peaks: Mutex<[f64; TABLES.len()]>,
}

impl KernelTables {
    fn number(&self, file: &str) -> Option<f64> {
        let text = std::fs::read_to_string(self.proc_sys.join(file)).ok()?;
        text.split_whitespace().next()?.parse().ok()
    }
}

impl Plugin for KernelTables {
    fn describe(&self) -> Description {
        Description::new("kernel-tables", env!("CARGO_PKG_VERSION"))
    }

    async fn report(&self, asked: ReportRequest) -> Result<Report, Failure> {
        let mut peaks = self.peaks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = NodeFacts::default();
        let mut rows = Vec::new();
        for ((key, file, limit), peak) in TABLES.iter().zip(peaks.iter_mut()) {
            // Without its module a table is not there.
            let Some(now) = self.number(file) else {
                continue;
            };
            *peak = peak.max(now);
            let limit = limit.and_then(|file| self.number(file));
            facts = match limit {
                Some(limit) => facts.metric_of(key, now, limit),
                None => facts.metric(key, now),
            };
            let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            rows.push(vec![
                (*key).to_owned(),
                now.to_string(),
                peak.to_string(),
                limit,
            ]);
        }
        if rows.is_empty() {
            return Err(Failure::new("no table of the kernel can be read"));
        }
        let facts = facts
            .metadatum("source", self.proc_sys.display())
            .table("tables", rows)
            .control("forget-peaks");
        // The manifest asks for the host alone.
        let nodes = asked.nodes.iter().map(|node| NodeFacts {
            id: node.id.clone(),
            ..facts.clone()
        });
        Ok(Report {
            nodes: nodes.collect(),
        })
    }

    async fn control(&self, asked: ControlRequest) -> Result<ControlAnswer, Failure> {
        if asked.control != "forget-peaks" {
            return Err(Failure::new(format!("no control {:?}", asked.control)));
        }
        *self.peaks.lock().unwrap_or_else(PoisonError::into_inner) = [0.0; TABLES.len()];
        Ok(ControlAnswer {
            message: "the peaks are counted anew".to_owned(),
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    let plugin = KernelTables {
        proc_sys: Path::new("/proc/sys").to_owned(),
        peaks: Mutex::default(),
    };
    match mesoscope_plugin::serve(plugin).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
