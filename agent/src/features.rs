//! `mesoscope-agent features`: the capability ladder as a table.

use comfy_table::{ContentArrangement, Table, presets};
use mesoscope_capture::CaptureConfig;
use mesoscope_discover::{cgroups::CgroupTree, conntrack, cri, docker, processes::ProcessReader};
use mesoscope_proto::v1::Capability;

use crate::config::Config;
use crate::run::edges;

/// What this node lets the agent see, as a table or as JSON.
#[must_use]
pub fn report(config: &Config, json: bool) -> String {
    let capabilities = probe(config);
    if json {
        let text = serde_json::to_string_pretty(&capabilities).unwrap_or_default();
        return text + "\n";
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["CAPABILITY", "HERE", "BY", "WHY NOT, OR WHY NOT BETTER"]);
    for capability in &capabilities {
        let here = if capability.available { "yes" } else { "no" };
        table.add_row([
            capability.name.as_str(),
            here,
            &capability.provider,
            &capability.reason,
        ]);
    }
    let missing = capabilities
        .iter()
        .filter(|capability| !capability.available)
        .count();
    format!(
        "{table}\n\n{} of {} here.\n",
        capabilities.len() - missing,
        capabilities.len()
    )
}

/// Tries everything once; nothing of it stays.
#[must_use]
pub fn probe(config: &Config) -> Vec<Capability> {
    let paths = edges::paths(config);
    let capture: CaptureConfig = edges::capture_config(config);
    let mut all: Vec<Capability> = mesoscope_capture::probe(&capture)
        .into_iter()
        .map(edges::capability)
        .collect();
    all.push(ProcessReader::new(&paths).capability());
    all.push(match CgroupTree::discover(&paths) {
        Ok(tree) => tree.capability(),
        Err(error) => edges::missing("containers", &error.to_string()),
    });
    all.push(conntrack::capability(
        &edges::conntrack_config(config),
        &config.proc_root,
    ));
    all.extend(runtimes(config));
    all
}

/// Whether the runtimes answer, asked for a moment.
fn runtimes(config: &Config) -> Vec<Capability> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Vec::new();
    };
    runtime.block_on(async {
        let mut docker = docker::watch(edges::docker_config(config));
        let mut cri = cri::watch(edges::cri_config(config));
        let patience = std::time::Duration::from_secs(2);
        let _ = tokio::time::timeout(patience, docker.events.recv()).await;
        let _ = tokio::time::timeout(patience, cri.events.recv()).await;
        vec![
            docker.stats.capability("docker"),
            cri.stats.capability("cri"),
        ]
    })
}
