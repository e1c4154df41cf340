//! Names of remote addresses, as each agent learned them.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use rustc_hash::FxHashMap;

use crate::keys::AgentKey;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub name: Arc<str>,
    /// From a DNS answer that a process received, not from a reverse look-up.
    pub from_answer: bool,
}

/// The names, bounded; the oldest go first.
#[derive(Debug)]
pub(crate) struct Names {
    names: FxHashMap<(AgentKey, IpAddr), Name>,
    order: VecDeque<(AgentKey, IpAddr)>,
    limit: usize,
    pub evicted: u64,
}

impl Names {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            names: FxHashMap::default(),
            order: VecDeque::new(),
            limit,
            evicted: 0,
        }
    }

    /// True when the address has another name now. An address with many names (a front end of
    /// many services) keeps its first; what a process asked for outranks a reverse look-up.
    pub(crate) fn insert(
        &mut self,
        agent: AgentKey,
        ip: IpAddr,
        name: &str,
        from_answer: bool,
    ) -> bool {
        let key = (agent, ip);
        if let Some(known) = self.names.get(&key)
            && (known.from_answer || !from_answer)
        {
            return false;
        }
        let name = Name {
            name: name.trim_end_matches('.').to_ascii_lowercase().into(),
            from_answer,
        };
        if self.names.insert(key, name).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.names.remove(&oldest);
                self.evicted += 1;
            }
        }
        true
    }

    pub(crate) fn get(&self, agent: AgentKey, ip: IpAddr) -> Option<&Name> {
        self.names.get(&(agent, ip))
    }

    pub(crate) fn forget(&mut self, agent: AgentKey) {
        self.names.retain(|(of, _), _| *of != agent);
        self.order.retain(|(of, _)| *of != agent);
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}
