//! `agents`: connected, complete, and what each costs and lacks.

use mesoscope_proto::v1::{AgentInfo, AgentStatus, ListAgentsRequest};

use crate::arguments::{Agents, Server};
use crate::connect::{Failure, connect};
use crate::output::{Output, Style};
use crate::text::{bytes, printable, time};

/// Prints the agents.
pub async fn run(server: &Server, options: &Agents, mut output: Output) -> Result<(), Failure> {
    let mut client = connect(server).await?;
    let answer = client
        .list_agents(ListAgentsRequest {})
        .await
        .map_err(|status| Failure::of(&status, server))?
        .into_inner();
    if options.json {
        for agent in &answer.agents {
            output.json(agent)?;
        }
        return Ok(());
    }
    if answer.agents.is_empty() {
        output.line("no agent has reported yet")?;
        return Ok(());
    }
    let rows = answer.agents.iter().map(row).collect();
    output.table(
        &[
            "HOST",
            "VERSION",
            "CONNECTED",
            "COMPLETE",
            "AVAILABLE",
            "CPU",
            "MEMORY",
            "GOVERNOR",
            "TIER 2",
            "LOST",
            "PROC",
            "CONT",
            "CONN",
        ],
        rows,
    )?;
    for agent in &answer.agents {
        for line in lacks(agent) {
            let text = output.paint(Style::Warning, &line);
            output.line(&text)?;
        }
    }
    Ok(())
}

fn row(agent: &AgentInfo) -> Vec<String> {
    let status = agent.status.as_ref();
    let figure = |of: fn(&AgentStatus) -> String| status.map_or_else(String::new, of);
    vec![
        printable(if agent.hostname.is_empty() {
            &agent.agent_id
        } else {
            &agent.hostname
        }),
        printable(&agent.version),
        if agent.connected {
            "yes".to_owned()
        } else {
            format!(
                "no, last seen {}",
                time(agent.last_seen_unix_ms.saturating_mul(1_000_000))
            )
        },
        if agent.complete { "yes" } else { "no" }.to_owned(),
        format!("{:.2} %", agent.availability * 100.0),
        figure(|status| format!("{:.1} %", status.cpu_percent)),
        figure(|status| bytes(status.rss_bytes)),
        figure(|status| status.governor.clone()),
        figure(tier2),
        figure(|status| status.events_lost_total.to_string()),
        agent.processes.to_string(),
        agent.containers.to_string(),
        agent.connections.to_string(),
    ]
}

fn tier2(status: &AgentStatus) -> String {
    match (status.tier2, status.tier2_containers.len()) {
        (false, _) => "off".to_owned(),
        (true, 0) => "node".to_owned(),
        (true, 1) => "1 container".to_owned(),
        (true, many) => format!("{many} containers"),
    }
}

/// What the agent can't see, and why.
fn lacks(agent: &AgentInfo) -> Vec<String> {
    let capabilities = agent.status.iter().flat_map(|status| &status.capabilities);
    capabilities
        .filter(|capability| !capability.available)
        .map(|capability| {
            let lack = format!(
                "{} lacks {}",
                printable(&agent.hostname),
                printable(&capability.name)
            );
            match capability.reason.as_str() {
                "" => lack,
                reason => format!("{lack}: {}", printable(reason)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesoscope_proto::v1::Capability;

    #[test]
    fn an_agent_shows_its_cost_and_what_it_lacks() {
        let agent = AgentInfo {
            hostname: "node-1".into(),
            connected: true,
            availability: 0.9995,
            status: Some(AgentStatus {
                cpu_percent: 1.25,
                rss_bytes: 30_000_000,
                governor: "normal".into(),
                capabilities: vec![
                    Capability {
                        name: "docker".into(),
                        available: true,
                        ..Capability::default()
                    },
                    Capability {
                        name: "udp-bytes".into(),
                        reason: "tier 2 is off: --tier2 node".into(),
                        ..Capability::default()
                    },
                ],
                ..AgentStatus::default()
            }),
            ..AgentInfo::default()
        };
        let row = row(&agent);
        assert_eq!(
            row[2..9],
            ["yes", "no", "99.95 %", "1.2 %", "30 MB", "normal", "off"]
        );
        assert_eq!(
            lacks(&agent),
            ["node-1 lacks udp-bytes: tier 2 is off: --tier2 node"]
        );
    }

    #[test]
    fn tier_2_is_off_or_on_for_the_node_or_for_containers() {
        let status = |on, containers: &[&str]| AgentStatus {
            tier2: on,
            tier2_containers: containers.iter().map(|&id| id.into()).collect(),
            ..AgentStatus::default()
        };
        assert_eq!(tier2(&status(false, &[])), "off");
        assert_eq!(tier2(&status(true, &[])), "node");
        assert_eq!(tier2(&status(true, &["a"])), "1 container");
        assert_eq!(tier2(&status(true, &["a", "b"])), "2 containers");
    }

    #[test]
    fn an_agent_without_a_status_has_empty_figures() {
        let agent = AgentInfo {
            agent_id: "id".into(),
            ..AgentInfo::default()
        };
        let row = row(&agent);
        assert_eq!(row[0], "id");
        assert_eq!(row[5], "");
    }
}
