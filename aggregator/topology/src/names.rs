//! Names of remote addresses, as each agent learned them.

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

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
    /// Who knows a name of an address.
    knowing: FxHashMap<IpAddr, SmallVec<[AgentKey; 1]>>,
    order: VecDeque<(AgentKey, IpAddr)>,
    limit: usize,
    pub evicted: u64,
}

impl Names {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            names: FxHashMap::default(),
            knowing: FxHashMap::default(),
            order: VecDeque::new(),
            limit,
            evicted: 0,
        }
    }

    /// The addresses that have another name now, or none any more: this one, and the oldest. Empty
    /// when nothing changed. An address with many names (a front end of
    /// many services) keeps its first; what a process asked for outranks a reverse look-up.
    pub(crate) fn insert(
        &mut self,
        agent: AgentKey,
        ip: IpAddr,
        name: &str,
        from_answer: bool,
    ) -> SmallVec<[IpAddr; 1]> {
        let key = (agent, ip);
        if let Some(known) = self.names.get(&key)
            && (known.from_answer || !from_answer)
        {
            return SmallVec::new();
        }
        let mut changed = SmallVec::from_iter([ip]);
        let name = Name {
            name: name.trim_end_matches('.').to_ascii_lowercase().into(),
            from_answer,
        };
        if self.names.insert(key, name).is_none() {
            self.order.push_back(key);
            self.knowing.entry(ip).or_default().push(agent);
        }
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.names.remove(&oldest);
                self.unknow(oldest);
                self.evicted += 1;
                changed.push(oldest.1);
            }
        }
        changed
    }

    fn unknow(&mut self, (agent, ip): (AgentKey, IpAddr)) {
        if let Some(knowing) = self.knowing.get_mut(&ip) {
            knowing.retain(|known| *known != agent);
            if knowing.is_empty() {
                self.knowing.remove(&ip);
            }
        }
    }

    /// The name of an address for all who know one: what a process asked for before what a reverse
    /// look-up gave, and of several the first by the alphabet.
    pub(crate) fn of_any(&self, ip: IpAddr) -> Option<&Name> {
        let knowing = self.knowing.get(&ip)?.iter();
        let names = knowing.filter_map(|agent| self.names.get(&(*agent, ip)));
        names.min_by_key(|name| (!name.from_answer, name.name.clone()))
    }

    pub(crate) fn get(&self, agent: AgentKey, ip: IpAddr) -> Option<&Name> {
        self.names.get(&(agent, ip))
    }

    /// Forgets what an agent knew; tells of which addresses.
    pub(crate) fn forget(&mut self, agent: AgentKey) -> Vec<IpAddr> {
        let known = self.order.iter().filter(|(of, _)| *of == agent);
        let known: Vec<IpAddr> = known.map(|(_, ip)| *ip).collect();
        self.names.retain(|(of, _), _| *of != agent);
        self.order.retain(|(of, _)| *of != agent);
        for ip in &known {
            self.unknow((agent, *ip));
        }
        known
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}
